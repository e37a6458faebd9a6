package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// RebuildOptions say what Rebuild makes a catalog from. The zero value takes what the store has.
type RebuildOptions struct {
	// Catalog is the path of a backup, from which comes what the store's own catalog.db does not say: all, when it is gone.
	// Objects that were deleted since come back, when their content is still there. Empty means none.
	Catalog string
	// Adopt is a bucket into which content that no key names is put, with its hash as key; it is made when it is missing.
	// Empty means that such content is only kept.
	Adopt string
	// Verify reads all content. Else only the footers are read, and the content that is adopted.
	Verify bool
	// Progress is told how far it is.
	Progress Progress
	// Orphan is told each piece of content that no key names. Nil means nobody.
	Orphan func(Orphan)
	// LostKey is told each key, as bucket/key, that is in none of the catalogs with content that is there. Nil means nobody.
	LostKey func(string)
	// Report is told what is damaged. Nil means nobody.
	Report func(Problem)

	fs fsys // for tests; the directory when nil
}

// Orphan is content that no key names: a file, or a xorb that no file refers to.
type Orphan struct {
	Hash  xet.Hash // of the file; of a xorb, that which its chunks make in order
	Size  int64    // in bytes
	Place string   // where it, or its first xorb, lies: file+offset
}

// Rebuilt says what there is in a catalog that was rebuilt.
type Rebuilt struct {
	Buckets, Keys, Files, Xorbs int64
	Orphans                     int64 // what Orphan was told
	Lost                        int64 // what LostKey was told
	// Blind says that something of a catalog could not be read, which Report was told, or that there is content and no catalog: keys
	// may be lost that nobody can name.
	Blind bool
	// Aside is where the old catalog is now, relative to the store; empty when there was none.
	Aside string
	// Index is why index.db does not lead to all content; nil when it does. The processes that open the store do the rest, and
	// until then may store again what is stored.
	Index error
}

// keepOrphan is the keep_until of what no key names after a rebuild: what came after the backup, or what a damaged page had
// named. It never ends: such content goes only when somebody asks for that.
const keepOrphan int64 = 1<<62 - 1

// Rebuild makes the catalog of the store in dir anew: places from the xorbs and packs themselves, buckets, keys, files and
// uploads from the store's own catalog.db, as far as it can be read, and then from a backup. A file is taken when its terms
// make its hash with xorbs that are there, a key when its file is. What both catalogs have, the store's own one says.
//
// Nobody may have the store open. The old catalog is never deleted: it is kept beside the new one. It is in place until the
// new one has taken it in one step, whatever happens; then Rebuild can be called again. index.db is put aside, too, and
// a new one filled after that step: what fails from there on, or the end of ctx, is no error, but said by Rebuilt.Index.
func Rebuild(ctx context.Context, dir string, opts RebuildOptions) (Rebuilt, error) {
	done, err := rebuild(ctx, dir, opts)
	if err != nil {
		return Rebuilt{}, fmt.Errorf("rebuild store %s: %w", dir, err)
	}
	return done, nil
}

func rebuild(ctx context.Context, dir string, opts RebuildOptions) (Rebuilt, error) {
	if opts.fs == nil {
		opts.fs = osFS(dir)
	}
	if opts.Report == nil {
		opts.Report = func(Problem) {}
	}
	if opts.Adopt != "" {
		if err := object.ValidBucket(opts.Adopt); err != nil {
			return Rebuilt{}, err
		}
	}
	s := successor{dir: dir, fs: opts.fs}
	done, err := s.replace(ctx, opts)
	if err == nil {
		done.Index = s.fillIndex(ctx, opts)
	}
	return done, err
}

// replace makes the new catalog and puts it in the place of the old one, while nobody has the store open.
func (s successor) replace(ctx context.Context, opts RebuildOptions) (_ Rebuilt, err error) {
	if err := rebuildable(s.dir); err != nil {
		return Rebuilt{}, err
	}
	release, err := keepOut(s.dir, s.fs)
	if err != nil {
		return Rebuilt{}, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := makeDirs(s.dir, s.fs); err != nil {
		return Rebuilt{}, err
	}
	// What a rebuild that was cut short, or somebody who restored by hand, has left beside a fresh catalog is not its log.
	if _, err := (&Driver{dir: s.dir, fs: s.fs}).dropForeignLog(); err != nil {
		return Rebuilt{}, err
	}
	if err := s.clear(); err != nil {
		return Rebuilt{}, err
	}
	done, err := s.build(ctx, opts)
	if err != nil {
		return Rebuilt{}, errors.Join(err, s.clear())
	}
	done.Aside, err = s.succeed()
	return done, err
}

// rebuildable refuses what is no store, and what this program must not write to.
func rebuildable(dir string) error {
	if err := refuseRemote(fsKind(dir)); err != nil {
		return err
	}
	store := false
	for _, name := range []string{"catalog.db", "xorbs", "packs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			store = true
		}
	}
	if !store {
		return fmt.Errorf("there is no store: %w", fs.ErrNotExist)
	}
	version, err := peekFormat(filepath.Join(dir, "catalog.db"))
	if err == nil && version > format {
		return newerFormat("catalog.db", version)
	}
	if err == nil && version > 0 && version < format { // what it names would be lost
		return olderFormat("catalog.db", version)
	}
	if err != nil && !errors.Is(err, errNoDatabase) {
		return err
	}
	return refuseWrite(dir)
}

