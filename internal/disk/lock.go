package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// lockFile is a file that is locked (flock) around something that one process at a time may do. The lock goes with the
// process, however it ends.
type lockFile struct {
	mu sync.Mutex // within the process; flock is held by the open file, which all goroutines share
	f  *os.File
}

func openLock(path string) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &lockFile{f: f}, nil
}

func (l *lockFile) lock() error {
	l.mu.Lock()
	if err := flock(l.f, unix.LOCK_EX); err != nil {
		l.mu.Unlock()
		return err
	}
	return nil
}

// tryLock returns false when somebody else holds the lock.
func (l *lockFile) tryLock() (bool, error) {
	if !l.mu.TryLock() {
		return false, nil
	}
	err := flock(l.f, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return true, nil
	}
	l.mu.Unlock()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = nil
	}
	return false, err
}

func (l *lockFile) unlock() error {
	defer l.mu.Unlock()
	return flock(l.f, unix.LOCK_UN)
}

func (l *lockFile) close() error { return l.f.Close() }

// tryLock locks a file that exists and returns it; nil when somebody else holds the lock.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// ErrBusy is returned by what looks after a store while another process does so.
var ErrBusy = errors.New("somebody else is looking after the store (gc, check or the like); try again when that is done")

// holdStill keeps content from being deleted or moved until release is called; alone is for who is going to do just that.
func (d *Driver) holdStill(alone bool) (release func() error, err error) {
	path := filepath.Join(d.dir, "gc.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ioError(err)
	}
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	err = flock(f, how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrBusy
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
