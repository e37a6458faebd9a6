package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// alerter tells somebody that a bucket is overdue.
type alerter interface {
	// alert returns an error unless somebody was told; errNoAlert when there is nobody to tell.
	alert(ctx context.Context, x daemon.Expected, now time.Time) error
}

// errNoAlert says that there is no hook.
var errNoAlert = errors.New("there is no alert.sh")

// alertHook runs alert.sh BUCKET LAST HOURS as a child of this process.
type alertHook struct {
	dir     string
	timeout time.Duration       // after which it is killed
	as      *syscall.Credential // the store's owner when root runs it; else nil
}

// newAlertHook is the hook of a configuration.
func newAlertHook(cfg *config.Config) (alertHook, error) {
	h := alertHook{dir: cfg.Hooks.Dir, timeout: time.Duration(cfg.Hooks.Timeout)}
	st, err := os.Stat(cfg.Storage.Path)
	if err != nil {
		return h, err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && sys.Uid != 0 {
		h.as = &syscall.Credential{Uid: sys.Uid, Gid: sys.Gid}
	}
	return h, nil
}

var _ alerter = alertHook{}

// endWait is for how long output is waited for that somebody holds open whom a hook has left behind.
const endWait = 5 * time.Second

func (h alertHook) alert(ctx context.Context, x daemon.Expected, now time.Time) error {
	path := filepath.Join(h.dir, "alert.sh")
	if err := mayRun(path); err != nil {
		return err
	}
	hours := strconv.Itoa(int(x.Waited(now).Hours()))
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, x.Bucket, lastText(x.Last), hours)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "FB_BUCKET=" + x.Bucket}
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = endWait
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: h.as}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// mayRun refuses a hook that somebody else than root or this user could have put there, or changed.
func mayRun(path string) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoAlert
	}
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case st.Mode()&0o111 == 0:
		return fmt.Errorf("%s cannot be run: chmod 755 helps", path)
	case st.Mode()&0o022 != 0 || ok && sys.Uid != 0 && int(sys.Uid) != os.Geteuid():
		return fmt.Errorf("%s may be changed by others than root: chown root and chmod 755 help", path)
	}
	return nil
}
