package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// Problem is something that Check found wrong.
type Problem struct {
	What string   // in words
	Keys []string // the objects that it hurts, as bucket/key
}

func (p Problem) String() string {
	if len(p.Keys) == 0 {
		return p.What
	}
	return fmt.Sprintf("%s (hurts %q)", p.What, p.Keys)
}

// checker carries what Check knows so far.
type checker struct {
	d      *Driver
	report func(Problem)
	whole  map[xet.Hash]int64 // ids of the xorbs that are whole
	hurt   map[xet.Hash]error // files that are not, and why
}

// Check reads and verifies everything that is stored: each key has its file, each file its xorbs, each xorb lies where its
// row says, each chunk has the content that its hash names, and no file on disk is without a row. It reports each thing that
// is damaged, and each key that cannot be read for it, and goes on behind pages of the catalog that cannot be read. It
// changes nothing. The error says that it could not check. Nobody may write meanwhile.
func (d *Driver) Check(ctx context.Context, report func(Problem)) error {
	c := &checker{d: d, report: report, whole: make(map[xet.Hash]int64), hurt: make(map[xet.Hash]error)}
	for _, step := range []func(context.Context) error{c.databases, c.checkXorbs, c.checkFiles, c.checkKeys, c.orphans} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("check store %s: %w", d.dir, err)
		}
	}
	return nil
}

// databases has SQLite look for damage in both databases. What that does to keys is found out later.
func (c *checker) databases(ctx context.Context) error {
	if err := c.database(ctx, "catalog.db", "restore it from a backup", func() *sql.DB { return c.d.reads.db }); err != nil {
		return err
	}
	return c.database(ctx, "index.db", "it can be deleted, and is filled again", func() *sql.DB { return c.d.index.db.Load().read })
}

func (c *checker) database(ctx context.Context, name, advice string, current func() *sql.DB) error {
	for {
		db := current()
		var answer string
		err := sqlError(db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&answer))
		switch {
		case db != current():
			continue // it was made anew meanwhile
		case errors.Is(err, object.ErrCorrupt):
			answer = err.Error()
		case err != nil:
			return err
		}
		if answer != "ok" {
			c.report(Problem{What: fmt.Sprintf("%s is damaged (%s): %s", name, answer, advice)})
		}
		return nil
	}
}

func (c *checker) checkXorbs(ctx context.Context) error {
	return c.byID(ctx, "xorbs", "hash, file, off, len", func(id int64, row []any) {
		h, err := c.xorb(row)
		if err != nil {
			c.report(Problem{What: err.Error()})
			return
		}
		c.whole[h] = id
	})
}

func (c *checker) xorb(row []any) (xet.Hash, error) {
	var at place
	h, err := hashColumn(row, 0)
	if err == nil {
		at.file, err = column[string](row, 1, "a file's name")
	}
	if err == nil {
		at.off, err = column[int64](row, 2, "an offset")
	}
	if err == nil {
		at.len, err = column[int64](row, 3, "a length")
	}
	if err == nil {
		err = c.d.verifyXorb(h, at)
	}
	return h, err
}

// verifyXorb reads a whole xorb and compares each chunk with the footer.
func (d *Driver) verifyXorb(h xet.Hash, at place) error {
	info, err := d.readFooter(h, at)
	if err != nil {
		return err
	}
	f, err := d.files.open(at.file)
	if err != nil {
		return err
	}
	defer f.release()
	scanned, err := xet.ScanXorb(io.NewSectionReader(f, at.off, info.BodySize()), nil)
	if err != nil {
		return damaged(h, at, err)
	}
	if !slices.Equal(scanned.Chunks, info.Chunks) {
		return damaged(h, at, fmt.Errorf("its chunks are not what its footer says: %w", xet.ErrHash))
	}
	return nil
}

func (c *checker) checkFiles(ctx context.Context) error {
	return c.byID(ctx, "files", "hash, size, terms", func(id int64, row []any) {
		h, err := hashColumn(row, 0)
		if err == nil {
			err = c.file(ctx, h, row)
		}
		if err == nil {
			err = c.refs(ctx, h, id, row)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, errLacking) { // else the xorb was reported, and the file is whole with it
			c.report(Problem{What: err.Error()})
		}
		c.hurt[h] = err
	})
}

// errLacking is the error of a file whose xorb was reported already.
var errLacking = errors.New("is missing or damaged")

// file checks one file: its terms fit its xorbs, and their chunks make the file.
func (c *checker) file(ctx context.Context, h xet.Hash, row []any) error {
	f, err := termsColumn(h, row)
	if err != nil {
		return err
	}
	if size, err := column[int64](row, 1, "a size"); err != nil || uint64(size) != f.Size {
		return fmt.Errorf("%w: file %s has %v bytes by its row, %d by its terms", object.ErrCorrupt, h, row[1], f.Size)
	}
	var tree xet.TreeHash
	for _, t := range f.Terms {
		if _, ok := c.whole[t.Xorb]; !ok {
			return fmt.Errorf("file %s: xorb %s %w", h, t.Xorb, errLacking)
		}
		ref, err := c.d.xorb(ctx, t.Xorb)
		if err != nil {
			return fmt.Errorf("file %s: xorb %s: %w", h, t.Xorb, err)
		}
		if err := fits(t, ref.info); err != nil {
			return fmt.Errorf("file %s: %w", h, err)
		}
		addTerm(&tree, t, ref.info)
	}
	if got := tree.FileHash(); got != h {
		return fmt.Errorf("file %s: its terms make file %s", h, got)
	}
	return nil
}

// refs checks that the refs of a file name the same xorbs as its terms. Refs that cannot be read hurt no key.
func (c *checker) refs(ctx context.Context, h xet.Hash, id int64, row []any) error {
	f, err := termsColumn(h, row)
	if err != nil {
		return err
	}
	want, have := make(map[int64]bool), make(map[int64]bool)
	for _, x := range termXorbs(f.Terms) {
		want[c.whole[x]] = true
	}
	ids, err := collect(ctx, c.d.reads.db, scanID, `SELECT xorb FROM refs WHERE file = ?`, id)
	if errors.Is(err, object.ErrCorrupt) {
		return nil
	}
	for _, id := range ids {
		have[id] = true
	}
	if err == nil && !maps.Equal(want, have) {
		err = fmt.Errorf("file %s: refs name other xorbs than its terms", h)
	}
	return err
}

// orphans reports files that no row names. What this process is writing just now counts too: nobody may write meanwhile.
func (c *checker) orphans(ctx context.Context) error {
	for _, dir := range contentDirs() {
		names, err := c.d.fs.list(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			name = dir + "/" + name
			named, err := c.d.named(ctx, name)
			if errors.Is(err, object.ErrCorrupt) {
				continue // nobody can tell; that the catalog is damaged was reported
			}
			if err != nil {
				return err
			}
			if !named {
				c.report(Problem{What: "orphan: no row names " + name})
			}
		}
	}
	return nil
}
