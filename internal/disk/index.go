package disk

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

const (
	// indexSlice is how long one process keeps the lock of the index.
	indexSlice = 20 * time.Millisecond
	// indexDelay is how long a chunk may be known to this process only.
	indexDelay = 200 * time.Millisecond
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
	db    *sql.DB
	find  *sql.Stmt
	put   *sql.Stmt // of write
	write *sql.DB
	lock  *lockFile

	mu      sync.Mutex
	room    sync.Cond // mu; pending has got smaller
	pending map[uint64]loc
	writing map[uint64]loc // being written; read only
	failed  error          // of the last write
	stopped bool
	wake    chan struct{}
}

// openIndex opens index.db, and begins a new one when it is damaged: it only costs that content which comes again is stored
// again.
func openIndex(ctx context.Context, dir string) (*index, error) {
	x, err := openIndexOnce(ctx, dir)
	if errors.Is(err, object.ErrCorrupt) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			path := filepath.Join(dir, "index.db"+suffix)
			if rerr := os.Rename(path, path+".damaged"); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
				return nil, errors.Join(err, rerr)
			}
		}
		x, err = openIndexOnce(ctx, dir)
	}
	return x, err
}

func openIndexOnce(ctx context.Context, dir string) (_ *index, err error) {
	x := &index{pending: make(map[uint64]loc), wake: make(chan struct{}, 1)}
	x.room.L = &x.mu
	if x.lock, err = openLock(filepath.Join(dir, "index.lock")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.close())
		}
	}()
	path := filepath.Join(dir, "index.db")
	if x.write, err = openDB(path, "NORMAL", 1, writeCacheKiB); err != nil {
		return nil, err
	}
	if err := x.lock.lock(); err != nil {
		return nil, err
	}
	err = prepareDB(ctx, x.write, "index.db", indexSchema)
	if err = errors.Join(err, x.lock.unlock()); err != nil {
		return nil, err
	}
	if x.db, err = openDB(path, "NORMAL", readers, readCacheKiB); err != nil {
		return nil, err
	}
	if err := prepare(ctx, x.db, map[**sql.Stmt]string{&x.find: `SELECT loc FROM chunks WHERE h = ?`}); err != nil {
		return nil, err
	}
	err = prepare(ctx, x.write, map[**sql.Stmt]string{
		&x.put: `INSERT INTO chunks (h, loc) VALUES (?, ?) ON CONFLICT (h) DO UPDATE SET loc = excluded.loc`,
	})
	return x, err
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
	err := x.find.QueryRowContext(brief(ctx), int64(h)).Scan(&at)
	return at, err == nil
}

// add takes note of a stored xorb's chunks, to be written soon.
func (x *index) add(id int64, info *xet.XorbInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.pending) > 2*indexBehind {
		return // the index cannot be written; it is derived, and what it lacks costs space, not data
	}
	for i, c := range info.Chunks {
		x.pending[c.Hash.Truncated()] = makeLoc(id, i)
	}
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// catchUp waits while the index is far behind, so that commits do not run away from it.
func (x *index) catchUp(ctx context.Context) {
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
	x.writing, x.pending = x.pending, make(map[uint64]loc)
	x.room.Broadcast()
	todo := x.writing
	x.mu.Unlock()
	err := x.writeAll(ctx, todo)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing, x.failed = nil, err
	x.room.Broadcast()
}

func (x *index) writeAll(ctx context.Context, todo map[uint64]loc) error {
	type entry struct {
		h  int64
		at loc
	}
	rows := make([]entry, 0, len(todo))
	for h, at := range todo {
		rows = append(rows, entry{int64(h), at})
	}
	slices.SortFunc(rows, func(a, b entry) int { return cmp.Compare(a.h, b.h) })
	for len(rows) > 0 {
		n := 0
		err := x.slice(ctx, func(put *sql.Stmt) error {
			for start := time.Now(); n < len(rows); n++ {
				if n%64 == 63 && time.Since(start) > indexSlice {
					return nil
				}
				if _, err := put.ExecContext(ctx, rows[n].h, int64(rows[n].at)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write index.db: %w", sqlError(err))
		}
		rows = rows[n:]
	}
	return nil
}

// slice runs one transaction under the lock of the index.
func (x *index) slice(ctx context.Context, f func(put *sql.Stmt) error) (err error) {
	if err := x.lock.lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.lock.unlock()) }()
	tx, err := x.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx.StmtContext(ctx, x.put)); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (x *index) close() error {
	var errs []error
	for _, db := range []*sql.DB{x.db, x.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, x.lock.close())...)
}
