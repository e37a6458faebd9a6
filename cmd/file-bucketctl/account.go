package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that the daemons run as, when init makes things for somebody else than its caller.
type account struct{ uid, gid int }

func findAccount(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return &account{uid, gid}, nil
}

// mayRead lets the account read a file by its group, if it cannot. Whom the file belongs to stays.
func (a *account) mayRead(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode := st.Mode().Perm()
	sys, ok := st.Sys().(*syscall.Stat_t)
	if ok && (int(sys.Uid) == a.uid || mode&0o004 != 0 || (int(sys.Gid) == a.gid && mode&0o040 != 0)) {
		return nil
	}
	if err := os.Chown(path, -1, a.gid); err != nil {
		return err
	}
	return os.Chmod(path, mode|0o040)
}

// makeDir makes a directory and those above it, as the account's own.
func (a *account) makeDir(path string) error {
	var missing []string
	for dir := path; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, dir)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := os.Chown(dir, a.uid, a.gid); err != nil {
			return err
		}
	}
	return nil
}

// takeOver gives the account a directory that root's file-bucket has made. Somebody else's it leaves alone, and so the
// directories that every system has.
func (a *account) takeOver(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || !st.IsDir() || sys.Uid != 0 || a.uid == 0 {
		return nil
	}
	if filepath.Dir(path) == "/" {
		return fmt.Errorf("%s belongs to root, and is too near to the root to be given away: chown it, or use a directory in it", path)
	}
	return os.Lchown(path, a.uid, a.gid)
}
