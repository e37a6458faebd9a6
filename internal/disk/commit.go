package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

const (
	// groupRequests and groupBytes bound what is committed together.
	groupRequests = 256
	groupBytes    = 32 << 20
	// keepBody is how large a buffer may be that is kept for the next group.
	keepBody = 2 << 20
	// othersFresh is for how long what another process has stored may not be in the index yet, and othersLook for how long
	// it is believed that there is no such process.
	othersFresh = 2 * time.Second
	othersLook  = 10 * time.Millisecond
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
		if x.forPack() {
			n += len(x.body)
		}
	}
	return n
}

// adds says whether the request makes a key name something.
func (r *request) adds() bool {
	return slices.ContainsFunc(r.changes, func(ch object.Change) bool { return ch.New != nil })
}

// committer makes all transactions that write the catalog. Commits that come at the same time share one sync of a pack and
// one transaction. While the transaction of one group is synced, the bytes of the next are appended and synced.
type committer struct {
	d        *Driver
	db       *sql.DB
	walPath  string
	lock     *lockFile     // between processes
	bodies   chan *request // that bring bytes for a pack
	plain    chan *request // that bring none
	turn     chan struct{} // holds a token when the next group may be appended
	appended chan *group   // whose bytes are durable; closed when no more come
	stopped  chan struct{} // closed when nobody answers requests any more
	packs    packs
	body     []byte                    // of the group before, to be used again; of appendBodies
	lookedAt atomic.Pointer[time.Time] // when lookForOthers was last called
	othersAt atomic.Pointer[time.Time] // and when it last found something
	sealing  []string                  // packs to be marked sealed in the next transaction

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
	fileByHash, insertFile            *sql.Stmt
	undoomFile, undoomXorbs           *sql.Stmt
	xorbByHash, insertXorb, lastXorb  *sql.Stmt
	moveXorb, trash, mended           *sql.Stmt
	fileDamaged, moveFile, delRefs    *sql.Stmt
	insertRef, putPack, sealPack      *sql.Stmt
}

