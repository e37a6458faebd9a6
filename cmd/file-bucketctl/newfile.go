package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// newFile is a file in the making, under another name in the same directory: whoever looks finds it whole and durable, or
// not at all.
type newFile struct {
	*os.File
	path  string
	force bool // a file that is there is replaced
}

// createFile begins a file, with mode 0600. It returns fs.ErrExist when there is one, and refuses to replace what is not a
// file, a device for example. End it by finish or abandon.
func createFile(path string, force bool) (*newFile, error) {
	st, err := os.Lstat(path)
	switch {
	case err == nil && !force:
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	case err == nil && !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file that could be replaced", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	return &newFile{f, path, force}, nil
}

// finish gives the file its name, or returns fs.ErrExist when somebody else has taken it meanwhile.
func (f *newFile) finish() (err error) {
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.abandon())
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if f.force {
		err = os.Rename(f.Name(), f.path)
	} else {
		err = linkNew(f.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// linkNew renames a file, and never replaces one. File systems without links, as those of memory sticks, cannot rule out that
// somebody makes one at the same moment.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

// abandon removes what was written.
func (f *newFile) abandon() error {
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
