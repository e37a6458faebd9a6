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

// checker carries what Check knows so far.
type checker struct {
	d      *Driver
	report func(Problem)
	xorbs  map[int64]*xet.XorbInfo // by row; nil for a damaged one
	ids    map[xet.Hash]int64
}

// Check reads and verifies everything that is stored: each key has its file, each file its xorbs, each xorb lies where its
// row says, each chunk has the content that its hash names, and no file on disk is without a row. It reports what it finds
// and changes nothing. The error says that it could not check. Nobody may write meanwhile.
func (d *Driver) Check(ctx context.Context, report func(Problem)) error {
	c := &checker{d: d, report: report, xorbs: make(map[int64]*xet.XorbInfo), ids: make(map[xet.Hash]int64)}
	for _, step := range []func(context.Context) error{c.databases, c.checkXorbs, c.checkFiles, c.checkKeys, c.orphans} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("check store %s: %w", d.dir, err)
		}
	}
	return nil
}

func (c *checker) problem(ctx context.Context, hurtQuery string, id int64, format string, args ...any) error {
	p := Problem{What: fmt.Sprintf(format, args...)}
	err := c.each(ctx, hurtQuery, []any{id, hurtKeys}, func(scan func(...any) error) error {
		var bucket string
		var key []byte
		if err := scan(&bucket, &key); err != nil {
			return err
		}
		p.Keys = append(p.Keys, bucket+"/"+string(key))
		return nil
	})
	c.report(p)
	return err
}

const (
	hurtByXorb = `SELECT b.name, k.key FROM refs r JOIN keys k ON k.file = r.file JOIN buckets b ON b.id = k.bucket
		WHERE r.xorb = ? LIMIT ?`
	hurtByFile = `SELECT b.name, k.key FROM keys k JOIN buckets b ON b.id = k.bucket WHERE k.file = ? LIMIT ?`
)

// each calls f for each row of a question.
func (c *checker) each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) (err error) {
	rows, err := c.d.reads.db.QueryContext(ctx, query, args...)
	if err != nil {
		return sqlError(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return sqlError(rows.Err())
}

func (c *checker) databases(ctx context.Context) error {
	for name, db := range map[string]*sql.DB{"catalog.db": c.d.reads.db, "index.db": c.d.index.db} {
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
	return c.each(ctx, `SELECT id, hash, file, off, len FROM xorbs`, nil, func(scan func(...any) error) error {
		var id int64
		var hash []byte
		var at place
		if err := scan(&id, &hash, &at.file, &at.off, &at.len); err != nil {
			return err
		}
		info, err := c.d.verifyXorb(xet.Hash(hash), at)
		if err != nil {
			return c.problem(ctx, hurtByXorb, id, "%v", err)
		}
		c.xorbs[id], c.ids[info.Hash] = info, id
		return nil
	})
}

// verifyXorb reads a whole xorb and compares each chunk with the footer.
func (d *Driver) verifyXorb(h xet.Hash, at place) (*xet.XorbInfo, error) {
	info, err := d.readFooter(h, at)
	if err != nil {
		return nil, err
	}
	f, err := d.files.open(at.file)
	if err != nil {
		return nil, err
	}
	defer f.release()
	scanned, err := xet.ScanXorb(io.NewSectionReader(f, at.off, info.BodySize()), nil)
	if err != nil {
		return nil, damaged(h, at, err)
	}
	if !slices.Equal(scanned.Chunks, info.Chunks) {
		return nil, damaged(h, at, fmt.Errorf("its chunks are not what its footer says: %w", xet.ErrHash))
	}
	return info, nil
}

func (c *checker) checkFiles(ctx context.Context) error {
	return c.each(ctx, `SELECT id, hash, terms, (SELECT group_concat(xorb) FROM refs WHERE file = f.id) FROM files f`, nil,
		func(scan func(...any) error) error {
			var id int64
			var hash, terms []byte
			var refs sql.NullString
			if err := scan(&id, &hash, &terms, &refs); err != nil {
				return err
			}
			if err := c.file(xet.Hash(hash), terms, refs.String); err != nil {
				return c.problem(ctx, hurtByFile, id, "%v", err)
			}
			return nil
		})
}

// file checks one file: its terms fit its xorbs, their chunks hash to the file's hash, and refs names the same xorbs.
func (c *checker) file(h xet.Hash, terms []byte, refs string) error {
	f, err := decodeTerms(h, terms)
	if err != nil {
		return err
	}
	var tree xet.TreeHash
	want := make(map[string]bool)
	for _, t := range f.Terms {
		id, ok := c.ids[t.Xorb]
		if !ok {
			return fmt.Errorf("file %s: xorb %s is missing or damaged", h, t.Xorb)
		}
		want[fmt.Sprint(id)] = true
		info := c.xorbs[id]
		if err := fits(t, info); err != nil {
			return fmt.Errorf("file %s: %w", h, err)
		}
		for i := int(t.Range.Start); i < int(t.Range.End); i++ {
			start, end := info.Raw(i)
			tree.Add(info.Chunks[i].Hash, uint64(end-start))
		}
	}
	if got := tree.FileHash(); got != h {
		return fmt.Errorf("file %s: its terms make file %s", h, got)
	}
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
	return c.each(ctx, `SELECT b.name, k.bucket, k.key, k.info, f.hash FROM keys k
		LEFT JOIN buckets b ON b.id = k.bucket LEFT JOIN files f ON f.id = k.file`, nil,
		func(scan func(...any) error) error {
			var bucket sql.NullString
			var bucketID int64
			var key, row, hash []byte
			if err := scan(&bucket, &bucketID, &key, &row, &hash); err != nil {
				return err
			}
			name := bucket.String + "/" + string(key)
			info, err := decodeInfo(bucket.String, string(key), row)
			switch {
			case !bucket.Valid:
				c.report(Problem{What: fmt.Sprintf("key %q is in bucket %d, which does not exist", key, bucketID)})
			case err != nil:
				c.report(Problem{What: err.Error(), Keys: []string{name}})
			case string(hash) != string(info.File[:]):
				c.report(Problem{What: "file row is missing or another's", Keys: []string{name}})
			}
			return nil
		})
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
