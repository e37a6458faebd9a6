package main

import (
	"context"
	"errors"
	"fmt"

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
			return []daemon.Setting{{Name: "home", Value: cfg.Home}, {Name: "hooks", Value: cfg.Hooks}}
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
	return &daemon.Door{
		Handler: srv,
		Reload: func(cfg *config.Config) error {
			// The list and nothing else: the socket, the store and the home are those of the start.
			buckets := pushConfig(cfg).Buckets
			if err := srv.SetBuckets(buckets); err != nil {
				return fmt.Errorf("%s: %w", cfg.File(), err)
			}
			log.Info().Int("buckets", len(buckets)).Msg("bucket list replaced")
			return nil
		},
	}, nil
}

// hooks are the daemon's in the words of the door.
type hooks struct{ *daemon.Hooks }

var _ push.Hooks = hooks{}

func (h hooks) Run(ctx context.Context, call push.HookCall) (push.HookResult, error) {
	got, err := h.Hooks.Run(ctx, daemon.HookCall(call))
	if errors.Is(err, daemon.ErrNoHook) {
		err = push.ErrNoHook
	}
	return push.HookResult{Code: got.Code, Output: got.Output}, err
}

func pushConfig(cfg *config.Config) push.Config {
	out := push.Config{Home: cfg.Home, AllowFailedHooks: cfg.Hooks.Failure == "allow", Outlast: daemon.Outlast}
	for _, b := range cfg.Buckets {
		out.Buckets = append(out.Buckets, push.Bucket{
			Name: b.Name, Token: b.Token, TokenSHA256: b.TokenSHA256, Tokens: b.Tokens,
			MaxSize: int64(b.MaxSize), Overwrite: b.Overwrite,
		})
	}
	return out
}
