package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"hugbucket/internal/object"
)

// indexDB is index.db, opened.
type indexDB struct {
	read, write *sql.DB
	find        *sql.Stmt // of read
	put         *sql.Stmt // of write
	inode       uint64
}

// openIndex opens index.db.
func openIndex(ctx context.Context, d *Driver) (_ *index, err error) {
	x := &index{d: d, pending: make(map[uint64]loc), wake: make(chan struct{}, 1)}
	x.room.L = &x.mu
	if x.lock, err = openLock(filepath.Join(d.dir, "index.lock")); err != nil {
		return nil, ioError(err)
	}
	if err := x.lock.lock(); err != nil {
		return nil, errors.Join(err, x.lock.close())
	}
	db, err := x.openOrRemake(ctx)
	if err = errors.Join(err, x.lock.unlock()); err != nil {
		return nil, errors.Join(err, x.lock.close())
	}
	x.db.Store(db)
	return x, nil
}

// openOrRemake opens the file, and replaces it when it is damaged. The caller holds the lock.
func (x *index) openOrRemake(ctx context.Context) (*indexDB, error) {
	last, err := x.d.lastXorb(ctx)
	if err != nil {
		return nil, err // of the catalog, not of the index
	}
	db, err := x.openDB(ctx, last)
	if !errors.Is(err, object.ErrCorrupt) {
		return db, err
	}
	if err := x.d.putIndexAside(err); err != nil {
		return nil, err
	}
	return x.openDB(ctx, last)
}

// openDB opens the file, and creates it; all xorbs up to the row last are yet to be indexed then. The caller holds the lock.
func (x *index) openDB(ctx context.Context, last int64) (_ *indexDB, err error) {
	at := x.d.database("index.db", "NORMAL")
	if err := at.ensure(); err != nil {
		return nil, err
	}
	db := &indexDB{}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.close())
		}
	}()
	if db.inode, err = inodeOf(at.path); err != nil {
		return nil, err
	}
	if db.write, err = at.open(1, writeCacheKiB); err != nil {
		return nil, err
	}
	all := fmt.Sprintf("INSERT INTO todo (proc, done, until) VALUES (0, 0, %d);", last)
	if err := prepareDB(ctx, db.write, "index.db", indexSchema+all); err != nil {
		return nil, err
	}
	if db.read, err = at.open(readers, indexCacheKiB); err != nil {
		return nil, err
	}
	if err := prepare(ctx, db.read, map[**sql.Stmt]string{&db.find: `SELECT loc FROM chunks WHERE h = ?`}); err != nil {
		return nil, err
	}
	return db, prepare(ctx, db.write, map[**sql.Stmt]string{
		&db.put: `INSERT INTO chunks (h, loc) VALUES (?, ?) ON CONFLICT (h) DO UPDATE SET loc = excluded.loc`,
	})
}

func (db *indexDB) close() error {
	var errs []error
	for _, db := range []*sql.DB{db.read, db.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// transaction runs f in a transaction.
func (db *indexDB) transaction(ctx context.Context, f func(context.Context, *indexDB, *sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(ctx, db, tx); err != nil {
		_ = tx.Rollback() // SQLite rolls some failures back by itself; a second time is an error that says nothing new
		return err
	}
	return tx.Commit()
}

// putIndexAside makes room for a new index.db: the old one is damaged, which costs only that content is stored again until
// the new one is filled. The caller holds the lock.
func (d *Driver) putIndexAside(why error) error {
	d.warn(fmt.Sprintf("index.db is damaged (%v): it is put aside as index.db.damaged and made anew", why))
	path := filepath.Join(d.dir, "index.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, path+suffix+".damaged"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ioError(err)
		}
	}
	return nil
}

// renew opens index.db again when it turned out to be damaged, or is not the file any more that was opened.
func (x *index) renew(ctx context.Context) (err error) {
	old := x.db.Load()
	inode, err := inodeOf(filepath.Join(x.d.dir, "index.db"))
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		return err
	}
	bad := x.bad.Load()
	if (bad == nil || bad.db != old) && inode == old.inode {
		return nil
	}
	if err := x.lock.lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.lock.unlock()) }()
	// Somebody else may have been faster.
	if inode, err = inodeOf(filepath.Join(x.d.dir, "index.db")); err == nil && inode == old.inode && bad != nil {
		err = x.d.putIndexAside(bad.err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := x.openOrRemake(ctx)
	if err != nil {
		return err
	}
	// What this process has written since the new one was made is in the old one only.
	last, err := x.d.lastXorb(ctx)
	if err == nil {
		err = db.transaction(ctx, func(ctx context.Context, _ *indexDB, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO todo (proc, done, until) VALUES (?1, 0, ?2), (?1, ?2, NULL)`, x.d.proc.id, last)
			return err
		})
	}
	if err != nil {
		return errors.Join(sqlError(err), db.close())
	}
	x.db.Store(db)
	return old.close()
}

// inodeOf tells a file from another that took its name.
func inodeOf(path string) (uint64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: no inode", path)
	}
	return sys.Ino, nil
}

// lastXorb returns the highest row that a xorb ever had, 0 if there was none.
func (d *Driver) lastXorb(ctx context.Context) (int64, error) { return d.lastID(ctx, "xorbs") }

// lastIDQuery asks for the highest id that a row of a table ever had.
const lastIDQuery = `SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = ?`

// lastID returns the highest id that a row of a table ever had, 0 if there was none. It looks into none of the table's own
// pages, which may be damaged.
func (d *Driver) lastID(ctx context.Context, table string) (id int64, err error) {
	err = d.reads.db.QueryRowContext(brief(ctx), lastIDQuery, table).Scan(&id)
	return id, sqlError(err)
}

func (x *index) close() error { return errors.Join(x.db.Load().close(), x.lock.close()) }
