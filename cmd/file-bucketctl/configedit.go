package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// editConfig changes a configuration file, in one step that others see whole or not at all. It must be valid before and
// after, and keeps its owner and mode, and an access list. What a symbolic link leads to is changed. Of several that edit one file
// at a time, each sees what the one before it wrote. The new configuration is returned.
func editConfig(path string, change func(*config.Config, *config.Draft) error) (cfg *config.Config, err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, &daemon.ConfigError{Err: fmt.Errorf("read configuration: %w", err)}
	}
	old, err := lockFile(real)
	if err != nil {
		return nil, &daemon.ConfigError{Err: fmt.Errorf("read configuration: %w", err)}
	}
	defer old.Close() //nolint:errcheck // it was only read; closing unlocks it
	text, err := os.ReadFile(real)
	if err != nil {
		return nil, err
	}
	if cfg, err = daemon.LoadConfigInShell(path); err != nil {
		return nil, err
	}
	draft, err := config.NewDraft(text)
	if err == nil {
		err = change(cfg, draft)
	}
	if err != nil {
		return nil, err
	}
	f, err := createFile(real, true)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: run it as root, with sudo for example", err)
	}
	if err != nil {
		return nil, err
	}
	_, err = f.Write(draft.Bytes())
	if err == nil {
		err = copyRights(f.File, old)
	}
	if err == nil {
		cfg, err = daemon.LoadConfigInShell(f.Name())
	}
	if err == nil {
		err = unchanged(real, text)
	}
	if err != nil {
		return nil, errors.Join(err, f.abandon())
	}
	return cfg, f.finish()
}

// unchanged returns an error when a file holds another text. Who edits it in another way does not ask for the lock.
func unchanged(path string, text []byte) error {
	now, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(now, text) {
		err = fmt.Errorf("somebody else has changed %s at the same moment, and nothing was done: try again", path)
	}
	return err
}

// lockFile opens a file and waits until nobody else has it locked. Who had it locked may have replaced it: it is the file that
// has the name now that counts.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := flock(f, lockTime); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		locked, err := f.Stat()
		if err == nil {
			var now fs.FileInfo
			if now, err = os.Stat(path); err == nil && os.SameFile(locked, now) {
				return f, nil
			}
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// lockTime is how long another edit may take. All that may read the configuration may lock it, the user of the daemons too, who may be
// somebody that wants no token to be revoked.
const lockTime = 10 * time.Second

// flock locks a file, or gives up after a while.
func flock(f *os.File, within time.Duration) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for until := time.Now().Add(within); ; <-ticker.C {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return err
		case time.Now().After(until):
			return fmt.Errorf("another process holds it; to see which: fuser -v %s", f.Name())
		}
	}
}

// copyRights gives a file the owner, mode and access list of another.
func copyRights(to, from *os.File) error {
	st, err := from.Stat()
	if err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		if err := to.Chown(int(sys.Uid), int(sys.Gid)); err != nil {
			return fmt.Errorf("keep the owner of %s: %w", from.Name(), err)
		}
	}
	if err := to.Chmod(st.Mode().Perm()); err != nil {
		return err
	}
	const accessList = "system.posix_acl_access"
	list := make([]byte, 64<<10) // the most that there can be
	n, err := unix.Fgetxattr(int(from.Fd()), accessList, list)
	switch {
	case errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP):
		return nil
	case err == nil:
		err = unix.Fsetxattr(int(to.Fd()), accessList, list[:n], 0)
	}
	if err != nil {
		return fmt.Errorf("keep the access list of %s: %w", from.Name(), err)
	}
	return nil
}
