package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// writeAged makes a file of an age.
func writeAged(t *testing.T, path string, at time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// writeWatch is what a watch of buckets remembers.
func writeWatch(t *testing.T, cfg *config.Config, buckets map[string]Watched) {
	t.Helper()
	text, err := json.Marshal(Watch{Looked: time.Now(), Buckets: buckets})
	if err == nil {
		err = os.WriteFile(WatchFile(cfg), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestArrivals(t *testing.T) {
	home := t.TempDir()
	d := &roomy{Memory: objecttest.NewMemory(), damaged: "damaged"}
	store := object.New(d, object.Config{})
	for _, name := range []string{"db01", "other", "silent"} {
		if err := store.CreateBucket(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Put(t.Context(), "db01", "key", strings.NewReader("x"), object.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	arrived, err := store.Arrived(t.Context(), "db01")
	if err != nil {
		t.Fatal(err)
	}
	now := arrived.Add(2 * time.Hour)
	old := now.Add(-90 * time.Minute)
	writeAged(t, filepath.Join(home, "3547-bare-one", "new.tar"), old)
	writeAged(t, filepath.Join(home, "3547-bare-one", "old.tar"), old.Add(-time.Hour))
	const random = "abcdefghijklmnopqrstuvwxyz"
	for _, ours := range []string{".partial-" + random, ".uploads/" + random, ".uploads/" + random + ".state"} {
		writeAged(t, filepath.Join(home, "3547-bare-one", ours), now)
	}
	writeAged(t, filepath.Join(home, "3547-bare-one", "directory", "inside.tar"), now)
	a := &arrivals{store: store, home: home}
	hour := config.Duration(time.Hour)
	cfg := &config.Config{Storage: config.Storage{Path: t.TempDir()}, Buckets: []config.Bucket{
		{Token: "3547-bare-one"},
		{Name: "db01", Expect: hour},
		{Token: "3547-bare-two"},
		{Name: "damaged", Expect: hour},
		{Name: "missing", Expect: 3 * hour},
		{Name: "unseen", Expect: hour},
		{Name: "silent"},
	}}
	writeWatch(t, cfg, map[string]Watched{"missing": {Since: now.Add(-4 * time.Hour)}, "db01": {Since: now}})
	list := func() []bucketState {
		t.Helper()
		got, more, err := a.list(t.Context(), cfg, now)
		if err != nil || more {
			t.Fatal(more, err)
		}
		return got
	}
	got := list()
	for i, want := range []bucketState{
		{Name: "354…", Last: old},
		{Name: "db01", Last: arrived, Expect: time.Hour, Overdue: true},
		{Name: "354… #2"},
		{Name: "damaged", Expect: time.Hour, Err: object.ErrCorrupt},
		{Name: "missing", Expect: 3 * time.Hour, Overdue: true},
		{Name: "unseen", Expect: time.Hour}, // not waited for yet
		{Name: "silent"},
		{Name: "other"},
	} {
		if i >= len(got) {
			t.Fatalf("%d buckets", len(got))
		}
		g := got[i]
		if g.Name != want.Name || !g.Last.Equal(want.Last) || g.Expect != want.Expect || g.Overdue != want.Overdue || !errors.Is(g.Err, want.Err) {
			t.Errorf("got %+v, want %+v", g, want)
		}
	}
	if len(got) != 8 {
		t.Errorf("%d buckets", len(got))
	}
	// A file that comes is seen, although the directory was read before; one that goes, too.
	fresh := now.Add(-time.Minute)
	writeAged(t, filepath.Join(home, "3547-bare-one", "fresh.tar"), fresh)
	if got := list()[0]; !got.Last.Equal(fresh) {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(filepath.Join(home, "3547-bare-one", "fresh.tar")); err != nil {
		t.Fatal(err)
	}
	if got := list()[0]; !got.Last.Equal(old) {
		t.Errorf("%+v", got)
	}
	// Errors are for a page that anybody may read.
	if err := os.Symlink("loop-of-names", filepath.Join(home, "loop-of-names")); err != nil {
		t.Fatal(err)
	}
	cfg.Buckets = []config.Bucket{{Token: "loop-of-names"}}
	if got := list()[0]; got.Err == nil || strings.Contains(got.Err.Error(), "loop-of") {
		t.Errorf("%+v", got)
	}
}

// TestArrivalsReadADirectoryOnce looks at a directory that does not change.
func TestArrivalsReadADirectoryOnce(t *testing.T) {
	home := t.TempDir()
	a := &arrivals{store: object.New(objecttest.NewMemory(), object.Config{}), home: home}
	path := filepath.Join(home, "bare-token", "file")
	long := time.Unix(1_000_000, 0)
	writeAged(t, path, long)
	if err := os.Chtimes(filepath.Dir(path), long, long); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if got, err := a.bare("bare-token", long.Add(time.Hour)); err != nil || !got.Equal(long) {
			t.Error(i, got, err)
		}
		if err := os.Chtimes(path, long.Add(time.Minute), long.Add(time.Minute)); err != nil { // the directory does not know
			t.Fatal(err)
		}
	}
	if got, err := a.bare("bare-token", long.Add(time.Second)); err != nil || !got.Equal(long.Add(time.Minute)) {
		t.Error("a directory that changed just now was not read again:", got, err)
	}
}

// TestArrivalsOfManyBuckets shows the first of more buckets than fit.
func TestArrivalsOfManyBuckets(t *testing.T) {
	store := object.New(objecttest.NewMemory(), object.Config{})
	for i := range maxBuckets {
		if err := store.CreateBucket(t.Context(), fmt.Sprintf("bucket-%04d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	a := &arrivals{store: store}
	cfg := &config.Config{Storage: config.Storage{Path: t.TempDir()}}
	got, more, err := a.list(t.Context(), cfg, time.Now())
	if err != nil || more || len(got) != maxBuckets {
		t.Fatal(len(got), more, err)
	}
	cfg.Buckets = []config.Bucket{{Name: "configured"}}
	got, more, err = a.list(t.Context(), cfg, time.Now())
	if err != nil || !more || len(got) != maxBuckets || got[0].Name != "configured" || got[maxBuckets-1].Name != fmt.Sprintf("bucket-%04d", maxBuckets-2) {
		t.Fatal(len(got), more, err)
	}
}
