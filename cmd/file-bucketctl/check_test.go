package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"hugbucket/internal/disk"
)

// lines decodes JSON, an object a line.
func lines(t *testing.T, text string) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		list = append(list, m)
	}
	return list
}

// files returns the files below directories of the store.
func (s testStore) files(t *testing.T, dirs ...string) (paths []string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(s.dir, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// rot changes a byte in the middle of a file.
func rot(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		data[len(data)/2] ^= 1
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckNamesDamageAndOrphans(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 100_000, "one\ntwo", "three")
	code, out, fail := s.ctl(t, "check", "--quiet")
	if code != 0 || out+fail != "" {
		t.Errorf("whole: %d %q %q", code, out, fail)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "xorbs", "00", "nobodys.1.1"), make([]byte, 3000), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ = s.ctl(t, "check")
	if code != 0 || !strings.Contains(out, "orphan: ") || !strings.Contains(out, "xorbs/00/nobodys.1.1") || !strings.HasSuffix(out, "no damage\n") {
		t.Errorf("orphan: %d %q", code, out)
	}
	if code, out, fail = s.ctl(t, "check", "--quiet"); code != 0 || out+fail != "" {
		t.Errorf("orphan, quiet: %d %q %q", code, out, fail)
	}
	for _, pack := range s.files(t, "packs") {
		rot(t, pack)
	}
	code, out, fail = s.ctl(t, "check")
	if code != 1 || !strings.Contains(out, "\nDAMAGED: ") || !strings.HasPrefix(fail[strings.LastIndex(strings.TrimSpace(fail), "\n")+1:], "file-bucketctl: the store in "+s.dir+" is damaged: ") {
		t.Errorf("damaged: %d %q %q", code, out, fail)
	}
	named := 0
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, `damaged: "backup/one\ntwo": `) || strings.HasPrefix(line, `damaged: "backup/three": `) {
			named++
		}
	}
	if named != 1 { // the byte is in the content of one of them
		t.Errorf("names %d objects: %q", named, out)
	}
	code, out, fail = s.ctl(t, "check", "--quiet")
	if code != 1 || strings.Contains(out, "orphan") || strings.Contains(out, "checked") || !strings.HasPrefix(out, "damaged: ") || strings.Count(fail, "\n") != 1 {
		t.Errorf("damaged, quiet: %d %q %q", code, out, fail)
	}

	code, out, fail = s.ctl(t, "check", "--json")
	list := lines(t, out)
	last := list[len(list)-1]
	if code != 1 || strings.Count(fail, "\n") != 1 || last["type"] != "summary" || last["damaged"] == 0. || last["orphans"] != 1. {
		t.Errorf("JSON: %d %q %q", code, out, fail)
	}
	var keys []any
	orphans := 0
	for _, line := range list[:len(list)-1] {
		switch line["type"] {
		case "damaged":
			k, _ := line["keys"].([]any)
			keys = append(keys, k...)
		case "orphan":
			orphans++
		default:
			t.Errorf("got %v", line)
		}
	}
	if len(keys) != 1 || orphans != 1 {
		t.Errorf("got %v, %d orphans", keys, orphans)
	}
}

