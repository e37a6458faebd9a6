package disk

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// thinXorbs stores anew what files need of xorbs of which they need less than opts.Live. The old ones stay as long as backups of
// the catalog may name them.
func (c *collector) thinXorbs(ctx context.Context) error {
	some := false
	err := c.poorXorbs(ctx, fileStays, func(page []poorXorb) error {
		some = true
		t := &thinning{c: c, made: make(map[xet.Hash]*thinned)}
		err := c.moving(ctx, func(m *mover) error {
			for _, p := range page {
				if err := t.store(ctx, m, p); err != nil && !errors.Is(err, errUnreadable) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return t.use(ctx)
	})
	if err != nil || !some || c.opts.Backups > 0 {
		return err
	}
	if err := c.advance(ctx); err != nil {
		return err
	}
	return c.deleteXorbs(ctx)
}

// poorXorb is one of which little lives.
type poorXorb struct {
	storedXorb
	used  *chunkSet
	small int64 // bytes that what is used takes
}

// fileStays says of a row of files that its content counts as needed: also a doomed one's does, which somebody may be reading.
const fileStays = `true`

// poorXorbs calls f for the xorbs of which too little is used by files for which stays holds.
func (c *collector) poorXorbs(ctx context.Context, stays string, f func(page []poorXorb) error) error {
	return c.windows(ctx, "xorbs", "looking for xorbs of which little lives", func(ctx context.Context, from, to int64) error {
		page, err := collect(ctx, c.d.reads.db, scanStored, storedColumns+`WHERE id > ?2 AND id <= ?3 AND doomed = 0 AND chunks > 1
			AND `+c.undated()+` AND id NOT IN (SELECT xorb FROM damaged) ORDER BY id`, c.now, from, to)
		if err != nil {
			return err
		}
		sets, err := c.used(ctx, page, stays)
		if err != nil {
			return err
		}
		var poor []poorXorb
		for _, x := range page {
			used := sets[x.id]
			if used == nil {
				continue
			}
			info, err := c.d.readFooter(x.hash, x.at)
			if errors.Is(err, object.ErrCorrupt) {
				continue
			}
			if err != nil {
				return err
			}
			if small := smallerSize(info, used); float64(small) < c.opts.Live*float64(x.at.len) {
				poor = append(poor, poorXorb{x, used, small})
			}
		}
		if len(poor) == 0 {
			return nil
		}
		return f(poor)
	})
}

// smallerSize returns how long a xorb of only some of its chunks is.
func smallerSize(info *xet.XorbInfo, used *chunkSet) (size int64) {
	var left xet.XorbInfo
	for i := range info.Chunks {
		if used.has(i) {
			start, end := info.Record(i)
			size += int64(end - start)
			left.Chunks = append(left.Chunks, info.Chunks[i])
		}
	}
	return size + left.FooterSize()
}

// thinning gives files terms in new xorbs in place of old ones.
type thinning struct {
	c    *collector
	made map[xet.Hash]*thinned // by the hash of the old one
}

// thinned is an old xorb and the new one that has what is used of it.
type thinned struct {
	old  poorXorb
	hash xet.Hash // of the new one
	id   int64    // its row; 0 while there is none
}

// store stores anew what is used of a xorb. When there is a xorb of these chunks already, that is taken, if it is whole.
func (t *thinning) store(ctx context.Context, m *mover, x poorXorb) error {
	c := t.c
	staged, err := m.stage(ctx, func(w object.Xorb) error {
		return c.readRecords(ctx, x.storedXorb, x.used.has, func(chunk xet.Chunk, record, _ []byte) error {
			return w.Add(ctx, chunk, record)
		})
	})
	if err != nil {
		return err
	}
	twin, err := c.wholeTwin(ctx, staged.hash)
	if err != nil {
		return err
	}
	n := &thinned{old: x, hash: staged.hash}
	t.made[x.hash] = n
	rows := func(ctx context.Context, at place) (bool, error) {
		n.id = 0
		id, err := insert(ctx, c.d.commit.st.insertXorb, staged.hash[:], at.file, at.off, at.len, staged.chunks, staged.raw)
		if err != nil {
			return false, err
		}
		if id != 0 {
			n.id = id
			return true, nil
		}
		var there plannedXorb
		if err := c.d.commit.xorbRow(ctx, &there, staged.hash); err != nil {
			return false, err
		}
		if there.id == twin && !there.damaged {
			n.id = twin
		}
		return false, nil
	}
	return m.add(ctx, staged, rows, func() {
		if staged.info != nil {
			c.d.index.add(n.id, staged.info)
		}
	})
}

// wholeTwin returns the row of a xorb that is stored and that can be read; 0 when there is none.
func (c *collector) wholeTwin(ctx context.Context, h xet.Hash) (int64, error) {
	page, err := collect(ctx, c.d.reads.db, scanStored, storedColumns+`WHERE hash = ?`, h[:])
	if err != nil || len(page) == 0 {
		return 0, err
	}
	x := page[0]
	err = c.d.verifyXorb(h, x.at)
	if errors.Is(err, object.ErrCorrupt) {
		c.d.noteDamageAt(ctx, h, x.at, err)
		return 0, nil
	}
	return x.id, err
}

// use gives all files that use an old xorb terms in the new one, each once for all of them, and ends the old xorbs that no file
// uses any more. A file that has begun to use more of one meanwhile keeps that.
func (t *thinning) use(ctx context.Context) error {
	for _, n := range t.made {
		for from := int64(0); n.id != 0; {
			ids, err := collect(ctx, t.c.d.reads.db, scanID, `SELECT file FROM refs WHERE xorb = ? AND file > ? ORDER BY file LIMIT ?`,
				n.old.id, from, gcWindow)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				break
			}
			from = ids[len(ids)-1]
			if err := slicesBy(ctx, t.c, 1, ids, func(ctx context.Context, one []int64) error { return t.file(ctx, one[0]) }); err != nil {
				return err
			}
		}
	}
	var all []*thinned
	for _, n := range t.made {
		if n.id != 0 {
			all = append(all, n)
			t.c.out.Waiting += n.old.at.len
		}
	}
	if t.c.opts.Backups <= 0 {
		t.c.out.Waiting = 0
	}
	return slicesOf(ctx, t.c, all, func(ctx context.Context, few []*thinned) error {
		for _, n := range few {
			if err := t.end(ctx, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// end dooms an old xorb that no file uses any more, or dates it, in the transaction under way.
func (t *thinning) end(ctx context.Context, n *thinned) error {
	what, until := `doomed = (SELECT epoch FROM meta) + 1`, int64(0)
	if t.c.opts.Backups > 0 {
		what, until = `keep_until = ?3`, t.c.now+int64(t.c.opts.Backups/time.Second)
	}
	conn := t.c.d.commit.conn
	_, err := conn.ExecContext(ctx, `UPDATE xorbs SET `+what+` WHERE id = ?2 AND doomed = 0 AND `+t.c.undated()+` AND `+unreferred,
		t.c.now, n.old.id, until)
	return err
}

// file gives a file terms in new xorbs, in the transaction under way.
func (t *thinning) file(ctx context.Context, id int64) error {
	conn := t.c.d.commit.conn
	var hash, row []byte
	err := conn.QueryRowContext(ctx, `SELECT hash, terms FROM files WHERE id = ?`, id).Scan(&hash, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	h, err := hashOf(hash)
	if err != nil {
		return nil //nolint:nilerr // a damaged row stays as it is; check tells of it
	}
	f, err := decodeTerms(h, row)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	moved := t.replace(&f)
	if len(moved) == 0 {
		return nil
	}
	if _, err := conn.ExecContext(ctx, `UPDATE files SET terms = ? WHERE id = ?`, encodeTerms(&f), id); err != nil {
		return err
	}
	for _, n := range moved {
		_, err := conn.ExecContext(ctx, `INSERT INTO refs (xorb, file) VALUES (?, ?) ON CONFLICT DO NOTHING`, n.id, id)
		if err == nil {
			_, err = conn.ExecContext(ctx, `DELETE FROM refs WHERE xorb = ? AND file = ?`, n.old.id, id)
		}
		if err == nil { // somebody may have doomed a twin
			_, err = conn.ExecContext(ctx, `UPDATE xorbs SET doomed = 0 WHERE id = ? AND doomed <> 0`, n.id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replace gives a file's terms in old xorbs their places in the new ones, and returns for which it has: not for one that lacks
// something that the file uses.
func (t *thinning) replace(f *xet.Reconstruction) (moved []*thinned) {
	can := make(map[xet.Hash]*thinned)
	for _, term := range f.Terms {
		if n := t.made[term.Xorb]; n != nil && n.id != 0 {
			can[term.Xorb] = n
		}
	}
	for _, term := range f.Terms {
		if n := can[term.Xorb]; n != nil && !n.old.used.covers(term.Range) {
			delete(can, term.Xorb)
		}
	}
	if len(can) == 0 {
		return nil
	}
	terms := f.Terms[:0] // of which there are as many or fewer
	for _, term := range f.Terms {
		if n := can[term.Xorb]; n != nil {
			long := uint32(term.Range.Len())
			term.Xorb = n.hash
			term.Range.Start = uint32(n.old.used.rank(int(term.Range.Start)))
			term.Range.End = term.Range.Start + long
		}
		if i := len(terms) - 1; i >= 0 && terms[i].Xorb == term.Xorb && terms[i].Range.End == term.Range.Start {
			terms[i].Range.End = term.Range.End
			terms[i].Bytes += term.Bytes
			continue
		}
		terms = append(terms, term)
	}
	f.Terms = terms
	for _, n := range can {
		moved = append(moved, n)
	}
	return moved
}
