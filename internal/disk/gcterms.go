package disk

import (
	"context"
	"database/sql"
	"errors"
	"math/bits"

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

// termsCache keeps the terms of files that were read last, by xorb.
type termsCache struct {
	d     *Driver
	files map[int64]map[xet.Hash][]xet.Range
	cost  int
}

const (
	// termsKept bounds what termsCache keeps, in terms, and fileCost is what a file counts beside its terms.
	termsKept = 200_000
	fileCost  = 16
)

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
	if t.cost += len(f.Terms) + fileCost; t.cost > termsKept {
		t.cost = len(f.Terms) + fileCost
		clear(t.files)
	}
	by := make(map[xet.Hash][]xet.Range)
	for _, term := range f.Terms {
		by[term.Xorb] = append(by[term.Xorb], term.Range)
	}
	t.files[id] = by
	return by[xorb], nil
}
