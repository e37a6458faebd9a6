package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// walLimit is the size at which a write-ahead log is cut back to nothing.
	walLimit = 64 << 20
	// walAgain is how much it grows between two attempts when readers are in the way.
	walAgain = walLimit / 8
	// cutTimeout in ms is how long an attempt waits for them.
	cutTimeout = "100"
)

var (
	// errUnsure marks a commit that may or may not have lasted.
	errUnsure = errors.New("the outcome of the commit is unknown")
	// errAgain asks for a transaction to be begun again.
	errAgain = errors.New("begin again")
	// errStopped is returned by a store that is being closed.
	errStopped = errors.New("the store is closed")
)

// committer makes all transactions that write the catalog. Commits that come at the same time share one transaction, and one sync
// of a pack when they bring more than a few bytes. While the transaction of a group is synced, the bytes of the next such ones are
// appended and synced.
type committer struct {
	d          *Driver
	db         *sql.DB
	walPath    string
	lock       *lockFile                 // between processes
	bodies     chan *request             // that bring bytes for a pack
	small      chan *request             // that bring few, or none
	turn       chan struct{}             // holds a token when the next group may be appended
	appended   chan *group               // whose bytes are durable; closed when no more come
	stopped    chan struct{}             // closed when nobody answers requests any more
	syncing    atomic.Bool               // appendBodies has a group that run has not
	large      appender                  // of appendBodies
	few        appender                  // of run
	owes       atomic.Bool               // only rows of redo keep some of a pack
	lookedAt   atomic.Pointer[time.Time] // when lookForOthers was last called
	othersAt   atomic.Pointer[time.Time] // and when it last found something
	sealing    []*pack                   // to be marked sealed in the next transaction
	commits    atomic.Int64              // transactions so far
	torn       sync.Map                  // names of packs of this process that are to be replayed
	hurt       bool                      // there is a new one; of run
	redoWarned sync.Map                  // what of redo was warned of
	arrived    map[int64]time.Time       // what this process has last written of buckets into which something came; of run

	mu      sync.Mutex // guards what follows
	conn    *sql.Conn
	st      writeStatements
	ownXorb int64            // the last row of a xorb that this process has inserted or seen
	walNext int64            // size of the write-ahead log at which it is cut back
	buckets map[string]int64 // ids found in the transaction under way
}

type writeStatements struct {
	epoch, tellEpoch                  *sql.Stmt
	insertProc, deleteProc            *sql.Stmt
	bucketID, keyInfo, putKey, delKey *sql.Stmt
	countKeys, someKeys, renameKey    *sql.Stmt
	fileByHash, insertFile            *sql.Stmt
	undoomFile, undoomXorbs           *sql.Stmt
	xorbByHash, insertXorb, lastID    *sql.Stmt
	moveXorb, trash, mended           *sql.Stmt
	fileDamaged, moveFile, delRefs    *sql.Stmt
	fileReadable                      *sql.Stmt
	insertRef, putPack, sealPack      *sql.Stmt
	putRedo, delRedo                  *sql.Stmt
	anyUpload, openUpload, doneUpload *sql.Stmt
	putPart, partFiles, delParts      *sql.Stmt
	putUpload, delUpload              *sql.Stmt
	lastPart, arrived                 *sql.Stmt
}

