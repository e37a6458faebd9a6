package push

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// copyPrefix and partialRandom characters of base32 are the name of a directory in home that holds a copy for post-push.sh. No
// token can have such a name. It is locked (flock) as long as it is needed, and swept at start when it is not.
const copyPrefix = ".hook-"

// copies are the files that post-push.sh gets of buckets with names: the object store has them in pieces.
type copies struct {
	home string
	free func(dir string) (free, all int64, err error) // bytes of a file system

	mu    sync.Mutex // guards the following
	taken int64      // bytes of the copies that there are
}

// hookCopy is one of them.
type hookCopy struct {
	path string

	of   *copies
	root string // the directory that is removed; empty before it is there
	size int64
	dir  *os.File // locked
}

// make copies an object to a file of its name. It returns object.ErrNoSpace when that would take too much.
func (c *copies) make(ctx context.Context, store *object.Store, bucket, name string) (*hookCopy, error) {
	if !filepath.IsAbs(c.home) {
		return nil, errors.New("there is no home for it")
	}
	src, err := store.Open(ctx, bucket, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }() // only read
	if err := makeDir(c.home); err != nil {
		return nil, plainError(err)
	}
	size := src.Info().Size
	if err := c.take(size); err != nil {
		return nil, err
	}
	out := &hookCopy{of: c, size: size}
	if err := out.fill(src, name); err != nil {
		out.remove()
		return nil, plainError(err)
	}
	return out, nil
}

// take counts n more bytes, unless all copies would then take more than half of what is free. A client that stores next to
// nothing, because all of it was there already, must not fill the disk by the way, and the next push needs room too.
func (c *copies) take(n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	free, all, err := c.free(c.home)
	if err != nil {
		return plainError(err)
	}
	// What the store keeps free is no room. What copies have taken so far counts twice, which errs on the safe side.
	if half := (free - all/100) / 2; c.taken+n > half {
		return fmt.Errorf("%w: it has %d MiB, and with the others it may have %d MiB", object.ErrNoSpace, n>>20, max(half, 0)>>20)
	}
	c.taken += n
	return nil
}

func (h *hookCopy) fill(src *object.File, name string) error {
	dir := filepath.Join(h.of.home, copyPrefix+strings.ToLower(rand.Text()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	h.root, h.path = dir, filepath.Join(dir, name)
	var err error
	if h.dir, err = os.Open(dir); err != nil {
		return err
	}
	if err := unix.Flock(int(h.dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	f, err := os.OpenFile(h.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nameError(err)
	}
	_, err = src.WriteTo(f)
	return errors.Join(err, f.Close())
}

// remove removes the copy.
func (h *hookCopy) remove() {
	if h.root != "" {
		_ = os.RemoveAll(h.root) // else the next start sweeps it
	}
	if h.dir != nil {
		_ = unlocked(h.dir) // nothing else
	}
	h.of.mu.Lock()
	defer h.of.mu.Unlock()
	h.of.taken -= h.size
}

// sweep removes the copies whose process died.
func (c *copies) sweep() (removed int, err error) {
	entries, err := os.ReadDir(c.home)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if !e.IsDir() || !oursName(e.Name(), copyPrefix) {
			continue
		}
		gone, err := sweepCopy(filepath.Join(c.home, e.Name()))
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

// sweepCopy removes a directory unless somebody holds its lock.
func sweepCopy(dir string) (bool, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // its hook ended just now
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = unlocked(f) }() // only read
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return false, err
	}
	return true, nil
}

// freeOf is how many bytes a file system has left for us, and how many it has.
func freeOf(dir string) (free, all int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil //nolint:unconvert // 32 bits on some
}
