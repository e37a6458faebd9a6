package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// TestSettleBesideNewPack settles in the group that brings the first bytes of a pack, of which the sync fails: nothing names that pack
// before the transaction, and what the group brings is there after it.
func TestSettleBesideNewPack(t *testing.T) {
	dir := ramDir(t)
	fs := &lossy{fsys: osFS(dir), dir: dir}
	held := &heldFS{fsys: fs, reached: make(chan struct{}), released: make(chan struct{})}
	var warned []string
	st, s := emptyRedoStore(t, dir, Options{fs: held, packSize: 10_000, Warn: func(text string) { warned = append(warned, text) }})
	d := st.d
	for i := range 3 { // the pack is full then, and owes
		st.put(t, s, fmt.Sprint("key", i))
	}
	body := randomBytes(3000, 9)
	st.want["last"] = body
	var all, settles, puts sync.WaitGroup
	held.armed.Store(true)
	all.Go(func() { put(t, s, "other", nil) })
	<-held.reached
	var failed [2]error
	settles.Go(func() { failed[0] = d.commit.settle(t.Context()) })
	requests := []*request{<-d.commit.small}
	puts.Go(func() {
		_, failed[1] = s.Put(t.Context(), "bucket", "last", bytes.NewReader(body), object.PutOptions{})
	})
	requests = append(requests, <-d.commit.small)
	held.released <- struct{}{}
	all.Wait()
	g := &group{}
	d.commit.appendBytes(t.Context(), g, requests, &d.commit.few)
	fs.fails.Store(true)
	d.commit.commit(t.Context(), g)
	fs.fails.Store(false)
	settles.Wait()
	puts.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		t.Fatal(err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "packs/1.2: the disk failed") {
		t.Errorf("warned of %q", warned)
	}
	st.verify(t, d, 0)
	closed(t, d)
	st.verify(t, reopened(t, dir), 0)
}

// turns is a store in which two processes have stored objects in turn, of which the second has died.
func turns(t *testing.T, fs fsys, dir string) redoStore {
	t.Helper()
	st, mine := emptyRedoStore(t, dir, Options{fs: fs})
	other, err := Open(t.Context(), dir, Options{fs: fs, idle: true})
	if err != nil {
		t.Fatal(err)
	}
	theirs := object.New(other, object.Config{})
	for i := range 6 {
		st.put(t, mine, fmt.Sprint("mine", i))
		st.put(t, theirs, fmt.Sprint("theirs", i))
	}
	abandon(t, other)
	return st
}

