package push

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func (p plainPlace) room(n int64) error { return p.floor.room(p.dir, n) }

func (p plainPlace) size(_ context.Context, name string) (int64, error) {
	root, err := os.OpenRoot(p.dir)
	if err == nil {
		defer func() { _ = root.Close() }() // only read
		var info fs.FileInfo
		if info, err = root.Lstat(name); err == nil {
			return info.Size(), nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return 0, plainError(nameError(err))
}

// sha256 reads the file: it may be another than the one that was received, whose SHA-256 is known.
func (p plainPlace) sha256(ctx context.Context, name string) (string, error) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return "", sansPath(err)
	}
	defer func() { _ = root.Close() }() // only read
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", sansPath(err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return "", sansPath(err)
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, reading{ctx, f}, make([]byte, plainBuffer)); err != nil {
		return "", sansPath(err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// reading is a reader that ends with a context.
type reading struct {
	ctx context.Context //nolint:containedctx // Read cannot take one, and it lives for one call
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// used counts the files in the directory itself; directories in it are not made by us.
func (p plainPlace) used(ctx context.Context) (n int64, err error) {
	// Uploads first: one that is done meanwhile counts twice, and not never.
	open, err := held(ctx, p)
	if err != nil {
		return 0, dirError(err)
	}
	n = open.all
	dir, err := os.OpenFile(p.dir, os.O_RDONLY|unix.O_DIRECTORY, 0) // to open a FIFO would wait for a writer
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, dirError(err)
	}
	defer func() { _ = dir.Close() }() // only read
	for files := 0; ; {
		entries, err := dir.ReadDir(1000) // of which there may be any number
		if errors.Is(err, io.EOF) {
			return n + overhead(files), nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, plainError(err)
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || oursName(e.Name(), partialPrefix) {
				continue // what is still coming is somebody's claim
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has gone meanwhile
			}
			if err != nil {
				return 0, plainError(err)
			}
			n += info.Size() - open.room(e.Name(), info.Size())
			files++
		}
	}
}