func newCommitter(ctx context.Context, d *Driver, db *sql.DB, lock *lockFile) (*committer, error) {
	c := &committer{
		d: d, db: db, lock: lock, walPath: filepath.Join(d.dir, "catalog.db-wal"),
		bodies: make(chan *request), plain: make(chan *request), turn: make(chan struct{}, 1), appended: make(chan *group), stopped: make(chan struct{}),
		walNext: walLimit,
	}
	c.packs.d = d
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
		&c.st.epoch:      `SELECT m.epoch, p.epoch FROM meta m, procs p WHERE p.id = ?`,
		&c.st.tellEpoch:  `UPDATE procs SET epoch = ? WHERE id = ?`,
		&c.st.insertProc: `INSERT INTO procs (epoch) VALUES (?)`,
		&c.st.deleteProc: `DELETE FROM procs WHERE id = ?`,
		&c.st.bucketID:   `SELECT id FROM buckets WHERE name = ?`,
		&c.st.keyInfo:    `SELECT info FROM keys WHERE bucket = ? AND key = ? AND version = 0`,
		&c.st.delKey:     `DELETE FROM keys WHERE bucket = ? AND key = ? AND version = 0`,
		&c.st.fileByHash: `SELECT id, size, doomed <> 0 FROM files WHERE hash = ?`,
		&c.st.insertFile: `INSERT INTO files (hash, size, terms) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
		&c.st.undoomFile: `UPDATE files SET doomed = 0 WHERE id = ?`,
		&c.st.undoomXorbs: `UPDATE xorbs SET doomed = 0
			WHERE doomed <> 0 AND id IN (SELECT xorb FROM refs WHERE file = ?)`,
		&c.st.xorbByHash: `SELECT id, doomed <> 0, id IN (SELECT xorb FROM damaged) FROM xorbs WHERE hash = ?`,
		&c.st.lastXorb:   `SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'xorbs'`,
		&c.st.insertXorb: `INSERT INTO xorbs (hash, file, off, len) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
		&c.st.insertRef:  `INSERT INTO refs (xorb, file) VALUES (?, ?)`,
		&c.st.putKey: `INSERT INTO keys (bucket, key, version, file, info) VALUES (?, ?, 0, ?, ?)
			ON CONFLICT (bucket, key, version) DO UPDATE SET file = excluded.file, info = excluded.info`,
		&c.st.putPack: `INSERT INTO packs (file, proc, sealed, size) VALUES (?, ?, 0, ?)
			ON CONFLICT (file) DO UPDATE SET size = excluded.size`,
		&c.st.sealPack: `UPDATE packs SET sealed = 1 WHERE file = ?`,

		&c.st.moveXorb: `UPDATE xorbs SET file = ?, off = ?, len = ? WHERE id = ?`,
		&c.st.trash: `INSERT INTO trash (file, epoch) SELECT file, ?1 FROM xorbs
			WHERE id = ?2 AND file NOT IN (SELECT file FROM packs) ON CONFLICT (file) DO NOTHING`,
		&c.st.mended:      `DELETE FROM damaged WHERE xorb = ?`,
		&c.st.fileDamaged: `SELECT EXISTS (SELECT 1 FROM damaged d JOIN refs r ON r.xorb = d.xorb WHERE r.file = ?)`,
		&c.st.moveFile:    `UPDATE files SET size = ?, terms = ? WHERE id = ?`,
		&c.st.delRefs:     `DELETE FROM refs WHERE file = ?`,
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
	c.truncate(ctx)
	return nil
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

// sealPacks marks the packs that were sealed since.
func (c *committer) sealPacks(ctx context.Context) error {
	for _, name := range c.sealing {
		if _, err := c.st.sealPack.ExecContext(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// submit commits a request and waits for the outcome.
func (c *committer) submit(ctx context.Context, r *request) error {
	if err := live(ctx); err != nil { // select would toss a coin
		return err
	}
	r.done = make(chan struct{})
	queue := c.plain
	if r.bytes() > 0 {
		queue = c.bodies
	}
	select {
	case queue <- r:
	case <-c.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	<-r.done // from here on it is decided by the disk, not by ctx
	return r.err
}

// group is what is committed together.
type group struct {
	requests []*request
	pack     *pack   // that it was appended to; nil when it brought no bytes
	size     int64   // of the pack then
	sealed   []*pack // that were ended before
}

// appendBodies makes groups of what is submitted and brings bytes, and makes the bytes durable, until ctx ends. It begins when
// the transaction of the group before is about to be synced: both syncs then take one time, and groups are as large as can be.
func (c *committer) appendBodies(ctx context.Context) {
	defer close(c.appended)
	for {
		var first *request
		select {
		case first = <-c.bodies:
		case <-ctx.Done():
			return
		}
		<-c.turn
		g := &group{requests: gather(first, c.bodies)}
		c.appendBytes(ctx, g)
		c.appended <- g
	}
}

// yield lets the next group be appended.
func (c *committer) yield() {
	select {
	case c.turn <- struct{}{}:
	default: // it may already
	}
}

// gather adds to a request those that are waiting, within bounds.
func gather(r *request, queue <-chan *request) []*request {
	out, n := []*request{r}, r.bytes()
	for len(out) < groupRequests && n < groupBytes {
		select {
		case r := <-queue:
			out = append(out, r)
			n += r.bytes()
		default:
			return out
		}
	}
	return out
}

// run commits groups, and what brings no bytes, until no more come.
func (c *committer) run(ctx context.Context) {
	defer close(c.stopped)
	for {
		c.yield()
		var g *group
		var more bool
		select {
		case g, more = <-c.appended:
			if !more {
				return
			}
		case r := <-c.plain:
			g = &group{requests: gather(r, c.plain)}
		}
		c.commit(ctx, g)
	}
}

// commit makes one transaction of a group's rows and keys, and answers all of it.
func (c *committer) commit(ctx context.Context, g *group) {
	c.retire(g.sealed)
	noRoom := c.d.room(0)
	err := errAgain
	for errors.Is(err, errAgain) {
		err = c.tx(brief(ctx), func(ctx context.Context) error { return c.writeGroup(ctx, g, noRoom) })
	}
	unsure := errors.Is(err, errUnsure)
	if g.pack != nil && (err == nil || unsure) {
		g.pack.named = true
	}
	if err == nil {
		c.sealing = c.sealing[:0]
	} else {
		c.packs.doubt.Store(true)
		if unsure {
			c.d.litter.Store(true) // a pack that no row names
		}
		err = ioError(err)
	}
	c.answer(g, err)
}

// writeGroup writes a group's rows in the transaction under way. A request that fails is left out. When it failed on a damaged
// page, SQLite may have rolled the transaction back: the others then begin again, without it.
func (c *committer) writeGroup(ctx context.Context, g *group, noRoom error) error {
	if err := c.lookForOthers(ctx); err != nil {
		return err
	}
	var last int64 // row of a xorb
	for _, r := range g.requests {
		if r.err == nil && noRoom != nil && r.adds() {
			r.err = noRoom // rows take room, too; what is kept free is for deletions
		}
		if r.err != nil {
			continue
		}
		var fromSQLite *sqlite.Error
		if r.plan, r.err = c.planFor(ctx, r); errors.As(r.err, &fromSQLite) {
			return errAgain
		}
		if r.err != nil {
			continue
		}
		err := sqlError(c.write(ctx, r.plan))
		if errors.Is(err, object.ErrCorrupt) {
			r.err = err
			return errAgain
		}
		if err != nil {
			return err
		}
		last = max(last, r.plan.last())
	}
	if g.pack != nil {
		if _, err := c.st.putPack.ExecContext(ctx, g.pack.name, c.d.proc.id, g.size); err != nil {
			return err
		}
	}
	if err := c.sealPacks(ctx); err != nil {
		return err
	}
	if err := c.tellEpoch(ctx); err != nil {
		return err
	}
	c.ownXorb = max(last, c.ownXorb)
	c.yield()
	return nil
}

// lookForOthers takes note in the transaction under way of whether another process has stored something.
func (c *committer) lookForOthers(ctx context.Context) error {
	var last int64
	if err := c.st.lastXorb.QueryRowContext(ctx).Scan(&last); err != nil {
		return err
	}
	now := time.Now()
	if last != c.ownXorb {
		c.ownXorb = last
		c.othersAt.Store(&now)
	}
	c.lookedAt.Store(&now)
	return nil
}

// others says whether another process may have stored something that is not in the index yet. It does not ask the catalog for
// that while transactions come one after the other: reading after each of them is expensive.
func (c *committer) others() bool {
	looked, at := c.lookedAt.Load(), c.othersAt.Load()
	return looked == nil || time.Since(*looked) > othersLook || at != nil && time.Since(*at) < othersFresh
}

// retire takes over packs that were ended. One that no row can name is removed at once: a full disk must not be filled up by
// attempts. The others are marked with the next transaction.
func (c *committer) retire(sealed []*pack) {
	for _, p := range sealed {
		if p.named {
			c.sealing = append(c.sealing, p.name)
		} else if c.d.remove(p.name) != nil {
			c.d.litter.Store(true)
		}
	}
}

// answer tells each request of a group what came of it.
func (c *committer) answer(g *group, err error) {
	for _, r := range g.requests {
		if r.err == nil {
			r.err = err
		}
		if r.err == nil {
			c.d.landed(r.plan)
		}
		close(r.done)
	}
	var last int64
	for _, r := range g.requests {
		if r.err == nil {
			c.d.remember(r.plan)
			last = max(last, r.plan.last())
		}
	}
	c.d.index.note(last)
}

// appendBytes puts the small xorbs of a group into the pack, with one write and one sync. An error is that of the requests
// that brought some.
func (c *committer) appendBytes(ctx context.Context, g *group) {
	c.spare(ctx, g)
	body := c.body[:0]
	var xorbs []*stagedXorb
	placed := make(map[xet.Hash]place)
	for _, r := range g.requests {
		for _, x := range r.sess.staged {
			if !x.forPack() {
				continue
			}
			at, ok := placed[x.hash]
			if !ok {
				at = place{off: int64(len(body)), len: int64(len(x.body))}
				placed[x.hash] = at
				body = append(body, x.body...)
			}
			x.at = at
			xorbs = append(xorbs, x)
		}
	}
	if len(xorbs) == 0 {
		return
	}
	off, err := c.packs.append(g, body)
	if c.body = body; cap(body) > keepBody {
		c.body = nil
	}
	for _, x := range xorbs {
		if err == nil {
			x.at.file = g.pack.name
			x.at.off += off
		}
	}
	if err != nil {
		for _, r := range g.requests {
			if r.bytes() > 0 {
				r.err = err
			}
		}
	}
}

// spare keeps out of the pack what only files need that are stored already: another process may have stored the same content
// just now, and the index does not know its chunks yet. The sessions' pins keep those files.
func (c *committer) spare(ctx context.Context, g *group) {
	if !c.others() {
		return
	}
	var files []xet.Hash
	for _, r := range g.requests {
		files = slices.AppendSeq(files, maps.Keys(r.sess.files))
	}
	whole, err := c.d.wholeFiles(ctx, files)
	if err != nil {
		whole = nil // it only saves space
	}
	for _, r := range g.requests {
		r.sess.spare(whole)
	}
}
