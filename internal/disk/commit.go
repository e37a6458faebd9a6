package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

const (
	// groupRequests and groupBytes bound what is committed together.
	groupRequests = 256
	groupBytes    = 32 << 20
	// walLimit is the size at which a write-ahead log is cut back to nothing.
	walLimit = 64 << 20
)

var (
	// errUnsure marks a commit that may or may not have lasted.
	errUnsure = errors.New("the outcome of the commit is unknown")
	// errStopped is returned by a store that is being closed.
	errStopped = errors.New("the store is closed")
)

// request is one session's commit.
type request struct {
	sess    *session
	changes []object.Change
	done    chan struct{} // closed when err is set
	err     error
	plan    *plan
}

// bytes returns how much the request brings that is not durable yet.
func (r *request) bytes() int {
	n := 0
	for _, x := range r.sess.staged {
		if !x.own && x.at.file == "" {
			n += len(x.body)
		}
	}
	return n
}

// committer makes all transactions that write the catalog. Commits that come at the same time share one sync of a pack
// and one transaction.
type committer struct {
	d       *Driver
	db      *sql.DB
	walPath string
	lock    *lockFile // between processes
	queue   chan *request
	stopped chan struct{}
	held    *request // received, but too late or too much for the group that was being made
	packs   packs    // for run alone

	mu   sync.Mutex // guards conn and its statements
	conn *sql.Conn
	st   writeStatements
}

type writeStatements struct {
	epoch, tellEpoch                  *sql.Stmt
	insertProc, deleteProc            *sql.Stmt
	bucketID, keyInfo, putKey, delKey *sql.Stmt
	fileByHash, insertFile            *sql.Stmt
	undoomFile, undoomXorbs           *sql.Stmt
	xorbByHash, insertXorb            *sql.Stmt
	insertRef, putPack, sealPack      *sql.Stmt
}

func newCommitter(ctx context.Context, d *Driver, db *sql.DB, lock *lockFile) (*committer, error) {
	c := &committer{
		d: d, db: db, lock: lock, walPath: filepath.Join(d.dir, "catalog.db-wal"),
		queue: make(chan *request), stopped: make(chan struct{}),
	}
	c.packs.d = d
	var err error
	if c.conn, err = db.Conn(ctx); err != nil {
		return nil, sqlError(err)
	}
	err = prepare(ctx, c.conn, map[**sql.Stmt]string{
		&c.st.epoch:      `SELECT m.epoch, p.epoch FROM meta m, procs p WHERE p.id = ?`,
		&c.st.tellEpoch:  `UPDATE procs SET epoch = ? WHERE id = ?`,
		&c.st.insertProc: `INSERT INTO procs (epoch) VALUES (?)`,
		&c.st.deleteProc: `DELETE FROM procs WHERE id = ?`,
		&c.st.bucketID:   `SELECT id FROM buckets WHERE name = ?`,
		&c.st.keyInfo:    `SELECT info FROM keys WHERE bucket = ? AND key = ? AND version = 0`,
		&c.st.delKey:     `DELETE FROM keys WHERE bucket = ? AND key = ? AND version = 0`,
		&c.st.fileByHash: `SELECT id, size, doomed FROM files WHERE hash = ?`,
		&c.st.insertFile: `INSERT INTO files (hash, size, terms) VALUES (?, ?, ?)`,
		&c.st.undoomFile: `UPDATE files SET doomed = 0 WHERE id = ?`,
		&c.st.undoomXorbs: `UPDATE xorbs SET doomed = 0
			WHERE doomed <> 0 AND id IN (SELECT xorb FROM refs WHERE file = ?)`,
		&c.st.xorbByHash: `SELECT id, doomed FROM xorbs WHERE hash = ?`,
		&c.st.insertXorb: `INSERT INTO xorbs (hash, file, off, len) VALUES (?, ?, ?, ?)`,
		&c.st.insertRef:  `INSERT INTO refs (xorb, file) VALUES (?, ?)`,
		&c.st.putKey: `INSERT INTO keys (bucket, key, version, file, info) VALUES (?, ?, 0, ?, ?)
			ON CONFLICT (bucket, key, version) DO UPDATE SET file = excluded.file, info = excluded.info`,
		&c.st.putPack: `INSERT INTO packs (file, proc, sealed, size) VALUES (?, ?, 0, ?)
			ON CONFLICT (file) DO UPDATE SET size = excluded.size`,
		&c.st.sealPack: `UPDATE packs SET sealed = 1 WHERE file = ?`,
	})
	if err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return c, nil
}

