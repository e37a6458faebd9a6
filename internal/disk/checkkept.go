package disk

import (
	"context"
	"errors"
	"fmt"

	"hugbucket/internal/object"
)

// checkKept lists what Rebuild has kept that no key names.
func (c *checker) checkKept(ctx context.Context) error {
	for _, kind := range []struct{ what, query string }{
		{"file", `SELECT id, hash, size FROM files f WHERE id > ? AND keep_until = ?
			AND NOT EXISTS (SELECT 1 FROM keys WHERE file = f.id) ORDER BY id LIMIT ?`},
		{"xorb", `SELECT id, hash, raw FROM xorbs x WHERE id > ? AND keep_until = ?
			AND NOT EXISTS (SELECT 1 FROM refs WHERE xorb = x.id) ORDER BY id LIMIT ?`},
	} {
		for last := int64(0); ; {
			if err := live(ctx); err != nil {
				return err
			}
			page, err := anyRows(brief(ctx), c.db, kind.query, last, keepOrphan, checkPage)
			if errors.Is(err, object.ErrCorrupt) || err == nil && len(page) == 0 {
				break // what is damaged of the catalog is reported elsewhere
			}
			if err != nil {
				return err
			}
			for _, row := range page {
				last, _ = row[0].(int64) // SQLite knows no other ids
				h, err := hashColumn(row, 1)
				size, serr := column[int64](row, 2, "a size")
				if err == nil && serr == nil {
					c.problem(Problem{What: fmt.Sprintf("orphan: no key names %s %s, which a restore has kept", kind.what, h), Orphan: true, Size: size})
				}
			}
		}
	}
	return nil
}
