package main

import (
	"fmt"
	"os"
	"path/filepath"

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
		Address: func(cfg *config.Config) (string, int) { return cfg.Host, cfg.Port },
		Check:   func(cfg *config.Config) error { return pushConfig(cfg).Validate() },
		Open:    open,
	}
}

func open(cfg *config.Config, store *object.Store, log zerolog.Logger) (*daemon.Door, error) {
	srv, err := push.New(store, pushConfig(cfg), log)
	if err != nil {
		return nil, err
	}
	status := ""
	if hooks := hooksIn(cfg.Hooks.Dir); len(hooks) > 0 {
		log.Warn().Strs("hooks", hooks).Msg("hooks are not supported by this version and are not run")
		status = "hooks are not run"
	}
	return &daemon.Door{
		Handler: srv,
		Status:  status,
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

func pushConfig(cfg *config.Config) push.Config {
	out := push.Config{Home: cfg.Home}
	for _, b := range cfg.Buckets {
		out.Buckets = append(out.Buckets, push.Bucket{
			Name: b.Name, Token: b.Token, TokenSHA256: b.TokenSHA256, Tokens: b.Tokens,
			MaxSize: int64(b.MaxSize), Overwrite: b.Overwrite,
		})
	}
	return out
}

// hooksIn returns the hooks that an administrator put in place. Who relies on
// one must not be left to believe that it runs.
func hooksIn(dir string) []string {
	var found []string
	for _, hook := range []string{"pre-push.sh", "post-push.sh", "alert.sh"} {
		path := filepath.Join(dir, hook)
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}
