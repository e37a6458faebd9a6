package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"

	"hugbucket/internal/object"
)

var errFault = errors.New("injected fault")

// faultFS fails the nth call that changes something, and, when it stops, all calls after it, as if the process had died.
type faultFS struct {
	fsys
	stops bool

	mu    sync.Mutex
	n     int // calls until the fault
	fired string
}

func (f *faultFS) step(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fired != "" {
		if f.stops {
			return errFault
		}
		return nil
	}
	if f.n--; f.n == 0 {
		f.fired = what
		return errFault
	}
	return nil
}

func (f *faultFS) hit() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

func (f *faultFS) create(name string) (file, error) {
	if err := f.step("create " + name); err != nil {
		return nil, err
	}
	opened, err := f.fsys.create(name)
	return &faultFile{opened, f, name}, err
}

func (f *faultFS) rename(from, to string) error {
	if err := f.step("rename " + to); err != nil {
		return err
	}
	return f.fsys.rename(from, to)
}

func (f *faultFS) remove(name string) error {
	if err := f.step("remove " + name); err != nil {
		return err
	}
	return f.fsys.remove(name)
}

func (f *faultFS) syncDir(name string) error {
	if err := f.step("sync directory " + name); err != nil {
		return err
	}
	return f.fsys.syncDir(name)
}

func (f *faultFS) reach(what string) error { return f.step(what) }

type faultFile struct {
	file
	fs   *faultFS
	name string
}

// WriteAt writes half of p when it fails: a torn write.
func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.step("write " + f.name); err != nil {
		n, werr := f.file.WriteAt(p[:len(p)/2], off)
		return n, errors.Join(err, werr)
	}
	return f.file.WriteAt(p, off)
}

func (f *faultFile) sync() error {
	if err := f.fs.step("sync " + f.name); err != nil {
		return err
	}
	return f.file.sync()
}

// faultWork does a bit of everything and keeps what was acknowledged. What failed may or may not have happened.
type faultWork struct {
	s     *object.Store
	acked map[string][]byte   // nil: deleted
	maybe map[string][][]byte // what a key may name instead, because a change to it failed
}

func (w *faultWork) note(err error, key string, body []byte) {
	if err == nil {
		w.acked[key] = body
		delete(w.maybe, key)
		return
	}
	w.maybe[key] = append(w.maybe[key], body)
}

func (w *faultWork) run(ctx context.Context) {
	_ = w.s.CreateBucket(ctx, "bucket", "")
	put := func(key string, body []byte) {
		_, err := w.s.Put(ctx, "bucket", key, bytes.NewReader(body), object.PutOptions{})
		w.note(err, key, body)
	}
	small, big := randomBytes(5000, 1), randomBytes(2_500_000, 2)
	put("small", small)
	put("big", big)
	put("again", big)
	put("small", randomBytes(6000, 3))
	for i := range 3 { // each pack holds two of these
		put(fmt.Sprint("pack", i), randomBytes(700_000, uint64(10+i)))
	}
	_, err := w.s.Copy(ctx, object.CopyOptions{FromBucket: "bucket", FromKey: "big", ToBucket: "bucket", ToKey: "copy"})
	w.note(err, "copy", big)
	w.note(w.s.Delete(ctx, "bucket", "again", object.Condition{}), "again", nil)
	_ = w.s.CreateBucket(ctx, "other", "")
	_ = w.s.DeleteBucket(ctx, "other")
	put("last", randomBytes(100, 4))
}

// TestFaults fails, and separately stops at, the kth call of a run that does a bit of everything, for k = 1, 2, … until a
// run survives. After each, the store opens again, is clean, holds all that was acknowledged, and nothing half-written.
func TestFaults(t *testing.T) {
	for _, stops := range []bool{false, true} {
		t.Run(map[bool]string{false: "fail", true: "stop"}[stops], func(t *testing.T) {
			k := 1
			for faultRun(t, k, stops) {
				k += stride
			}
			if k < 40 {
				t.Errorf("only %d calls were there to fail", k)
			}
			t.Logf("%d calls were failed, each in a run of its own", k/stride)
		})
	}
}

// faultRun returns false when the run ended before the kth call.
func faultRun(t *testing.T, k int, stops bool) bool {
	t.Helper()
	dir := t.TempDir()
	ffs := &faultFS{fsys: osFS(dir), stops: stops, n: k}
	work := &faultWork{acked: make(map[string][]byte), maybe: make(map[string][][]byte)}
	d, err := Open(t.Context(), dir, Options{fs: ffs, packSize: 1_500_000})
	if err == nil {
		work.s = object.New(d, object.Config{})
		work.run(t.Context())
		if stops && ffs.hit() != "" {
			abandon(t, d)
		} else if err := d.Close(); err != nil && ffs.hit() == "" {
			t.Fatal(err)
		}
	} else if ffs.hit() == "" {
		t.Fatal(err)
	}
	if d, err = Open(t.Context(), dir, Options{}); err != nil {
		t.Fatalf("after a fault at call %d (%s): open: %v", k, ffs.hit(), err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := d.sweep(t.Context()); err != nil {
		t.Errorf("after a fault at call %d (%s): sweep: %v", k, ffs.hit(), err)
	}
	if err := d.Check(t.Context(), func(p Problem) {
		t.Errorf("after a fault at call %d (%s): check: %v", k, ffs.hit(), p)
	}); err != nil {
		t.Error(err)
	}
	work.s = object.New(d, object.Config{})
	work.verify(t, fmt.Sprintf("after a fault at call %d (%s)", k, ffs.hit()))
	return ffs.hit() != ""
}

// verify compares the store with what was acknowledged.
func (w *faultWork) verify(t *testing.T, when string) {
	t.Helper()
	keys := make(map[string]bool)
	for key := range w.acked {
		keys[key] = true
	}
	for key := range w.maybe {
		keys[key] = true
	}
	for key := range keys {
		acked, sure := w.acked[key] // nil, too, when nobody ever put it
		got, err := readAll(t.Context(), w.s, key)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %s: %v", when, key, err)
			continue
		}
		right := got == nil && acked == nil || sure && bytes.Equal(got, acked)
		for _, maybe := range w.maybe[key] {
			right = right || bytes.Equal(got, maybe)
		}
		if !right {
			t.Errorf("%s: %s has %d bytes that nobody put there", when, key, len(got))
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
