package ftp

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"hugbucket/internal/object"
)

// Rename implements afero.Fs: a file replaces the one that it is renamed to, a directory goes where nothing is, with all below it.
func (d *driver) Rename(oldname, newname string) error {
	named := d.renaming
	d.renaming = ""
	return d.do("RNTO", oldname, func(ctx context.Context, o *operation) (err error) {
		if named != oldname {
			return errNoSource
		}
		if o.to, err = placeOf(d.cc.Path(), newname); err != nil {
			return err
		}
		switch {
		case o.at.key == "":
			return errNoRename
		case o.to.key == "":
			return errNoUpload
		}
		found, err := d.stat(ctx, o.at, false)
		if err != nil {
			return err
		}
		opts := object.RenameOptions{FromBucket: o.at.bucket, From: o.at.key, ToBucket: o.to.bucket, To: o.to.key, KeepDir: true}
		if found.IsDir() {
			opts.From, opts.To = o.at.dir(), o.to.dir()
		}
		if err := d.mayReplace(ctx, found, o.to); err != nil && !opts.Same() {
			return err
		}
		if _, err = d.s.store.Rename(ctx, opts); err == nil && !found.IsDir() {
			o.unnoted(d.s.overwrites.changed(context.WithoutCancel(ctx), o.to))
		}
		return err
	})
}

// mayReplace says whether what was found may get the name of what is at a place.
func (d *driver) mayReplace(ctx context.Context, found *entry, to place) error {
	there, err := d.stat(ctx, to, true)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, object.ErrNoBucket):
		return nil
	case err != nil:
		return err
	case found.IsDir() || there.IsDir():
		return errExists
	}
	return nil
}

// Chtimes implements afero.Fs: it is MFMT. A directory has a time of its own when it has a marker.
func (d *driver) Chtimes(name string, _, t time.Time) error {
	return d.do("MFMT", name, func(ctx context.Context, o *operation) error {
		if o.at.key == "" {
			return errForbidden
		}
		set := func(a *object.Attrs) { a.Meta[metaTime] = formatTime(t) }
		_, err := d.s.store.Amend(ctx, o.at.bucket, o.at.key, set)
		if errors.Is(err, fs.ErrNotExist) {
			_, err = d.s.store.Amend(ctx, o.at.bucket, o.at.dir(), set)
		}
		return err
	})
}
