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

// used returns, by row, which chunks of some xorbs are used by files for which stays holds; nothing of a xorb of which that is all
// or none, or nobody can tell because a row is damaged. The xorbs are in order of their rows.
//
// It reads each file once for all of the xorbs: files that share many of them have long rows.
func (c *collector) used(ctx context.Context, xorbs []storedXorb, stays string) (map[int64]*chunkSet, error) {
	if len(xorbs) == 0 {
		return nil, nil
	}
	u := &uses{c: c, stays: stays, sets: make(map[int64]*chunkSet), byHash: make(map[xet.Hash]*chunkSet)}
	for _, x := range xorbs {
		set := new(chunkSet)
		u.sets[x.id], u.byHash[x.hash] = set, set
	}
	from, last := ref{xorb: xorbs[0].id}, xorbs[len(xorbs)-1].id
	for {
		if err := live(ctx); err != nil {
			return nil, err
		}
		page, err := collect(ctx, c.d.reads.db, scanRef, `SELECT xorb, file FROM refs
			WHERE (xorb, file) > (?, ?) AND xorb <= ? ORDER BY xorb, file LIMIT ?`, from.xorb, from.file, last, gcWindow)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		from = page[len(page)-1]
		for _, r := range page {
			if err := u.add(ctx, r); err != nil {
				return nil, err
			}
		}
	}
	for _, x := range xorbs {
		if set := u.sets[x.id]; set != nil && (*set == chunkSet{} || set.rank(x.chunks) == x.chunks) {
			delete(u.sets, x.id)
		}
	}
	return u.sets, nil
}

// ref is a row of refs.
type ref struct{ xorb, file int64 }

func scanRef(rows *sql.Rows) (r ref, err error) {
	err = rows.Scan(&r.xorb, &r.file)
	return r, err
}

// uses are the chunks of some xorbs that files use.
type uses struct {
	c      *collector
	stays  string
	sets   map[int64]*chunkSet // by row of the xorb
	byHash map[xet.Hash]*chunkSet
	files  idSet // whose terms were added,
	bad    idSet // or could not be
}

// add adds what a file uses, when it is new.
func (u *uses) add(ctx context.Context, r ref) error {
	if u.sets[r.xorb] == nil {
		return nil
	}
	if u.files.add(r.file) {
		err := u.addFile(ctx, r.file)
		if errors.Is(err, object.ErrCorrupt) {
			u.bad.add(r.file)
		} else if err != nil {
			return err
		}
	}
	if u.bad.has(r.file) {
		delete(u.sets, r.xorb)
	}
	return nil
}

// addFile adds the terms of a file, unless it is gone.
func (u *uses) addFile(ctx context.Context, id int64) error {
	var hash, row []byte
	err := u.c.d.reads.db.QueryRowContext(ctx, `SELECT hash, terms FROM files WHERE id = ?2 AND (`+u.stays+`)`, u.c.now, id).Scan(&hash, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return sqlError(err)
	}
	h, err := hashOf(hash)
	if err != nil {
		return err
	}
	f, err := decodeTerms(h, row)
	if err != nil {
		return err
	}
	for _, t := range f.Terms {
		if set := u.byHash[t.Xorb]; set != nil {
			set.add(t.Range)
		}
	}
	return nil
}