func newCommitter(ctx context.Context, d *Driver, db *sql.DB, lock *lockFile) (*committer, error) {
	c := &committer{
		d: d, db: db, lock: lock, walPath: filepath.Join(d.dir, "catalog.db-wal"),
		bodies: make(chan *request), small: make(chan *request), turn: make(chan struct{}, 1), appended: make(chan *group), stopped: make(chan struct{}),
		walNext: walLimit, arrived: make(map[int64]time.Time),
	}
	c.large.d, c.few.d, c.few.redo = d, d, true
	c.turn <- struct{}{}
	var err error
	if c.conn, err = db.Conn(ctx); err != nil {
		return nil, errors.Join(sqlError(err), db.Close(), lock.close())
	}
	err = prepare(ctx, c.conn, c.queries())
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *committer) queries() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&c.st.epoch:      `SELECT m.epoch, p.epoch FROM meta m, procs p WHERE p.id = ? AND p.epoch <> 0`,
		&c.st.tellEpoch:  `UPDATE procs SET epoch = ? WHERE id = ?`,
		&c.st.insertProc: `INSERT INTO procs (epoch) VALUES (?)`,
		&c.st.deleteProc: `DELETE FROM procs WHERE id = ?`,
		&c.st.bucketID:   `SELECT id FROM buckets WHERE name = ?`,
		&c.st.keyInfo:    `SELECT info FROM keys WHERE bucket = ? AND key = ? AND version = 0`,
		&c.st.delKey:     `DELETE FROM keys WHERE bucket = ? AND key = ? AND version = 0`,
		&c.st.countKeys: `SELECT count(*), coalesce(max(length(key)), 0) FROM
			(SELECT key FROM keys WHERE bucket = ? AND key >= ? AND key < ? AND version = 0 LIMIT ?)`,
		&c.st.someKeys:   `SELECT key, info FROM keys WHERE bucket = ? AND key >= ? AND key < ? AND version = 0 ORDER BY key LIMIT ?`,
		&c.st.renameKey:  `UPDATE OR REPLACE keys SET bucket = ?, key = ?, info = ? WHERE bucket = ? AND key = ? AND version = 0`,
		&c.st.fileByHash: `SELECT id, size, doomed <> 0 FROM files WHERE hash = ?`,
		&c.st.insertFile: `INSERT INTO files (hash, size, terms) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
		&c.st.undoomFile: `UPDATE files SET doomed = 0 WHERE id = ?`,
		&c.st.undoomXorbs: `UPDATE xorbs SET doomed = 0
			WHERE doomed <> 0 AND id IN (SELECT xorb FROM refs WHERE file = ?)`,
		&c.st.xorbByHash: `SELECT id, doomed <> 0, id IN (SELECT xorb FROM damaged) FROM xorbs WHERE hash = ?`,
		&c.st.lastID:     lastIDQuery,
		&c.st.insertXorb: `INSERT INTO xorbs (hash, file, off, len, chunks, raw) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (hash) DO NOTHING`,
		&c.st.insertRef: `INSERT INTO refs (xorb, file) VALUES (?, ?)`,
		&c.st.putKey: `INSERT INTO keys (bucket, key, version, file, info) VALUES (?, ?, 0, ?, ?)
			ON CONFLICT (bucket, key, version) DO UPDATE SET file = excluded.file, info = excluded.info`,
		&c.st.putPack: `INSERT INTO packs (file, proc, sealed, size) VALUES (?, ?, 0, ?)
			ON CONFLICT (file) DO UPDATE SET size = excluded.size`,
		&c.st.sealPack: `UPDATE packs SET sealed = 1 WHERE file = ?`,
		&c.st.putRedo:  `INSERT INTO redo (file, off, sum, bytes) VALUES (?, ?, ?, ?)`,
		&c.st.delRedo:  `DELETE FROM redo WHERE file = ?`,

		&c.st.moveXorb: `UPDATE xorbs SET file = ?, off = ?, len = ?, packed = 0 WHERE id = ?`,
		&c.st.trash: `INSERT INTO trash (file, epoch) SELECT file, ?1 FROM xorbs
			WHERE id = ?2 AND file NOT IN (SELECT file FROM packs) ON CONFLICT (file) DO NOTHING`,
		&c.st.mended:      `DELETE FROM damaged WHERE xorb = ?`,
		&c.st.fileDamaged: `SELECT EXISTS (SELECT 1 FROM damaged d JOIN refs r ON r.xorb = d.xorb WHERE r.file = ?)`,
		&c.st.fileReadable: `SELECT (SELECT count(*) FROM refs WHERE file = ?1) = (SELECT count(*) FROM refs r
			JOIN xorbs x ON x.id = r.xorb JOIN xorbs y ON y.hash = x.hash WHERE r.file = ?1 AND y.len > 0)`,
		&c.st.moveFile: `UPDATE files SET size = ?, terms = ? WHERE id = ?`,
		&c.st.delRefs:  `DELETE FROM refs WHERE file = ?`,

		&c.st.anyUpload:  `SELECT ` + uploadColumns + ` FROM uploads u JOIN buckets b ON b.id = u.bucket WHERE u.id = ?`,
		&c.st.openUpload: `SELECT ` + uploadColumns + ` FROM uploads u JOIN buckets b ON b.id = u.bucket WHERE u.id = ? AND u.done = 0`,
		&c.st.doneUpload: `UPDATE uploads SET done = 1, info = ? WHERE id = ?`,
		&c.st.putPart:    `INSERT OR REPLACE INTO parts (upload, number, file, info) VALUES (?, ?, ?, ?)`,
		&c.st.partFiles: `SELECT p.number, f.hash FROM parts p LEFT JOIN files f ON f.id = p.file
			WHERE p.upload = ? ORDER BY p.number`,
		&c.st.putUpload: `INSERT INTO uploads (id, bucket, key, created, done, info) VALUES (?, ?, ?, ?, 0, ?)`,
		&c.st.delUpload: `DELETE FROM uploads WHERE id = ?`,
		&c.st.delParts:  `DELETE FROM parts WHERE upload = ?`,
		&c.st.arrived:   `UPDATE buckets SET arrived = ? WHERE id = ?`,
		&c.st.lastPart:  `SELECT number, info FROM parts WHERE upload = ? ORDER BY id DESC LIMIT 1`,
	}
}

// close closes the connection, the database and the lock. SQLite keeps all of them open under statements that are not closed.
func (c *committer) close() error {
	var errs []error
	for stmt := range c.queries() {
		if *stmt != nil {
			errs = append(errs, (*stmt).Close())
		}
	}
	return errors.Join(append(errs, c.conn.Close(), c.db.Close(), c.lock.close())...)
}

// tx runs f in a transaction under the lock that processes share. An error of f or of anything before COMMIT leaves
// nothing; an error of COMMIT is an errUnsure.
func (c *committer) tx(ctx context.Context, f func(ctx context.Context) error) (err error) {
	if err := live(ctx); err != nil {
		return err
	}
	ctx = brief(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.lock.lock(); err != nil {
		return err
	}
	defer func() {
		if uerr := c.lock.unlock(); uerr != nil {
			err = errors.Join(err, fmt.Errorf("%w: %w", errUnsure, uerr))
		}
	}()
	if err := c.d.fs.reach("begin"); err != nil {
		return err
	}
	c.buckets = make(map[string]int64)
	if _, err := c.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("catalog.db: %w", sqlError(err))
	}
	if err = f(ctx); err == nil {
		err = c.d.fs.reach("commit")
	}
	if err != nil {
		return c.rollback(ctx, sqlError(err))
	}
	_, err = c.conn.ExecContext(ctx, "COMMIT")
	if err == nil {
		err = c.d.fs.reach("committed")
	}
	if err != nil {
		return c.rollback(ctx, fmt.Errorf("%w: %w", errUnsure, sqlError(err)))
	}
	c.commits.Add(1)
	c.truncate(ctx)
	return nil
}

// txAgain is tx for an f that may ask for another one, with errAgain.
func (c *committer) txAgain(ctx context.Context, f func(ctx context.Context) error) error {
	err := errAgain
	for errors.Is(err, errAgain) {
		err = c.tx(brief(ctx), f)
	}
	return err
}

func (c *committer) rollback(ctx context.Context, err error) error {
	// SQLite rolls some failures back by itself; a second time is an error that says nothing new.
	_, _ = c.conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// truncate cuts the write-ahead log back when it has grown, so that neither it nor the time to recover it grows for ever.
// The transaction before has lasted whatever comes of it. It waits for readers as long as a page takes, and no longer,
// because everybody waits for it: without any patience the log would never be cut under readers that come one after the
// other. When some stay in the way, it tries again when the log has grown some more.
func (c *committer) truncate(ctx context.Context) {
	st, err := os.Stat(c.walPath)
	if err != nil || st.Size() < c.walNext {
		return
	}
	c.walNext = max(walLimit, st.Size()+walAgain)
	if _, err := c.conn.ExecContext(ctx, "PRAGMA busy_timeout = "+cutTimeout); err != nil {
		return
	}
	busy, log, done := 1, 0, 0
	err = c.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done)
	if err == nil && busy == 0 {
		c.walNext = walLimit
	}
	_, _ = c.conn.ExecContext(ctx, "PRAGMA busy_timeout = "+busyTimeout) // if it fails, turns are taken with less patience
}

// cutLog cuts the write-ahead log back whatever its size, so that what a quiet store was last told does not lie in the log for
// ever.
func (c *committer) cutLog(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.lock.lock(); err != nil {
		return
	}
	c.walNext = 1
	c.truncate(ctx)
	c.walNext = max(c.walNext, walLimit)
	_ = c.lock.unlock() // what fails here fails again with the next commit, and is told there
}

// sealPacks marks the packs that were sealed since. What of one may not be durable stays in redo until it is replayed.
func (c *committer) sealPacks(ctx context.Context) error {
	for _, p := range c.sealing {
		if _, err := c.st.sealPack.ExecContext(ctx, p.name); err != nil {
			return err
		}
		if err := c.dropRedo(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
