package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

var errFault = errors.New("injected fault")

// fault fails the nth call.
type fault struct {
	// kind is "fail": this call only; "stop": all calls from then on, as if the process had died; "full": all from then on that
	// take room, as if the disk were full.
	kind string
	only string // when it is not empty, only these calls count

	mu     sync.Mutex
	n      int // calls until the fault
	hit    string
	lifted bool
}

func (f *fault) on(c call) error {
	if c.do == "mkdir" && strings.HasPrefix(c.name, "xorbs/") && c.name != "xorbs/7f" {
		return f.later(c) // there are too many of them to try each
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hit != "" {
		return f.laterLocked(c)
	}
	if f.only == "" || f.only == c.String() {
		f.n--
	}
	if f.n > 0 {
		return nil
	}
	if f.hit = c.String(); f.kind == "full" {
		return f.laterLocked(c)
	}
	return errTorn
}

// fired returns the call that failed; empty before there was one.
func (f *fault) fired() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

func (f *fault) lift() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lifted = true
}

func (f *fault) later(c call) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.laterLocked(c)
}

// laterLocked is what comes of calls after the fault.
func (f *fault) laterLocked(c call) error {
	takesRoom := c.do == "write" || c.do == "create" || c.do == "mkdir"
	switch {
	case f.hit == "" || f.lifted:
	case f.kind == "stop":
		return errFault
	case f.kind == "full" && takesRoom:
		return unix.ENOSPC
	}
	return nil
}

// TestFaults fails, and separately stops at, the kth call that a run makes to the file system, SQLite's calls included, and
// separately fills the disk there, for k = 1, 2, … until a run survives. A driver that did not stop goes on working. After each,
// the store opens again, is swept and clean, and holds all that was acknowledged and nothing half-written.
func TestFaults(t *testing.T) {
	step, each := 97*stride, 3*stride // 97 is a prime: the calls of a transaction must not fall between
	if s := os.Getenv("DISK_FAULT_STRIDE"); s != "" {
		var err error
		each = 1
		if step, err = strconv.Atoi(s); err != nil || step < 1 {
			t.Fatalf("DISK_FAULT_STRIDE=%s", s)
		}
	}
	old := faultStore(t)
	for i, kind := range []string{"full", "fail", "stop"} {
		for from, store := range map[string]string{"new": "", "old": old} {
			t.Run(kind+"-"+from, func(t *testing.T) {
				p, k, runs := newTap(t), 1+i*step/3, 0
				for ; faultRun(t, p, store, &fault{kind: kind, n: k}); k += step {
					runs++
				}
				if k < 120 {
					t.Errorf("only %d calls were there to fail", k)
				}
				t.Logf("%d of some %d calls were failed, each in a run of its own", runs, k)
			})
		}
		// What has lasted although it failed deserves to be tried more often, in the long test each time.
		if kind == "full" {
			continue
		}
		t.Run(kind+"-committed", func(t *testing.T) {
			p, k := newTap(t), 1
			for faultRun(t, p, old, &fault{kind: kind, only: "reach committed", n: k}) {
				k += each
			}
			if k < 15 {
				t.Errorf("only %d transactions were there to fail", k)
			}
		})
	}
}

