package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/mounttest"
	"hugbucket/internal/object"
)

// fullStore is a store on a small file system of its own.
type fullStore struct {
	dir   string // of the store
	mount string
	d     *Driver
	s     *object.Store
	acked map[string][]byte
	seed  uint64
	met   bool // SQLite met the end of the file system
}

func newFullStore(t *testing.T, minFree int64) *fullStore {
	t.Helper()
	mount := t.TempDir()
	mounttest.Tmpfs(t, mount, "size=24m")
	f := &fullStore{dir: filepath.Join(mount, "store"), mount: mount, acked: make(map[string][]byte)}
	var err error
	if f.d, err = Open(t.Context(), f.dir, Options{MinFree: minFree}); err != nil {
		t.Fatal(err)
	}
	f.s = newStore(t, f.d)
	for _, name := range []string{"other", "another"} {
		if err := f.s.CreateBucket(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// put puts new content of a size, and keeps it when it is acknowledged.
func (f *fullStore) put(ctx context.Context, size int) error {
	f.seed++
	key, body := fmt.Sprint("k", f.seed), randomBytes(size, f.seed)
	_, err := f.s.Put(ctx, "bucket", key, bytes.NewReader(body), object.PutOptions{})
	if err == nil {
		f.acked[key] = body
	}
	return err
}

// fill puts content until there is no room for any: the size that fails is halved until it is next to nothing.
func (f *fullStore) fill(t *testing.T) {
	t.Helper()
	for size := 3 << 20; size > 10; {
		for _, n := range []int{size, size / 9, size / 100} {
			err := f.put(t.Context(), n)
			if err == nil {
				continue
			}
			if !errors.Is(err, object.ErrNoSpace) || !strings.Contains(err.Error(), "no space left in the store") {
				t.Fatalf("put %d bytes: %v", n, err)
			}
			f.met = f.met || strings.Contains(err.Error(), "database or disk is full")
			size /= 2
			break
		}
	}
}

// holds reads all that was acknowledged, and nothing else is listed.
func (f *fullStore) holds(t *testing.T, s *object.Store) {
	t.Helper()
	for key, body := range f.acked {
		if got, err := readAll(t.Context(), s, key); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes of %d: %v", key, len(got), len(body), err)
		}
	}
	page, err := s.List(t.Context(), "bucket", object.ListOptions{})
	if err != nil || len(page.Objects) != min(len(f.acked), 1000) {
		t.Errorf("%d keys are listed, %d acknowledged: %v", len(page.Objects), len(f.acked), err)
	}
}

// reopened opens the store a second time beside the first, and returns what came of it.
func (f *fullStore) reopened(t *testing.T) error {
	t.Helper()
	again, err := Open(t.Context(), f.dir, Options{MinFree: f.d.floor})
	if err != nil {
		return err
	}
	f.holds(t, object.New(again, object.Config{}))
	if err := again.sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
	checkClean(t, again)
	return again.Close()
}

// delete deletes one key.
func (f *fullStore) delete(ctx context.Context) error {
	for key := range f.acked {
		err := f.s.Delete(ctx, "bucket", key, object.Condition{})
		if err == nil {
			delete(f.acked, key)
		}
		return err
	}
	return errors.New("nothing is left to delete")
}

// plug takes what room is left on the file system, to the last byte, and returns what gives it back.
func (f *fullStore) plug(t *testing.T) func() {
	t.Helper()
	name := filepath.Join(f.mount, "plug")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 4096); err == nil; {
		_, err = file.Write(b)
	}
	if cerr := file.Close(); !errors.Is(err, unix.ENOSPC) || cerr != nil {
		t.Fatal(err, cerr)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFull fills a file system, with the floor and without one: then SQLite itself meets the end of it in the middle of
// transactions. Puts fail with ErrNoSpace, what was acknowledged is read, nothing half-written stays, keys and buckets are
// deleted, and when there is room again the same driver goes on.
func TestFull(t *testing.T) {
	if !mounttest.MayMount(t) {
		return
	}
	for _, floor := range []int64{4 << 20, 1} {
		t.Run(fmt.Sprint("floor=", floor), func(t *testing.T) { fillUp(t, floor) })
	}
}

func fillUp(t *testing.T, floor int64) {
	t.Helper()
	f := newFullStore(t, floor)
	f.fill(t)
	if f.met && floor > 1 {
		t.Error("SQLite met the end of the file system: the floor did not keep it from that")
	}
	f.holds(t, f.s)
	givesBack(t, f)
	checkClean(t, f.d)
	if floor > 1 {
		if err := f.reopened(t); err != nil {
			t.Errorf("open below the floor: %v", err)
		}
		if err := errors.Join(f.delete(t.Context()), f.s.DeleteBucket(t.Context(), "other")); err != nil {
			t.Errorf("delete below the floor: %v", err)
		}
	}

	unplug := f.plug(t)
	for _, size := range []int{10, 100_000, 3 << 20} {
		if err := f.put(t.Context(), size); !errors.Is(err, object.ErrNoSpace) {
			t.Errorf("put %d bytes without any room: %v", size, err)
		}
	}
	if err := f.s.CreateBucket(t.Context(), "third", ""); !errors.Is(err, object.ErrNoSpace) {
		t.Errorf("create a bucket without any room: %v", err)
	}
	// Deletion needs a few pages of log: it succeeds when the log is longer than what it holds, and fails plainly else.
	for range 100 {
		if err := f.delete(t.Context()); err != nil {
			if !errors.Is(err, object.ErrNoSpace) {
				t.Errorf("delete without any room: %v", err)
			}
			t.Logf("delete without any room: %v", err)
			f.met = true
			break
		}
	}
	f.holds(t, f.s)
	if err := f.reopened(t); err != nil {
		if !errors.Is(err, object.ErrNoSpace) {
			t.Errorf("open without any room: %v", err)
		}
		t.Logf("open without any room: %v", err)
	}
	f.holds(t, f.s)
	if !f.met {
		t.Error("SQLite never met the end of the file system")
	}
	unplug()

	mounttest.Remount(t, f.mount, 0, "size=64m")
	if err := errors.Join(f.delete(t.Context()), f.s.DeleteBucket(t.Context(), "another")); err != nil {
		t.Errorf("delete with room again: %v", err)
	}
	for _, size := range []int{10, 100_000, 3 << 20} {
		if err := f.put(t.Context(), size); err != nil {
			t.Errorf("put %d bytes with room again: %v", size, err)
		}
	}
	f.holds(t, f.s)
	checkClean(t, f.d)
	if err := f.d.Close(); err != nil {
		t.Error(err)
	}
	var err error
	if f.d, err = Open(t.Context(), f.dir, Options{MinFree: floor}); err != nil {
		t.Fatal(err)
	}
	if err := f.d.sweep(t.Context()); err != nil {
		t.Error(err)
	}
	f.holds(t, object.New(f.d, object.Config{}))
	checkClean(t, f.d)
	if err := f.d.Close(); err != nil {
		t.Error(err)
	}
}

// givesBack lets uploads fail: no file, descriptor or memory stays with them.
func givesBack(t *testing.T, f *fullStore) {
	t.Helper()
	fail := func() {
		for range 4 {
			for _, size := range []int{100_000, 5 << 20} {
				if err := f.put(t.Context(), size); !errors.Is(err, object.ErrNoSpace) {
					t.Errorf("put %d bytes: %v", size, err)
				}
			}
		}
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	fail()
	use, fds, before := diskUse(t, f.dir), openIn(t, f.dir), heap()
	fail()
	if now := diskUse(t, f.dir); now > use {
		t.Errorf("uploads that failed left %d bytes on disk", now-use)
	}
	if now := openIn(t, f.dir); len(now) > len(fds) {
		t.Errorf("uploads that failed left open %q, besides %q", now, fds)
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("uploads that failed left %d MiB in memory", grown>>20)
	}
	if left, err := filepath.Glob(filepath.Join(f.dir, "tmp", "*")); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %q %v", left, err)
	}
}

// openIn returns the files below dir that this process has open, but for databases: how many connections there are to one goes by
// how many readers there were at once.
func openIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(name, dir) && !strings.Contains(name, ".db") {
			names = append(names, name)
		}
	}
	return names
}

// refusing fails each transaction at its end, while it is on.
type refusing struct {
	fsys
	on atomic.Bool
}

func (r *refusing) reach(step string) error {
	if step == "commit" && r.on.Load() {
		return unix.ENOSPC
	}
	return nil
}

// TestFailedCommitsLeaveNoPacks: each failed commit begins a new pack, and those that never had a row do not pile up.
func TestFailedCommitsLeaveNoPacks(t *testing.T) {
	dir := t.TempDir()
	fs := &refusing{fsys: osFS(dir)}
	f := &fullStore{dir: dir, d: openWith(t, dir, Options{fs: fs}), acked: make(map[string][]byte)}
	f.s = newStore(t, f.d)
	fs.on.Store(true)
	for range 3 {
		if err := f.put(t.Context(), 5000); !errors.Is(err, object.ErrNoSpace) {
			t.Errorf("put: %v", err)
		}
	}
	if use := diskUse(t, dir); use > 6000 {
		t.Errorf("commits that failed left %d bytes, more than the last one brought", use)
	}
	fs.on.Store(false)
	if err := f.put(t.Context(), 5000); err != nil {
		t.Error(err)
	}
	if use := diskUse(t, dir); use > 6000 {
		t.Errorf("commits that failed left %d bytes beside the one that did not", use-5000)
	}
	f.holds(t, f.s)
	checkClean(t, f.d)
}