// TestOrphansOfAPackAreOneLine sees that people get their sum, and scripts each.
func TestOrphansOfAPackAreOneLine(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 1000, "one", "two", "three")
	packs := s.files(t, "packs")
	if len(packs) != 1 {
		t.Fatal(packs)
	}
	data, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"98.1", "99.1"} { // of processes that are gone
		if err := os.WriteFile(filepath.Join(s.dir, "packs", name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, fail := s.ctl(t, "check")
	want := []string{
		fmt.Sprintf("orphan: no row names 3 pieces of packs/98.1 (%s)", bytesText(int64(len(data)))),
		fmt.Sprintf("orphan: no row names 3 pieces of packs/99.1 (%s)", bytesText(int64(len(data)))),
	}
	if got := strings.Split(out, "\n"); code != 0 || len(got) < 4 || !slices.Equal(slices.Sorted(slices.Values(got[:2])), want) ||
		strings.Count(out, "orphan: ") != 2 || !strings.Contains(out, "\n6 orphans that the catalog does not name, ") {
		t.Errorf("%d %q %q", code, out, fail)
	}
	code, out, fail = s.ctl(t, "check", "--json")
	sizes := make(map[any]float64)
	list := lines(t, out)
	for _, line := range list[:len(list)-1] {
		size, _ := line["size"].(float64)
		sizes[line["file"]] += size
	}
	n := float64(len(data))
	if code != 0 || len(list) != 7 || sizes["packs/98.1"] != n || sizes["packs/99.1"] != n {
		t.Errorf("%d %q %q", code, out, fail)
	}
	rot(t, packs[0])
	if code, out, _ = s.ctl(t, "check"); code != 1 || strings.Count(out, "orphan: ") != 2 || strings.Count(out, "\ndamaged: \"backup/") != 1 {
		t.Errorf("damaged: %d %q", code, out)
	}
}

// TestBusyStoreIsLeftAlone sees that each command that needs the content to stay, or is going to move it, fails while another
// one is at work, and says why.
func TestBusyStoreIsLeftAlone(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 10, "key")
	d, err := disk.Open(t.Context(), s.dir, disk.Options{Existing: true, Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // a test's
	release, err := d.HoldStill()
	if err != nil {
		t.Fatal(err)
	}
	code, out, fail := s.ctl(t, "gc")
	if code != 1 || out != "" || !strings.Contains(fail, disk.ErrBusy.Error()) {
		t.Errorf("gc: %d %q %q", code, out, fail)
	}
	if code, _, fail := s.ctl(t, "check"); code != 0 {
		t.Errorf("check beside one that holds still, too: %d %q", code, fail)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	alone := lockAlone(t, filepath.Join(s.dir, "gc.lock"))
	defer alone.Close() //nolint:errcheck // a test's
	if code, out, fail := s.ctl(t, "stats"); code != 0 || !strings.Contains(out, "what gc would free is not known") {
		t.Errorf("stats: %d %q %q", code, out, fail)
	}
	if code, out, fail := s.ctl(t, "stats", "--json"); code != 0 || !strings.Contains(out, `"gc": null`) {
		t.Errorf("stats: %d %q %q", code, out, fail)
	}
	file := filepath.Join(t.TempDir(), "file")
	for code, args := range map[int][]string{1: {"backup", file, "--", "true"}, 2: {"check"}} {
		got, out, fail := ctl(t, append([]string{args[0], "--config", s.config}, args[1:]...)...)
		if got != code || out != "" || !strings.Contains(fail, disk.ErrBusy.Error()) {
			t.Errorf("%s: %d %q %q", args, got, out, fail)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// TestDamageIsAnErrorInTheJournal has the journal's stream be a file: damage is told there with a priority, and nothing else is, and
// elsewhere it has none.
func TestDamageIsAnErrorInTheJournal(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 100_000, "one", "two")
	if err := os.WriteFile(filepath.Join(s.dir, "xorbs", "00", "nobodys.1.1"), make([]byte, 3000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pack := range s.files(t, "packs") {
		rot(t, pack)
	}
	for _, journal := range []bool{true, false} {
		f, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		var st syscall.Stat_t
		if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		t.Setenv("JOURNAL_STREAM", "1:1")
		if journal {
			t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
		}
		err = keep(t.Context(), env{f, io.Discard}, testFlags(s), func(ctx context.Context, k *keeper) error {
			(&teller{k: k}).print(disk.Problem{What: "gone", Keys: []string{"backup/three", "backup/four"}})
			return k.check(ctx, disk.CheckOptions{})
		})
		text, readErr := os.ReadFile(f.Name())
		if err == nil || readErr != nil || f.Close() != nil || !strings.Contains(string(text), "orphan: ") {
			t.Fatalf("%v, %v: %s", err, readErr, text)
		}
		damaged := 0
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "damaged: ") {
				damaged++
			}
			if strings.HasPrefix(line, "<3>") != (journal && strings.Contains(line, "damaged: ")) {
				t.Errorf("journal %v: %s", journal, line)
			}
		}
		if damaged < 4 {
			t.Errorf("damage is told of in %d lines", damaged)
		}
	}
}
