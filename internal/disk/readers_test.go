package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hugbucket/internal/object"
)

// logBound is what the write-ahead log of the catalog stays below, whatever readers do.
const logBound = 128 << 20

// logWatch notes how large the log was at the end of each transaction, before it could be cut back.
type logWatch struct {
	fsys
	path string
	now  atomic.Int64
	most atomic.Int64
}

func watchLog(dir string) *logWatch {
	return &logWatch{fsys: osFS(dir), path: filepath.Join(dir, "catalog.db-wal")}
}

func (w *logWatch) reach(step string) error {
	if step != "committed" {
		return nil
	}
	st, err := os.Stat(w.path)
	if err != nil {
		return err
	}
	w.now.Store(st.Size())
	for {
		most := w.most.Load()
		if st.Size() <= most || w.most.CompareAndSwap(most, st.Size()) {
			return nil
		}
	}
}

// pushLog makes one commit that fills the log: long keys lie in pages of their own, and each of them is named anew.
func pushLog(t *testing.T, d *Driver, info object.Info) {
	t.Helper()
	changes := make([]object.Change, 1000)
	for i := range changes {
		key := fmt.Sprintf("load/%04d/%s", i, strings.Repeat("x", 1000))
		changes[i] = object.Change{Bucket: "bucket", Key: key, New: &info}
	}
	commitNames(t, d, changes)
}

func commitNames(t *testing.T, d *Driver, changes []object.Change) {
	t.Helper()
	sess, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sess.Commit(t.Context(), changes), sess.Close()); err != nil {
		t.Fatal(err)
	}
}

// logTest is a store that two processes have open, with keys to list and two contents to name by turns.
type logTest struct {
	watch *logWatch
	d     [2]*Driver
	s     [2]*object.Store
	info  [2]object.Info
}

const walked = 2500 // keys to list

func newLogTest(t *testing.T) *logTest {
	t.Helper()
	dir := t.TempDir()
	l := &logTest{watch: watchLog(dir)}
	for i := range l.d {
		l.d[i] = openWith(t, dir, Options{fs: l.watch})
		l.s[i] = newStore(t, l.d[i])
		l.info[i] = put(t, l.s[0], fmt.Sprint("content-", i), randomBytes(100+i, uint64(i)))
	}
	changes := make([]object.Change, walked)
	for i := range changes {
		changes[i] = object.Change{Bucket: "bucket", Key: fmt.Sprintf("walk/%05d", i), New: &l.info[0]}
	}
	commitNames(t, l.d[0], changes)
	return l
}

// push makes n commits, by the two processes in turns.
func (l *logTest) push(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		pushLog(t, l.d[i%2], l.info[i/2%2])
	}
}

// pushes are as many commits as take the log past logBound when somebody reads on and on: see TestLogGrowsUnderACursor.
// Under the race detector it is one.
const pushes = 1 + 34/stride/stride

// TestLogGrowsUnderACursor is the control of the tests below: one read of the catalog that does not end lets the same load
// take the log past the bound. After its end the log is cut back.
func TestLogGrowsUnderACursor(t *testing.T) {
	l := newLogTest(t)
	rows, err := l.d[1].reads.db.QueryContext(t.Context(), `SELECT key FROM keys`)
	if err != nil || !rows.Next() {
		t.Fatal("no rows", err)
	}
	l.push(t, pushes)
	if most := l.watch.most.Load(); stride == 1 && most <= logBound {
		t.Errorf("%d commits write %d MiB of log, too few to prove anything", pushes, most>>20)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // it is open until here on purpose
		t.Fatal(err)
	}
	l.push(t, 4)
	if now := l.watch.now.Load(); now >= logBound {
		t.Errorf("the log has %d MiB when nobody reads any more", now>>20)
	}
}

// TestLogUnderStalledListing stops the client of a listing in the middle of a page, with a session and a half-read object
// open in each process, for as long as the log would grow past the bound. Then all of them go on.
func TestLogUnderStalledListing(t *testing.T) {
	l := newLogTest(t)
	body := randomBytes(3<<20, 9)
	put(t, l.s[0], "object", body)
	var files [2]*half
	var sessions [2]object.Session
	for i := range l.d {
		files[i] = openHalf(t, l.s[i], "object", body)
		var err error
		if sessions[i], err = l.d[i].Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stalled, goOn, walk := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		walk <- walkBucket(t, l.s[0], func(seen int) {
			if seen == walked/2 {
				close(stalled)
				<-goOn
			}
		})
	}()
	select {
	case <-stalled:
	case err := <-walk:
		t.Fatal("the listing did not come to its middle: ", err)
	}
	l.push(t, pushes)
	if most := l.watch.most.Load(); most >= logBound {
		t.Errorf("the log had %d MiB", most>>20)
	}
	close(goOn)
	if err := <-walk; err != nil {
		t.Error(err)
	}
	for i := range l.d {
		files[i].finish(t)
		err := sessions[i].Commit(t.Context(), []object.Change{{Bucket: "bucket", Key: "late", New: &l.info[i]}})
		if err := errors.Join(err, sessions[i].Close()); err != nil {
			t.Error(err)
		}
	}
}

