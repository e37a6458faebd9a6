package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// size is what the content of a store takes, in bytes.
func (s testStore) size(t *testing.T) (n int64) {
	t.Helper()
	for _, path := range s.files(t, "xorbs", "packs") {
		n += fileSize(t, path)
	}
	return n
}

func TestGCFreesWhatWasDeleted(t *testing.T) {
	s := newTestStore(t)
	want := s.put(t, 2_000_000, "stays")
	kept := s.size(t)
	s.put(t, 2_000_000, "goes")
	full := s.size(t)
	s.use(t, func(store *object.Store) {
		if err := store.Delete(t.Context(), "backup", "goes", object.Condition{}); err != nil {
			t.Fatal(err)
		}
	})
	gc := func(args ...string) (r gcResult) {
		t.Helper()
		code, out, fail := s.ctl(t, append([]string{"gc", "--json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || fail != "" {
			t.Fatalf("%d %q %q", code, out, fail)
		}
		return r
	}
	dry := gc("--dry-run")
	if !dry.DryRun || dry.Files != 1 || dry.Freed < 1_900_000 || s.size(t) != full {
		t.Errorf("dry run: %+v, %d bytes of %d", dry, s.size(t), full)
	}
	code, out, fail := s.ctl(t, "stats", "--json")
	var stats statsResult
	if err := json.Unmarshal([]byte(out), &stats); err != nil || code != 0 || fail != "" {
		t.Fatalf("%d %q %q", code, out, fail)
	}
	if len(stats.Buckets) != 1 || stats.Buckets[0].Name != "backup" || stats.Buckets[0].Unique != 2_000_000 ||
		stats.Objects != 1 || stats.Logical != 2_000_000 || stats.GC == nil || stats.GC.Freed != dry.Freed {
		t.Errorf("stats: %s, dry run %+v", out, dry)
	}
	got := gc()
	dry.DryRun = false
	if got != dry || s.size(t) != kept {
		t.Errorf("got %+v, want %+v; %d bytes, want %d", got, dry, s.size(t), kept)
	}
	if code, out, fail := s.ctl(t, "gc", "--quiet"); code != 0 || out+fail != "" {
		t.Errorf("again: %d %q %q", code, out, fail)
	}
	if code, out, _ := s.ctl(t, "gc"); code != 0 || out != "nothing to free\n" {
		t.Errorf("in words: %d %q", code, out)
	}
	s.whole(t, want)
	if code, out, _ := s.ctl(t, "stats"); code != 0 || !strings.Contains(out, "backup\n") || !strings.HasSuffix(out, "gc would free 0 B\n") {
		t.Errorf("stats in words: %d %q", code, out)
	}
}

func TestGCRemovesOrphansWhenItIsTold(t *testing.T) {
	s := newTestStore(t)
	want := s.put(t, 100_000, "key")
	orphan := filepath.Join(s.dir, "xorbs", "00", "nobodys.1.1")
	if err := os.WriteFile(orphan, make([]byte, 3000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"gc"}, {"gc", "--orphans", "--dry-run"}} {
		if code, out, fail := s.ctl(t, args...); code != 0 {
			t.Errorf("%s: %d %q %q", args, code, out, fail)
		}
		if _, err := os.Stat(orphan); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
	}
	code, out, fail := s.ctl(t, "gc", "--orphans")
	if code != 0 || !strings.Contains(out, "removed 1 file that the catalog does not name, 2.9 KiB\n") {
		t.Errorf("%d %q %q", code, out, fail)
	}
	if _, err := os.Stat(orphan); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there still: %v", err)
	}
	s.whole(t, want)
}

func TestRecompressMakesWayForOthers(t *testing.T) {
	if err := beIdle(); err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/stat")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if nice := fields[16]; nice != "19" { // the 19th field of all, see proc(5)
			t.Errorf("thread %s has the niceness %s", thread.Name(), nice)
		}
	}
}