// faultStore makes a store in which one xorb is damaged, and in which a process died with all kinds of things under way.
func faultStore(t *testing.T) string {
	t.Helper()
	dir, p := ramDir(t), newTap(t)
	dead := &fault{kind: "stop", n: 1 << 30}
	p.on = dead.on
	d, err := Open(t.Context(), dir, p.options(dir))
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, d)
	put(t, s, "rotten", randomBytes(1_200_000, 100))
	names, err := filepath.Glob(filepath.Join(dir, "xorbs/*/*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	flip(t, names[0], func(size int) int { return size - 60 })
	put(t, s, "kept", randomBytes(1_300_000, 101))
	put(t, s, "kept small", randomBytes(1000, 102))
	if _, err := newStaging(t.Context(), d, 103); err != nil {
		t.Fatal(err)
	}
	dead.mu.Lock()
	dead.hit = "death"
	dead.mu.Unlock()
	abandon(t, d)
	return dir
}

// faultRun returns false when the run ended before the fault.
func faultRun(t *testing.T, p *tap, store string, f *fault) bool {
	t.Helper()
	dir := ramDir(t)
	defer func() { _ = os.RemoveAll(dir) }() // sooner than ramDir does
	var other *bystander
	if store != "" {
		if err := os.CopyFS(dir, os.DirFS(store)); err != nil {
			t.Fatal(err)
		}
		if f.n%2 == 0 { // as after a power cut: the lock of the dead process is gone
			if err := os.Remove(filepath.Join(dir, "procs", "1")); err != nil {
				t.Fatal(err)
			}
		}
		if f.n%3 == 0 {
			other = newBystander(t, dir)
		}
	}
	n := f.n
	p.on = f.on
	w := &faultWork{fault: f, old: store != "", acked: make(map[string][]byte), maybe: make(map[string][][]byte)}
	w.errorf = func(format string, args ...any) {
		t.Helper()
		t.Errorf("fault at call %d (%s): %s", n, f.fired(), fmt.Sprintf(format, args...))
	}
	w.all(t, dir, p.options(dir))

	d, err := Open(t.Context(), dir, Options{idle: true})
	if err != nil {
		w.errorf("open: %v", err)
		return false
	}
	if err := errors.Join(d.sweep(t.Context()), d.index.reindex(t.Context())); err != nil {
		w.errorf("sweep: %v", err)
	}
	if other != nil {
		if err := other.goOn(t); err != nil {
			w.errorf("another process: %v", err)
		}
	}
	w.s = object.New(d, object.Config{})
	w.verify(t.Context())
	w.clean(t, d)
	for range 2 {
		if _, err := d.Collect(t.Context(), allGarbage); err != nil {
			w.errorf("collect: %v", err)
		}
	}
	for _, what := range leftovers(t, d) {
		w.errorf("left over: %s", what)
	}
	w.verify(t.Context())
	if err := d.Close(); err != nil {
		w.errorf("close: %v", err)
	}
	return f.fired() != ""
}

// all opens the store, works, and closes it again, or dies.
func (w *faultWork) all(t *testing.T, dir string, opts Options) {
	t.Helper()
	f := w.fault
	d, err := Open(t.Context(), dir, opts)
	if err != nil {
		w.judge("open", err)
		f.lift()
		if f.kind == "stop" {
			return
		}
		if d, err = Open(t.Context(), dir, opts); err != nil {
			w.errorf("open once more: %v", err)
			return
		}
	}
	w.d, w.s = d, object.New(d, object.Config{})
	w.run(t.Context(), "")
	if f.kind == "stop" && f.fired() != "" {
		before := databases(t, dir)
		abandon(t, d)
		if !maps.Equal(before, databases(t, dir)) {
			w.errorf("the dead go on writing") // SQLite would when it closes
		}
		return
	}
	if f.kind == "full" && f.fired() != "" {
		f.lift()
		w.run(t.Context(), "more ")
	}
	before := f.fired()
	if err := d.Close(); err != nil && f.fired() == before {
		w.errorf("close: %v", err)
	}
}

// databases returns what is in them and their logs.
func databases(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, glob := range []string{"*.db", "*-wal", "*-journal"} {
		names, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(b)
		}
	}
	return all
}

// clean checks the store, and that no file is left of processes that are gone. What is damaged is mended before.
func (w *faultWork) clean(t *testing.T, d *Driver) {
	t.Helper()
	if w.old {
		if err := w.mend(t.Context(), "rotten"); err != nil {
			w.errorf("mend: %v", err)
		}
	}
	_, err := d.Check(t.Context(), CheckOptions{}, func(p Problem) {
		if !isPiece(p) {
			w.errorf("check: %v", p)
		}
	})
	if err != nil {
		w.errorf("check: %v", err)
	}
	for _, glob := range []string{"tmp/*", "procs/*"} {
		left, err := filepath.Glob(filepath.Join(d.dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range left {
			if name != d.proc.lock.Name() {
				w.errorf("left: %s", name)
			}
		}
	}
	for what, query := range map[string]string{
		"processes": `SELECT count(*) - 1 FROM procs`, "packs": `SELECT count(*) FROM packs WHERE sealed = 0`,
	} {
		if n := count(t, d, query); n != 0 {
			w.errorf("left in the catalog: %d %s", n, what)
		}
	}
}

func readAll(ctx context.Context, s *object.Store, key string) ([]byte, error) {
	f, err := s.Open(ctx, "bucket", key)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// abandon lets go of a store as death does: locks are gone, nothing is tidied.
func abandon(t *testing.T, d *Driver) {
	t.Helper()
	d.stop()
	d.bg.Wait()
	d.stopIndex()
	d.indexing.Wait()
	err := errors.Join(d.proc.lock.Close(), d.index.close(), d.commit.close(), d.reads.close(), d.files.close())
	if err != nil {
		t.Fatal(err)
	}
}

// verify compares the store with what was acknowledged.
func (w *faultWork) verify(ctx context.Context) {
	keys := make(map[string]bool)
	for key := range w.acked {
		keys[key] = true
	}
	for key := range w.maybe {
		keys[key] = true
	}
	for key := range keys {
		acked, sure := w.acked[key] // nil, too, when nobody ever put it
		got, err := readAll(ctx, w.s, key)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.errorf("%s: %v", key, err)
			continue
		}
		right := got == nil && acked == nil || sure && bytes.Equal(got, acked)
		for _, maybe := range w.maybe[key] {
			right = right || bytes.Equal(got, maybe)
		}
		if !right {
			w.errorf("%s has %d bytes that nobody put there", key, len(got))
		}
		if _, err := w.s.Stat(ctx, "bucket", "pack1"+key); strings.HasSuffix(key, "joint") && got != nil && err == nil {
			w.errorf("%s is there, but what was deleted with it is, too", key)
		}
	}
	w.verifyParts(ctx)
}
