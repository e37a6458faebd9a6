package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// index.db is ordered by the hashes of chunks, xorbs are read one after the other: to look up each row's xorb would read
// footers at random. So the chunks of as many xorbs as fit are kept, as 64 bits each, and then all of the index is read once
// and compared with them.

// chunkListBytes bounds what is kept: four million chunks in large xorbs.
const chunkListBytes = 32 << 20

// chunkLists are the chunks of xorbs, by row.
type chunkLists struct {
	byXorb map[int64][]uint64
	bytes  int
}

func (l *chunkLists) add(id int64, info *xet.XorbInfo) {
	if l.byXorb == nil {
		l.byXorb = make(map[int64][]uint64)
	}
	list := make([]uint64, len(info.Chunks))
	for i, c := range info.Chunks {
		list[i] = c.Hash.Truncated()
	}
	l.byXorb[id] = list
	l.bytes += 100 + 8*len(list)
}

// full says whether the index has to be compared before more xorbs are looked at.
func (c *checker) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chunks.bytes >= c.keep
}

// compareHints compares the rows of the index with the xorbs that are kept, and lets these go. Rows that lead to others, or to
// none, count as right.
func (c *checker) compareHints(ctx context.Context) error {
	lists := c.chunks.byXorb
	c.chunks = chunkLists{}
	if c.hints == nil || len(lists) == 0 {
		return nil
	}
	c.turns++
	scan := func(rows *sql.Rows) (e entry, err error) {
		err = rows.Scan(&e.h, &e.at)
		return e, err
	}
	for from := int64(math.MinInt64); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := collect(brief(ctx), c.hints, scan, `SELECT h, loc FROM chunks WHERE h >= ? ORDER BY h LIMIT ?`, from, checkPage)
		if errors.Is(err, object.ErrCorrupt) {
			c.hints = nil // it was reported, and is to be deleted
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range page {
			id, n := e.at.split()
			if list, ok := lists[id]; !ok || n >= 0 && n < len(list) && list[n] == uint64(e.h) {
				continue
			}
			if c.wrong++; c.wrong == 1 {
				c.wrongWhat = fmt.Sprintf("the first for %016x: chunk %d of the xorb in row %d", uint64(e.h), n, id)
			}
		}
		if len(page) == 0 || page[len(page)-1].h == math.MaxInt64 {
			return nil
		}
		from = page[len(page)-1].h + 1
	}
}
