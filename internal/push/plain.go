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
	floor     floor
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
	n, err := w.ReadFrom(p.floor.above(p.dir, r))
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = checkDigest(f.sha256, sum.Sum(nil))
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
	for {
		there, err := p.create()
		if err != nil {
			p.close()
			return nil, err
		}
		if there {
			return p, nil
		}
	}
}

// create makes and locks the file. It is not there when a process that sweeps has found it before it was locked.
func (p *partial) create() (there bool, err error) {
	name := partialPrefix + strings.ToLower(rand.Text())
	if p.file, err = p.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return false, err
	}
	err = unix.Flock(int(p.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		_ = p.root.Remove(name) // else the next start sweeps it
		return false, fmt.Errorf("lock: %w", err)
	}
	if err != nil {
		return false, p.file.Close()
	}
	there, err = isNamed(p.root, name, p.file)
	if err != nil {
		_ = p.root.Remove(name) // else the next start sweeps it
		return false, err
	}
	if !there {
		return false, p.file.Close()
	}
	p.name = name
	return true, nil
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
	// The other name may be in another directory, and must not go before this one lasts.
	if err := syncDir(p.dir); err != nil {
		_ = p.root.Remove(name) // not acknowledged
		return err
	}
	_ = p.root.Remove(p.name) // else the next start sweeps it, or plainUpload.unlink does; the content stays under its name
	return nil
}

// isNamed says whether a name in a directory is that of an open file. An error says nothing of that: too many files may be open, or a disk
// may not answer for a moment.
func isNamed(root *os.Root, name string, f *os.File) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(open, there), err
}

// unlocked closes a file that is locked. Its closing alone does not end the lock: a hook that is being started has a copy of every file
// until it runs, and then the next request would find the upload locked.
func unlocked(f *os.File) error {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // else it ends with the last copy
	return f.Close()
}

// close removes the file unless it was published.
func (p *partial) close() {
	if p.name != "" {
		_ = p.root.Remove(p.name) // else the next start sweeps it
	}
	if p.file != nil {
		_ = unlocked(p.file) // Sync has told of every error
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
	err = eachName(root, ".", func(name string) error {
		if !oursName(name, partialPrefix) {
			return nil // somebody's file
		}
		gone, err := sweepOne(root, name)
		if gone {
			removed++
		}
		return err
	})
	if err != nil {
		return removed, sansPath(err)
	}
	n, err := sweepUploads(root)
	return removed + n, sansPath(err)
}

// eachName calls f with each name in a directory, in no order, until it returns an error. It never holds them all, of which there may be any
// number. A directory that does not exist has none.
func eachName(root *os.Root, dir string, f func(name string) error) error {
	at, err := root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = at.Close() }() // only read
	for {
		names, err := at.Readdirnames(1000)
		if errors.Is(err, io.EOF) {
			return nil
		}
		for _, name := range names {
			if err == nil {
				err = f(name)
			}
		}
		if err != nil {
			return err
		}
	}
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
	defer func() { _ = unlocked(f) }() // only read
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
	return syncAt(filepath.Dir(dir))
}

// syncAt is syncDir for a directory that is not open.
func syncAt(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	return syncDir(f)
}

// syncDir makes the names in a directory durable, where the file system can do that.
func syncDir(dir *os.File) error {
	err := dir.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// writable returns an error when a directory lets us make no names in it.
func writable(dir *os.File) error {
	return unix.Faccessat(int(dir.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
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