// keepOut sees that nobody has the store open, and that nobody opens it until release is called.
func keepOut(dir string, root fsys) (release func() error, err error) {
	lock, err := openLock(filepath.Join(dir, "commit.lock"))
	if err != nil {
		return nil, ioError(err)
	}
	free, err := lock.tryLock()
	if err == nil && !free {
		err = errors.New("a process is writing to the store: stop all daemons and tools, then try again")
	}
	if err == nil {
		err = nobodyLives(dir, root)
	}
	if err != nil {
		return nil, errors.Join(err, lock.close())
	}
	still, err := (&Driver{dir: dir}).holdStill(true)
	if err != nil {
		return nil, errors.Join(err, lock.close())
	}
	return func() error { return errors.Join(still(), lock.close()) }, nil
}

// successor is the catalog in the making, and how it takes the place of the old one.
type successor struct {
	dir string
	fs  fsys
}

// successorName is the file of the catalog in the making.
const successorName = "catalog.db.new"

func (s successor) path(name string) string { return filepath.Join(s.dir, name) }

// build makes the new catalog, which is durable then.
func (s successor) build(ctx context.Context, opts RebuildOptions) (done Rebuilt, err error) {
	b, err := newBuilder(ctx, s, opts)
	if err != nil {
		return Rebuilt{}, err
	}
	err = b.all(ctx)
	if err = errors.Join(err, b.close()); err != nil {
		return Rebuilt{}, err
	}
	if _, err := os.Stat(s.path(successorName + "-wal")); err == nil {
		return Rebuilt{}, errors.New("the new catalog was not written to its file")
	}
	f, err := os.OpenFile(s.path(successorName), os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	return b.done, ioError(err)
}

// clear removes what a rebuild that did not come to its end has left.
func (s successor) clear() error {
	errs := []error{database{path: s.path(successorName)}.removeLog()}
	if err := os.Remove(s.path(successorName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	// A second name of the catalog that is still in place.
	old, err := os.Stat(s.path("catalog.db"))
	if err != nil {
		return ioError(errors.Join(errs...))
	}
	for n := 1; ; n++ {
		st, err := os.Stat(s.path(aside("catalog.db", n)))
		if err != nil {
			return ioError(errors.Join(errs...))
		}
		if os.SameFile(old, st) {
			for _, suffix := range []string{"-wal", ""} {
				if err := os.Remove(s.path(aside("catalog.db", n) + suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					errs = append(errs, err)
				}
			}
		}
	}
}

// aside is the nth name for what is put aside.
func aside(name string, n int) string { return fmt.Sprintf("%s.%d.old", name, n) }

// succeed puts the new catalog in the place of the old one, which gets another name. The old log gets one, too: that the new
// catalog is fresh keeps SQLite from playing into it what still lies beside it.
func (s successor) succeed() (name string, err error) {
	n := 1
	for ; ; n++ {
		if _, err := os.Lstat(s.path(aside("catalog.db", n))); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", ioError(err)
		}
	}
	steps := []struct {
		name string
		do   func(from, to string) error
		from string
		to   string
	}{
		{"put index.db aside", move, "index.db", aside("index.db", n)},
		{"put its log aside", move, "index.db-wal", aside("index.db", n) + "-wal"},
		{"forget its shared memory", move, "index.db-shm", aside("index.db", n) + "-shm"},
		{"keep the old log", link, "catalog.db-wal", aside("catalog.db", n) + "-wal"},
		{"keep the old catalog", link, "catalog.db", aside("catalog.db", n)},
		{"sync", s.sync, "", ""},
		{"replace the catalog", os.Rename, successorName, "catalog.db"},
		{"sync", s.sync, "", ""},
		{"remove the old log", remove, "catalog.db-wal", ""},
		{"remove its shared memory", remove, "catalog.db-shm", ""},
		{"sync", s.sync, "", ""},
	}
	for _, step := range steps {
		err := s.fs.reach(step.name)
		if err == nil {
			err = step.do(s.path(step.from), s.path(step.to))
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", step.name, ioError(err))
		}
	}
	if _, err := os.Stat(s.path(aside("catalog.db", n))); err == nil {
		name = aside("catalog.db", n)
	}
	return name, nil
}

func (s successor) sync(string, string) error { return s.fs.syncDir(".") }

// move renames what is there.
func move(from, to string) error { return ignoreMissing(os.Rename(from, to)) }

// link gives a second name to what is there. A log that a rebuild before has left under that name is no use to anybody.
func link(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, unix.EEXIST) {
		err = errors.Join(os.Remove(to), os.Link(from, to))
	}
	return ignoreMissing(err)
}

func remove(name, _ string) error { return ignoreMissing(os.Remove(name)) }

// ignoreMissing makes no error of a file that is not there.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