// TestReplayInTurns replays packs whose rows lie between each other's: of one whose sync has failed, all is there at once.
func TestReplayInTurns(t *testing.T) {
	dir := ramDir(t)
	fs := &lossy{fsys: osFS(dir), dir: dir}
	st := turns(t, fs, dir)
	fs.fails.Store(true)
	err := st.d.commit.settle(t.Context())
	fs.fails.Store(false)
	if err != nil {
		t.Fatal(err)
	}
	st.verify(t, st.d, 0)
	if err := st.d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReplaySyncsOnce counts the syncs of packs whose rows lie between each other's.
func TestReplaySyncsOnce(t *testing.T) {
	p, syncs := packSyncs(t)
	dir := ramDir(t)
	st := turns(t, tapFS{osFS(dir), p}, dir)
	if err := st.d.Backup(t.Context(), &bytes.Buffer{}, nil); err != nil {
		t.Fatal(err)
	}
	if n := syncs.Swap(0); n != 2 {
		t.Errorf("a backup takes %d syncs of 2 packs", n)
	}
	abandon(t, st.d)
	d, err := Open(t.Context(), dir, Options{fs: tapFS{osFS(dir), p}, idle: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := syncs.Load(); n != 2 {
		t.Errorf("opening takes %d syncs of 2 packs", n)
	}
	st.verify(t, d, 0)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseHeals closes a store when syncs fail: who has it open beside reads all of it.
func TestCloseHeals(t *testing.T) {
	dir := ramDir(t)
	fs := &lossy{fsys: osFS(dir), dir: dir}
	st, s := emptyRedoStore(t, dir, Options{fs: fs})
	st.put(t, s, "key")
	other := reopened(t, dir)
	fs.fails.Store(true)
	if err := st.d.Close(); !errors.Is(err, errNoSync) {
		t.Errorf("closed: %v", err)
	}
	st.verify(t, other, 0)
}

// TestTornPackIsNotSyncedAgain fails the sync of a pack that is made because a page of redo cannot be written: the next sync would find
// nothing wrong.
func TestTornPackIsNotSyncedAgain(t *testing.T) {
	dir := ramDir(t)
	fs := &lossy{fsys: osFS(dir), dir: dir}
	st, s := emptyRedoStore(t, dir, Options{fs: fs, Warn: func(string) {}})
	d := st.d
	for i := range 12 {
		st.put(t, s, fmt.Sprint("key", i))
	}
	st.flipLive(t, st.bytesOf(t, "key11"))
	fs.fails.Store(true)
	_, err := s.Put(t.Context(), "bucket", "refused", bytes.NewReader(randomBytes(3000, 99)), object.PutOptions{})
	fs.fails.Store(false)
	if !errors.Is(err, errNoSync) {
		t.Fatalf("put whose sync failed: %v", err)
	}
	if err := d.commit.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for key, body := range st.want {
		if got, err := readAll(t.Context(), s, key); err != nil || !bytes.Equal(got, body) {
			lost++
		}
	}
	if page := dbPage / 3000; lost > page {
		t.Errorf("%d objects are lost, on one page of redo are %d", lost, page)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWarningsOfRedo: a sweep that is cut short says nothing, and of packs is warned after damage, too.
func TestWarningsOfRedo(t *testing.T) {
	var warned []string
	st := newRedoStore(t, Options{Warn: func(text string) { warned = append(warned, text) }})
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.d.sweep(cut); err == nil {
		t.Error("swept after the end")
	}
	if len(warned) > 0 {
		t.Fatalf("warned of %q", warned)
	}
	for _, err := range []error{corrupt("a row"), corrupt("another row"), errFault, errFault, errNoSync} {
		st.d.commit.warnOfRedo(err)
	}
	if len(warned) != 3 || !strings.Contains(warned[0], "a row") || !strings.Contains(warned[1], errFault.Error()) || !strings.Contains(warned[2], errNoSync.Error()) {
		t.Errorf("warned of %q", warned)
	}
	if err := st.d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBackupWithPackThatCannotBeWritten makes a backup when a pack can only be read, and its bytes are there; and none when they are not.
func TestBackupWithPackThatCannotBeWritten(t *testing.T) {
	st := newRedoStore(t, Options{Warn: func(string) {}})
	abandon(t, st.d)
	fs := &noEdit{fsys: osFS(st.dir)}
	fs.fails.Store(true)
	d, err := Open(t.Context(), st.dir, Options{idle: true, fs: fs, Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Backup(t.Context(), &bytes.Buffer{}, nil); err != nil {
		t.Error(err)
	}
	st.lose(t)
	if err := d.Backup(t.Context(), &bytes.Buffer{}, nil); !errors.Is(err, unix.EIO) {
		t.Errorf("backup without content: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// fullEdit has no room for what is written to packs that are there, when it is told so.
type fullEdit struct {
	fsys
	full atomic.Bool
}

type fullFile struct{ file }

func (fullFile) WriteAt([]byte, int64) (int, error) { return 0, unix.ENOSPC }

func (f *fullEdit) edit(name string) (file, error) {
	opened, err := f.fsys.edit(name)
	if err == nil && f.full.Load() {
		opened = fullFile{opened}
	}
	return opened, err
}

// TestReplayOnFullDisk has no room for what a power cut took: that is said, and a rebuild does not put away what only redo has.
func TestReplayOnFullDisk(t *testing.T) {
	st := newRedoStore(t, Options{})
	abandon(t, st.d)
	st.lose(t)
	fs := &fullEdit{fsys: osFS(st.dir)}
	fs.full.Store(true)
	_, err := Open(t.Context(), st.dir, Options{idle: true, fs: fs})
	if !errors.Is(err, object.ErrNoSpace) || strings.Contains(err.Error(), "rebuild") || !strings.Contains(err.Error(), "make room") {
		t.Errorf("opened on a full disk: %v", err)
	}
	_, err = Rebuild(t.Context(), st.dir, RebuildOptions{fs: fs})
	if !errors.Is(err, object.ErrNoSpace) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("rebuilt on a full disk: %v", err)
	}
	fs.full.Store(false)
	st.verify(t, reopened(t, st.dir), 0)
}

// TestBackupForgets makes a backup after small objects were deleted and redo has forgotten them.
func TestBackupForgets(t *testing.T) {
	d, err := Open(t.Context(), ramDir(t), Options{idle: true})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, d)
	secret := func(i int) []byte { return randomBytes(500, uint64(i)) }
	for i := range 3 {
		put(t, s, fmt.Sprint("secret", i), secret(i))
	}
	backup := func() []byte {
		t.Helper()
		var b bytes.Buffer
		if err := d.Backup(t.Context(), &b, nil); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if !bytes.Contains(backup(), secret(0)) {
		t.Error("redo does not have the object: the test proves nothing")
	}
	for i := range 3 {
		if err := s.Delete(t.Context(), "bucket", fmt.Sprint("secret", i), object.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.commit.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := backup()
	for i := range 3 {
		if bytes.Contains(b, secret(i)[:100]) {
			t.Errorf("secret%d is in the backup", i)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBlindWithoutCatalog rebuilds what has content and no catalog.
func TestBlindWithoutCatalog(t *testing.T) {
	for name, spoil := range map[string]func(name string) error{
		"gone":    os.Remove,
		"empty":   func(name string) error { return os.Truncate(name, 0) },
		"cut":     func(name string) error { return os.Truncate(name, 100) },
		"garbage": func(name string) error { return os.WriteFile(name, bytes.Repeat([]byte("x"), 8192), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			st := newRedoStore(t, Options{})
			if err := st.d.Close(); err != nil {
				t.Fatal(err)
			}
			if err := spoil(filepath.Join(st.dir, "catalog.db")); err != nil {
				t.Fatal(err)
			}
			done, err := Rebuild(t.Context(), st.dir, RebuildOptions{})
			if err != nil || !done.Blind || done.Orphans != 12 {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
}

// TestRotOfRedoWithManyIDs damages a page of redo when more rows have been there than anybody can ask for one by one: the root, and the
// first leaf, behind which rows are replayed.
func TestRotOfRedoWithManyIDs(t *testing.T) {
	for name, c := range map[string]struct {
		page string
		lost bool
	}{
		"root": {`SELECT rootpage FROM sqlite_master WHERE name = 'redo'`, true},
		"leaf": {`SELECT pageno FROM dbstat WHERE name = 'redo' AND pagetype = 'leaf' ORDER BY path LIMIT 1`, false},
	} {
		t.Run(name, func(t *testing.T) {
			st := newRedoStore(t, Options{})
			if _, err := st.d.commit.conn.ExecContext(t.Context(), `UPDATE sqlite_sequence SET seq = 1 << 60 WHERE name = 'redo'`); err != nil {
				t.Fatal(err)
			}
			s := object.New(st.d, object.Config{})
			for i := range 12 {
				st.put(t, s, fmt.Sprint("more", i))
			}
			if n := count(t, st.d, `SELECT count(*) FROM dbstat WHERE name = 'redo' AND pagetype = 'leaf'`); n < 2 {
				t.Fatalf("redo has %d leaves", n)
			}
			page := int(count(t, st.d, c.page))
			st.d.commit.cutLog(t.Context())
			abandon(t, st.d)
			st.lose(t)
			st.flip(t, func([]byte) int { return (page-1)*dbPage + 100 })
			var warned []string
			d, err := Open(t.Context(), st.dir, Options{idle: true, Warn: func(text string) { warned = append(warned, text) }})
			if err != nil {
				t.Fatal(err)
			}
			if len(warned) != 1 || !strings.Contains(warned[0], "some of redo cannot be read") {
				t.Errorf("warned of %q", warned)
			}
			s = object.New(d, object.Config{})
			got, err := readAll(t.Context(), s, "more11") // was stored last
			if whole := err == nil && bytes.Equal(got, st.want["more11"]); whole == c.lost {
				t.Errorf("what was stored last: %v", err)
			}
			told := false
			if _, err := d.Check(t.Context(), CheckOptions{}, func(p Problem) { told = told || strings.Contains(p.What, "some of redo") }); err != nil || !told {
				t.Errorf("check does not tell: %v", err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestBehind(t *testing.T) {
	for _, c := range []struct{ from, end int64 }{{0, 0}, {0, 1}, {5, 5}, {5, 6}, {0, 1000}, {7, 1 << 40}, {1 << 60, 1<<60 + 9}} {
		asked := 0
		got, more := behind(c.from, func(id int64) bool {
			asked++
			return id <= c.end
		})
		if !more || got != c.end+1 || asked > 130 {
			t.Errorf("from %d to %d: %d, %v, asked %d times", c.from, c.end, got, more, asked)
		}
	}
	if got, more := behind(3, func(int64) bool { return true }); more {
		t.Errorf("there is nothing, but %d", got)
	}
}

// TestRedoGoesMeanwhile settles while a backup or a check reads redo: a row that has gone is not damaged.
func TestRedoGoesMeanwhile(t *testing.T) {
	st := newRedoStore(t, Options{})
	first := true
	err := eachRedo(t.Context(), st.d.reads.db, func(redoRow) error {
		if !first {
			t.Error("a row that has gone was read")
		}
		first = false
		return st.d.commit.settle(t.Context())
	}, func(err error) error { return err })
	if err != nil || first {
		t.Errorf("read any: %v; %v", !first, err)
	}
	if err := st.d.Close(); err != nil {
		t.Fatal(err)
	}
}
