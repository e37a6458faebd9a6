package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"hugbucket/internal/xet"
)

// The table todo of index.db says which xorbs may not be in the index: those of one process (of all, when proc is 0) with
// done < id <= until. Each process that lives has a row without until, and moves done on as it writes. When it is gone
// without having come to the end, somebody else does the rest. A new index begins with all there is to do.

// reindexPage is how many xorbs are read between two looks at what else is to do.
const reindexPage = 64

// enter notes that this process is going to index its own xorbs. When it cannot, leave notes that it did not.
func (x *index) enter(ctx context.Context) {
	last, err := x.d.lastXorb(ctx)
	if err == nil {
		err = x.slice(ctx, func(ctx context.Context, _ *indexDB, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO todo (proc, done, until) VALUES (?, ?, NULL)`, x.d.proc.id, last)
			return err
		})
	}
	if err != nil {
		x.missed = true
		x.warn(err)
	}
}

// warn says what comes of an index that cannot be used. Of one that is damaged, renew says so.
func (x *index) warn(err error) {
	if bad := x.bad.Load(); bad != nil && bad.db == x.db.Load() {
		return
	}
	x.d.warn(fmt.Sprintf("index.db: %v; until that is over, content that is stored already may be stored again", err))
}

// moveOn notes in the transaction under way that this process has indexed its xorbs up to a row. When it has missed some, it
// leaves all of them to reindex: all that it ever stored, when the index does not know the process.
func (x *index) moveOn(ctx context.Context, tx *sql.Tx, to int64, missed bool) error {
	if missed {
		last, err := x.d.lastXorb(ctx) // what add was called for may not be noted yet
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO todo (proc, done, until) VALUES
			(?1, ifnull((SELECT min(done) FROM todo WHERE proc = ?1 AND until IS NULL), 0), ?2)`, x.d.proc.id, last)
		if err != nil {
			return err
		}
	}
	res, err := tx.ExecContext(ctx, `UPDATE todo SET done = max(done, ?) WHERE proc = ? AND until IS NULL`, to, x.d.proc.id)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO todo (proc, done, until) VALUES (?, ?, NULL)`, x.d.proc.id, to)
	return err
}

// leave notes that this process has indexed what it stored, or how much of it is left to others.
func (x *index) leave(ctx context.Context) {
	x.mu.Lock()
	missed := x.missed
	x.mu.Unlock()
	err := x.renew(ctx) // a new index must not take this process for one that wrote all of it
	switch {
	case err != nil:
	case missed:
		err = x.left(ctx, x.d.proc.id)
	default:
		err = x.slice(ctx, func(ctx context.Context, _ *indexDB, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM todo WHERE proc = ? AND until IS NULL`, x.d.proc.id)
			return err
		})
	}
	if err != nil {
		x.warn(err)
	}
}

// left notes that a process is gone: what it has not indexed is to be done. An index that does not know the process, because
// a power cut took the end of its log or because it was made anew, may lack everything of it.
func (x *index) left(ctx context.Context, proc int64) error {
	last, err := x.d.lastXorb(ctx)
	if err != nil {
		return err
	}
	return x.slice(ctx, func(ctx context.Context, _ *indexDB, tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE todo SET until = ? WHERE proc = ? AND until IS NULL`, last, proc)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO todo (proc, done, until) SELECT ?1, 0, ?2
			WHERE NOT EXISTS (SELECT 1 FROM todo WHERE proc = ?1)`, proc, last)
		return err
	})
}

