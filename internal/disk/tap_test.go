package disk

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/disk/sumvfs"
)

// call is an operation that changes the store: one of fsys or file, or one of SQLite, under the names of sumvfs.Op.
type call struct {
	do   string // "create", "open", "write", "sync", "truncate", "rename", "remove", "mkdir", "sync directory" or "reach"
	name string // relative to the store
	to   string // of a rename
	data []byte // of a write; valid until the call is made
	off  int64  // of a write; the new size of a truncate
}

func (c call) String() string {
	switch c.do {
	case "write":
		return fmt.Sprintf("write %s %d+%d", c.name, c.off, len(c.data))
	case "truncate":
		return fmt.Sprintf("truncate %s %d", c.name, c.off)
	case "rename":
		return fmt.Sprintf("rename %s %s", c.name, c.to)
	}
	return c.do + " " + c.name
}

// errTorn fails a write of which the first half gets through.
var errTorn = fmt.Errorf("%w: torn write", errFault)

// tap shows each call of a driver to on before it is made; an error of on fails it. on is set while
// there is no driver.
type tap struct {
	vfs string
	on  func(call) error
}

func newTap(t *testing.T) *tap {
	t.Helper()
	p := &tap{vfs: "tap-" + t.Name()}
	err := sumvfs.Register(p.vfs, func(op sumvfs.Op) error {
		return p.on(call{do: op.Do, name: op.File, data: op.Data, off: op.Off})
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// options are those of a driver that on sees.
func (p *tap) options(dir string) Options {
	return Options{fs: tapFS{osFS(dir), p}, vfs: p.vfs, idle: true, packSize: 150_000, redoKept: 12_000}
}

type tapFS struct {
	fsys
	tap *tap
}

func (f tapFS) create(name string) (file, error) {
	if err := f.tap.on(call{do: "create", name: name}); err != nil {
		return nil, err
	}
	opened, err := f.fsys.create(name)
	return tapFile{opened, f.tap, name}, err
}

func (f tapFS) open(name string) (file, error) {
	opened, err := f.fsys.open(name)
	return tapFile{opened, f.tap, name}, err
}

func (f tapFS) edit(name string) (file, error) {
	if err := f.tap.on(call{do: "edit", name: name}); err != nil {
		return nil, err
	}
	opened, err := f.fsys.edit(name)
	return tapFile{opened, f.tap, name}, err
}

func (f tapFS) rename(from, to string) error {
	if err := f.tap.on(call{do: "rename", name: from, to: to}); err != nil {
		return err
	}
	return f.fsys.rename(from, to)
}

func (f tapFS) remove(name string) error {
	if err := f.tap.on(call{do: "remove", name: name}); err != nil {
		return err
	}
	return f.fsys.remove(name)
}

func (f tapFS) mkdir(name string) error {
	if err := f.tap.on(call{do: "mkdir", name: name}); err != nil {
		return err
	}
	return f.fsys.mkdir(name)
}

func (f tapFS) syncDir(name string) error {
	if err := f.tap.on(call{do: "sync directory", name: name}); err != nil {
		return err
	}
	return f.fsys.syncDir(name)
}

func (f tapFS) reach(what string) error { return f.tap.on(call{do: "reach", name: what}) }

type tapFile struct {
	file
	tap  *tap
	name string
}

func (f tapFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.tap.on(call{do: "write", name: f.name, data: p, off: off})
	if errors.Is(err, errTorn) || errors.Is(err, unix.ENOSPC) {
		n, werr := f.file.WriteAt(p[:len(p)/2], off)
		return n, errors.Join(err, werr)
	}
	if err != nil {
		return 0, err
	}
	return f.file.WriteAt(p, off)
}

func (f tapFile) sync() error {
	if err := f.tap.on(call{do: "sync", name: f.name}); err != nil {
		return err
	}
	return f.file.sync()
}
