package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// Problem is something that Check found wrong.
type Problem struct {
	What string   // in words
	Keys []string // the objects that it hurts, as bucket/key; the first few
}

func (p Problem) String() string {
	if len(p.Keys) == 0 {
		return p.What
	}
	return fmt.Sprintf("%s (hurts %q)", p.What, p.Keys)
}

// hurtKeys bounds Problem.Keys.
const hurtKeys = 100

// checkPage is how many rows are read at once; no read of the catalog lasts while content is being verified.
const checkPage = 1000

// checker carries what Check knows so far.
type checker struct {
	d      *Driver
	report func(Problem)
	whole  map[xet.Hash]int64 // ids of the xorbs that are whole
}

// Check reads and verifies everything that is stored: each key has its file, each file its xorbs, each xorb lies where its
// row says, each chunk has the content that its hash names, and no file on disk is without a row. It reports what it finds
// and changes nothing. The error says that it could not check. Nobody may write meanwhile.
func (d *Driver) Check(ctx context.Context, report func(Problem)) error {
	c := &checker{d: d, report: report, whole: make(map[xet.Hash]int64)}
	for _, step := range []func(context.Context) error{c.databases, c.checkXorbs, c.checkFiles, c.checkKeys, c.orphans} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("check store %s: %w", d.dir, err)
		}
	}
	return nil
}

// hurt reports a problem with the keys that a question names.
func (c *checker) hurt(ctx context.Context, question string, id int64, what error) error {
	keys, err := c.d.hurtBy(ctx, question, id, hurtKeys)
	c.report(Problem{What: what.Error(), Keys: keys})
	return err
}

// hurtBy returns the first keys that a question names, as bucket/key.
func (d *Driver) hurtBy(ctx context.Context, question string, what any, limit int) (keys []string, err error) {
	rows, err := d.rows(ctx, question, what, limit)
	for _, r := range rows {
		keys = append(keys, fmt.Sprintf("%s/%s", r[0], r[1]))
	}
	return keys, err
}

const (
	hurtByXorb = `SELECT b.name, k.key FROM refs r JOIN keys k ON k.file = r.file JOIN buckets b ON b.id = k.bucket
		WHERE r.xorb = ? LIMIT ?`
	hurtByHash = `SELECT b.name, k.key FROM xorbs x JOIN refs r ON r.xorb = x.id JOIN keys k ON k.file = r.file
		JOIN buckets b ON b.id = k.bucket WHERE x.hash = ? LIMIT ?`
	hurtByFile = `SELECT b.name, k.key FROM keys k JOIN buckets b ON b.id = k.bucket WHERE k.file = ? LIMIT ?`
)

// rows returns the answer to a question, whatever types its columns have: a damaged row may have any.
func (d *Driver) rows(ctx context.Context, query string, args ...any) (out [][]any, err error) {
	rows, err := d.reads.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, sqlError(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, sqlError(err)
	}
	for rows.Next() {
		row, at := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			at[i] = &row[i]
		}
		if err := rows.Scan(at...); err != nil {
			return nil, sqlError(err)
		}
		out = append(out, row)
	}
	return out, sqlError(rows.Err())
}

// byID calls f for each row of a table, in pages. The first column of the question is the id, and it ends with the place for
// WHERE.
func (c *checker) byID(ctx context.Context, query string, f func(id int64, row []any) error) error {
	for id := int64(-1 << 63); ; {
		page, err := c.d.rows(ctx, query+` WHERE id > ? ORDER BY id LIMIT ?`, id, checkPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, row := range page {
			var ok bool
			if id, ok = row[0].(int64); !ok {
				return fmt.Errorf("%w: a row's id is %v", object.ErrCorrupt, row[0])
			}
			if err := f(id, row[1:]); err != nil {
				return err
			}
		}
	}
}

// column returns a column as T.
func column[T any](row []any, i int, name string) (T, error) {
	v, ok := row[i].(T)
	if !ok {
		return v, fmt.Errorf("%w: catalog.db: %s is %v", object.ErrCorrupt, name, row[i])
	}
	return v, nil
}

// hashColumn returns a column as a hash.
func hashColumn(row []any, i int) (xet.Hash, error) {
	b, err := column[[]byte](row, i, "a hash")
	if err != nil {
		return xet.Hash{}, err
	}
	return hashOf(b)
}

func (c *checker) databases(ctx context.Context) error {
	for name, db := range map[string]*sql.DB{"catalog.db": c.d.reads.db, "index.db": c.d.index.db.Load().read} {
		var answer string
		if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&answer); err != nil {
			return sqlError(err)
		}
		if answer != "ok" {
			c.report(Problem{What: name + ": " + answer})
		}
	}
	return nil
}