func (c *committer) close() error { return errors.Join(c.conn.Close(), c.db.Close()) }

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
	c.truncate(ctx)
	return nil
}

func (c *committer) rollback(ctx context.Context, err error) error {
	// SQLite rolls some failures back by itself; a second time is an error that says nothing new.
	_, _ = c.conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// truncate cuts the write-ahead log back when it has grown, so that neither it nor the time to recover it grows for ever.
// The transaction before has lasted whatever comes of it; the next one tries again.
func (c *committer) truncate(ctx context.Context) {
	if st, err := os.Stat(c.walPath); err != nil || st.Size() < walLimit {
		return
	}
	var busy, log, done int
	_ = c.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done)
}

// register makes this process known to the catalog: it gets an id that was never used, and holds the lock that shows it
// to be alive before anybody can see the id.
func (c *committer) register(ctx context.Context) (*process, error) {
	p := &process{pins: make(map[int64]int)}
	err := c.tx(ctx, func(ctx context.Context) error {
		if err := c.conn.QueryRowContext(ctx, `SELECT epoch FROM meta`).Scan(&p.epoch); err != nil {
			return err
		}
		return c.newID(ctx, p)
	})
	if err != nil {
		if p.lock != nil {
			err = errors.Join(err, p.lock.Close())
		}
		return nil, fmt.Errorf("register with the store: %w", err)
	}
	return p, nil
}

