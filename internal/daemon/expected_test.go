package daemon

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	list, err := ExpectedBuckets(t.Context(), cfg, store.Arrived, w, now)
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

// TestExpectedBucketsBesideDamage asks after a bucket that cannot be read: the others are told all the same, and it as remembered.
func TestExpectedBucketsBesideDamage(t *testing.T) {
	now := time.Now()
	every := config.Duration(time.Hour)
	cfg := &config.Config{Buckets: []config.Bucket{{Name: "damaged", Expect: every}, {Name: "sound", Expect: every}}}
	came, seen := now.Add(-2*time.Hour), now.Add(-9*time.Hour)
	w := &Watch{Buckets: map[string]Watched{"damaged": {Since: seen, Last: came}}}
	list, err := ExpectedBuckets(t.Context(), cfg, func(_ context.Context, bucket string) (time.Time, error) {
		if bucket == "damaged" {
			return time.Time{}, object.ErrCorrupt
		}
		return now, nil
	}, w, now)
	want := []Expected{
		{Bucket: "damaged", Every: time.Hour, Last: came, Since: came}, {Bucket: "sound", Every: time.Hour, Last: now, Since: now},
	}
	if !errors.Is(err, object.ErrCorrupt) || !slices.Equal(list, want) {
		t.Errorf("got %+v, %v", list, err)
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