// sweep notes of each process that the catalog does not know that it is gone: one that was closed, of which a power cut took
// the end of the index's log, or that could not write to it.
func (x *index) sweep(ctx context.Context) error {
	procs, err := collect(ctx, x.db.Load().read, scanID, `SELECT proc FROM todo WHERE until IS NULL`)
	if err != nil {
		return err
	}
	for _, id := range procs {
		var known bool
		err := x.d.reads.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM procs WHERE id = ?)`, id).Scan(&known)
		if err == nil && !known {
			err = x.left(ctx, id)
		}
		if err != nil {
			return sqlError(err)
		}
	}
	return nil
}

// maintain keeps the index whole until ctx ends: it replaces one that is damaged or gone, and does what others have left.
func (x *index) maintain(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	warned := ""
	for {
		err := x.renew(ctx)
		if err == nil {
			err = x.reindex(ctx)
		}
		if err != nil && ctx.Err() == nil && err.Error() != warned {
			warned = err.Error() // once, not each second
			x.warn(err)
		}
		x.retry()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// retry has flush called again when it failed, so that what it missed is left to reindex.
func (x *index) retry() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.missed {
		return
	}
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// reindex does what is to do, unless another process is at it.
func (x *index) reindex(ctx context.Context) error { return x.fill(ctx, func(int) {}) }

// fill is reindex that tells how many chunks have just been written.
func (x *index) fill(ctx context.Context, wrote func(chunks int)) (err error) {
	if todo, err := x.next(ctx); todo == nil || err != nil {
		return err
	}
	lock, err := openLock(filepath.Join(x.d.dir, "reindex.lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.close()) }()
	if free, err := lock.tryLock(); !free || err != nil {
		return err
	}
	for ctx.Err() == nil {
		todo, err := x.next(ctx)
		if todo == nil || err != nil {
			return err
		}
		n, err := x.work(ctx, todo)
		if err != nil {
			return err
		}
		wrote(n)
	}
	return nil
}

// task is a row of todo.
type task struct {
	id, proc, done, until int64
}

// next returns something to do; nil when there is nothing.
func (x *index) next(ctx context.Context) (*task, error) {
	var t task
	db := x.db.Load()
	err := db.read.QueryRowContext(ctx, `SELECT id, proc, done, until FROM todo WHERE until IS NOT NULL LIMIT 1`).
		Scan(&t.id, &t.proc, &t.done, &t.until)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing is an answer
	}
	x.suspect(db, err)
	return &t, sqlError(err)
}

// work indexes the next xorbs of a task, and returns how many chunks they have.
func (x *index) work(ctx context.Context, t *task) (chunks int, err error) {
	rows, done, err := x.page(ctx, t)
	if err != nil {
		return 0, err
	}
	return len(rows), x.writeAll(ctx, rows, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE todo SET done = ? WHERE id = ?`, done, t.id)
		if err == nil && done >= t.until {
			_, err = tx.ExecContext(ctx, `DELETE FROM todo WHERE id = ?`, t.id)
		}
		return err
	})
}

// page reads the footers of a task's next xorbs, and how far that has brought it. A footer that cannot be read is passed
// over: its chunks must not count as known.
func (x *index) page(ctx context.Context, t *task) (out []entry, done int64, err error) {
	type found struct {
		id   int64
		hash []byte
		at   place
	}
	scan := func(rows *sql.Rows) (f found, err error) {
		err = rows.Scan(&f.id, &f.hash, &f.at.file, &f.at.off, &f.at.len)
		return f, err
	}
	defer x.d.proc.pin().release() // no file goes between its row and its footer
	page, err := collect(ctx, x.d.reads.db, scan, `SELECT id, hash, file, off, len FROM xorbs
		WHERE id > ? AND id <= ? AND doomed = 0 ORDER BY id LIMIT ?`, t.done, t.until, reindexPage)
	if err != nil {
		return nil, 0, err
	}
	done = t.until
	if len(page) == reindexPage {
		done = page[len(page)-1].id
	}
	for _, f := range page {
		if t.proc != 0 && !madeBy(f.at.file, t.proc) {
			continue
		}
		h, err := hashOf(f.hash)
		if err != nil {
			continue
		}
		info, err := x.d.readFooter(h, f.at)
		if err != nil {
			x.d.noteDamage(ctx, h, err)
			continue
		}
		out = appendEntries(out, f.id, info)
	}
	return out, done, nil
}

func appendEntries(out []entry, id int64, info *xet.XorbInfo) []entry {
	for i, c := range info.Chunks {
		out = append(out, entry{int64(c.Hash.Truncated()), makeLoc(id, i)})
	}
	return out
}

// madeBy says whether a file's name carries the id of a process: packs/<id>.<n> or xorbs/ab/cdef….<id>.<n>.
func madeBy(name string, proc int64) bool {
	base := name[strings.LastIndexByte(name, '/')+1:]
	mark := fmt.Sprintf("%d.", proc)
	return strings.HasPrefix(base, mark) || strings.Contains(base, "."+mark)
}
