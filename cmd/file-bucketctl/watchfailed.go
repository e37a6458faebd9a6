package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// noBucket is what alert.sh gets in the place of a bucket when nobody can say which ones get nothing: no bucket can be called so.
const noBucket = "-"

// watchHealth is whether the watch itself works. It is remembered in a file that neither the store nor the configuration is needed
// for: either may be what has failed.
type watchHealth struct {
	Looked  time.Time `json:"looked"`  // a watch last came to its end; zero when none did since the machine was started
	Alerted bool      `json:"alerted"` // somebody was, of those that have failed since
}

// healthFile is where that is remembered: in the directory that the service manager gives the watch, as RUNTIME_DIRECTORY. It is
// empty, and nothing remembered, where there is none.
func healthFile() string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "health.json")
	}
	return ""
}

// loadHealth returns what is remembered. A damaged file is as none, and somebody alerted once more.
func loadHealth(path string) (h watchHealth, err error) {
	if path == "" {
		return h, nil
	}
	text, err := daemon.ReadBeside(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err == nil && json.Unmarshal(text, &h) != nil {
		h = watchHealth{}
	}
	return h, err
}

func (h watchHealth) save(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// failedWatch tells somebody that the watch fails, so that nobody takes its silence for a good sign.
type failedWatch struct {
	config, health string // paths
	now            time.Time
	log            zerolog.Logger
	hooks          hooks // nil is those of the configuration
}

// run runs alert.sh once for each run of failures, and again when it failed or was not there.
func (f failedWatch) run(ctx context.Context) error {
	h, err := loadHealth(f.health)
	if err != nil || h.Alerted {
		return err
	}
	if f.hooks == nil {
		cfg, err := config.Peek(f.config)
		if err != nil {
			cfg = config.Default() // what is wrong with the file may be the very failure
		}
		f.hooks = daemon.NewHooks(cfg, f.log)
	}
	x := daemon.Expected{Bucket: noBucket, Last: h.Looked, Since: h.Looked}
	if x.Since.IsZero() {
		x.Since = f.now
	}
	err = alert(ctx, f.hooks, x, f.now)
	if errors.Is(err, daemon.ErrNoHook) {
		f.log.Warn().Str("event", "watch-failed").Msg("the watch for buckets that get nothing fails, and there is no alert.sh to tell anybody")
		return nil
	}
	if err != nil {
		return err
	}
	h.Alerted = true
	return h.save(f.health)
}
