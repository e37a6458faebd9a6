package disk

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// checkPage is how many rows are read at once; no read of the catalog lasts while content is being verified.
const checkPage = 1000

// pages reads a table from one end to the other: next asks for up to limit rows behind those that it had, and says whether
// there were any. Where a page of the database is damaged, it asks for one row at a time. When there is none to be had, skip
// goes on behind it, or says that nothing is there.
func pages(ctx context.Context, next func(limit int) (more bool, err error), skip func() (more bool)) error {
	limit := checkPage
	for {
		if err := live(ctx); err != nil {
			return err
		}
		more, err := next(limit)
		switch {
		case errors.Is(err, object.ErrCorrupt) && limit > 1:
			limit = 1
		case errors.Is(err, object.ErrCorrupt):
			if !skip() {
				return nil
			}
		case err != nil || !more:
			return err
		default:
			limit = min(2*limit, checkPage)
		}
	}
}

// byID calls f for each row of a table that can be read.
func (c *checker) byID(ctx context.Context, table, columns string, f func(id int64, row []any)) error {
	last, err := c.d.lastID(ctx, table)
	if err != nil {
		return err
	}
	from, skipped := int64(0), int64(0)
	next := func(limit int) (bool, error) {
		page, err := c.d.rows(ctx, `SELECT id, `+columns+` FROM `+table+` WHERE id >= ? ORDER BY id LIMIT ?`, from, limit)
		for _, row := range page {
			if err := live(ctx); err != nil {
				return false, err
			}
			id, _ := row[0].(int64) // SQLite knows no other ids
			f(id, row[1:])
			from = id + 1
		}
		return len(page) > 0, err
	}
	skip := func() bool {
		from++
		skipped++
		return from <= last
	}
	err = pages(ctx, next, skip)
	if skipped > 0 {
		c.report(Problem{What: fmt.Sprintf("catalog.db: rows of %s cannot be read, as many as %d", table, skipped)})
	}
	return err
}

// checkKeys opens each key as a reader does. The keys are found in their table; when a page of that is damaged, those behind
// it are found in the index of files, which names each key, too.
func (c *checker) checkKeys(ctx context.Context) error {
	buckets, err := c.buckets(ctx)
	if err != nil {
		return err
	}
	bucket, key, broken := int64(0), []byte{}, false
	next := func(limit int) (bool, error) {
		page, err := c.names(ctx, `SELECT file, bucket, key FROM keys
			WHERE (bucket, key) > (?, ?) ORDER BY bucket, key LIMIT ?`, bucket, key, limit)
		for _, at := range page {
			bucket, key = at.bucket, at.key
			if err := c.checkKey(ctx, buckets, at); err != nil {
				return false, err
			}
		}
		return len(page) > 0, err
	}
	skip := func() bool { broken = true; return false }
	if err := pages(ctx, next, skip); err != nil || !broken {
		return err
	}
	return c.keysByFile(ctx, func(at foundKeyName) error {
		if at.bucket < bucket || at.bucket == bucket && bytes.Compare(at.key, key) <= 0 {
			return nil // found before
		}
		return c.checkKey(ctx, buckets, at)
	})
}

// foundKeyName is where a key stands in both orders.
type foundKeyName struct {
	file, bucket int64
	key          []byte
}

func (c *checker) names(ctx context.Context, query string, args ...any) (out []foundKeyName, err error) {
	return collect(ctx, c.d.reads.db, func(rows *sql.Rows) (at foundKeyName, err error) {
		err = rows.Scan(&at.file, &at.bucket, &at.key)
		return at, err
	}, query, args...)
}

// keysByFile calls f for each key that the index of files names.
func (c *checker) keysByFile(ctx context.Context, f func(foundKeyName) error) error {
	last, err := c.d.lastID(ctx, "files")
	if err != nil {
		return err
	}
	at := foundKeyName{key: []byte{}}
	next := func(limit int) (bool, error) {
		page, err := c.names(ctx, `SELECT file, bucket, key FROM keys INDEXED BY keys_file
			WHERE (file, bucket, key) > (?, ?, ?) ORDER BY file, bucket, key LIMIT ?`, at.file, at.bucket, at.key, limit)
		for _, at = range page {
			if err := f(at); err != nil {
				return false, err
			}
		}
		return len(page) > 0, err
	}
	skipped := false
	skip := func() bool {
		at, skipped = foundKeyName{file: at.file + 1, key: []byte{}}, true
		return at.file <= last
	}
	err = pages(ctx, next, skip)
	if skipped {
		c.report(Problem{What: "catalog.db: more keys may be damaged than can be named"})
	}
	return err
}

// buckets returns the names of buckets by id, as far as they can be read.
func (c *checker) buckets(ctx context.Context) (map[int64]string, error) {
	names := make(map[int64]string)
	for _, copy := range []string{"buckets NOT INDEXED", "buckets INDEXED BY sqlite_autoindex_buckets_1"} {
		rows, err := c.d.rows(ctx, `SELECT id, name FROM `+copy+` WHERE name >= ''`)
		if err != nil && !errors.Is(err, object.ErrCorrupt) {
			return nil, err
		}
		for _, row := range rows {
			id, _ := row[0].(int64)
			names[id], _ = row[1].(string)
		}
	}
	return names, nil
}

// checkKey reports a key that cannot be read.
func (c *checker) checkKey(ctx context.Context, buckets map[int64]string, at foundKeyName) error {
	bucket, ok := buckets[at.bucket]
	if !ok {
		bucket = fmt.Sprint("bucket ", at.bucket)
	}
	info, content, err := c.d.Open(ctx, bucket, string(at.key))
	if err == nil {
		err = content.Close()
	}
	if err == nil {
		err = c.hurt[info.File]
	}
	if err != nil && ctx.Err() == nil {
		c.report(Problem{What: err.Error(), Keys: []string{fmt.Sprintf("%s/%s", bucket, at.key)}})
	}
	return live(ctx)
}

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

// termsColumn returns the terms in the row of a file: hash, size, terms.
func termsColumn(h xet.Hash, row []any) (xet.Reconstruction, error) {
	terms, err := column[[]byte](row, 2, "terms")
	if err != nil {
		return xet.Reconstruction{}, err
	}
	return decodeTerms(h, terms)
}
