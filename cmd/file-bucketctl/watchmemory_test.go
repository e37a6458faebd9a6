package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/daemon"
)

// giveAway gives the store to a user who may not do everything, when the test is root's.
func (s testStore) giveAway(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, 64121, 64122))
	})
	if err := errors.Join(err, os.Chmod(filepath.Dir(s.dir), 0o755)); err != nil {
		t.Fatal(err)
	}
}

// TestWatchAlertsOncePerLapseWithoutTheDisk lets the store go, in ways in which nothing can be remembered beside it any more.
func TestWatchAlertsOncePerLapseWithoutTheDisk(t *testing.T) {
	for name, hurt := range map[string]func(s testStore) error{
		"gone":        func(s testStore) error { return os.RemoveAll(s.dir) },
		"not mounted": func(s testStore) error { return errors.Join(os.RemoveAll(s.dir), os.Mkdir(s.dir, 0o700)) },
		"no directory": func(s testStore) error {
			return errors.Join(os.RemoveAll(s.dir), os.WriteFile(s.dir, nil, 0o600))
		},
		"read-only": func(s testStore) error { return os.Chmod(s.dir, 0o500) },
		"watch.json cannot be read": func(s testStore) error {
			path := filepath.Join(s.dir, "watch.json")
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := expecting(t, true)
			s.giveAway(t)
			spare := filepath.Join(t.TempDir(), "watch.json")
			start := time.Now()
			look := func(after time.Duration, alerts ...string) error {
				t.Helper()
				var out bytes.Buffer
				hooks := &heardAlerts{}
				w := watch{
					storeFlags: testFlags(s), now: func() time.Time { return start.Add(after) }, log: zerolog.Nop(), hooks: hooks, spare: spare,
				}
				err := w.run(t.Context(), env{&out, &out})
				if !slices.Equal(hooks.heard, alerts) {
					t.Errorf("after %v: alerts %q, want %q; %v", after, hooks.heard, alerts, err)
				}
				return err
			}
			if err := look(0); err != nil {
				t.Fatal(err)
			}
			if err := hurt(s); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(s.dir, 0o700) }) // so that it can be removed
			before, _ := os.ReadDir(s.dir)
			for _, step := range []struct {
				after  time.Duration
				alerts []string
			}{{time.Hour, nil}, {27 * time.Hour, []string{"backup true 27"}}, {27*time.Hour + 15*time.Minute, nil}, {60 * time.Hour, nil}} {
				if err := look(step.after, step.alerts...); err == nil {
					t.Errorf("after %v: the watch does not fail", step.after)
				}
			}
			if after, _ := os.ReadDir(s.dir); len(after) != len(before) && name != "watch.json cannot be read" {
				t.Errorf("left are %v", after)
			}
		})
	}
}

// TestDamagedSpareMemoryIsNone has the watch go by what lies beside the store.
func TestDamagedSpareMemoryIsNone(t *testing.T) {
	s := expecting(t, true)
	spare := filepath.Join(t.TempDir(), "watch.json")
	t.Setenv("RUNTIME_DIRECTORY", filepath.Dir(spare))
	for _, text := range []string{"", "{", "null", `{"looked": "2999-01-01T00:00:00Z"}`} {
		if err := os.WriteFile(spare, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, fail := s.ctl(t, "watch"); code != 0 || out+fail != "" {
			t.Errorf("%q: got %d %q %q", text, code, out, fail)
		}
		if w, err := (watchMemory{spare: spare}).loadSpare(); err != nil || w == nil || len(w.Buckets) != 1 {
			t.Errorf("%q: then it remembers %v, %v", text, w, err)
		}
	}
}

// TestForgettingABucketThatNeverGotAnythingAlerts deletes what the watch remembers, and does not take a bucket that is new for
// one that is forgotten.
func TestForgettingABucketThatNeverGotAnythingAlerts(t *testing.T) {
	s := expecting(t, false)
	now := time.Now()
	look := func(alerts ...string) {
		t.Helper()
		h := &heardAlerts{}
		logged := s.watchAt(t, now, h)
		if !slices.Equal(h.heard, alerts) || slices.Contains(logged, "info:came:backup") {
			t.Errorf("alerts %q, want %q; logged %q", h.heard, alerts, logged)
		}
	}
	path := filepath.Join(s.dir, "watch.json")
	changed := now.Add(-30 * time.Hour)
	if err := errors.Join(os.Chtimes(s.config, changed, changed), saveBeside(path, daemon.Watch{Looked: now, Buckets: map[string]daemon.Watched{}})); err != nil {
		t.Fatal(err)
	}
	look()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	look("backup false 30")
	look()
	changed = now.Add(30 * time.Hour) // by a clock that was ahead
	if err := errors.Join(os.Chtimes(s.config, changed, changed), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	look()
}
