package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hugbucket/internal/object"
)

// TestTwoReindex has two processes fill a new index at the same time: one does, the other leaves it alone.
func TestTwoReindex(t *testing.T) {
	dir := filled(t, indexBody)
	removeIndex(t, dir)
	a, b := openTest(t, dir), openTest(t, dir)
	var wg sync.WaitGroup
	for _, d := range []*Driver{a, b, a, b} {
		wg.Go(func() {
			if err := d.index.reindex(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	settleIndex(t, a)
	known(t, b, indexBody)

	// Whoever holds the lock is at it.
	lock, err := openLock(filepath.Join(dir, "reindex.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.lock(); err != nil {
		t.Fatal(err)
	}
	if err := a.index.left(t.Context(), 12345); err != nil {
		t.Fatal(err)
	}
	if err := b.index.reindex(t.Context()); err != nil || todos(t, b, "proc = 12345") != 1 {
		t.Errorf("a second one did it, too: %v", err)
	}
	if err := errors.Join(lock.unlock(), lock.close()); err != nil {
		t.Fatal(err)
	}
	settleIndex(t, b)
	if n := todos(t, a, "until IS NOT NULL"); n > 0 {
		t.Errorf("%d tasks are left", n)
	}
}

// TestReindexPassesOverDamage: chunks of a xorb whose footer is damaged are not known, all others are.
func TestReindexPassesOverDamage(t *testing.T) {
	dir := filled(t, indexBody)
	names, err := filepath.Glob(filepath.Join(dir, "xorbs/*/*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	d := opened(t, dir, Options{})
	more := randomBytes(2<<20, 66)
	put(t, newStore(t, d), "more", more)
	closed(t, d)
	flip(t, names[0], func(n int) int { return n - 60 })
	removeIndex(t, dir)
	w := &warnings{}
	d = opened(t, dir, Options{Warn: w.warn})
	settleIndex(t, d)
	known(t, d, more)
	before := diskUse(t, dir)
	put(t, newStore(t, d), "again", indexBody)
	if grown := diskUse(t, dir) - before; grown < 3<<20 {
		t.Errorf("%d bytes of the damaged xorb still count as known", 3<<20-grown)
	}
	if text := w.all(); len(text) != 1 || !strings.Contains(text[0], "bucket/old") {
		t.Errorf("warnings: %q", text)
	}
	closed(t, d)
}

// slowFS holds up those who open a xorb's file.
type slowFS struct {
	fsys
	asked, on chan struct{}
}

func (f slowFS) open(name string) (file, error) {
	if strings.Contains(name, "/") {
		select {
		case f.asked <- struct{}{}:
		default:
		}
		<-f.on
	}
	return f.fsys.open(name)
}

// TestCloseWhileReindexing ends a process in the middle of the work: it ends, and the next one goes on.
func TestCloseWhileReindexing(t *testing.T) {
	dir := filled(t, indexBody)
	removeIndex(t, dir)
	slow := slowFS{osFS(dir), make(chan struct{}, 1), make(chan struct{})}
	d := opened(t, dir, Options{fs: slow})
	<-slow.asked // by reindex, in the background
	d.stop()     // what Close begins with
	close(slow.on)
	closed(t, d)
	d = openTest(t, dir)
	settleIndex(t, d)
	known(t, d, indexBody)
}

// TestCatalogMissing: a store without its catalog is refused, and nothing of it is touched.
func TestCatalogMissing(t *testing.T) {
	for _, empty := range []bool{true, false} {
		dir := filled(t, indexBody)
		before := diskUse(t, dir)
		path := filepath.Join(dir, "catalog.db")
		err := os.Remove(path)
		if empty {
			err = errors.Join(err, os.WriteFile(path, nil, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, with := range []string{"content and index", "content"} {
			if with == "content" {
				removeIndex(t, dir)
			}
			d, err := Open(t.Context(), dir, Options{})
			if err == nil || !strings.Contains(err.Error(), "restore catalog.db from a backup") {
				t.Fatalf("%s: open: %v, %v", with, d, err)
			}
		}
		if after := diskUse(t, dir); after != before {
			t.Errorf("%d bytes of content were removed", before-after)
		}
	}
	dir := t.TempDir() // a store that holds names, but no content
	d := opened(t, dir, Options{})
	put(t, newStore(t, d), "empty", nil)
	closed(t, d)
	if err := os.Truncate(filepath.Join(dir, "catalog.db"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); err == nil {
		t.Error("a catalog that was cut to nothing is taken for a new store")
	}
}

// TestMissedBeforeNoted has a flush fall between add and note, with something missed: reindex finds it.
func TestMissedBeforeNoted(t *testing.T) {
	d := openWith(t, t.TempDir(), Options{idle: true})
	s := newStore(t, d)
	put(t, s, "a", randomBytes(50_000, 1))
	barrier := func() { // what was put before is noted when a later commit is answered
		if err := s.Delete(t.Context(), "bucket", "nothing", object.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	barrier()
	d.index.flush(t.Context())
	body := randomBytes(900_000, 2)
	put(t, s, "b", body)
	barrier()
	d.index.mu.Lock()
	d.index.noted, d.index.missed = 1, true
	clear(d.index.pending)
	d.index.mu.Unlock()
	d.index.flush(t.Context())
	d.index.note(2)
	d.index.flush(t.Context())
	if err := d.index.reindex(t.Context()); err != nil {
		t.Fatal(err)
	}
	known(t, d, body)
}
