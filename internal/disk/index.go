package disk

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

const (
	// indexSlice is how long one process keeps the lock of the index.
	indexSlice = 20 * time.Millisecond
	// indexDelay is how long a chunk may be known to this process only.
	indexDelay = 200 * time.Millisecond
	// indexPatience is how long a commit waits for it at most. What does not fit is left to reindex.
	indexPatience = 3 * time.Second
	// indexBehind is how many chunks may wait to be written before new commits wait for them.
	indexBehind = 256 << 10
)

// loc is where the index says that a chunk is: a xorb's id and the chunk's index in it.
type loc int64

func makeLoc(xorb int64, n int) loc { return loc(xorb*xet.MaxXorbChunks + int64(n)) }

func (l loc) split() (xorb int64, n int) {
	return int64(l) / xet.MaxXorbChunks, int(int64(l) % xet.MaxXorbChunks)
}

// index answers where a chunk may be stored: a hint, which the xorb's footer confirms. What is new is answered from
// memory until it is written.
type index struct {
	d    *Driver
	lock *lockFile               // index.lock, around what is written
	db   atomic.Pointer[indexDB] // replaced when it is damaged or gone
	bad  atomic.Pointer[badIndex]

	mu      sync.Mutex
	room    sync.Cond // mu; pending has got smaller
	pending map[uint64]loc
	writing map[uint64]loc // being written; read only
	noted   int64          // all xorbs of this process up to this row were added
	told    int64          // what todo says of that
	missed  bool           // some that were added are neither pending nor written
	failed  error          // of the last write
	stopped bool
	wake    chan struct{}
}

// lookup returns the hint for a chunk. An index that cannot be read has none.
func (x *index) lookup(ctx context.Context, h uint64) (loc, bool) {
	x.mu.Lock()
	at, ok := x.pending[h]
	if !ok {
		at, ok = x.writing[h]
	}
	x.mu.Unlock()
	if ok {
		return at, true
	}
	db := x.db.Load()
	err := db.find.QueryRowContext(brief(ctx), int64(h)).Scan(&at)
	x.suspect(db, err)
	return at, err == nil
}

// badIndex is an index that could not be read, and why.
type badIndex struct {
	db  *indexDB
	err error
}

// suspect takes note of an index that could not be used because it is damaged: renew replaces it.
func (x *index) suspect(db *indexDB, err error) {
	if err = sqlError(err); errors.Is(err, object.ErrCorrupt) {
		x.bad.Store(&badIndex{db, err})
	}
}

// add takes note of a stored xorb's chunks, to be written soon.
func (x *index) add(id int64, info *xet.XorbInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.pending) > 2*indexBehind {
		x.missed = true // the index cannot be written now; reindex fills in what it lacks
		return
	}
	for i, c := range info.Chunks {
		x.pending[c.Hash.Truncated()] = makeLoc(id, i)
	}
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// miss leaves a stored xorb to reindex: its session kept no footer of it.
func (x *index) miss() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.missed = true
}

// catchUp waits while the index is far behind, so that commits do not run away from it.
func (x *index) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, indexPatience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.room.Broadcast()
	})
	defer stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.pending) > indexBehind && x.failed == nil && !x.stopped && ctx.Err() == nil {
		x.room.Wait()
	}
}

// note says that add was called for all xorbs of this process up to this row.
func (x *index) note(id int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.noted = max(x.noted, id)
}

// run writes what add noted, until ctx ends, and then the rest.
func (x *index) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-x.wake:
			// Let a few more come: sorted, they are written together.
			t := time.NewTimer(indexDelay)
			select {
			case <-ctx.Done():
			case <-t.C:
			}
			t.Stop()
			x.flush(context.WithoutCancel(ctx))
		}
	}
	x.flush(context.WithoutCancel(ctx))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stopped = true
	x.room.Broadcast()
}

// flush writes what is pending.
func (x *index) flush(ctx context.Context) {
	x.mu.Lock()
	if len(x.pending) == 0 && x.noted == x.told && !x.missed {
		x.mu.Unlock()
		return
	}
	x.writing, x.pending = x.pending, make(map[uint64]loc)
	todo, noted, missed := x.writing, x.noted, x.missed
	x.missed = false
	x.room.Broadcast()
	x.mu.Unlock()
	rows := make([]entry, 0, len(todo))
	for h, at := range todo {
		rows = append(rows, entry{int64(h), at})
	}
	err := x.writeAll(ctx, rows, func(ctx context.Context, tx *sql.Tx) error {
		return x.moveOn(ctx, tx, noted, missed)
	})
	x.mu.Lock()
	first := err != nil && x.failed == nil
	if err != nil {
		x.missed = true
	} else {
		x.told = noted
	}
	x.writing, x.failed = nil, err
	x.room.Broadcast()
	x.mu.Unlock()
	if first {
		x.warn(err)
	}
}

// rows returns up to limit rows from h on, in order.
func (x *index) rows(ctx context.Context, h int64, limit int) ([]entry, error) {
	db := x.db.Load()
	rows, err := collect(ctx, db.read, func(rows *sql.Rows) (e entry, err error) {
		err = rows.Scan(&e.h, &e.at)
		return e, err
	}, `SELECT h, loc FROM chunks WHERE h >= ? ORDER BY h LIMIT ?`, h, limit)
	x.suspect(db, err)
	return rows, err
}

// drop removes rows.
func (x *index) drop(ctx context.Context, rows []entry) error {
	slices.SortFunc(rows, func(a, b entry) int { return cmp.Compare(a.h, b.h) })
	for len(rows) > 0 {
		n := 0
		err := x.slice(ctx, func(ctx context.Context, _ *indexDB, tx *sql.Tx) error {
			gone, err := tx.PrepareContext(ctx, `DELETE FROM chunks WHERE h = ? AND loc = ?`)
			if err != nil {
				return err
			}
			defer func() { _ = gone.Close() }() // ends with the transaction anyway
			for start := time.Now(); n < len(rows) && (n%64 != 63 || time.Since(start) < indexSlice); n++ {
				if _, err := gone.ExecContext(ctx, rows[n].h, int64(rows[n].at)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write index.db: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

// entry is a row of the index.
type entry struct {
	h  int64
	at loc
}

// writeAll writes rows, and makes them true with the last of them.
func (x *index) writeAll(ctx context.Context, rows []entry, last func(context.Context, *sql.Tx) error) error {
	slices.SortFunc(rows, func(a, b entry) int { return cmp.Compare(a.h, b.h) })
	for done := false; !done; {
		n := 0
		err := x.slice(ctx, func(ctx context.Context, db *indexDB, tx *sql.Tx) error {
			put := tx.StmtContext(ctx, db.put) //nolint:sqlclosecheck // closed with the transaction
			for start := time.Now(); n < len(rows); n++ {
				if n%64 == 63 && time.Since(start) > indexSlice {
					return nil
				}
				if _, err := put.ExecContext(ctx, rows[n].h, int64(rows[n].at)); err != nil {
					return err
				}
			}
			done = true
			return last(ctx, tx)
		})
		if err != nil {
			return fmt.Errorf("write index.db: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

// slice runs one transaction under the lock of the index.
func (x *index) slice(ctx context.Context, f func(context.Context, *indexDB, *sql.Tx) error) (err error) {
	if err := x.lock.lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.lock.unlock()) }()
	db := x.db.Load()
	err = db.transaction(ctx, f)
	x.suspect(db, err)
	return sqlError(err)
}
