package ftp

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/spf13/afero"

	"hugbucket/internal/object"
)

// driver is what ftpserverlib asks of a session that has logged in.
type driver struct {
	*session
	cc ftpserver.ClientContext
	// renaming is what the last RNFR named, empty when there was none or it was refused. ftpserverlib v0.32.3 forgets its own only
	// when a rename has worked: RNTO after a refused RNFR would rename what an earlier one named.
	renaming string
}

var (
	_ ftpserver.ClientDriver                        = (*driver)(nil)
	_ ftpserver.ClientDriverExtensionFileList       = (*driver)(nil)
	_ ftpserver.ClientDriverExtentionFileTransfer   = (*driver)(nil)
	_ ftpserver.ClientDriverExtensionRemoveDir      = (*driver)(nil)
	_ ftpserver.ClientDriverExtensionAvailableSpace = (*driver)(nil)
	_ ftpserver.ClientDriverExtensionSite           = (*driver)(nil)
)

// Name implements afero.Fs.
func (d *driver) Name() string { return "file-bucket" }

// mayBegin ends the session instead of beginning a transfer when the server goes down. ftpserverlib could only say 550, which clients
// take for an answer about the file, and go on to the next; a connection that ends they open anew, and try again.
func (d *driver) mayBegin() error {
	if !d.s.isClosing() {
		return nil
	}
	_ = d.cc.Close()
	return errClosing
}

