package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/disk/sumvfs"
)

// indexBody is cut into several dozen chunks.
var indexBody = randomBytes(3<<20, 60)

// opened opens a store that the test closes by itself.
func opened(t *testing.T, dir string, opts Options) *Driver {
	t.Helper()
	d, err := Open(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closed(t *testing.T, d *Driver) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// filled makes a closed store that holds a body.
func filled(t *testing.T, body []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	d := opened(t, dir, Options{})
	put(t, newStore(t, d), "old", body)
	closed(t, d)
	return dir
}

// removeIndex removes the file last: when it is missing, a process makes another, whose log must stay.
func removeIndex(t *testing.T, dir string) {
	t.Helper()
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Remove(filepath.Join(dir, "index.db"+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// settleIndex brings the index up to date: what other goroutines may have under way is waited for.
func settleIndex(t *testing.T, d *Driver) {
	t.Helper()
	for {
		if err := d.index.renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.index.flush(t.Context())
		if err := d.index.reindex(t.Context()); err != nil {
			t.Fatal(err)
		}
		todo, err := d.index.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if todo == nil {
			return
		}
	}
}

// known asserts that the chunks of a body are known: with one byte in front of it, it takes next to nothing.
func known(t *testing.T, d *Driver, body []byte) {
	t.Helper()
	before := diskUse(t, d.dir)
	put(t, newStore(t, d), "shifted", append([]byte("x"), body...))
	if grown := diskUse(t, d.dir) - before; grown > 300_000 {
		t.Errorf("%d bytes of %d were stored again", grown, len(body))
	}
}

func todos(t *testing.T, d *Driver, where string) (n int) {
	t.Helper()
	err := d.index.db.Load().read.QueryRowContext(t.Context(), `SELECT count(*) FROM todo WHERE `+where).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestIndexDeleted deletes the index of a closed store: everything is there, and it is filled again.
func TestIndexDeleted(t *testing.T) {
	dir := filled(t, indexBody)
	removeIndex(t, dir)
	d := openTest(t, dir)
	if !bytes.Equal(get(t, newStore(t, d), "old"), indexBody) {
		t.Error("content differs")
	}
	settleIndex(t, d)
	known(t, d, indexBody)
}

// TestIndexDeletedUnderTheStore deletes the index while two processes have it open: both go over to the new one, and what
// each stored meanwhile is found again.
func TestIndexDeletedUnderTheStore(t *testing.T) {
	dir := t.TempDir()
	a, b := openTest(t, dir), openTest(t, dir)
	first, second, third := randomBytes(2<<20, 61), randomBytes(2<<20, 62), randomBytes(2<<20, 63)
	put(t, newStore(t, a), "a", first)
	removeIndex(t, dir)
	put(t, newStore(t, b), "b", second)
	b.index.flush(t.Context()) // into the one that is gone
	settleIndex(t, a)
	put(t, newStore(t, b), "c", third)
	b.index.flush(t.Context()) // the same, unless it has noticed by itself
	settleIndex(t, b)
	if a.index.db.Load().inode != b.index.db.Load().inode {
		t.Error("two processes have two indexes")
	}
	for _, body := range [][]byte{first, second, third} {
		known(t, a, body)
	}
}

// TestIndexDeletedBeforeClose: a process that never saw the new index leaves nothing out of it.
func TestIndexDeletedBeforeClose(t *testing.T) {
	dir := filled(t, randomBytes(100_000, 67))
	removeIndex(t, dir)
	b := opened(t, dir, Options{})
	for todos(t, b, "until IS NOT NULL") > 0 { // until its first look at the index is over; the next is a tick later
		runtime.Gosched()
	}
	a := openTest(t, dir)
	removeIndex(t, dir)
	settleIndex(t, a)
	put(t, newStore(t, b), "b", indexBody)
	closed(t, b)
	settleIndex(t, a)
	known(t, a, indexBody)
}

// warnings collects what Options.Warn is told.
type warnings struct {
	mu   sync.Mutex
	text []string
}

func (w *warnings) warn(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.text...)
}

// damageIndex flips a bit in each page from the second on.
func damageIndex(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "index.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := make([]byte, 1)
	for off := int64(dbPage + 50); ; off += dbPage {
		if n, _ := f.ReadAt(b, off); n == 0 {
			return
		}
		b[0] ^= 1
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIndexDamaged damages the index, before a store is opened and under one that is open: chunks are not known, which is no
// error; it is put aside once, and the new one knows all of them.
func TestIndexDamaged(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(map[bool]string{true: "before open", false: "under an open store"}[before], func(t *testing.T) {
			dir := filled(t, indexBody)
			if before {
				damageIndex(t, dir)
			}
			w := &warnings{}
			d := opened(t, dir, Options{Warn: w.warn})
			if !before {
				damageIndex(t, dir)
			}
			s := newStore(t, d)
			put(t, s, "more", randomBytes(2<<20, 64)) // asks the index
			if !bytes.Equal(get(t, s, "old"), indexBody) {
				t.Error("content differs")
			}
			settleIndex(t, d)
			known(t, d, indexBody)
			known(t, d, randomBytes(2<<20, 64))
			if text := w.all(); len(text) != 1 || !strings.Contains(text[0], "index.db is damaged") {
				t.Errorf("warnings: %q", text)
			}
			if _, err := os.Stat(filepath.Join(dir, "index.db.damaged")); err != nil {
				t.Error(err)
			}
			closed(t, d)
			checkClean(t, openTest(t, dir))
		})
	}
}

// TestIndexAfterDeath lets a process die before it has written the index: the next one does it.
func TestIndexAfterDeath(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{})
	s := newStore(t, d)
	d.stopIndex() // from here on nothing is written that is not flushed here
	d.indexing.Wait()
	put(t, s, "first", randomBytes(2<<20, 65))
	d.index.flush(t.Context())
	put(t, s, "second", indexBody)
	abandon(t, d)
	d = openTest(t, dir)
	if err := d.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	settleIndex(t, d)
	known(t, d, indexBody)
	known(t, d, randomBytes(2<<20, 65))
}

// TestIndexAfterClose: a process that was closed leaves nothing to do.
func TestIndexAfterClose(t *testing.T) {
	dir := filled(t, indexBody)
	d := openTest(t, dir)
	if n := todos(t, d, "proc <> "+fmt.Sprint(d.proc.id)+" OR until IS NOT NULL"); n > 0 {
		t.Errorf("%d tasks are left", n)
	}
	known(t, d, indexBody)
}

// TestIndexAfterPowerCut puts an older index in the place of what a power cut would have taken the end of.
func TestIndexAfterPowerCut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "index.db")
	d := opened(t, dir, Options{})
	d.index.flush(t.Context())
	if _, err := d.index.db.Load().write.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, newStore(t, d), "k", indexBody)
	closed(t, d)
	removeIndex(t, dir)
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	d = openTest(t, dir)
	if err := d.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	settleIndex(t, d)
	known(t, d, indexBody)
	if n := todos(t, d, "proc <> "+fmt.Sprint(d.proc.id)); n > 0 {
		t.Errorf("%d tasks are left", n)
	}
}

// failing is a layer under SQLite that fails all writes to the index's log, as long as it is told to.
var failing struct {
	sync.Mutex
	on bool
}

var registerFailing = sync.OnceValue(func() error { return sumvfs.Register("failing", failIndex) })

func failIndex(op sumvfs.Op) error {
	if op.Do != "write" || op.File != "index.db-wal" {
		return nil
	}
	failing.Lock()
	defer failing.Unlock()
	if failing.on {
		return unix.EIO
	}
	return nil
}

func setFailing(on bool) {
	failing.Lock()
	defer failing.Unlock()
	failing.on = on
}

// TestIndexFailsForAWhile fails writes of the index, from the start of a process or from later on: objects are stored none the
// less, and once it can be written it is complete, in the same process.
func TestIndexFailsForAWhile(t *testing.T) {
	if err := registerFailing(); err != nil {
		t.Fatal(err)
	}
	for _, atOpen := range []bool{false, true} {
		t.Run(map[bool]string{true: "from open on", false: "later"}[atOpen], func(t *testing.T) {
			dir := t.TempDir()
			closed(t, opened(t, dir, Options{vfs: "failing"}))
			defer setFailing(false)
			setFailing(atOpen)
			w := &warnings{}
			d := opened(t, dir, Options{vfs: "failing", Warn: w.warn})
			setFailing(true)
			put(t, newStore(t, d), "k", indexBody)
			d.index.flush(t.Context())
			if n, err := indexed(t, d); err != nil || n > 0 {
				t.Fatalf("%d chunks are indexed, %v", n, err)
			}
			setFailing(false)
			settleIndex(t, d)
			known(t, d, indexBody)
			if text := w.all(); len(text) == 0 || !strings.Contains(text[0], "may be stored again") {
				t.Errorf("warnings: %q", w.all())
			}
			closed(t, d)
			checkClean(t, openTest(t, dir))
		})
	}
}
