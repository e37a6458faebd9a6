package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

const fileColumns = "hash, size, terms"

// checkFiles compares each file with its xorbs.
func (c *checker) checkFiles(ctx context.Context) error {
	n, _, err := c.count(ctx, "files", "0")
	if err != nil {
		return err
	}
	c.begin(Step{Name: "comparing files", Total: n})
	_, err = c.byID(ctx, "files", fileColumns, func(id int64, row []any) error {
		c.moved()
		return c.file(ctx, id, row)
	})
	c.move(n, 1)
	return err
}

// fileOf says what is wrong with the file of a row; nil when it is whole. One that came after all were looked at is looked at
// now. The second error says that it could not be told.
func (c *checker) fileOf(ctx context.Context, id int64) (wrong, err error) {
	if c.sound.has(id) || c.hurt[id] != nil {
		return c.hurt[id], nil
	}
	page, err := anyRows(brief(ctx), c.db, `SELECT `+fileColumns+` FROM files WHERE id = ?`, id)
	switch {
	case fatal(err):
		return nil, err
	case err != nil:
		c.hurt[id] = err
		return err, nil
	case len(page) == 0:
		return corrupt("there is no file in row %d", id), nil
	}
	err = c.file(ctx, id, page[0])
	return c.hurt[id], err
}

// file looks at a file, and if something is wrong looks again: others may have stored it anew meanwhile.
func (c *checker) file(ctx context.Context, id int64, row []any) error {
	err := c.compare(ctx, id, row)
	if err != nil && !fatal(err) {
		c.seen = seenXorbs{}
		page, rerr := anyRows(brief(ctx), c.db, `SELECT `+fileColumns+` FROM files WHERE id = ?`, id)
		switch {
		case rerr != nil:
			err = rerr
		case len(page) > 0:
			err = c.compare(ctx, id, page[0])
		}
	}
	if fatal(err) {
		return err
	}
	c.done.Files++
	if err == nil {
		c.sound.add(id)
		return nil
	}
	c.hurt[id] = err
	if !errors.Is(err, errLacking) { // else the xorb was reported, and the file is whole with it
		c.problem(Problem{What: err.Error()})
	}
	return nil
}

// compare returns an object.ErrCorrupt unless a file has its xorbs, its terms fit them, their chunks make the file, and its
// refs are right.
func (c *checker) compare(ctx context.Context, id int64, row []any) error {
	h, err := hashColumn(row, 0)
	if err != nil {
		return fmt.Errorf("row %d of files: %w", id, err)
	}
	f, err := termsColumn(h, row)
	if err != nil {
		return err
	}
	if size, err := column[int64](row, 1, "a size"); err != nil || uint64(size) != f.Size {
		return corrupt("file %s has %v bytes by its row, %d by its terms", h, row[1], f.Size)
	}
	var tree xet.TreeHash
	xorbs := make(map[int64]bool)
	for _, t := range f.Terms {
		x, err := c.xorbOf(ctx, t.Xorb)
		if err != nil {
			return fmt.Errorf("file %s: xorb %s: %w", h, t.Xorb, err)
		}
		xorbs[x.id] = true
		if x.info == nil {
			err = x.fits(t)
		} else if err = fits(t, x.info); err == nil {
			addTerm(&tree, t, x.info)
		}
		if err != nil {
			return corrupt("file %s: %v", h, err)
		}
	}
	if got := tree.FileHash(); got != h && !c.opts.Quick {
		return corrupt("file %s: its terms make file %s", h, got)
	}
	return c.refs(ctx, h, id, xorbs)
}

// fits returns an error when a term cannot fit a xorb, as far as its row can tell.
func (x *xorbRow) fits(t xet.Term) error {
	if t.Range.Start >= t.Range.End || int64(t.Range.End) > x.chunks {
		return fmt.Errorf("chunks %d to %d of xorb %s, which has %d", t.Range.Start, t.Range.End, x.hash, x.chunks)
	}
	// Each chunk outside of the term has a byte or more.
	if rest := x.chunks - int64(t.Range.End-t.Range.Start); int64(t.Bytes) > x.raw-rest || rest == 0 && int64(t.Bytes) != x.raw {
		return fmt.Errorf("chunks %d to %d of xorb %s have %d bytes, it has %d in %d", t.Range.Start, t.Range.End, x.hash, t.Bytes,
			x.raw, x.chunks)
	}
	return nil
}

// refs checks that the refs of a file name the xorbs of its terms, and stand in both orders: collection takes away what it does
// not find there. Refs that cannot be read hurt no key.
func (c *checker) refs(ctx context.Context, h xet.Hash, id int64, want map[int64]bool) error {
	type ref struct {
		xorb int64
		both bool
	}
	scan := func(rows *sql.Rows) (r ref, err error) {
		err = rows.Scan(&r.xorb, &r.both)
		return r, err
	}
	rows, err := c.refsOf.QueryContext(brief(ctx), id)
	var refs []ref
	if err == nil {
		refs, err = scanAll(rows, scan)
	}
	err = sqlError(err)
	if errors.Is(err, object.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	right := len(refs) == len(want)
	for _, r := range refs {
		right = right && r.both && want[r.xorb]
	}
	if !right {
		return corrupt("file %s: refs name other xorbs than its terms", h)
	}
	return nil
}
