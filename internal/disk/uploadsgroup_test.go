package disk

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"hugbucket/internal/object"
)

// heldFS holds up the next question for free space when it is armed.
type heldFS struct {
	fsys
	armed             atomic.Bool
	reached, released chan struct{}
}

func (f *heldFS) free() (free, size int64, err error) {
	if f.armed.CompareAndSwap(true, false) {
		f.reached <- struct{}{}
		<-f.released
	}
	return f.fsys.free()
}

// together lets n calls come while the committer is busy with something else, and returns how many transactions they took.
func (f *heldFS) together(t *testing.T, d *Driver, s *object.Store, n int, do func(i int) error) int64 {
	t.Helper()
	var first, all sync.WaitGroup
	f.armed.Store(true)
	first.Go(func() { put(t, s, "first", nil) })
	<-f.reached
	for i := range n {
		all.Go(func() {
			if err := do(i); err != nil {
				t.Error(err)
			}
		})
	}
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	g := &group{}
	for range n {
		select {
		case r := <-d.commit.small:
			g.requests = append(g.requests, r)
			continue
		case <-over:
			t.Error("they did not wait for their turn")
		}
		break
	}
	f.released <- struct{}{}
	first.Wait()
	before := d.commit.commits.Load()
	d.commit.commit(t.Context(), g)
	<-over
	return d.commit.commits.Load() - before
}

// TestUploadsShareTransactions begins and aborts many uploads at a time: with a sync for each they would hold up all else.
func TestUploadsShareTransactions(t *testing.T) {
	const n = 48
	dir := t.TempDir()
	fs := &heldFS{fsys: osFS(dir), reached: make(chan struct{}), released: make(chan struct{})}
	d := opened(t, dir, Options{fs: fs, idle: true})
	s := newStore(t, d)
	var names [n]object.UploadName
	took := fs.together(t, d, s, n, func(i int) error {
		key := fmt.Sprint(i)
		u, err := s.CreateUpload(t.Context(), "bucket", key, object.UploadOptions{})
		names[i] = object.UploadName{Bucket: "bucket", Key: key, ID: u.ID}
		return err
	})
	if took != 1 || count(t, d, `SELECT count(*) FROM uploads`) != n {
		t.Errorf("%d uploads were begun in %d transactions", n, took)
	}
	took = fs.together(t, d, s, n, func(i int) error { return s.AbortUpload(t.Context(), names[i]) })
	if took != 1 || count(t, d, `SELECT count(*) FROM uploads`) != 0 {
		t.Errorf("%d uploads were aborted in %d transactions", n, took)
	}
	checkClean(t, d)
	closed(t, d)
}

// TestUploadsFailAlone commits groups in which some uploads cannot be begun or aborted: nothing else of the group hears of that.
func TestUploadsFailAlone(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	body := randomBytes(100, 1)
	open, _ := uploadIn(t, s, "open", body)
	damaged, _ := uploadIn(t, s, "damaged", body)
	write(t, d, `UPDATE uploads SET info = x'00' WHERE id = ?`, damaged.ID)
	done, refs := uploadIn(t, s, "done", body)
	if _, err := s.Complete(t.Context(), done, refs, object.CompleteOptions{}); err != nil {
		t.Fatal(err)
	}
	begin := func(id, bucket string) *request {
		return &request{begins: &object.Upload{ID: id, Bucket: bucket, Key: "key", Created: d.now()}}
	}
	errOwn := errors.New("an error that says nothing of others")
	type want struct {
		r   *request
		err error
	}
	group := func(what string, floor int64, wants ...want) {
		t.Helper()
		g := &group{}
		for _, w := range wants {
			w.r.sess, w.r.done = &session{}, make(chan struct{})
			g.requests = append(g.requests, w.r)
		}
		old := d.floor
		d.floor = floor
		before := d.commit.commits.Load()
		d.commit.commit(t.Context(), g)
		d.floor = old
		for i, w := range wants {
			switch err := w.r.err; {
			case errors.Is(w.err, errOwn) && err != nil && !errors.Is(err, object.ErrNoUpload) && !errors.Is(err, object.ErrCorrupt):
			case !errors.Is(err, w.err):
				t.Errorf("%s: request %d: %v, want %v", what, i, err, w.err)
			}
		}
		if n := d.commit.commits.Load() - before; n != 1 {
			t.Errorf("%s: %d transactions", what, n)
		}
	}
	group("with room", d.floor,
		want{begin("u1", "bucket"), nil},
		want{begin("u2", "nowhere"), object.ErrNoBucket},
		want{begin("u1", "bucket"), errOwn},
		want{begin("u3", "bucket"), nil},
		want{&request{aborts: "nobody's"}, object.ErrNoUpload},
		want{&request{aborts: done.ID}, object.ErrNoUpload},
		want{&request{aborts: damaged.ID}, nil},
		want{&request{aborts: open.ID}, nil},
		want{&request{aborts: open.ID}, object.ErrNoUpload},
		want{&request{changes: []object.Change{{Bucket: "bucket", Key: "z", New: &object.Info{}}}}, nil},
	)
	group("without", 1<<62, want{begin("u4", "bucket"), object.ErrNoSpace}, want{&request{aborts: "u1"}, nil})
	left, _, err := s.ListUploads(t.Context(), "bucket", object.UploadPage{Limit: 10})
	if err != nil || len(left) != 1 || left[0].ID != "u3" {
		t.Errorf("left are %v, %v", left, err)
	}
	if n := count(t, d, `SELECT count(*) FROM parts`); n != 0 {
		t.Errorf("%d parts are left", n)
	}
	for _, key := range []string{"z", "done"} {
		if _, err := s.Stat(t.Context(), "bucket", key); err != nil {
			t.Error(err)
		}
	}
}
