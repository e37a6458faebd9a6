package disk

import (
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

// byID calls f for each row of a table that can be read, and returns how many rows cannot be, at most. An error of f is never
// an object.ErrCorrupt.
func (c *checker) byID(ctx context.Context, table, columns string, f func(id int64, row []any) error) (skipped int64, err error) {
	var last int64
	if err := c.db.QueryRowContext(brief(ctx), lastIDQuery, table).Scan(&last); err != nil {
		if err = sqlError(err); !errors.Is(err, object.ErrCorrupt) {
			return 0, err
		}
		last = 0 // a page that cannot be read is the end then
	}
	from := int64(0)
	next := func(limit int) (bool, error) {
		page, err := anyRows(brief(ctx), c.db, `SELECT id, `+columns+` FROM `+table+` WHERE id >= ? ORDER BY id LIMIT ?`, from, limit)
		for _, row := range page {
			if err := live(ctx); err != nil {
				return false, err
			}
			id, _ := row[0].(int64) // SQLite knows no other ids
			if err := f(id, row[1:]); err != nil {
				return false, err
			}
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
		c.problem(Problem{What: fmt.Sprintf("catalog.db: rows of %s cannot be read, as many as %d", table, skipped)})
	}
	return skipped, err
}

// rowsBytes is how much is read of a table at once, or a row more: rows of large files have a MiB each.
const rowsBytes = 4 << 20

// anyRows returns the answer to a question, whatever types its columns have: a damaged row may have any. It ends early when it
// has grown to rowsBytes.
func anyRows(ctx context.Context, db *sql.DB, query string, args ...any) (out [][]any, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, sqlError(err)
	}
	return scanAny(rows)
}

// scanAny is anyRows for an answer that has begun.
func scanAny(rows *sql.Rows) (out [][]any, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, sqlError(err)
	}
	for size := 0; size < rowsBytes && rows.Next(); {
		row, at := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			at[i] = &row[i]
		}
		if err := rows.Scan(at...); err != nil {
			return nil, sqlError(err)
		}
		for _, v := range row {
			if b, ok := v.([]byte); ok {
				size += len(b)
			}
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