// newID inserts the row of a process and takes its lock. An id whose lock file exists was given to somebody whom this
// catalog does not know: one that died before it was registered, or one of a newer catalog than this. It is passed over.
func (c *committer) newID(ctx context.Context, p *process) (err error) {
	for {
		if p.id, err = insert(ctx, c.st.insertProc, p.epoch); err != nil {
			return err
		}
		p.lock, err = os.OpenFile(c.d.procLock(p.id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return flock(p.lock, unix.LOCK_EX|unix.LOCK_NB)
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if _, err := c.st.deleteProc.ExecContext(ctx, p.id); err != nil {
			return err
		}
	}
}

func (d *Driver) procLock(id int64) string {
	return filepath.Join(d.dir, "procs", fmt.Sprint(id))
}

// unregister seals the pack and takes this process out of the catalog.
func (c *committer) unregister() error {
	p := c.d.proc
	errs := []error{c.packs.seal()}
	errs = append(errs, c.tx(context.Background(), func(ctx context.Context) error {
		if err := c.sealPacks(ctx); err != nil {
			return err
		}
		if c.d.litter.Load() {
			return nil
		}
		_, err := c.st.deleteProc.ExecContext(ctx, p.id)
		return errors.Join(err, os.Remove(p.lock.Name()))
	}))
	return errors.Join(append(errs, p.lock.Close())...)
}

// sealPacks marks the packs that were sealed since.
func (c *committer) sealPacks(ctx context.Context) error {
	for _, name := range c.packs.sealing {
		if _, err := c.st.sealPack.ExecContext(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// tick tells the catalog how far this process is, when that has changed. An error is left to the next tick or commit.
func (c *committer) tick(ctx context.Context) {
	p := c.d.proc
	var epoch, told int64
	if err := c.d.reads.epoch.QueryRowContext(brief(ctx), p.id).Scan(&epoch, &told); err != nil {
		return
	}
	if p.past(epoch) == told {
		return
	}
	_ = c.tx(ctx, c.tellEpoch)
}

// tellEpoch brings procs.epoch up to date in the transaction under way. A process that the catalog does not know must not
// write: others take its files for garbage.
func (c *committer) tellEpoch(ctx context.Context) error {
	p := c.d.proc
	var epoch, told int64
	if err := c.st.epoch.QueryRowContext(ctx, p.id).Scan(&epoch, &told); err != nil {
		return fmt.Errorf("process %d in the catalog: %w", p.id, err)
	}
	past := p.past(epoch)
	if past == told {
		return nil
	}
	_, err := c.st.tellEpoch.ExecContext(ctx, past, p.id)
	return err
}

// submit commits a request and waits for the outcome.
func (c *committer) submit(ctx context.Context, r *request) error {
	if err := live(ctx); err != nil { // select would toss a coin
		return err
	}
	r.done = make(chan struct{})
	select {
	case c.queue <- r:
	case <-c.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	<-r.done // from here on it is decided by the disk, not by ctx
	return r.err
}

// run commits what is submitted until ctx ends.
func (c *committer) run(ctx context.Context) {
	defer close(c.stopped)
	for {
		group := c.first(ctx)
		if group == nil {
			return
		}
		group = c.more(group, groupBytes-group[0].bytes())
		c.commit(ctx, group)
	}
}

// first waits for a request; nil when ctx ends.
func (c *committer) first(ctx context.Context) []*request {
	if r := c.held; r != nil {
		c.held = nil
		return []*request{r}
	}
	select {
	case r := <-c.queue:
		return []*request{r}
	case <-ctx.Done():
		return nil
	}
}

// more adds requests that are waiting, as long as they bring no more bytes than there is room for. One that brings more
// is held for the next group.
func (c *committer) more(group []*request, room int) []*request {
	for c.held == nil && len(group) < groupRequests {
		select {
		case r := <-c.queue:
			n := r.bytes()
			if n > max(room, 0) {
				c.held = r
				return group
			}
			room -= n
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

// commit makes a group durable: bytes, then one transaction of rows and keys. It answers all of the group, and those who
// joined late.
func (c *committer) commit(ctx context.Context, group []*request) {
	c.appendBytes(group)
	group = c.more(group, 0) // who joins now must bring no bytes
	err := c.tx(brief(ctx), func(ctx context.Context) error {
		for _, r := range group {
			if r.err != nil {
				continue
			}
			if r.plan, r.err = c.planFor(ctx, r); r.err != nil {
				continue
			}
			if err := c.write(ctx, r.plan); err != nil {
				return err
			}
		}
		if cur := c.packs.cur; cur != nil {
			if _, err := c.st.putPack.ExecContext(ctx, cur.name, c.d.proc.id, cur.size); err != nil {
				return err
			}
		}
		if err := c.sealPacks(ctx); err != nil {
			return err
		}
		return c.tellEpoch(ctx)
	})
	if err == nil {
		c.packs.sealing = c.packs.sealing[:0]
	} else {
		err = c.packs.fail(err)
	}
	for _, r := range group {
		if r.err == nil {
			r.err = err
		}
		if r.err == nil {
			c.d.landed(r.plan)
		}
		close(r.done)
	}
}

// appendBytes puts the small xorbs of a group into the pack, with one write and one sync. An error is that of the requests
// that brought some.
func (c *committer) appendBytes(group []*request) {
	var body []byte
	var xorbs []*stagedXorb
	for _, r := range group {
		for _, x := range r.sess.staged {
			if x.own || x.at.file != "" {
				continue
			}
			x.at = place{off: int64(len(body)), len: int64(len(x.body))}
			body = append(body, x.body...)
			xorbs = append(xorbs, x)
		}
	}
	if len(xorbs) == 0 {
		return
	}
	name, off, err := c.packs.append(body)
	for _, x := range xorbs {
		x.at.file = name // empty on an error: it lies nowhere
		x.at.off += off
	}
	if err != nil {
		for _, r := range group {
			if r.bytes() > 0 {
				r.err = err
			}
		}
	}
}