func (c *checker) checkXorbs(ctx context.Context) error {
	return c.byID(ctx, `SELECT id, hash, file, off, len FROM xorbs`, func(id int64, row []any) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := c.xorb(row)
		if err != nil {
			return c.hurt(ctx, hurtByXorb, id, err)
		}
		c.whole[h] = id
		return nil
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
	return c.byID(ctx, `SELECT id, hash, size, terms, (SELECT group_concat(xorb) FROM refs WHERE file = f.id) FROM files f`,
		func(id int64, row []any) error {
			if err := c.file(ctx, row); err != nil {
				return c.hurt(ctx, hurtByFile, id, err)
			}
			return nil
		})
}

// file checks one file: its terms fit its xorbs, their chunks make the file, and refs names the same xorbs.
func (c *checker) file(ctx context.Context, row []any) error {
	h, err := hashColumn(row, 0)
	if err != nil {
		return err
	}
	terms, err := column[[]byte](row, 2, "terms")
	if err != nil {
		return err
	}
	f, err := decodeTerms(h, terms)
	if err != nil {
		return err
	}
	if size, err := column[int64](row, 1, "a size"); err != nil || uint64(size) != f.Size {
		return fmt.Errorf("%w: file %s has %v bytes by its row, %d by its terms", object.ErrCorrupt, h, row[1], f.Size)
	}
	var tree xet.TreeHash
	want := make(map[string]bool)
	for _, t := range f.Terms {
		id, ok := c.whole[t.Xorb]
		if !ok {
			return fmt.Errorf("file %s: xorb %s is missing or damaged", h, t.Xorb)
		}
		want[fmt.Sprint(id)] = true
		ref, err := c.d.xorb(ctx, t.Xorb)
		if err != nil {
			return err
		}
		if err := fits(t, ref.info); err != nil {
			return fmt.Errorf("file %s: %w", h, err)
		}
		addTerm(&tree, t, ref.info)
	}
	if got := tree.FileHash(); got != h {
		return fmt.Errorf("file %s: its terms make file %s", h, got)
	}
	refs, _ := row[3].(string) // NULL when there is none
	have := make(map[string]bool)
	for _, id := range strings.FieldsFunc(refs, func(r rune) bool { return r == ',' }) {
		have[id] = true
	}
	if !maps.Equal(want, have) {
		return fmt.Errorf("file %s: refs name other xorbs than its terms", h)
	}
	return nil
}

func (c *checker) checkKeys(ctx context.Context) error {
	bucket, key := int64(-1<<63), []byte{}
	for {
		page, err := c.d.rows(ctx, `SELECT k.bucket, k.key, b.name, k.info, f.hash FROM keys k
			LEFT JOIN buckets b ON b.id = k.bucket LEFT JOIN files f ON f.id = k.file
			WHERE (k.bucket, k.key) > (?, ?) ORDER BY k.bucket, k.key LIMIT ?`, bucket, key, checkPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, row := range page {
			var err error
			if bucket, err = column[int64](row, 0, "a key's bucket"); err == nil {
				key, err = column[[]byte](row, 1, "a key")
			}
			if err != nil {
				return err // where to go on is not known
			}
			if err := checkKey(bucket, key, row[2:]); err != nil {
				c.report(Problem{What: err.Error(), Keys: []string{fmt.Sprintf("%v/%s", row[2], key)}})
			}
		}
	}
}

// checkKey checks the row of one key: name of its bucket, info, hash of its file.
func checkKey(bucket int64, key []byte, row []any) error {
	name, err := column[string](row, 0, "a bucket's name")
	if err != nil {
		return err
	}
	info, err := column[[]byte](row, 1, "what a key names")
	if err != nil {
		return err
	}
	have, err := decodeInfo(keyName{name, bucket, string(key)}, info)
	if err != nil {
		return err
	}
	if h, err := hashColumn(row, 2); err != nil || h != have.File {
		return fmt.Errorf("%w: the file row of %q is missing or another's", object.ErrCorrupt, key)
	}
	return nil
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
