package disk

import (
	"bytes"
	"testing"
	"time"

	"hugbucket/internal/object"
)

// clockAt is a clock that stands still until it is moved.
type clockAt struct{ time.Time }

func (c *clockAt) now() time.Time { return c.Time }

func arrived(t *testing.T, d *Driver) time.Time {
	t.Helper()
	at, err := d.Arrived(t.Context(), "bucket")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestArrivedIsWrittenOnceAMinuteAndFollowsTheClock(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	start := time.UnixMilli(1_800_000_000_000).UTC()
	clock := &clockAt{start}
	d.now = clock.now
	s := newStore(t, d)
	for _, step := range []struct {
		what      string
		now, want time.Duration // after the start
	}{
		{"the first", 0, 0},
		{"one right after it", 59 * time.Second, 0},
		{"one a minute after it", 60 * time.Second, 60 * time.Second},
		{"one after the clock went back", -time.Hour, -time.Hour},
		{"one right after that", -time.Hour + time.Second, -time.Hour},
	} {
		clock.Time = start.Add(step.now)
		put(t, s, "key", []byte(step.what))
		if got := arrived(t, d); !got.Equal(start.Add(step.want)) {
			t.Errorf("%s: arrived at %v, want %v", step.what, got.Sub(start), step.want)
		}
	}
}

// TestRenamesAndAmendmentsFeedNoBucket makes names, attributes and directories new, long after something came: an alarm that waits for something
// must not be silenced by that. What is renamed from another bucket has come.
func TestRenamesAndAmendmentsFeedNoBucket(t *testing.T) {
	d := openTest(t, t.TempDir())
	start := time.UnixMilli(1_800_000_000_000).UTC()
	clock := &clockAt{start}
	d.now = clock.now
	s := newStore(t, d)
	if err := s.CreateBucket(t.Context(), "other", ""); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", []byte("content"))
	put(t, s, "d/b", []byte("content"))
	put(t, s, "left/last", []byte("content"))
	clock.Time = start.Add(time.Hour)
	for _, opts := range []object.RenameOptions{
		{FromBucket: "bucket", From: "a", ToBucket: "bucket", To: "b"},
		{FromBucket: "bucket", From: "d/", ToBucket: "bucket", To: "e/"},
		{FromBucket: "bucket", From: "e/", ToBucket: "other", To: "e/"},
	} {
		if _, err := s.Rename(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Amend(t.Context(), "bucket", "b", func(a *object.Attrs) { a.Meta["mtime"] = "1" }); err != nil {
		t.Fatal(err)
	}
	put(t, s, "made/", nil)
	if err := s.Remove(t.Context(), "bucket", "left/last", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	if got := arrived(t, d); !got.Equal(start) {
		t.Errorf("after renames and an amendment: %v after what came", got.Sub(start))
	}
	if got, err := d.Arrived(t.Context(), "other"); err != nil || !got.Equal(clock.Time) {
		t.Errorf("renamed from another bucket at %v: arrived at %v, %v", clock.Time, got, err)
	}
}

func TestArrivedIsSeenByOthersAndOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	a, b := opened(t, dir, Options{}), openTest(t, dir)
	start := time.UnixMilli(1_800_000_000_000).UTC()
	a.now, b.now = (&clockAt{start}).now, (&clockAt{start.Add(time.Second)}).now
	put(t, newStore(t, a), "a", nil)
	if got := arrived(t, b); !got.Equal(start) {
		t.Errorf("another process sees %v, want %v", got, start)
	}
	closed(t, a)
	put(t, newStore(t, b), "b", nil) // this process has written nothing yet
	if got := arrived(t, openTest(t, dir)); !got.Equal(start.Add(time.Second)) {
		t.Errorf("when opened again: %v, want %v", got, start.Add(time.Second))
	}
}

// failingCommit fails transactions at their end, while it is to.
type failingCommit struct {
	fsys
	fail bool
}

func (f *failingCommit) reach(step string) error {
	if f.fail && step == "commit" {
		return errTorn
	}
	return f.fsys.reach(step)
}

// TestArrivedIsToldAfterAFailure makes a transaction fail: what it did not write must not count as written.
func TestArrivedIsToldAfterAFailure(t *testing.T) {
	dir := t.TempDir()
	fs := &failingCommit{fsys: osFS(dir)}
	d := openWith(t, dir, Options{fs: fs, idle: true})
	s := newStore(t, d)
	fs.fail = true
	if _, err := s.Put(t.Context(), "bucket", "key", bytes.NewReader(nil), object.PutOptions{}); err == nil {
		t.Fatal("nothing failed")
	}
	fs.fail = false
	if at := arrived(t, d); !at.IsZero() {
		t.Errorf("after a failure something arrived at %v", at)
	}
	put(t, s, "key", nil)
	if arrived(t, d).IsZero() {
		t.Error("nothing arrived after a failure")
	}
}

// TestArrivedDoesNotCostABackup damages the row that says when something arrived: what comes is stored all the same.
func TestArrivedDoesNotCostABackup(t *testing.T) {
	st := newRotStore(t)
	d := opened(t, st.dir, Options{idle: true})
	root := count(t, d, `SELECT rootpage FROM sqlite_schema WHERE name = 'buckets'`)
	closed(t, d)
	st.change(t, "catalog.db", func(b []byte) []byte { b[(root-1)*dbPage+99] ^= 1; return b })
	d = opened(t, st.dir, Options{idle: true})
	for i := range 2 {
		sess, err := d.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := &request{
			sess:    sess.(*session), //nolint:forcetypeassert,errcheck // a driver's own
			changes: []object.Change{{Bucket: "bucket", Key: "new", New: &object.Info{}}}, done: make(chan struct{}),
		}
		d.commit.commit(t.Context(), &group{requests: []*request{r}})
		if r.err != nil {
			t.Errorf("put %d beside a damaged bucket: %v", i, r.err)
		}
		if err := sess.Close(); err != nil {
			t.Error(err)
		}
	}
	closed(t, d)
}
