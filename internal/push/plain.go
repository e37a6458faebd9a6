package push

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

const (
	// partialPrefix and partialRandom characters of base32 are the name of a file that is still being received. No client
	// can choose such a name. The file of a living upload is locked (flock); one that is not was left by a process that
	// died, and is swept at start.
	partialPrefix = ".partial-"
	partialRandom = 26
	// plainBuffer is how much is hashed and written at once.
	plainBuffer = 256 << 10
)

// plainPlace is a directory of plain files: home/<token>/.
type plainPlace struct {
	dir       string
	overwrite bool
}

var _ place = plainPlace{}

func (p plainPlace) prepare(_ context.Context, name string) error {
	root, err := os.OpenRoot(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = makeDir(p.dir)
		if err == nil {
			return nil
		}
	}
	if err != nil {
		return dirError(err)
	}
	defer func() { _ = root.Close() }() // it was only read
	info, err := root.Lstat(name)
	switch {
	case err == nil && p.overwrite && info.Mode().IsRegular(), errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		return fs.ErrExist
	}
	return plainError(nameError(err))
}

func (p plainPlace) put(_ context.Context, f file, r io.Reader) (receipt, error) {
	part, err := newPartial(p.dir)
	if err != nil {
		return receipt{}, dirError(err)
	}
	defer part.close()
	sum := sha256.New()
	// A bufio.Writer reads until it is full, where a part of a form yields 4 KiB at a time.
	w := bufio.NewWriterSize(io.MultiWriter(sum, part.file), plainBuffer)
	n, err := w.ReadFrom(r)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = part.publish(f.name, p.overwrite)
	}
	if err != nil {
		return receipt{}, plainError(err)
	}
	return receipt{Name: f.name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// partial is a file that is being received, under a name of ours, in the directory where it is to appear.
type partial struct {
	root *os.Root
	dir  *os.File // the directory again, to sync it
	file *os.File
	name string // empty when nothing has to be removed
}

func newPartial(dir string) (*partial, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	p := &partial{root: root}
	if p.dir, err = root.Open("."); err != nil {
		p.close()
		return nil, err
	}
	name := partialPrefix + strings.ToLower(rand.Text())
	if p.file, err = root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		p.close()
		return nil, err
	}
	p.name = name
	if err := unix.Flock(int(p.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		p.close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return p, nil
}

// publish makes the content durable and then visible under name, in one step, and makes that durable, too. Unless
// overwrite is set a file of that name is left alone and the error is fs.ErrExist.
func (p *partial) publish(name string, overwrite bool) error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	var err error
	if overwrite {
		err = p.root.Rename(p.name, name)
	} else {
		err = p.renameNew(name)
	}
	if err != nil {
		return nameError(err)
	}
	p.name = ""
	if err := syncDir(p.dir); err != nil {
		if !overwrite {
			p.name = name // not acknowledged, so it must not be in the way of the next try
		}
		return err
	}
	return nil
}

// renameNew renames the file to a name that must be free.
func (p *partial) renameNew(name string) error {
	fd := int(p.dir.Fd())
	err := unix.Renameat2(fd, p.name, fd, name, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	return p.linkNew(name) // not every file system knows how
}

// linkNew is renameNew in two steps: a link never replaces anything, either.
func (p *partial) linkNew(name string) error {
	if err := p.root.Link(p.name, name); err != nil {
		return err
	}
	_ = p.root.Remove(p.name) // else the next start sweeps it; the content stays under its name
	return nil
}

// close removes the file unless it was published.
func (p *partial) close() {
	if p.name != "" {
		_ = p.root.Remove(p.name) // else the next start sweeps it
	}
	if p.file != nil {
		_ = p.file.Close() // Sync has told of every error
	}
	if p.dir != nil {
		_ = p.dir.Close()
	}
	_ = p.root.Close()
}

// sweep removes the files of uploads whose process died. A directory that does not exist is clean.
func sweep(dir string) (removed int, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, sansPath(err)
	}
	defer func() { _ = root.Close() }() // it holds nothing that could be lost
	names, err := fs.Glob(root.FS(), partialPrefix+"*")
	if err != nil {
		return 0, sansPath(err)
	}
	for _, name := range names {
		if !oursName(name, partialPrefix) {
			continue // somebody's file
		}
		gone, err := sweepOne(root, name)
		if err != nil {
			return removed, sansPath(err)
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

// oursName tells our names from those that file-bucket let clients choose.
func oursName(name, prefix string) bool {
	random, ok := strings.CutPrefix(name, prefix)
	return ok && len(random) == partialRandom && strings.Trim(random, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// sweepOne removes a file unless somebody holds its lock.
func sweepOne(root *os.Root, name string) (bool, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // its upload ended just now
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false, nil
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, nil
}

// makeDir makes a directory, and those above it, durably.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if err := makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // somebody else was faster; what it is shows when it is opened
	}
	if err != nil {
		return err
	}
	above, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer func() { _ = above.Close() }() // only read
	return syncDir(above)
}

// syncDir makes the names in a directory durable, where the file system can do that.
func syncDir(dir *os.File) error {
	err := dir.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// dirError is the error of a directory that cannot be made or written to.
func dirError(err error) error {
	return fmt.Errorf("%w: %w", errBucket, plainError(err))
}

// plainError says in the words of the object store what the file system met.
func plainError(err error) error {
	err = sansPath(err)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", object.ErrNoSpace, err)
	}
	return err
}

// nameError tells errors that are about the name from those about the file.
func nameError(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.EILSEQ) {
		return &object.InvalidError{Field: "file name", Rule: "the file system does not take it"}
	}
	return err
}

// sansPath drops the path from an error of os: it holds the token.
func sansPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return fmt.Errorf("%s: %w", le.Op, le.Err)
	}
	return err
}
