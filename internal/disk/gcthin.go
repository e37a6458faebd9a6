package disk

import (
	"context"
	"database/sql"
	"errors"
	"math/bits"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// chunkSet is a set of chunks of one xorb.
type chunkSet [xet.MaxXorbChunks / 64]uint64

func (s *chunkSet) add(r xet.Range) {
	for i := r.Start; i < r.End && i < xet.MaxXorbChunks; i++ {
		s[i/64] |= 1 << (i % 64)
	}
}

func (s *chunkSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// rank returns how many of the set are below i.
func (s *chunkSet) rank(i int) (n int) {
	for _, w := range s[:i/64] {
		n += bits.OnesCount64(w)
	}
	if i%64 != 0 {
		n += bits.OnesCount64(s[i/64] & (1<<(i%64) - 1))
	}
	return n
}

// covers says whether all chunks of a range are in the set.
func (s *chunkSet) covers(r xet.Range) bool {
	return s.rank(int(r.End))-s.rank(int(r.Start)) == r.Len()
}

// thinXorbs stores anew what files need of xorbs of which they need less than opts.Live, and dooms the old ones.
func (c *collector) thinXorbs(ctx context.Context) error {
	any := false
	err := c.poorXorbs(ctx, fileStays, func(page []poorXorb) error {
		any = true
		var begun []*thinning
		err := c.moving(ctx, func(m *mover) error {
			for _, p := range page {
				t, err := c.thin(ctx, m, p)
				if errors.Is(err, errUnreadable) {
					continue
				}
				if err != nil {
					return err
				}
				begun = append(begun, t)
			}
			return nil
		})
		for _, t := range begun {
			for err == nil && t.more {
				if err = c.d.commit.tx(ctx, t.files); err == nil {
					err = pause(ctx, gcSlice)
				}
			}
		}
		return err
	})
	if err != nil || !any {
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
			AND `+c.undated()+` AND id NOT IN (SELECT xorb FROM damaged)`, c.now, from, to)
		if err != nil {
			return err
		}
		var poor []poorXorb
		for _, x := range page {
			used, err := c.used(ctx, x, stays)
			if err != nil {
				return err
			}
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

// used returns the chunks of a xorb that files use for which stays holds; nil when that is all or none of them.
func (c *collector) used(ctx context.Context, x storedXorb, stays string) (*chunkSet, error) {
	set := new(chunkSet)
	for from := int64(0); ; {
		ids, err := collect(ctx, c.d.reads.db, scanID, `SELECT r.file FROM refs r JOIN files ON files.id = r.file
			WHERE r.xorb = ?2 AND r.file > ?3 AND (`+stays+`) ORDER BY r.file LIMIT ?4`, c.now, x.id, from, gcWindow)
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			break
		}
		from = ids[len(ids)-1]
		for _, id := range ids {
			ranges, err := c.terms.of(ctx, id, x.hash)
			if err != nil {
				return nil, err
			}
			for _, r := range ranges {
				set.add(r)
			}
		}
		if set.rank(x.chunks) == x.chunks {
			return nil, nil //nolint:nilnil // see above
		}
	}
	if *set == (chunkSet{}) {
		return nil, nil //nolint:nilnil // see above
	}
	return set, nil
}

// thinFiles is how many files get other terms in one transaction.
const thinFiles = 200

// thin stores anew what is used of a xorb, and gives the files that use it terms in the new one. A file that has begun to use
// more of it meanwhile keeps the old.
func (c *collector) thin(ctx context.Context, m *mover, x poorXorb) (*thinning, error) {
	staged, err := m.stage(ctx, func(w object.Xorb) error {
		return c.readRecords(ctx, x.storedXorb, x.used.has, func(chunk xet.Chunk, record, _ []byte) error {
			return w.Add(ctx, chunk, record)
		})
	})
	if err != nil {
		return nil, err
	}
	t := &thinning{c: c, old: x, hash: staged.hash}
	rows := func(ctx context.Context, at place) (bool, error) {
		st := &c.d.commit.st
		var err error
		t.id, err = insert(ctx, st.insertXorb, staged.hash[:], at.file, at.off, at.len, staged.chunks, staged.raw)
		if err != nil {
			return false, err
		}
		fresh := t.id != 0
		if !fresh {
			var there plannedXorb
			if err := c.d.commit.xorbRow(ctx, &there, staged.hash); err != nil || there.damaged {
				return false, err
			}
			t.id = there.id
		}
		return fresh, t.files(ctx)
	}
	return t, m.add(ctx, staged, rows, func() {
		if staged.info != nil {
			c.d.index.add(t.id, staged.info)
		}
	})
}

// thinning gives files terms in a new xorb in place of an old one.
type thinning struct {
	c    *collector
	old  poorXorb
	hash xet.Hash // of the new one
	id   int64
	last int64 // file that was looked at
	more bool
}

// files does so for the next files, in the transaction under way, and dooms the old xorb once no file refers to it.
func (t *thinning) files(ctx context.Context) error {
	conn := t.c.d.commit.conn
	rows, err := conn.QueryContext(ctx, `SELECT file FROM refs WHERE xorb = ? AND file > ? ORDER BY file LIMIT ?`, t.old.id, t.last, thinFiles)
	if err != nil {
		return err
	}
	ids, err := scanAll(rows, scanID)
	if err != nil {
		return err
	}
	if t.more = len(ids) == thinFiles; len(ids) > 0 {
		t.last = ids[len(ids)-1]
	}
	for _, id := range ids {
		if err := t.file(ctx, id); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, `UPDATE xorbs SET doomed = (SELECT epoch FROM meta) + 1
		WHERE id = ?2 AND doomed = 0 AND `+t.c.undated()+` AND `+unreferred, t.c.now, t.old.id)
	if err == nil {
		_, err = conn.ExecContext(ctx, `UPDATE xorbs SET doomed = 0 WHERE id = ? AND doomed <> 0`, t.id)
	}
	return err
}

func (t *thinning) file(ctx context.Context, id int64) error {
	conn := t.c.d.commit.conn
	var hash, row []byte
	if err := conn.QueryRowContext(ctx, `SELECT hash, terms FROM files WHERE id = ?`, id).Scan(&hash, &row); err != nil {
		return err
	}
	h, err := hashOf(hash)
	if err != nil {
		return err
	}
	f, err := decodeTerms(h, row)
	if err != nil {
		return err
	}
	if !t.replace(&f) {
		return nil
	}
	t.c.terms.drop(id)
	if _, err := conn.ExecContext(ctx, `UPDATE files SET terms = ? WHERE id = ?`, encodeTerms(&f), id); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `INSERT INTO refs (xorb, file) VALUES (?, ?) ON CONFLICT DO NOTHING`, t.id, id); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `DELETE FROM refs WHERE xorb = ? AND file = ?`, t.old.id, id)
	return err
}

// replace gives a file's terms in the old xorb their places in the new one; false when that lacks some.
func (t *thinning) replace(f *xet.Reconstruction) bool {
	var terms []xet.Term
	for _, term := range f.Terms {
		if term.Xorb == t.old.hash {
			if !t.old.used.covers(term.Range) {
				return false
			}
			n := uint32(term.Range.Len())
			term.Xorb = t.hash
			term.Range.Start = uint32(t.old.used.rank(int(term.Range.Start)))
			term.Range.End = term.Range.Start + n
		}
		if n := len(terms); n > 0 && terms[n-1].Xorb == term.Xorb && terms[n-1].Range.End == term.Range.Start {
			terms[n-1].Range.End = term.Range.End
			terms[n-1].Bytes += term.Bytes
			continue
		}
		terms = append(terms, term)
	}
	f.Terms = terms
	return true
}

// termsCache keeps the terms of files that were read last, by xorb.
type termsCache struct {
	d     *Driver
	files map[int64]map[xet.Hash][]xet.Range
	terms int
}

// termsKept is how many terms are kept.
const termsKept = 200_000

func newTermsCache(d *Driver) *termsCache {
	return &termsCache{d: d, files: make(map[int64]map[xet.Hash][]xet.Range)}
}

func (t *termsCache) drop(id int64) { delete(t.files, id) }

// of returns the ranges of a xorb that a file uses; none of a file that is gone.
func (t *termsCache) of(ctx context.Context, id int64, xorb xet.Hash) ([]xet.Range, error) {
	if f, ok := t.files[id]; ok {
		return f[xorb], nil
	}
	var hash, row []byte
	err := t.d.reads.db.QueryRowContext(ctx, `SELECT hash, terms FROM files WHERE id = ?`, id).Scan(&hash, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, sqlError(err)
	}
	h, err := hashOf(hash)
	if err != nil {
		return nil, err
	}
	f, err := decodeTerms(h, row)
	if err != nil {
		return nil, err
	}
	if t.terms += len(f.Terms); t.terms > termsKept {
		t.terms = len(f.Terms)
		clear(t.files)
	}
	by := make(map[xet.Hash][]xet.Range)
	for _, term := range f.Terms {
		by[term.Xorb] = append(by[term.Xorb], term.Range)
	}
	t.files[id] = by
	return by[xorb], nil
}
