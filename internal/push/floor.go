package push

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// floorStep is after how many bytes of a file we look again: others write, too.
const floorStep = 8 << 20

// floor is what is kept free on the file system of plain files: a disk that is full to the brim stops more than backups.
type floor struct {
	least int64                                         // bytes; 0 is what object.KeptFree says
	free  func(dir string) (free, all int64, err error) // bytes of a file system
	// nodes are its inodes. Files of no size take them too, and without one nobody can make any other file on that disk.
	nodes func(dir string) (free, all uint64, err error)
}

// room returns object.ErrNoSpace unless n more bytes fit above the floor in a directory, or where it will be made, and a file more.
func (f floor) room(dir string, n int64) error {
	free, all, err := f.free(dir)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		free, all, err = f.free(dir)
	}
	if err != nil {
		return nil //nolint:nilerr // what is wrong with the directory shows when it is used
	}
	least := f.least
	if least == 0 {
		least = object.KeptFree(all)
	}
	if free-n < least {
		return fmt.Errorf("%w: %d MiB free, %d MiB are kept free", object.ErrNoSpace, free>>20, least>>20)
	}
	// A file system without a number of inodes says 0.
	if free, all, err := f.nodes(dir); err == nil && free < max(all/100, min(all, 1)) {
		return fmt.Errorf("%w: %d of %d inodes free, 1 %% are kept free", object.ErrNoSpace, free, all)
	}
	return nil
}

// above returns a reader of r that ends with object.ErrNoSpace when what was read no longer fits above the floor.
func (f floor) above(dir string, r io.Reader) io.Reader {
	return &aboveFloor{r: r, room: func() error { return f.room(dir, 0) }, left: floorStep}
}

// nodesOf is how many inodes a file system has left, and how many it has: none where it makes them as it needs them.
func nodesOf(dir string) (free, all uint64, err error) {
	var st unix.Statfs_t
	err = unix.Statfs(dir, &st)
	return st.Ffree, st.Files, err
}

type aboveFloor struct {
	r    io.Reader
	room func() error
	left int // bytes until the next look
}

func (a *aboveFloor) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if a.left -= n; a.left > 0 {
		return n, err
	}
	a.left = floorStep
	if full := a.room(); full != nil {
		return 0, full
	}
	return n, err
}
