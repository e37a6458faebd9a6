package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
	"hugbucket/internal/push"
)

const name = "file-bucketd"

func program() daemon.Program {
	return daemon.Program{
		Name:    name,
		Summary: "the push door of file-bucket: curl -F file=@backup.tar http://HOST:1234/TOKEN",
		Socket:  "http",
		Reloads: "the list of buckets",
		Address: func(cfg *config.Config) (string, int) { return cfg.Host, cfg.Port },
		Check:   func(cfg *config.Config) error { return pushConfig(cfg).Validate() },
		Settings: func(cfg *config.Config) []daemon.Setting {
			return []daemon.Setting{{Name: "home", Value: cfg.Home}, {Name: "hooks", Value: cfg.Hooks}, {Name: "s3.upload_expiry", Value: cfg.S3.UploadExpiry}}
		},
		Open: open,
	}
}

func open(cfg *config.Config, store *object.Store, log zerolog.Logger) (*daemon.Door, error) {
	return openWith(cfg, store, log, daemon.NewHooks(cfg, log))
}

func openWith(cfg *config.Config, store *object.Store, log zerolog.Logger, scripts *daemon.Hooks) (*daemon.Door, error) {
	settings := pushConfig(cfg)
	settings.Hooks = hooks{scripts}
	srv, err := push.New(store, settings, log)
	if err != nil {
		return nil, err
	}
	current := settings.Buckets
	warnOfNone(current, log)
	return &daemon.Door{
		Handler:  srv,
		Refusals: srv.Refusals,
		Expire:   srv.Expire,
		Drain:    srv.Drain,
		Reload: func(cfg *config.Config) error {
			// The list and nothing else: the socket, the store and the home are those of the start.
			buckets := pushConfig(cfg).Buckets
			if err := srv.SetBuckets(buckets); err != nil {
				return fmt.Errorf("%s: %w", cfg.File(), err)
			}
			log.Info().Int("buckets", len(buckets)).Str("changes", push.Changes(current, buckets)).Msg("bucket list replaced")
			warnOfNone(buckets, log)
			current = buckets
			return nil
		},
	}, nil
}

// warnOfNone tells of a list that lets nobody push: most likely it was lost from the file.
func warnOfNone(buckets []push.Bucket, log zerolog.Logger) {
	if len(buckets) == 0 {
		log.Warn().Msg("the configuration has no buckets: every push is refused")
	}
}

// hooks are the daemon's in the words of the door.
type hooks struct{ *daemon.Hooks }

var _ push.Hooks = hooks{}

func (h hooks) Run(ctx context.Context, call push.HookCall) (push.HookResult, error) {
	got, err := h.Hooks.Run(ctx, daemon.HookCall(call))
	switch {
	case errors.Is(err, daemon.ErrNoHook):
		err = push.ErrNoHook
	case errors.Is(err, daemon.ErrHookTime):
		err = push.ErrHookTime
	}
	return push.HookResult{Code: got.Code, Output: got.Output, Stderr: got.Stderr}, err
}

func pushConfig(cfg *config.Config) push.Config {
	out := push.Config{
		Home: cfg.Home, AllowFailedHooks: cfg.Hooks.Failure == "allow", Outlast: daemon.Outlast, MinFree: int64(cfg.Storage.MinFree),
		UploadExpiry: time.Duration(cfg.S3.UploadExpiry),
	}
	for _, b := range cfg.Buckets {
		out.Buckets = append(out.Buckets, push.Bucket{
			Name: b.Name, Token: b.Token, TokenSHA256: b.TokenSHA256, Tokens: b.Tokens,
			MaxSize: int64(b.MaxSize), Quota: int64(b.Quota), Overwrite: b.Overwrite, Stamp: b.Stamp,
		})
	}
	return out
}
