package ftp

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"hugbucket/internal/object"
)

const (
	// maxEntries bounds a listing, which ftpserverlib has whole in memory.
	maxEntries = 1_000_000
	// maxListed is how many bytes all listings hold that are made, or on their way to clients, whether these read or not. entryBytes is
	// what an entry takes beside its name.
	maxListed  = 128 << 20
	entryBytes = 60
)

// ReadDir implements ftpserver.ClientDriverExtensionFileList. A last name that is a pattern, and not that of a directory, lists what
// it matches beside it.
func (d *driver) ReadDir(name string) ([]os.FileInfo, error) {
	var found []os.FileInfo
	err := d.do(d.listVerb(), name, func(ctx context.Context, o *operation) error {
		name, err := d.operand(ctx, o, name)
		if err != nil {
			return err
		}
		l := &listing{driver: d, o: o, at: o.at}
		if isPattern(o.at.base()) {
			e, err := d.stat(ctx, o.at, true)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err != nil || !e.IsDir() {
				l.pattern, l.at = o.at.base(), o.at.parent()
				d.cc.SetListPath(path.Dir(name))
			}
		}
		if err = l.fill(ctx); err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			d.repay()
			return err
		}
		if n := len(l.found) - 1; n >= 0 {
			l.found[n] = &lastEntry{FileInfo: l.found[n], reached: func() {
				clear(l.found[:n])
				d.repay()
			}}
		}
		found = l.found
		return nil
	})
	return found, err
}

// lastEntry is the last of a listing. ftpserverlib goes from one to the next and asks for the name last, so the others may go then.
type lastEntry struct {
	os.FileInfo
	reached func()
}

// Name implements fs.FileInfo.
func (e *lastEntry) Name() string {
	e.reached()
	return e.FileInfo.Name()
}

// listVerb is the command that lists. While it does, clients may send others, of any words: those must not get into metrics.
func (d *driver) listVerb() string {
	switch verb := d.cc.GetLastCommand(); verb {
	case "NLST", "MLSD", "STAT":
		return verb
	}
	return "LIST"
}

// parent is the directory that a place is in; the root is in itself.
func (p place) parent() place {
	if p.key == "" {
		return place{}
	}
	dir, _ := path.Split(p.key)
	return place{p.bucket, strings.TrimSuffix(dir, "/")}
}

// path is the absolute path to a place.
func (p place) path() string { return path.Join("/", p.bucket, p.key) }

// listing is the entries of a directory, or those whose names match a pattern.
type listing struct {
	*driver
	o       *operation
	at      place
	pattern string // empty for all
	found   []os.FileInfo
	bytes   int64 // that found holds
}

func (l *listing) fill(ctx context.Context) error {
	if l.at.isRoot() {
		for b, err := range l.s.store.AllBuckets(ctx, "", 1000) {
			if err == nil {
				err = l.add(dirEntry(b.Name, b.Created))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	b, err := l.s.store.Bucket(ctx, l.at.bucket)
	if err != nil {
		return err
	}
	opts := object.ListOptions{Prefix: l.at.dir() + literal(l.pattern), Delimiter: "/"}
	for {
		page, err := l.s.store.List(ctx, l.at.bucket, opts)
		if err != nil {
			return err
		}
		if err := l.addPage(&page, b.Created); err != nil {
			return err
		}
		if !page.Truncated {
			slices.SortFunc(l.found, func(a, b os.FileInfo) int { return cmp.Compare(a.Name(), b.Name()) })
			return nil
		}
		opts.Start = page.Next
	}
}

func (l *listing) addPage(page *object.Listing, made time.Time) error {
	dir := len(l.at.dir())
	for i := range page.Objects {
		info := &page.Objects[i]
		if info.Key == l.at.dir() && info.IsMarker() {
			continue // its own; one with content is a key without a name
		}
		if err := l.add(fileEntry(info.Key[dir:], info)); err != nil {
			return err
		}
	}
	for _, prefix := range page.Prefixes {
		if err := l.add(dirEntry(prefix[dir:len(prefix)-1], made)); err != nil {
			return err
		}
	}
	return nil
}

func (l *listing) add(e *entry) error {
	if !nameable(e.name) {
		l.o.hidden++
		return nil
	}
	if l.pattern != "" {
		if ok, err := path.Match(l.pattern, e.name); err != nil || !ok {
			return nil //nolint:nilerr // what is no pattern matches nothing
		}
	}
	e.name = strings.Clone(e.name) // the end of a key, which may be much longer
	bytes := int64(entryBytes + len(e.name))
	l.bytes += bytes
	switch {
	case len(l.found) == maxEntries || l.bytes > maxListed:
		return errTooMany
	case !l.borrow(bytes):
		return errListings
	}
	l.found = append(l.found, e)
	return nil
}

// literal is how all names begin that match a pattern.
func literal(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}
