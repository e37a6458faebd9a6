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

// maxEntries bounds a listing, which ftpserverlib has whole in memory: some 150 bytes each.
const maxEntries = 1_000_000

// ReadDir implements ftpserver.ClientDriverExtensionFileList. A last name that is a pattern, and not that of a directory, lists what
// it matches beside it.
func (d *driver) ReadDir(name string) ([]os.FileInfo, error) {
	var found []os.FileInfo
	err := d.do(d.listVerb(), name, func(ctx context.Context, o *operation) error {
		l := &listing{driver: d, o: o, at: o.at}
		if isPattern(o.at.base()) {
			e, err := d.stat(ctx, o.at, true)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err != nil || !e.dir {
				l.pattern, l.at = o.at.base(), o.at.parent()
				d.cc.SetListPath(l.at.path())
			}
		}
		err := l.fill(ctx)
		found = l.found
		return err
	})
	return found, err
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
		if info.Key == l.at.dir() {
			continue // its own marker
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
	if len(l.found) == maxEntries {
		return errTooMany
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
