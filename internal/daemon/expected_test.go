package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

func TestOverdue(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for age, want := range map[time.Duration]bool{0: false, time.Hour: false, time.Hour + 1: true, -time.Hour: false, -time.Hour - 1: true} {
		x := Expected{Every: time.Hour, Since: now.Add(-age)}
		if x.Overdue(now) != want {
			t.Errorf("after %v: overdue is %v", age, !want)
		}
		if got := x.Waited(now); got != max(age, 0) {
			t.Errorf("after %v: waited %v", age, got)
		}
	}
}

func TestExpectedBuckets(t *testing.T) {
	store := objecttest.NewStore(t)
	now := time.Now()
	every := config.Duration(time.Hour)
	cfg := &config.Config{Buckets: []config.Bucket{
		{Name: "never", Expect: every}, {Name: "whenever"}, {Name: "filled", Expect: every}, {Name: "missing", Expect: every}, {Token: "bare-token"},
	}}
	for _, name := range []string{"never", "whenever", "filled"} {
		if err := store.CreateBucket(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Put(t.Context(), "filled", "key", bytes.NewReader(nil), object.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	last, err := store.Arrived(t.Context(), "filled")
	if err != nil {
		t.Fatal(err)
	}
	seen := now.Add(-2 * time.Hour)
	w := &Watch{Buckets: map[string]Watched{"missing": {Since: seen}, "filled": {Since: seen}}}
	list, err := ExpectedBuckets(t.Context(), cfg, store, w, now)
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	for i, want := range []Expected{
		{Bucket: "never", Since: now}, // nobody has waited for it yet
		{Bucket: "filled", Since: last, Last: last},
		{Bucket: "missing", Since: seen},
	} {
		want.Every = time.Hour
		if list[i] != want {
			t.Errorf("got %+v, want %+v", list[i], want)
		}
	}
}

func TestDamagedWatchBeginsAnew(t *testing.T) {
	cfg := &config.Config{Storage: config.Storage{Path: t.TempDir()}}
	for _, text := range []string{"", "{", "null", `{"looked": "2026-01-01T00:00:00Z"}`} {
		if err := os.WriteFile(filepath.Join(cfg.Storage.Path, "watch.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := LoadWatch(cfg)
		if err != nil || w.Buckets == nil || !w.Looked.IsZero() {
			t.Errorf("%q: %+v, %v", text, w, err)
		}
	}
}
