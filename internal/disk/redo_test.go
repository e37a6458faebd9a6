package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// redoStore is a store in which objects of 3,000 bytes are kept by rows of redo, and what they are.
type redoStore struct {
	dir  string
	d    *Driver
	want map[string][]byte
}

func newRedoStore(t *testing.T, opts Options) redoStore {
	t.Helper()
	st, s := emptyRedoStore(t, ramDir(t), opts)
	for i := range 12 {
		st.put(t, s, fmt.Sprint("key", i))
	}
	return st
}

func emptyRedoStore(t *testing.T, dir string, opts Options) (redoStore, *object.Store) {
	t.Helper()
	opts.idle = true
	d, err := Open(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return redoStore{dir: dir, d: d, want: make(map[string][]byte)}, newStore(t, d)
}

func (st redoStore) put(t *testing.T, s *object.Store, key string) {
	t.Helper()
	st.want[key] = randomBytes(3000, uint64(1000+len(st.want)))
	put(t, s, key, st.want[key])
}

// pack returns the path of the only pack.
func (st redoStore) pack(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(st.dir, "packs", "*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	return names[0]
}

// lose takes from the end of the pack what a power cut may take.
func (st redoStore) lose(t *testing.T) {
	t.Helper()
	changeFile(t, st.pack(t), func(b []byte) []byte {
		clear(b[5000:])
		return b[:30_000]
	})
}

// flip damages catalog.db, at the offset that at finds in it.
func (st redoStore) flip(t *testing.T, at func(catalog []byte) int) {
	t.Helper()
	changeFile(t, filepath.Join(st.dir, "catalog.db"), func(b []byte) []byte {
		b[at(b)] ^= 1
		return b
	})
}

// flipLive is flip under a process that writes: it has to read what it damages, as when another process has written.
func (st redoStore) flipLive(t *testing.T, at func(catalog []byte) int) {
	t.Helper()
	st.d.commit.cutLog(t.Context())
	st.flip(t, at)
	if _, err := st.d.commit.conn.ExecContext(t.Context(), `PRAGMA shrink_memory`); err != nil {
		t.Fatal(err)
	}
}

// bytesOf finds the bytes of an object in redo.
func (st redoStore) bytesOf(t *testing.T, key string) func(catalog []byte) int {
	t.Helper()
	return func(b []byte) int {
		at := bytes.Index(b, st.want[key][:100])
		if at < 0 {
			t.Fatal("the bytes are not in the catalog")
		}
		return at
	}
}

// verify compares all objects, and wants nothing wrong, and so many rows of redo.
func (st redoStore) verify(t *testing.T, d *Driver, rows int) {
	t.Helper()
	if n := redoRows(t, d); n != rows {
		t.Errorf("redo has %d rows, want %d", n, rows)
	}
	s := object.New(d, object.Config{})
	for key, body := range st.want {
		got, err := readAll(t.Context(), s, key)
		if err == nil && !bytes.Equal(got, body) {
			err = errors.New("it differs")
		}
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	_, err := d.Check(t.Context(), CheckOptions{}, func(p Problem) {
		if !isPiece(p) { // of what was refused
			t.Error(p)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func redoRows(t *testing.T, d *Driver) (n int) {
	t.Helper()
	if err := d.reads.db.QueryRowContext(t.Context(), `SELECT count(*) FROM redo`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func reopened(t *testing.T, dir string) *Driver {
	t.Helper()
	d, err := Open(t.Context(), dir, Options{idle: true, Warn: func(text string) { t.Error(text) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestReplay loses of a pack what was not synced: who opens the store brings it back, and once only.
func TestReplay(t *testing.T) {
	st := newRedoStore(t, Options{})
	st.verify(t, st.d, 12)
	abandon(t, st.d)
	st.lose(t)
	d := reopened(t, st.dir)
	st.verify(t, d, 0)
	before, err := os.Stat(st.pack(t))
	if err != nil {
		t.Fatal(err)
	}
	reopened(t, st.dir)
	after, err := os.Stat(st.pack(t))
	if err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the pack was written to again: %v", err)
	}
}

// closedRows is redoRows of a store that nobody has open.
func closedRows(t *testing.T, dir string) int64 {
	t.Helper()
	src, err := openSource(t.Context(), filepath.Join(dir, "catalog.db"), func(p Problem) { t.Error(p) })
	if err != nil {
		t.Fatal(err)
	}
	n, err := src.number(t.Context(), `SELECT count(*) FROM redo`)
	if err := errors.Join(err, src.close()); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCloseSettles closes a store: nothing is left to be replayed.
func TestCloseSettles(t *testing.T) {
	st := newRedoStore(t, Options{})
	if err := st.d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := closedRows(t, st.dir); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	st.verify(t, reopened(t, st.dir), 0)
}

// TestSettle makes durable what is waiting, as a quiet store does once a minute.
func TestSettle(t *testing.T) {
	st := newRedoStore(t, Options{})
	s := object.New(st.d, object.Config{})
	for range 2 {
		if err := st.d.commit.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		st.verify(t, st.d, 0)
	}
	st.put(t, s, "more")
	st.verify(t, st.d, 1)
	if err := st.d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReplayLeavesTheLiving opens a store in a second process, and sweeps there: only when the first has died is its pack replayed.
func TestReplayLeavesTheLiving(t *testing.T) {
	st := newRedoStore(t, Options{})
	other := reopened(t, st.dir)
	if err := errors.Join(other.sweep(t.Context()), st.d.sweep(t.Context())); err != nil {
		t.Fatal(err)
	}
	st.verify(t, other, 12)
	st.put(t, object.New(st.d, object.Config{}), "more")
	abandon(t, st.d)
	if err := other.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	st.verify(t, other, 0)
}

// packSyncs counts the syncs of packs.
func packSyncs(t *testing.T) (*tap, *atomic.Int64) {
	t.Helper()
	p, syncs := newTap(t), new(atomic.Int64)
	p.on = func(c call) error {
		if c.do == "sync" && strings.HasPrefix(c.name, "packs/") {
			syncs.Add(1)
		}
		return nil
	}
	return p, syncs
}

// TestRedoIsBounded stores more than may wait for a sync: rows go when the pack is synced, also of a pack that is full.
func TestRedoIsBounded(t *testing.T) {
	for name, opts := range map[string]Options{"synced": {redoKept: 10_000}, "ended": {packSize: 10_000}} {
		t.Run(name, func(t *testing.T) {
			p, syncs := packSyncs(t)
			dir := ramDir(t)
			opts.fs, opts.idle = tapFS{osFS(dir), p}, true
			d, err := Open(t.Context(), dir, opts)
			if err != nil {
				t.Fatal(err)
			}
			s, most := newStore(t, d), 0
			for i := range 24 {
				put(t, s, fmt.Sprint("key", i), randomBytes(3000, uint64(i)))
				most = max(most, redoRows(t, d))
			}
			put(t, s, "large", randomBytes(60_000, 99)) // takes no part
			if most != 3 {
				t.Errorf("redo had %d rows at most, want 3", most)
			}
			if n := syncs.Load(); n < 5 || n > 8 {
				t.Errorf("24 objects took %d syncs of packs", n)
			}
			if n := redoRows(t, d); n > most {
				t.Errorf("there are %d rows after a large one", n)
			}
			a, err := d.commit.few.append(make([]byte, redoGroup+1))
			if err != nil || a.copied != nil {
				t.Errorf("a large group is to be kept by redo: %v", err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if n := closedRows(t, dir); n != 0 {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

// lossy fails syncs of packs when it is told to, as Linux does: what was written since the last one is lost, the next one finds nothing
// wrong.
type lossy struct {
	fsys
	dir   string
	fails atomic.Bool
}

type lossyFile struct {
	file
	from   *lossy
	name   string
	synced *int64 // how much of it is durable
	size   *int64
}

func (f *lossy) create(name string) (file, error) {
	opened, err := f.fsys.create(name)
	if err != nil || !strings.HasPrefix(name, "packs/") {
		return opened, err
	}
	return lossyFile{opened, f, name, new(int64), new(int64)}, nil
}

var errNoSync = errors.New("injected: the sync has failed")

func (f lossyFile) WriteAt(p []byte, off int64) (int, error) {
	*f.size = off + int64(len(p))
	return f.file.WriteAt(p, off)
}

func (f lossyFile) sync() error {
	if !f.from.fails.Load() {
		*f.synced = *f.size
		return f.file.sync()
	}
	return errors.Join(errNoSync, os.Truncate(filepath.Join(f.from.dir, f.name), *f.synced), os.Truncate(filepath.Join(f.from.dir, f.name), *f.size))
}

// TestReplayAfterFailedSync fails syncs that would have made small objects durable, of a pack that has enough of them, that is full,
// and of one that settles: what was acknowledged is there at once, and also when only a sweep can replay it.
func TestReplayAfterFailedSync(t *testing.T) {
	for name, opts := range map[string]Options{"enough": {redoKept: 36_000}, "full": {packSize: 36_000}, "settles": {}} {
		t.Run(name, func(t *testing.T) {
			dir := ramDir(t)
			fs := &lossy{fsys: osFS(dir), dir: dir}
			edits := &noEdit{fsys: fs}
			opts.fs, opts.Warn = edits, func(string) {}
			st, s := emptyRedoStore(t, dir, opts)
			d := st.d
			fail := func() {
				t.Helper()
				fs.fails.Store(true)
				defer fs.fails.Store(false)
				if name == "settles" {
					if err := d.commit.settle(t.Context()); err != nil {
						t.Fatal(err)
					}
					return
				}
				_, err := s.Put(t.Context(), "bucket", "refused", bytes.NewReader(randomBytes(5000, 1)), object.PutOptions{})
				if !errors.Is(err, errNoSync) {
					t.Fatalf("put whose sync failed: %v", err)
				}
			}
			for i := range 11 {
				st.put(t, s, fmt.Sprint("key", i))
			}
			fail()
			st.verify(t, d, 0)
			for i := range 11 {
				st.put(t, s, fmt.Sprint("more", i)) // in another pack
			}
			st.verify(t, d, 11)
			edits.fails.Store(true)
			fail()
			if n := redoRows(t, d); n != 11 {
				t.Fatalf("%d rows of redo, of which none could be replayed", n)
			}
			if err := d.sweep(t.Context()); err != nil { // it is no reason not to sweep
				t.Fatal(err)
			}
			edits.fails.Store(false)
			if err := d.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			st.verify(t, d, 0)
			st.put(t, s, "last")
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if n := closedRows(t, dir); n != 0 {
				t.Errorf("%d rows are left", n)
			}
			st.verify(t, reopened(t, dir), 0)
		})
	}
}

// noEdit cannot write to packs that are there, when it is told to.
type noEdit struct {
	fsys
	fails atomic.Bool
}

func (f *noEdit) edit(name string) (file, error) {
	if f.fails.Load() {
		return nil, unix.EIO
	}
	return f.fsys.edit(name)
}

// TestReplayCannotWrite opens a store with a pack that cannot be written to: after a mere kill that is told, and nothing is lost by it;
// after a power cut nobody is to read what was not replayed. A rebuild goes on.
func TestReplayCannotWrite(t *testing.T) {
	st := newRedoStore(t, Options{})
	abandon(t, st.d)
	fs := &noEdit{fsys: osFS(st.dir)}
	fs.fails.Store(true)
	var warned []string
	d, err := Open(t.Context(), st.dir, Options{idle: true, fs: fs, Warn: func(text string) { warned = append(warned, text) }})
	if err != nil {
		t.Fatal(err)
	}
	st.verify(t, d, 12)
	if len(warned) != 1 || !strings.Contains(warned[0], "packs/1.1") {
		t.Errorf("warned of %q", warned)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(st.pack(t))
	if err != nil {
		t.Fatal(err)
	}
	st.lose(t)
	if d, err := Open(t.Context(), st.dir, Options{idle: true, fs: fs}); err == nil || !strings.Contains(err.Error(), "replay packs/1.1") {
		t.Errorf("opened although content is missing: %v", errors.Join(err, d.Close()))
	}
	fs.fails.Store(false)
	st.verify(t, reopened(t, st.dir), 0)
	if now, err := os.ReadFile(st.pack(t)); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("the pack is not what it was: %v", err)
	}

	st = newRedoStore(t, Options{})
	abandon(t, st.d)
	fs = &noEdit{fsys: osFS(st.dir)}
	fs.fails.Store(true)
	var said []string
	if _, err := Rebuild(t.Context(), st.dir, RebuildOptions{fs: fs, Report: func(p Problem) { said = append(said, p.String()) }}); err != nil {
		t.Fatal(err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "replay packs/1.1") {
		t.Errorf("rebuild says %q", said)
	}
	st.verify(t, reopened(t, st.dir), 0)
}

// TestReplayOfDamage damages rows of redo: nothing is written that was not stored, the others are replayed, a sweep and a check say
// what there is, and so does a rebuild, which is rid of them.
func TestReplayOfDamage(t *testing.T) {
	for name, query := range map[string]string{
		"bytes":  `UPDATE redo SET bytes = zeroblob(length(bytes)) WHERE id = 3`,
		"offset": `UPDATE redo SET off = off + 1 WHERE id = 3`,
		"type":   `UPDATE redo SET off = 'far' WHERE id = 3`,
		"pack":   `UPDATE redo SET file = replace(file, 'packs', '../packs') WHERE id = 3`,
	} {
		t.Run(name, func(t *testing.T) {
			st := newRedoStore(t, Options{})
			if _, err := st.d.commit.conn.ExecContext(t.Context(), query); err != nil {
				t.Fatal(err)
			}
			var said []string
			if _, err := st.d.Check(t.Context(), CheckOptions{}, func(p Problem) { said = append(said, p.String()) }); err != nil {
				t.Fatal(err)
			}
			if len(said) != 1 || !strings.Contains(said[0], "redo") {
				t.Errorf("check says %q", said)
			}
			var warned []string
			other, err := Open(t.Context(), st.dir, Options{idle: true, Warn: func(text string) { warned = append(warned, text) }})
			if err != nil {
				t.Fatal(err)
			}
			abandon(t, st.d)
			whole, err := os.ReadFile(st.pack(t))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := other.Collect(t.Context(), CollectOptions{Wait: -1}); err != nil {
					t.Fatal(err)
				}
			}
			if n := redoRows(t, other); n != 1 || len(warned) != 1 || !strings.Contains(warned[0], "redo") {
				t.Errorf("%d rows are left, warned of %q", n, warned)
			}
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			var problems []string
			opts := RebuildOptions{Report: func(p Problem) { problems = append(problems, p.String()) }}
			if _, err := Rebuild(t.Context(), st.dir, opts); err != nil {
				t.Fatal(err)
			}
			if len(problems) != 1 || !strings.Contains(problems[0], "redo") {
				t.Errorf("rebuild says %q", problems)
			}
			if now, err := os.ReadFile(st.pack(t)); err != nil || !bytes.Equal(now, whole) {
				t.Errorf("the pack has changed: %v", err)
			}
			st.verify(t, reopened(t, st.dir), 0)
		})
	}
}

// TestRotOfRedo damages pages of redo under a process that writes: packs are synced then, and nobody is refused.
func TestRotOfRedo(t *testing.T) {
	for _, offset := range []int{0, 2000} { // of the page in which the bytes of a row begin, and of the one behind it
		var warned []string
		st := newRedoStore(t, Options{redoKept: 40_000, Warn: func(text string) { warned = append(warned, text) }})
		s := object.New(st.d, object.Config{})
		st.flipLive(t, func(b []byte) int { return st.bytesOf(t, "key5")(b) + offset })
		for i := range 9 {
			st.put(t, s, fmt.Sprint("more", i))
		}
		put(t, s, "large", randomBytes(60_000, 77))
		if err := s.Delete(t.Context(), "bucket", "large", object.Condition{}); err != nil {
			t.Fatal(err)
		}
		if len(warned) != 1 || !strings.Contains(warned[0], "redo") && !strings.Contains(warned[0], "page") {
			t.Errorf("warned of %q", warned)
		}
		if st.d.commit.few.redo {
			t.Error("goes on with rows of redo")
		}
		abandon(t, st.d)
		d, err := Open(t.Context(), st.dir, Options{idle: true})
		if err != nil {
			t.Fatal(err)
		}
		for key, body := range st.want {
			if got, err := readAll(t.Context(), object.New(d, object.Config{}), key); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %v", key, err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplayWithoutPack replays nothing into a pack that is gone: what lived in it lies elsewhere. Of one that rows name, somebody has
// taken it away, and may bring it back.
func TestReplayWithoutPack(t *testing.T) {
	st := newRedoStore(t, Options{})
	const gone = "packs/1.99"
	_, err := st.d.commit.st.putRedo.ExecContext(t.Context(), gone, 0, redoSum(gone, 0, []byte("bytes")), []byte("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	abandon(t, st.d)
	st.lose(t)
	pack := st.pack(t)
	away := filepath.Join(st.dir, "away")
	if err := os.Rename(pack, away); err != nil {
		t.Fatal(err)
	}
	var warned []string
	d, err := Open(t.Context(), st.dir, Options{idle: true, Warn: func(text string) { warned = append(warned, text) }})
	if err != nil {
		t.Fatal(err)
	}
	if n := redoRows(t, d); n != 12 || len(warned) != 1 || !strings.Contains(warned[0], "packs/1.1 is missing") {
		t.Errorf("%d rows are left, warned of %q", n, warned)
	}
	if err := errors.Join(d.Close(), os.Rename(away, pack)); err != nil {
		t.Fatal(err)
	}
	st.verify(t, reopened(t, st.dir), 0)
	st.pack(t) // the only one
}

// TestRebuildReplays rebuilds after a power cut.
func TestRebuildReplays(t *testing.T) {
	st := newRedoStore(t, Options{})
	abandon(t, st.d)
	st.lose(t)
	if _, err := Rebuild(t.Context(), st.dir, RebuildOptions{Report: func(p Problem) { t.Error(p) }}); err != nil {
		t.Fatal(err)
	}
	st.verify(t, reopened(t, st.dir), 0)
}

// TestBackupSettles makes a backup, after which a power cut takes what was not synced, and catalog.db is lost.
func TestBackupSettles(t *testing.T) {
	for _, how := range []string{"by hand", "rebuild"} {
		p, syncs := packSyncs(t)
		dir := ramDir(t)
		st, s := emptyRedoStore(t, dir, Options{fs: tapFS{osFS(dir), p}})
		d := st.d
		st.put(t, s, "key")
		if syncs.Load() != 0 {
			t.Fatal("the pack was synced before the backup")
		}
		var backup bytes.Buffer
		if err := d.Backup(t.Context(), &backup, nil); err != nil {
			t.Fatal(err)
		}
		if syncs.Load() == 0 {
			t.Error("the pack was not synced")
		}
		st.verify(t, d, 1)
		abandon(t, d)
		name := filepath.Join(dir, "catalog.db")
		if err := errors.Join(database{path: name}.removeLog(), os.Remove(name)); err != nil {
			t.Fatal(err)
		}
		if how == "rebuild" {
			name = filepath.Join(t.TempDir(), "backup")
		}
		if err := os.WriteFile(name, backup.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if how == "rebuild" {
			if _, err := Rebuild(t.Context(), dir, RebuildOptions{Catalog: name, Report: func(p Problem) { t.Error(p) }}); err != nil {
				t.Fatal(err)
			}
		}
		st.verify(t, reopened(t, dir), 0)
	}
}

// TestBackupIsNotReplayed puts the backup of one store in the place of another's catalog: names of packs are the same, content is not.
func TestBackupIsNotReplayed(t *testing.T) {
	st := newRedoStore(t, Options{})
	var backup bytes.Buffer
	if err := st.d.Backup(t.Context(), &backup, nil); err != nil {
		t.Fatal(err)
	}
	if err := st.d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"opened", "rebuilt", "rebuilt with it"} {
		t.Run(how, func(t *testing.T) {
			dir := ramDir(t)
			d, err := Open(t.Context(), dir, Options{idle: true})
			if err != nil {
				t.Fatal(err)
			}
			s := newStore(t, d)
			for i := range 12 {
				put(t, s, fmt.Sprint("key", i), randomBytes(3000, uint64(5000+i)))
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			pack := filepath.Join(dir, "packs", filepath.Base(st.pack(t)))
			whole, err := os.ReadFile(pack)
			if err != nil {
				t.Fatal(err)
			}
			name, opts := filepath.Join(dir, "catalog.db"), RebuildOptions{}
			if how == "rebuilt with it" {
				name += ".copy"
				opts.Catalog = name
			}
			if err := os.WriteFile(name, backup.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if how != "opened" {
				if _, err := Rebuild(t.Context(), dir, opts); err != nil {
					t.Fatal(err)
				}
			}
			if n := redoRows(t, reopened(t, dir)); n != 0 {
				t.Errorf("%d rows are still there", n)
			}
			if now, err := os.ReadFile(pack); err != nil || !bytes.Equal(now, whole) {
				t.Errorf("the pack has changed: %v", err)
			}
		})
	}
}

// TestReplayAgain ends replaying at each of its calls; it is done again then.
func TestReplayAgain(t *testing.T) {
	st := newRedoStore(t, Options{})
	abandon(t, st.d)
	st.lose(t)
	p := newTap(t)
	n := 1
	for failed := true; failed; n++ {
		dir := filepath.Join(ramDir(t), "store")
		if err := os.CopyFS(dir, os.DirFS(st.dir)); err != nil {
			t.Fatal(err)
		}
		calls := n
		failed = false
		p.on = func(c call) error {
			if strings.HasPrefix(c.name, "packs/") {
				calls--
			}
			if calls > 0 {
				return nil
			}
			failed = true
			return errFault
		}
		d, err := Open(t.Context(), dir, Options{fs: tapFS{osFS(dir), p}, idle: true})
		switch {
		case err == nil && !failed:
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		case err == nil:
			t.Error("opened although nothing works any more")
			abandon(t, d)
		case !errors.Is(err, errFault):
			t.Fatal(err)
		}
		after := st
		after.dir = dir
		after.verify(t, reopened(t, dir), 0)
	}
	if n < 14 {
		t.Errorf("replaying makes %d calls", n-2)
	}
}
