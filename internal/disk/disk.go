package disk

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hugbucket/internal/object"
)

// Options of a store. The zero value is ready to use.
type Options struct {
	// MinFree is how many bytes of the file system are kept free, so that deletions can always commit; 0 means 1 % of it,
	// at most 2 GiB.
	MinFree int64
	// Warn is told, in words, what somebody should know who is in charge: damage, and with it the objects that it hurts. It may be
	// called by several goroutines at once. Nil means nobody.
	Warn func(text string)
	// Existing keeps Open from creating a store: one that is missing is an error, an fs.ErrNotExist.
	Existing bool
	// Quiet is for tools that only look: nothing is swept and nothing is indexed.
	Quiet bool

	fs       fsys                   // for tests; the directory when nil
	vfs      string                 // for tests; sums when empty
	packSize int64                  // for tests; packSize when 0
	redoKept int64                  // for tests; redoKept when 0
	fsKind   func(dir string) int64 // for tests; fsKind when nil
	idle     bool                   // for tests; nothing is done by the clock: no sweep, no tick, no index
}

const (
	// readers is how many connections read the catalog at once.
	readers = 4
	// How many KiB of SQLite's pages a connection keeps. In a catalog of 10^7 keys the inner pages alone take 13 MiB.
	writeCacheKiB   = 16 << 10
	catalogCacheKiB = 8 << 10
	indexCacheKiB   = 2 << 10
	// tick is how often a process looks whether the epoch has moved on.
	tick = time.Second
	// sweepEvery is how many ticks pass between two looks for processes that died.
	sweepEvery = 60
)

// Driver is an open store. It implements object.Driver.
type Driver struct {
	dir   string
	fs    fsys
	now   func() time.Time
	vfs   string            // under SQLite
	warn  func(text string) // of Options, never nil
	floor int64
	pack  int64 // size at which packs are sealed
	// mayWait is how much of a pack may be waiting for its sync.
	mayWait int64

	catalog uint64 // inode of catalog.db

	reads  *readPool // of catalog.db
	proc   *process
	index  *index
	commit *committer
	xorbs  *xorbCache
	files  *fileCache
	sound  soundChunks

	remembered  atomic.Int64 // chunks that sessions remember of xorbs that they have staged
	mayRemember int64        // how many that should be: rememberAll

	sweeping sync.Mutex // one sweep at a time
	buckets  sync.Map   // names of buckets that were there when somebody last looked
	damaged  sync.Map   // xet.Hash of xorbs whose damage is in the catalog

	// litter is set when files of this process may lie about that no row names. It then leaves its row in the catalog, so
	// that they are swept as those of a process that died.
	litter atomic.Bool
	left   sync.Map // directories that files of this process have left; they are synced before its row goes

	stop      context.CancelFunc // ends the goroutines of bg
	bg        sync.WaitGroup
	stopIndex context.CancelFunc // ends indexing, once nothing is committed any more
	indexing  sync.WaitGroup
	once      sync.Once
	err       error // of Close
}

var _ object.Driver = (*Driver)(nil)

// Open opens the store in dir, and creates it if there is none. Several processes may have it open. It refuses network
// file systems, directories that it cannot write to, stores of a newer format, and content without a catalog. What is
// refused stays as it is.
func Open(ctx context.Context, dir string, opts Options) (*Driver, error) {
	d, err := open(ctx, dir, opts)
	if errors.Is(err, object.ErrCorrupt) { // of catalog.db: index.db is made anew
		return nil, fmt.Errorf("open store %s: %w: %s", dir, err, mendCatalog)
	}
	if errors.Is(err, object.ErrNoSpace) {
		return nil, fmt.Errorf("open store %s: make room on its file system: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return d, nil
}

func open(ctx context.Context, dir string, opts Options) (_ *Driver, err error) {
	kind := opts.fsKind
	if kind == nil {
		kind = fsKind
	}
	if err := refuse(dir, kind(dir)); err != nil {
		return nil, err
	}
	if opts.Existing {
		if _, err := os.Stat(filepath.Join(dir, "catalog.db")); err != nil {
			return nil, fmt.Errorf("there is no store: %w", err)
		}
	}
	d := &Driver{
		dir: dir, fs: opts.fs, now: time.Now, vfs: cmp.Or(opts.vfs, sums), floor: opts.MinFree, pack: cmp.Or(opts.packSize, packSize),
		mayWait:     cmp.Or(opts.redoKept, redoKept),
		mayRemember: rememberAll,
	}
	if d.fs == nil {
		d.fs = osFS(dir)
	}
	if err := makeDirs(dir, d.fs); err != nil {
		return nil, ioError(err)
	}
	if d.warn = opts.Warn; d.warn == nil {
		d.warn = func(string) {}
	}
	if d.floor == 0 {
		_, size, err := d.fs.free()
		if err != nil {
			return nil, err
		}
		d.floor = object.KeptFree(size)
	}
	var undo []func() error
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(undo) {
				err = errors.Join(err, f())
			}
		}
	}()
	commitLock, err := openLock(filepath.Join(dir, "commit.lock"))
	if err != nil {
		return nil, ioError(err)
	}
	catalog, err := d.openCatalog(ctx, commitLock)
	if err != nil {
		return nil, errors.Join(err, commitLock.close())
	}
	if d.commit, err = newCommitter(ctx, d, catalog, commitLock); err != nil {
		return nil, err
	}
	undo = append(undo, d.commit.close)
	if d.reads, err = openReadPool(ctx, d.catalogDB()); err != nil {
		return nil, err
	}
	undo = append(undo, d.reads.close)
	if err := d.commit.replay(ctx); errors.Is(err, object.ErrNoSpace) {
		return nil, fmt.Errorf("what a power cut may have taken is to be written again: %w", err)
	} else if err != nil {
		return nil, fmt.Errorf("what a power cut may have taken cannot be written again (file-bucketctl rebuild goes on without it): %w", err)
	}
	d.files = newFileCache(d.fs)
	d.sound.now = time.Now
	d.xorbs = newXorbCache()
	if d.index, err = openIndex(ctx, d); err != nil {
		return nil, err
	}
	undo = append(undo, d.index.close)
	if d.proc, err = d.commit.register(ctx); err != nil {
		return nil, err
	}
	d.index.enter(ctx)
	bg, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.bg.Go(func() { d.commit.appendBodies(bg) })
	d.bg.Go(func() { d.commit.run(bg) })
	if !opts.idle {
		d.bg.Go(func() { d.housekeep(bg, !opts.Quiet) })
	}
	if !opts.idle && !opts.Quiet {
		d.bg.Go(func() { d.index.maintain(bg) })
	}
	indexing, stopIndex := context.WithCancel(context.WithoutCancel(ctx))
	d.stopIndex = stopIndex
	d.indexing.Go(func() {
		if opts.idle {
			<-indexing.Done()
		}
		d.index.run(indexing)
	})
	return d, nil
}

