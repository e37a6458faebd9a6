package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// hooks runs an administrator's scripts.
type hooks interface {
	// Run is that of daemon.Hooks.
	Run(ctx context.Context, call daemon.HookCall) (daemon.HookResult, error)
}

var _ hooks = (*daemon.Hooks)(nil)

// newHooks is the hooks of a configuration. Where no service manager runs them they have the rights of the store's owner, not
// those of root who looks after it.
func newHooks(cfg *config.Config, log zerolog.Logger) (*daemon.Hooks, error) {
	h := daemon.NewHooks(cfg, log)
	if os.Geteuid() != 0 {
		return h, nil
	}
	id, err := whose(cfg.Storage.Path)
	if err != nil {
		return nil, err
	}
	if id.uid != 0 {
		h.As = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return h, nil
}

// alert has alert.sh tell somebody that a bucket is overdue. It returns an error when that failed, daemon.ErrNoHook when there is
// no such hook.
func alert(ctx context.Context, h hooks, x daemon.Expected, now time.Time) error {
	got, err := h.Run(ctx, daemon.HookCall{
		Name: "alert.sh",
		Args: []string{x.Bucket, lastText(x.Last), strconv.Itoa(int(x.Waited(now).Hours()))},
		Env:  []string{"FB_BUCKET=" + x.Bucket},
	})
	switch {
	case err != nil:
		return fmt.Errorf("alert.sh: %w", err)
	case got.Code != 0 && got.Stderr != "":
		return fmt.Errorf("alert.sh: exit code %d: %q, and on stderr %q", got.Code, bytes.TrimSpace(got.Output), got.Stderr)
	case got.Code != 0:
		return fmt.Errorf("alert.sh: exit code %d: %q", got.Code, bytes.TrimSpace(got.Output))
	}
	return nil
}