// Stat implements afero.Fs. Where a file and a directory have the same name, the command says which is meant.
func (d *driver) Stat(name string) (os.FileInfo, error) {
	var found *entry
	err := d.do("STAT", name, func(ctx context.Context, o *operation) (err error) {
		o.quiet = true
		if d.cc.GetLastCommand() == "SIZE" && !d.port.asked() {
			unended, err := d.s.overwrites.has(ctx, o.at)
			switch {
			case err != nil:
				return err
			case unended:
				return errUnended
			}
		}
		if d.lists() {
			if name, err = d.operand(ctx, o, name); err != nil {
				return err
			}
		}
		found, err = d.stat(ctx, o.at, d.wantsDir())
		if errors.Is(err, fs.ErrNotExist) && d.lists() && strings.HasPrefix(name, "/") && isPattern(o.at.base()) {
			// ReadDir goes on with it. A name that is not absolute is what follows LIST, with the options in front.
			found, err = dirEntry(o.at.base(), o.start), nil
		}
		return err
	})
	if d.cc.GetLastCommand() == "RNFR" {
		d.renaming = ""
		if err == nil {
			d.renaming = name
		}
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// wantsDir says whether the last command is about directories.
func (d *driver) wantsDir() bool {
	switch d.cc.GetLastCommand() {
	case "CWD", "XCWD", "CDUP", "AVBL":
		return true
	}
	return d.lists()
}

// lists says whether the last command is one that lists.
func (d *driver) lists() bool {
	switch d.cc.GetLastCommand() {
	case "LIST", "NLST", "MLSD", "STAT":
		return true
	}
	return false
}

// stat finds what is at a place: what was asked for first, then the other.
func (d *driver) stat(ctx context.Context, at place, dirFirst bool) (*entry, error) {
	if at.isRoot() {
		return dirEntry("/", d.begun), nil
	}
	b, err := d.s.store.Bucket(ctx, at.bucket)
	if err != nil {
		return nil, err
	}
	if at.isBucket() {
		return dirEntry(at.bucket, b.Created), nil
	}
	file := func() (*entry, error) {
		info, err := d.s.store.Stat(ctx, at.bucket, at.key)
		if err != nil {
			return nil, err
		}
		return fileEntry(at.base(), &info), nil
	}
	dir := func() (*entry, error) {
		first, _, err := d.below(ctx, at)
		switch {
		case err != nil:
			return nil, err
		case first == nil:
			return nil, fs.ErrNotExist
		case first.Key == at.dir():
			return dirEntry(at.base(), changed(first)), nil
		}
		return dirEntry(at.base(), b.Created), nil
	}
	one, other := file, dir
	if dirFirst {
		one, other = dir, file
	}
	if e, err := one(); !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	return other()
}

// below returns the first object of a directory, which is its marker if there is one, and whether there are more; nil when there is
// no such directory.
func (d *driver) below(ctx context.Context, at place) (first *object.Info, more bool, err error) {
	l, err := d.s.store.List(ctx, at.bucket, object.ListOptions{Prefix: at.dir(), Limit: 1})
	if err != nil || len(l.Objects) == 0 {
		return nil, false, err
	}
	return &l.Objects[0], l.Truncated, nil
}

// Mkdir implements afero.Fs. Directories above need not be there.
func (d *driver) Mkdir(name string, _ os.FileMode) error { return d.mkdir("MKD", name) }

// MkdirAll implements afero.Fs: it is SITE MKDIR.
func (d *driver) MkdirAll(name string, _ os.FileMode) error { return d.mkdir("SITE MKDIR", name) }

func (d *driver) mkdir(verb, name string) error {
	return d.do(verb, name, func(ctx context.Context, o *operation) error {
		at := o.at
		switch {
		case at.isRoot():
			return errExists
		case at.isBucket():
			return d.s.store.CreateBucket(ctx, at.bucket, "")
		}
		if _, err := d.stat(ctx, at, true); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, object.ErrNoBucket) {
			return orExists(err)
		}
		_, err := d.s.store.Put(ctx, at.bucket, at.dir(), strings.NewReader(""), object.PutOptions{If: object.Condition{IfNoneMatch: []string{"*"}}})
		if errors.Is(err, object.ErrPrecondition) {
			return errExists
		}
		return err
	})
}

func orExists(err error) error {
	if err == nil {
		return errExists
	}
	return err
}

// RemoveDir implements ftpserver.ClientDriverExtensionRemoveDir.
func (d *driver) RemoveDir(name string) error {
	return d.do("RMD", name, func(ctx context.Context, o *operation) error {
		at := o.at
		switch {
		case at.isRoot():
			return errForbidden
		case at.isBucket():
			return d.s.store.DeleteBucket(ctx, at.bucket)
		}
		first, more, err := d.below(ctx, at)
		switch {
		case err != nil:
			return err
		case first == nil:
			_, err := d.s.store.Stat(ctx, at.bucket, at.key)
			if err == nil {
				err = errNotDir
			}
			return err
		case more || first.Key != at.dir() || !first.IsMarker():
			return errNotEmpty
		}
		return d.remove(ctx, at, first.Key, object.Condition{IfMatch: []string{first.ETag}}) // as long as it is the empty marker
	})
}

// remove deletes a key, which is what a place is. The directory that it was in stays: whoever clears a tree, by several connections
// maybe, removes it next.
func (d *driver) remove(ctx context.Context, at place, key string, cond object.Condition) error {
	return d.s.store.Remove(ctx, at.bucket, key, cond)
}

// Remove implements afero.Fs.
func (d *driver) Remove(name string) error {
	return d.do("DELE", name, func(ctx context.Context, o *operation) error {
		found, err := d.stat(ctx, o.at, false)
		switch {
		case err != nil:
			return err
		case found.IsDir():
			return errIsDir
		}
		if err := d.remove(ctx, o.at, o.at.key, object.Condition{}); err != nil {
			return err
		}
		o.unnoted(d.s.overwrites.changed(context.WithoutCancel(ctx), o.at))
		return nil
	})
}

// GetAvailableSpace implements ftpserver.ClientDriverExtensionAvailableSpace.
func (d *driver) GetAvailableSpace(name string) (free int64, err error) {
	err = d.do("AVBL", name, func(_ context.Context, o *operation) (err error) {
		o.quiet = true
		free, err = d.s.store.Free()
		return err
	})
	return free, err
}

// refuse is an operation that this door does not have.
func (d *driver) refuse(verb, name string) error {
	return d.do(verb, name, func(context.Context, *operation) error { return errForbidden })
}

// RemoveAll implements afero.Fs: it is SITE RMDIR.
func (d *driver) RemoveAll(name string) error { return d.refuse("SITE RMDIR", name) }

// Chmod implements afero.Fs. Site answers before.
func (d *driver) Chmod(name string, _ os.FileMode) error { return d.refuse("SITE CHMOD", name) }

// Chown implements afero.Fs. Site answers before.
func (d *driver) Chown(name string, _, _ int) error { return d.refuse("SITE CHOWN", name) }

// Create implements afero.Fs; GetHandle is called in its place, as it is in that of Open and OpenFile.
func (d *driver) Create(name string) (afero.File, error) { return nil, d.refuse("STOR", name) }

// Open implements afero.Fs.
func (d *driver) Open(name string) (afero.File, error) { return nil, d.refuse("RETR", name) }

// OpenFile implements afero.Fs.
func (d *driver) OpenFile(name string, _ int, _ os.FileMode) (afero.File, error) {
	return nil, d.refuse("RETR", name)
}