// walkBucket lists all keys under walk/ page by page, and calls each with how many there were. It returns an error unless
// all came, each once.
func walkBucket(t *testing.T, s *object.Store, each func(seen int)) error {
	t.Helper()
	opts := object.ListOptions{Prefix: "walk/", Limit: 100}
	for seen := 0; ; {
		page, err := s.List(t.Context(), "bucket", opts)
		if err != nil {
			return err
		}
		for _, info := range page.Objects {
			if want := fmt.Sprintf("walk/%05d", seen); info.Key != want {
				return fmt.Errorf("listed %s where %s belongs", info.Key, want)
			}
			seen++
			each(seen)
		}
		if !page.Truncated {
			if seen != walked {
				return fmt.Errorf("listed %d keys of %d", seen, walked)
			}
			return nil
		}
		opts.Start = page.Next
	}
}

// TestLogUnderBusyListings never leaves the catalog without a reader: pages are listed one after the other in both processes
// while the log is filled. It is cut back between them.
func TestLogUnderBusyListings(t *testing.T) {
	l := newLogTest(t)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for !stop.Load() {
				page, err := l.s[i%2].List(t.Context(), "bucket", object.ListOptions{Prefix: "walk/"})
				if err != nil || len(page.Objects) != 1000 {
					t.Errorf("a page of %d: %v", len(page.Objects), err)
					return
				}
			}
		})
	}
	l.push(t, pushes)
	stop.Store(true)
	wg.Wait()
	t.Logf("the log had %d MiB at most", l.watch.most.Load()>>20)
	if most := l.watch.most.Load(); most >= logBound {
		t.Errorf("the log had %d MiB", most>>20)
	}
}

// half is an object that is half read.
type half struct {
	f          *object.File
	body, head []byte
}

func openHalf(t *testing.T, s *object.Store, key string, body []byte) *half {
	t.Helper()
	f, err := s.Open(t.Context(), "bucket", key)
	if err != nil {
		t.Fatal(err)
	}
	h := &half{f: f, body: body, head: make([]byte, len(body)/2)}
	if _, err := io.ReadFull(f, h.head); err != nil {
		t.Fatal(err)
	}
	return h
}

// finish reads the other half: it is the old content, whatever the key names by now.
func (h *half) finish(t *testing.T) {
	t.Helper()
	tail, err := io.ReadAll(h.f)
	if err := errors.Join(err, h.f.Close()); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(append(h.head, tail...), h.body) {
		t.Error("the old content reads as something else")
	}
}

// TestReadersKeepTheirContent overwrites and deletes objects that are half read, by the same process and by another, which
// is closed, and swept after, before the readers go on.
func TestReadersKeepTheirContent(t *testing.T) {
	change := map[string]func(t *testing.T, s *object.Store, key string){
		"overwrite": func(t *testing.T, s *object.Store, key string) {
			t.Helper()
			put(t, s, key, randomBytes(200_000, 77))
		},
		"delete": func(t *testing.T, s *object.Store, key string) {
			t.Helper()
			if err := s.Delete(t.Context(), "bucket", key, object.Condition{}); err != nil {
				t.Fatal(err)
			}
		},
	}
	for what, do := range change {
		for _, who := range []string{"same", "other", "dead"} {
			t.Run(what+"/"+who, func(t *testing.T) {
				dir := t.TempDir()
				d := openTest(t, dir)
				s := newStore(t, d)
				other, err := Open(t.Context(), dir, Options{})
				if err != nil {
					t.Fatal(err)
				}
				so := object.New(other, object.Config{})
				var halves []*half
				for i, size := range []int{3000, 700_000, 5 << 20} {
					// Of each size one that this process wrote and one that the other wrote.
					for j, writer := range []*object.Store{s, so} {
						key, body := fmt.Sprint(i, j), randomBytes(size, uint64(10*i+j))
						put(t, writer, key, body)
						halves = append(halves, openHalf(t, s, key, body))
						if who == "same" {
							do(t, s, key)
						} else {
							do(t, so, key)
						}
					}
				}
				if who == "dead" {
					abandon(t, other)
				} else if err := other.Close(); err != nil {
					t.Fatal(err)
				}
				// What the process has open already it would read whatever became of the names.
				if err := d.files.close(); err != nil {
					t.Fatal(err)
				}
				if err := d.sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, h := range halves {
					h.finish(t)
				}
			})
		}
	}
}
