package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// expireAt runs expire with a clock of its own, and returns what it said and the keys that are left.
func (s testStore) expireAt(t *testing.T, o expireOptions) (out string, left []string, err error) {
	t.Helper()
	var text bytes.Buffer
	err = keep(t.Context(), env{&text, &text}, testFlags(s), func(ctx context.Context, k *keeper) error { return k.expire(ctx, o) })
	left, _ = s.left(t)
	return text.String(), left, err
}

// TestExpireDoubtsAClockThatIsFarAhead goes through nights of which some have a clock that is wrong, or a machine that was off.
func TestExpireDoubtsAClockThatIsFarAhead(t *testing.T) {
	const day, years = 24 * time.Hour, 10 * 365 * 24 * time.Hour
	all, rest := []string{"0", "10", "100", "2"}, []string{"0", "10", "2"}
	type night struct {
		at      time.Duration
		trust   bool
		dryRun  bool
		refused bool
		left    []string
	}
	for name, nights := range map[string][]night{
		"wrong for a night, the first of all": {{at: years, refused: true, left: all}, {at: day, left: rest}},
		"wrong for a night, later":            {{at: 0, left: rest}, {at: years, refused: true, left: rest}, {at: 2 * day, left: rest}},
		"wrong for a night and another":       {{at: years, refused: true, left: all}, {at: day, left: rest}, {at: years + 8*day, refused: true, left: rest}},
		"off over a holiday":                  {{at: 0, left: rest}, {at: 7 * day, left: rest}, {at: 14 * day, left: rest}},
		"off for a year":                      {{at: 365 * day, refused: true, left: all}, {at: 371 * day, refused: true, left: all}, {at: 372 * day, left: []string{"0"}}},
		"off for a year, and somebody knows":  {{at: 365 * day, refused: true, left: all}, {at: 365 * day, trust: true, left: []string{"0"}}, {at: 366 * day, left: []string{"0"}}},
		"on now and then":                     {{at: 30 * day, refused: true, left: all}, {at: 55 * day, left: []string{"0", "2"}}},
		"a dry run is remembered by nobody":   {{at: years, dryRun: true, left: all}, {at: years + 8*day, refused: true, left: all}},
		"off for a year, and wrong at first":  {{at: years, refused: true, left: all}, {at: 365 * day, refused: true, left: all}, {at: 372 * day, left: []string{"0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestStore(t)
			start := time.Now().Add(time.Second)
			s.aged(t, start.Add(-time.Hour), 0, 10, 100, 2)
			s.configure(t, `"buckets": [{"name": "backup", "token": "token-one", "max_age": "62d"}]`)
			for _, n := range nights {
				out, left, err := s.expireAt(t, expireOptions{now: start.Add(n.at), trustClock: n.trust, dryRun: n.dryRun})
				if (err != nil) != n.refused || !slices.Equal(left, n.left) {
					t.Errorf("after %v: left are %q, want %q: %v", n.at, left, n.left, err)
				}
				if n.refused && !strings.Contains(err.Error(), "expire --trust-clock") || n.dryRun && !strings.Contains(out, "warning: nothing is deleted by max_age") {
					t.Errorf("after %v: %q, %v", n.at, out, err)
				}
			}
		})
	}
}

// TestExpireCountsWhateverTheClockSays lets a bucket that tells no age go on, and one whose file of the clock nobody may take.
func TestExpireCountsWhateverTheClockSays(t *testing.T) {
	s := newTestStore(t)
	s.aged(t, time.Now(), 1, 3, 2)
	s.configure(t, `"buckets": [{"name": "aged", "token": "token-one", "max_age": "1d"}, {"name": "backup", "token": "token-two", "keep": 2}]`)
	if _, left, err := s.expireAt(t, expireOptions{now: time.Now().AddDate(10, 0, 0)}); err == nil || !slices.Equal(left, []string{"1", "2"}) {
		t.Errorf("left are %q: %v", left, err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "expire.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.expireAt(t, expireOptions{now: time.Now()}); err != nil {
		t.Errorf("with a damaged file: %v", err)
	}
}

// brokenBuckets is a store of which only one bucket can be listed.
type brokenBuckets struct {
	*object.Store

	whole string
}

func (s brokenBuckets) List(ctx context.Context, bucket string, opts object.ListOptions) (object.Listing, error) {
	if bucket != s.whole {
		return object.Listing{}, fmt.Errorf("list: %w", object.ErrCorrupt)
	}
	return s.Store.List(ctx, bucket, opts)
}

// TestExpireGoesOnBehindABrokenBucket has the first and the last of three buckets broken.
func TestExpireGoesOnBehindABrokenBucket(t *testing.T) {
	s := newTestStore(t)
	s.aged(t, time.Now(), 1, 3, 2)
	s.configure(t, `"buckets": [{"name": "first", "token": "token-one", "keep": 1}, {"name": "backup", "token": "token-two", "keep": 1},
		{"name": "last", "token": "token-three", "keep": 1}]`)
	var r expireResult
	var text bytes.Buffer
	err := keep(t.Context(), env{&text, &text}, testFlags(s), func(ctx context.Context, k *keeper) error {
		return k.open(ctx, true, func(d *disk.Driver) error {
			return k.expireBuckets(ctx, brokenBuckets{object.New(d, object.Config{}), "backup"}, expireOptions{now: time.Now()}, &r)
		})
	})
	if !errors.Is(err, object.ErrCorrupt) || !strings.Contains(err.Error(), "bucket first: ") || !strings.Contains(err.Error(), "bucket last: ") ||
		strings.Contains(err.Error(), "bucket backup") {
		t.Errorf("got %v", err)
	}
	if len(r.Buckets) != 3 || r.Buckets[0].Error == "" || r.Buckets[1].Error != "" || r.Buckets[1].Deleted != 2 || r.Buckets[2].Error == "" {
		t.Errorf("got %+v", r)
	}
}
