package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

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
	st := redoStore{dir: ramDir(t), want: make(map[string][]byte)}
	opts.idle = true
	d, err := Open(t.Context(), st.dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	st.d = d
	s := newStore(t, d)
	for i := range 12 {
		st.put(t, s, fmt.Sprint("key", i))
	}
	return st
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
	name := st.pack(t)
	b, err := os.ReadFile(name)
	if err == nil {
		clear(b[5000:])
		err = os.WriteFile(name, b[:30_000], 0o600)
	}
	if err != nil {
		t.Fatal(err)
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
	_, err := d.Check(t.Context(), CheckOptions{}, func(p Problem) { t.Error(p) })
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

// TestReplayWhenClosed closes a store: nothing is left to be replayed.
func TestReplayWhenClosed(t *testing.T) {
	st := newRedoStore(t, Options{})
	if err := st.d.Close(); err != nil {
		t.Fatal(err)
	}
	st.verify(t, reopened(t, st.dir), 0)
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

// TestRedoIsBounded stores more than may wait for a sync: rows go when the pack is synced, also of a pack that is full.
func TestRedoIsBounded(t *testing.T) {
	for name, opts := range map[string]Options{"synced": {redoKept: 10_000}, "ended": {packSize: 10_000}} {
		t.Run(name, func(t *testing.T) {
			p := newTap(t)
			var syncs atomic.Int64
			p.on = func(c call) error {
				if c.do == "sync" && strings.HasPrefix(c.name, "packs/") {
					syncs.Add(1)
				}
				return nil
			}
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
			if most != 3 {
				t.Errorf("redo had %d rows at most, want 3", most)
			}
			if n := syncs.Load(); n < 5 || n > 8 {
				t.Errorf("24 objects took %d syncs of packs", n)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if n := redoRows(t, reopened(t, dir)); n != 0 {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

// noSync fails the syncs of packs when it is told to, after which the system may have forgotten what was written, as is done here.
type noSync struct {
	fsys
	fails atomic.Bool
}

type noSyncFile struct {
	file
	from *noSync
}

func (f *noSync) create(name string) (file, error) {
	opened, err := f.fsys.create(name)
	if err != nil || !strings.HasPrefix(name, "packs/") {
		return opened, err
	}
	return noSyncFile{opened, f}, nil
}

var errNoSync = errors.New("injected: the sync has failed")

func (f noSyncFile) sync() error {
	if f.from.fails.Load() {
		return errNoSync
	}
	return f.file.sync()
}

// TestReplayAfterFailedSync fails the one sync that would have made small objects durable: that commit fails, nobody believes the next
// sync, and what was acknowledged before is replayed.
func TestReplayAfterFailedSync(t *testing.T) {
	dir := ramDir(t)
	fs := &noSync{fsys: osFS(dir)}
	d, err := Open(t.Context(), dir, Options{fs: fs, idle: true, redoKept: 36_000})
	if err != nil {
		t.Fatal(err)
	}
	st := redoStore{dir: dir, d: d, want: make(map[string][]byte)}
	s := newStore(t, d)
	for i := range 11 {
		st.put(t, s, fmt.Sprint("key", i))
	}
	fs.fails.Store(true)
	if _, err := s.Put(t.Context(), "bucket", "refused", bytes.NewReader(randomBytes(5000, 1)), object.PutOptions{}); !errors.Is(err, errNoSync) {
		t.Fatalf("put whose sync failed: %v", err)
	}
	fs.fails.Store(false)
	st.verify(t, d, 11)
	pack := st.pack(t)
	st.put(t, s, "after") // in another pack
	st.verify(t, d, 12)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(pack, 100); err != nil {
		t.Fatal(err)
	}
	st.verify(t, reopened(t, dir), 0)
}

// TestReplayIsRefused damages rows of redo: nothing is written that was not stored, check says so, and a rebuild goes on without them.
func TestReplayIsRefused(t *testing.T) {
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
			if len(said) != 1 || !strings.Contains(said[0], "redo") && !strings.Contains(said[0], "replayed") {
				t.Errorf("check says %q", said)
			}
			abandon(t, st.d)
			whole, err := os.ReadFile(st.pack(t))
			if err != nil {
				t.Fatal(err)
			}
			if d, err := Open(t.Context(), st.dir, Options{idle: true}); !errors.Is(err, object.ErrCorrupt) {
				t.Fatalf("open: %v", errors.Join(err, d.Close()))
			}
			var problems []string
			opts := RebuildOptions{Report: func(p Problem) { problems = append(problems, p.String()) }}
			if _, err := Rebuild(t.Context(), st.dir, opts); err != nil {
				t.Fatal(err)
			}
			if len(problems) != 1 || !strings.Contains(problems[0], "replayed") {
				t.Errorf("rebuild says %q", problems)
			}
			if now, err := os.ReadFile(st.pack(t)); err != nil || !bytes.Equal(now, whole) {
				t.Errorf("the pack has changed: %v", err)
			}
			st.verify(t, reopened(t, st.dir), 0)
		})
	}
}

// TestReplayWithoutPack replays nothing into a pack that is gone: what lived in it lies elsewhere.
func TestReplayWithoutPack(t *testing.T) {
	st := newRedoStore(t, Options{})
	const gone = "packs/1.99"
	_, err := st.d.commit.st.putRedo.ExecContext(t.Context(), gone, 0, redoSum(gone, 0, []byte("bytes")), []byte("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	abandon(t, st.d)
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

// TestBackupIsNotReplayed puts the backup of one store in the place of another's catalog: names of packs are the same, content is not.
func TestBackupIsNotReplayed(t *testing.T) {
	st := newRedoStore(t, Options{})
	var backup bytes.Buffer
	if err := st.d.Backup(t.Context(), &backup, nil); err != nil {
		t.Fatal(err)
	}
	other := redoStore{dir: ramDir(t), want: make(map[string][]byte)}
	d, err := Open(t.Context(), other.dir, Options{idle: true})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, d)
	for i := range 12 {
		put(t, s, fmt.Sprint("key", i), randomBytes(3000, uint64(5000+i)))
	}
	if err := errors.Join(d.Close(), st.d.Close()); err != nil {
		t.Fatal(err)
	}
	pack := other.pack(t)
	if filepath.Base(pack) != filepath.Base(st.pack(t)) {
		t.Fatalf("%s is not called as %s is", pack, st.pack(t))
	}
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	unchanged := func(how string) {
		t.Helper()
		if now, err := os.ReadFile(pack); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%s has changed the pack: %v", how, err)
		}
	}
	name := filepath.Join(other.dir, "catalog.db")
	if err := os.WriteFile(name+".copy", backup.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Rebuild(t.Context(), other.dir, RebuildOptions{Catalog: name + ".copy"}); err != nil {
		t.Fatal(err)
	}
	unchanged("a rebuild with it")
	if err := os.Rename(name+".copy", name); err != nil {
		t.Fatal(err)
	}
	if n := redoRows(t, reopened(t, other.dir)); n != 0 {
		t.Errorf("%d rows are still there", n)
	}
	unchanged("opening the store with it")
}

// TestReplayAgain ends replaying at each of its calls; it is done again then.
func TestReplayAgain(t *testing.T) {
	st := newRedoStore(t, Options{})
	abandon(t, st.d)
	st.lose(t)
	p := newTap(t)
	n := 1
	for ; ; n++ {
		dir := filepath.Join(ramDir(t), "store")
		if err := os.CopyFS(dir, os.DirFS(st.dir)); err != nil {
			t.Fatal(err)
		}
		calls := n
		p.on = func(c call) error {
			if !strings.HasPrefix(c.name, "packs/") {
				return nil
			}
			if calls--; calls <= 0 {
				return errFault
			}
			return nil
		}
		d, err := Open(context.Background(), dir, Options{fs: tapFS{osFS(dir), p}, idle: true})
		if err == nil {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			break
		}
		if !errors.Is(err, errFault) || errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		after := st
		after.dir = dir
		after.verify(t, reopened(t, dir), 0)
	}
	if n < 12 {
		t.Errorf("replaying makes %d calls", n-1)
	}
}
