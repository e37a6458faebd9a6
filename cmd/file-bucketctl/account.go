package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
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
	// Those who could write by the group that it had are not those of the new one.
	return os.Chmod(path, mode&^0o020|0o040)
}

// mayRun lets the account read and execute a script of root's by its group, if it cannot and root can. One that is not there it
// leaves alone, and all that lies where somebody else has a say.
func (a *account) mayRun(path string) error {
	dir := filepath.Dir(path)
	at, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if above, ok := at.Sys().(*syscall.Stat_t); !ok || int(above.Uid) != os.Geteuid() || foothold(dir) != dir {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only looked at
	st, err := f.Stat()
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	mode := st.Mode().Perm()
	byGroup := ok && int(sys.Gid) == a.gid && mode&0o050 == 0o050
	switch {
	case !ok, int(sys.Uid) != os.Geteuid(), int(sys.Uid) == a.uid, !st.Mode().IsRegular(), mode&0o022 != 0:
		return nil // not root's alone
	case mode&0o500 != 0o500, mode&0o005 == 0o005, byGroup:
		return nil // nobody runs it, or the account can
	}
	if err := f.Chown(-1, a.gid); err != nil {
		return err
	}
	return f.Chmod(mode | 0o050)
}

// makeDir makes a directory and those above it that are missing, as the account's own. What lies below a directory that is not
// root's may change while it is looked at: links there lead nowhere else.
func (a *account) makeDir(path string) error {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return nil
	}
	base := foothold(path)
	rel, err := filepath.Rel(base, path)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // it was only looked at
	var missing []string
	for dir := rel; dir != "."; dir = filepath.Dir(dir) {
		if _, err := root.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, dir)
	}
	if err := root.MkdirAll(rel, 0o700); err != nil {
		return fmt.Errorf("make %s in %s: %w", rel, base, err)
	}
	for _, dir := range missing {
		if err := a.give(root.OpenFile(dir, openDir, 0)); err != nil {
			return err
		}
	}
	return nil
}

// openDir opens a directory, and nothing that somebody has put in its place.
const openDir = os.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NOFOLLOW

// foothold is the directory on the way to a clean absolute path up to which nobody but root and the caller has a say: the first that is
// somebody else's, or the one with such a link in it, or the last that there is.
func foothold(path string) string {
	at := "/"
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		next := filepath.Join(at, name)
		st, err := os.Lstat(next)
		if err != nil {
			return at
		}
		sys, ok := st.Sys().(*syscall.Stat_t)
		theirs := !ok || sys.Uid != 0 && int(sys.Uid) != os.Geteuid()
		switch fi, err := os.Stat(next); {
		case err != nil || !fi.IsDir() || theirs && !st.IsDir():
			return at
		case theirs:
			return next
		}
		at = next
	}
	return at
}

// give makes an open file the account's, and closes it.
func (a *account) give(f *os.File, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(f.Chown(a.uid, a.gid), f.Close())
}

// takeOver gives the account a directory that root's file-bucket has made. Somebody else's it leaves alone, and so the
// directories that every system has.
func (a *account) takeOver(path string) error {
	f, err := os.OpenFile(path, openDir, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only looked at
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || sys.Uid != 0 || a.uid == 0 {
		return nil
	}
	if filepath.Dir(path) == "/" {
		return fmt.Errorf("%s belongs to root, and is too near to the root to be given away: chown it, or use a directory in it", path)
	}
	return f.Chown(a.uid, a.gid)
}
