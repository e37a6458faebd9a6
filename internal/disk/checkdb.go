package disk

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hugbucket/internal/disk/sumvfs"
	"hugbucket/internal/object"
)

// hasIndex says whether there is an index.db that could be read.
func (d *Driver) hasIndex() bool {
	_, err := os.Stat(filepath.Join(d.dir, "index.db"))
	return err == nil
}

func (d *Driver) indexFile() database { return d.database("index.db", "NORMAL") }

// databases reads each page of both databases. What damage does to keys is found out later.
func (c *checker) databases(ctx context.Context) error {
	c.begin(Step{Name: "reading catalog.db"})
	err := c.database(ctx, c.db, "catalog.db", mendCatalog)
	if err != nil || c.hints == nil {
		return err
	}
	c.begin(Step{Name: "reading index.db"})
	err = c.database(ctx, c.hints, "index.db", "no key is hurt; delete it, and it is filled again")
	if err == nil || ctx.Err() != nil {
		return err
	}
	c.hints = nil
	c.problem(Problem{What: fmt.Sprintf("index.db cannot be read (%v): no key is hurt", err)})
	return nil
}

// database reads each page of a database, as those see it who read. A transaction lasts for a thousand of them.
func (c *checker) database(ctx context.Context, db *sql.DB, name, advice string) error {
	var pages, bad int64
	var first error
	err := sqlError(db.QueryRowContext(brief(ctx), `PRAGMA page_count`).Scan(&pages))
	if errors.Is(err, object.ErrCorrupt) {
		bad, first = 1, err
	} else if err != nil {
		return err
	}
	c.begin(Step{Name: c.step.Name, Total: pages})
	for from := int64(1); from <= pages; from += checkPage {
		to := min(from+checkPage-1, pages)
		err := readPages(ctx, db, from, to)
		for p := from; errors.Is(err, object.ErrCorrupt) && p <= to; p++ {
			perr := readPages(ctx, db, p, p)
			if fatal(perr) {
				return perr
			}
			if perr == nil || c.unwritten(ctx, db, name, p) {
				continue
			}
			if bad++; first == nil {
				first = fmt.Errorf("page %d: %w", p, perr)
			}
		}
		if fatal(err) {
			return err
		}
		c.move(to, 1)
	}
	if bad > 0 {
		c.problem(Problem{What: fmt.Sprintf("%s is damaged in %d of its %d pages (%v): %s", name, bad, pages, first, advice)})
	}
	return nil
}

// readPages has SQLite read pages of a database.
func readPages(ctx context.Context, db *sql.DB, from, to int64) error {
	if err := live(ctx); err != nil {
		return err
	}
	var bytes sql.NullInt64
	return sqlError(db.QueryRowContext(brief(ctx), `WITH RECURSIVE n(i) AS (VALUES (?1) UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
		SELECT sum(length(p.data)) FROM n JOIN sqlite_dbpage p ON p.pgno = n.i`, from, to).Scan(&bytes))
}

// unwritten says whether a page holds nothing but zeros, and nothing is to be there: SQLite leaves those that were given up
// before they were written.
func (c *checker) unwritten(ctx context.Context, db *sql.DB, name string, page int64) bool {
	f, err := os.Open(filepath.Join(c.d.dir, name))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	p := make([]byte, pageSize)
	if _, err := f.ReadAt(p, (page-1)*pageSize); err != nil || !sumvfs.Blank(p) {
		return false
	}
	return isFree(ctx, db, page) || readPages(ctx, db, page, page) == nil // somebody may have taken it meanwhile
}

// isFree says whether a page is in the list of those that are free (https://www.sqlite.org/fileformat2.html#the_freelist): the
// header names the first trunk, and each trunk the next, how many leaves it has, and these.
func isFree(ctx context.Context, db *sql.DB, page int64) bool {
	read := func(n uint32) []byte {
		var data []byte
		err := db.QueryRowContext(brief(ctx), `SELECT data FROM sqlite_dbpage WHERE pgno = ?`, n).Scan(&data)
		if err != nil || len(data) != pageSize {
			return make([]byte, pageSize) // that it cannot be read is reported, or it is by who looks at it
		}
		return data
	}
	trunk := binary.BigEndian.Uint32(read(1)[32:])
	for seen := (idSet{}); trunk != 0 && seen.add(int64(trunk)); {
		data := read(trunk)
		leaves := data[8:][:4*min(binary.BigEndian.Uint32(data[4:]), (pageSize-8)/4)]
		for ; len(leaves) > 0; leaves = leaves[4:] {
			if int64(binary.BigEndian.Uint32(leaves)) == page {
				return true
			}
		}
		trunk = binary.BigEndian.Uint32(data)
	}
	return false
}