// makeDirs makes the store's directories and makes them durable.
func makeDirs(dir string, root fsys) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names := append([]string{"xorbs", "procs"}, contentDirs()...)
	for _, name := range names {
		if err := root.mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return ioError(err)
		}
	}
	// Also when nothing was made: whoever made them may not have come to this.
	for _, name := range []string{"xorbs", ".", "..", "../.."} {
		if err := root.syncDir(name); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err // a parent that cannot be read cannot be synced, and was not made by us
		}
	}
	return nil
}

func (d *Driver) catalogDB() database { return d.database("catalog.db", "FULL") }

// openCatalog opens catalog.db for writing, and creates it.
func (d *Driver) openCatalog(ctx context.Context, lock *lockFile) (_ *sql.DB, err error) {
	if err := lock.lock(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.unlock()) }()
	at := d.catalogDB()
	fresh, err := d.dropForeignLog()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.syncLog(), at.checkLog()); err != nil {
		return nil, err
	}
	if err := at.ensure(); err != nil {
		return nil, err
	}
	db, err := at.open(1, writeCacheKiB)
	if err != nil {
		return nil, err
	}
	if d.catalog, err = inodeOf(at.path); err != nil {
		return nil, errors.Join(ioError(err), db.Close())
	}
	err = prepareDB(ctx, db, "catalog.db", catalogSchema)
	if err == nil && fresh {
		err = d.settleFresh(ctx, db)
	}
	if err == nil {
		err = d.fs.syncDir(".")
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// syncLog makes durable what is in the log of the catalog: SQLite also takes a transaction for committed that a process has written
// and was killed before it synced it. Were that lost in a power cut, and not what is written behind it, it would look like damage.
func (d *Driver) syncLog() error {
	f, err := d.fs.open("catalog.db-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioError(err)
	}
	return ioError(errors.Join(f.sync(), f.Close()))
}

// Close waits for commits under way, writes what the index is behind, and gives everything back. Sessions and contents
// must be closed before.
func (d *Driver) Close() error {
	d.once.Do(func() {
		d.stop()
		d.bg.Wait()
		d.stopIndex()
		d.indexing.Wait()
		d.index.leave(context.Background())
		d.err = errors.Join(
			d.commit.unregister(),
			d.index.close(),
			d.commit.close(),
			d.reads.close(),
			d.files.close(),
		)
	})
	return d.err
}

// remove removes a file of this process that no row names.
func (d *Driver) remove(name string) error {
	d.left.Store(path.Dir(name), true)
	return ioError(d.fs.remove(name))
}

// syncLeft keeps files that were removed from coming again after a power cut, when nobody would know of them any more.
func (d *Driver) syncLeft() error {
	var errs []error
	for dir := range d.left.Range {
		errs = append(errs, d.fs.syncDir(dir.(string))) //nolint:errcheck,forcetypeassert // the map holds nothing else
	}
	return errors.Join(errs...)
}

// housekeep lets collection go on: it tells the catalog when this process is past an epoch, and sweeps after processes
// that died, when it is to sweep.
func (d *Driver) housekeep(ctx context.Context, sweep bool) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for n := 0; ; n++ {
		if n%sweepEvery == 0 && sweep {
			_ = d.commit.settle(ctx) // its rows keep what it could not settle
			d.commit.cutLog(ctx)
			_ = d.sweep(ctx) // what it could not sweep is there the next time
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			d.commit.tick(ctx)
		}
	}
}

// room returns object.ErrNoSpace unless n more bytes fit above the floor.
func (d *Driver) room(n int64) error {
	free, _, err := d.fs.free()
	if err != nil {
		return ioError(err)
	}
	if free-n < d.floor {
		return fmt.Errorf("%w: %d MiB free, %d MiB are kept free", object.ErrNoSpace, free>>20, d.floor>>20)
	}
	return nil
}
