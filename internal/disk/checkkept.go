package disk

import (
	"context"
	"fmt"
)

// checkKept lists what Rebuild has kept that no key names.
func (c *checker) checkKept(ctx context.Context) error {
	for _, k := range []keptRows{
		{"files", "file", `SELECT hash, size FROM files f WHERE id > ? AND id <= ? AND keep_until = ?
			AND NOT EXISTS (SELECT 1 FROM keys WHERE file = f.id) ORDER BY id`},
		{"xorbs", "xorb", `SELECT hash, raw FROM xorbs x WHERE id > ? AND id <= ? AND keep_until = ?
			AND NOT EXISTS (SELECT 1 FROM refs WHERE xorb = x.id) ORDER BY id`},
	} {
		err := c.checkKeptOf(ctx, k)
		if fatal(err) { // what is damaged of the catalog is reported elsewhere
			return err
		}
	}
	return nil
}

// keptRows are those of a table, and how to find them among ids in a range.
type keptRows struct{ table, what, query string }

// checkKeptOf looks at some rows at a time: there may be few or none that were kept, or all were.
func (c *checker) checkKeptOf(ctx context.Context, k keptRows) error {
	for last := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		var to int64
		err := c.db.QueryRowContext(brief(ctx), `SELECT ifnull(max(id), 0) FROM (SELECT id FROM `+k.table+` WHERE id > ? ORDER BY id LIMIT ?)`,
			last, checkPage).Scan(&to)
		if err != nil || to == 0 {
			return sqlError(err)
		}
		page, err := anyRows(brief(ctx), c.db, k.query, last, to, keepOrphan)
		if err != nil {
			return err
		}
		last = to
		for _, row := range page {
			h, err := hashColumn(row, 0)
			size, serr := column[int64](row, 1, "a size")
			if err == nil && serr == nil {
				c.problem(Problem{What: fmt.Sprintf("orphan: no key names %s %s, which a restore has kept", k.what, h), Orphan: true, Size: size})
			}
		}
	}
}
