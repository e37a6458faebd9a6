package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
)

// lockAlone locks a file as gc does.
func lockAlone(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBackupRefusesWhatWouldDoHarm(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 10, "key")
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	catalog := filepath.Join(s.dir, "catalog.db")
	before, err := os.ReadFile(catalog)
	if err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"64 file-bucketctl: backup: --json and FILE cannot both go to stdout\n":                     {"-", "--json"},
		"64 file-bucketctl: backup: there is no COMMAND behind \"--\"\n":                            {"file", "--"},
		"64 file-bucketctl: unexpected argument \"true\"\n":                                         {"file", "true"},
		"64 file-bucketctl: backup: FILE is missing\n":                                              {"--", "true"},
		"1 file-bucketctl: " + there + " exists: choose another FILE, or replace it with --force\n": {there},
		"1 file-bucketctl: " + catalog + " lies in the store: choose a FILE elsewhere\n":            {catalog, "--force"},
		"1 file-bucketctl: " + dir + " is not a file that could be replaced\n":                      {dir, "--force"},
		"1 file-bucketctl: stat " + filepath.Join(dir, "none") + ": no such file or directory\n":    {filepath.Join(dir, "none", "file")},
	} {
		code, out, fail := ctl(t, append([]string{"backup", "--config", s.config}, args...)...)
		if got := fmt.Sprintf("%d %s", code, fail); out != "" || got != want {
			t.Errorf("%s: got %q %q, want %q", args, got, out, want)
		}
	}
	has(t, there, "old")
	if after, err := os.ReadFile(catalog); err != nil || !bytes.HasPrefix(after, before[:64]) {
		t.Errorf("the catalog was changed: %v", err)
	}
}

func TestBackupWritesAFile(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 100_000, "key")
	file := filepath.Join(t.TempDir(), "catalog.db")
	code, out, fail := s.ctl(t, "backup", file)
	if code != 0 || !strings.HasPrefix(out, "wrote the catalog to "+file+", ") {
		t.Fatalf("%d %q %q", code, out, fail)
	}
	text, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(text, []byte("SQLite format 3\x00")) {
		t.Fatalf("no catalog: %q %v", text[:min(len(text), 16)], err)
	}
	has(t, file, string(text))
	code, out, fail = s.ctl(t, "backup", file, "--force", "--json")
	var r backupResult
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || fail != "" || r.File != file || r.Size != int64(len(text)) {
		t.Errorf("%d %q %q", code, out, fail)
	}
	if code, out, fail = s.ctl(t, "backup", file, "--force", "--quiet"); code != 0 || out+fail != "" {
		t.Errorf("quiet: %d %q %q", code, out, fail)
	}
	code, out, fail = s.ctl(t, "backup", "-")
	if code != 0 || len(out) != len(text) || !strings.HasPrefix(out, "SQLite format 3\x00") || !strings.Contains(fail, "wrote the catalog") {
		t.Errorf("stdout: %d, %d bytes, %q", code, len(out), fail)
	}
}

// TestBackupCommandSeesTheFileAndHoldsGCOff runs a gc as the COMMAND, which is refused.
func TestBackupCommandSeesTheFileAndHoldsGCOff(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 10, "key")
	dir := t.TempDir()
	file, seen := filepath.Join(dir, "catalog.db"), filepath.Join(dir, "seen")
	script := `cp "$1" "$2"; FB_TEST_CTL=ctl "$3" gc --config "$4"; echo gc $?; exit 9`
	code, out, fail := ctl(t, "backup", "--config", s.config, "--quiet", file, "--", "sh", "-c", script, "sh", file, seen, os.Args[0], s.config)
	if code != 1 || out != "gc 1\n" || !strings.Contains(fail, "looking after the store") || !strings.HasSuffix(fail, "file-bucketctl: sh: exit status 9\n") {
		t.Errorf("%d %q %q", code, out, fail)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err) // it stays when COMMAND fails
	}
	if got, err := os.ReadFile(seen); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the command saw another file: %v", err)
	}
	if code, _, fail := s.ctl(t, "gc"); code != 0 {
		t.Errorf("gc after it: %d %q", code, fail)
	}
}

// newMachine returns a store of which only the content is there, which is newer than the catalog in file: objects "big" and
// "other" are in both, as want says, "later" is not in the catalog.
func newMachine(t *testing.T) (machine testStore, file string, want map[string][]byte) {
	t.Helper()
	s := newTestStore(t)
	want = s.put(t, 3_000_000, "big", "other")
	file = filepath.Join(t.TempDir(), "catalog.db")
	if code, _, fail := s.ctl(t, "backup", file); code != 0 {
		t.Fatal(fail)
	}
	s.put(t, 2_000_000, "later")
	machine = newTestStore(t)
	for _, dir := range []string{"xorbs", "packs"} {
		if err := os.CopyFS(filepath.Join(machine.dir, dir), os.DirFS(filepath.Join(s.dir, dir))); err != nil {
			t.Fatal(err)
		}
	}
	last, err := os.ReadFile(filepath.Join(s.dir, "lastproc"))
	if err == nil {
		err = os.WriteFile(filepath.Join(machine.dir, "lastproc"), last, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return machine, file, want
}

// TestRestoreDrill is what the README tells: a new machine, last night's catalog, and content that is newer.
func TestRestoreDrill(t *testing.T) {
	machine, file, want := newMachine(t)
	code, out, fail := machine.ctl(t, "restore", file, "--json")
	if code != 0 {
		t.Fatalf("%d %q %q", code, out, fail)
	}
	list := lines(t, out)
	last := list[len(list)-1]
	if last["type"] != "summary" || last["keys"] != 2. || last["lost"] != 0. || last["orphans"] == 0. || len(list) < 2 || list[0]["type"] != "orphan" {
		t.Errorf("got %s", out)
	}
	machine.whole(t, want)
	machine.use(t, func(store *object.Store) {
		if _, err := store.Stat(t.Context(), "backup", "later"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what came later: %v", err)
		}
	})
	if code, out, fail := machine.ctl(t, "check"); code != 0 {
		t.Errorf("check: %d %q %q", code, out, fail)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the backup is gone: %v", err)
	}
	code, _, fail = machine.ctl(t, "restore", file)
	if code != 1 || !strings.Contains(fail, "file-bucketctl rebuild --catalog "+file+";") {
		t.Errorf("again: %d %q", code, fail)
	}
	code, out, fail = machine.ctl(t, "rebuild", "--catalog", file, "--quiet")
	if code != 0 || !strings.Contains(out, "rebuilt 1 bucket, 2 objects, ") || fail != "" {
		t.Errorf("rebuild: %d %q %q", code, out, fail)
	}
	_, old, _ := strings.Cut(strings.TrimSpace(out), "the old catalog is ")
	if _, err := os.Stat(old); err != nil {
		t.Errorf("the old catalog: %v in %q", err, out)
	}
	machine.whole(t, want)
}

// adopted fails the test unless bucket "found" has objects.
func (s testStore) adopted(t *testing.T) {
	t.Helper()
	s.use(t, func(store *object.Store) {
		list, err := store.List(t.Context(), "found", object.ListOptions{})
		if err != nil || len(list.Objects) == 0 {
			t.Errorf("adopted %+v %v", list, err)
		}
	})
}

func TestRestoreAdoptsOrphans(t *testing.T) {
	machine, file, want := newMachine(t)
	if code, out, fail := machine.ctl(t, "restore", file, "--adopt", "found"); code != 0 || !strings.Contains(out, "orphan: ") {
		t.Errorf("%d %q %q", code, out, fail)
	}
	machine.whole(t, want)
	machine.adopted(t)
}

// TestOrphansCanBeAdoptedAfterARestore sees that who has restored without --adopt, and lets the daemons run, has lost nothing.
func TestOrphansCanBeAdoptedAfterARestore(t *testing.T) {
	machine, file, want := newMachine(t)
	if code, _, fail := machine.ctl(t, "restore", file); code != 0 {
		t.Fatal(fail)
	}
	machine.whole(t, want)
	if code, out, fail := machine.ctl(t, "rebuild", "--adopt", "found"); code != 0 || !strings.Contains(out, "orphan: ") {
		t.Errorf("%d %q %q", code, out, fail)
	}
	machine.whole(t, want)
	machine.adopted(t)
}

// TestOrphansOfARestoreStayUntilSomebodyAsks sees that gc keeps what came after the backup, and --orphans does not.
func TestOrphansOfARestoreStayUntilSomebodyAsks(t *testing.T) {
	machine, file, want := newMachine(t)
	if code, _, fail := machine.ctl(t, "restore", file); code != 0 {
		t.Fatal(fail)
	}
	before := machine.size(t)
	if code, out, fail := machine.ctl(t, "gc"); code != 0 || machine.size(t) != before {
		t.Errorf("gc: %d %q %q, %d bytes of %d", code, out, fail, machine.size(t), before)
	}
	if code, out, fail := machine.ctl(t, "gc", "--orphans"); code != 0 || machine.size(t) > before-1_900_000 {
		t.Errorf("gc --orphans: %d %q %q, %d bytes of %d", code, out, fail, machine.size(t), before)
	}
	machine.whole(t, want)
	if code, out, fail := machine.ctl(t, "check"); code != 0 {
		t.Errorf("check: %d %q %q", code, out, fail)
	}
}

// cancelWhen ends a context when a text is written.
type cancelWhen struct {
	out    bytes.Buffer
	text   string
	cancel context.CancelFunc
}

// Write implements io.Writer.
func (c *cancelWhen) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.text)) {
		c.cancel()
	}
	return c.out.Write(p)
}

// newLossy makes a store that has lost the content of one object.
func newLossy(t *testing.T) (s testStore, want map[string][]byte) {
	t.Helper()
	s = newTestStore(t)
	s.put(t, 2_000_000, "gone")
	xorbs := s.files(t, "xorbs")
	want = s.put(t, 1000, "stays")
	for _, path := range xorbs {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	return s, want
}

func TestRebuildTellsWhatIsLost(t *testing.T) {
	s, want := newLossy(t)
	code, out, fail := s.ctl(t, "rebuild")
	if code != 2 || !strings.Contains(out, "lost: \"backup/gone\"\n") || !strings.HasSuffix(fail, "file-bucketctl: the content of 1 object is not there\n") {
		t.Errorf("%d %q %q", code, out, fail)
	}
	s.whole(t, want)
	expect(t, 64, "", "file-bucketctl: rebuild: \"X\" is no bucket name: a bucket name has 3 to 63 characters\n", "rebuild", "--adopt", "X")
}

// TestRebuildTellsThatItIsBlind damages a page of the catalog, and then its header.
func TestRebuildTellsThatItIsBlind(t *testing.T) {
	for _, text := range []string{"stays", "SQLite"} {
		s, _ := newLossy(t)
		name := filepath.Join(s.dir, "catalog.db")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[bytes.Index(b, []byte(text))] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, fail := s.ctl(t, "rebuild")
		if code != 2 || !strings.Contains(out, "there may have been more objects") {
			t.Errorf("%d %q %q", code, out, fail)
		}
		if code, out, fail = s.ctl(t, "rebuild"); code != 0 || strings.Contains(out, "more objects") {
			t.Errorf("once more: %d %q %q", code, out, fail)
		}
	}
}

// TestStoppedWhileItFillsTheIndex sees that a signal which comes when the new catalog is in place does not hide how that went.
func TestStoppedWhileItFillsTheIndex(t *testing.T) {
	s, want := newLossy(t)
	for _, c := range []struct {
		code int
		text string
	}{{2, "\nLOST: 1 object\nthe old catalog is "}, {0, "\nthe old catalog is "}} { // the second time there is nothing left to lose
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		fail := &cancelWhen{text: "filling index.db", cancel: cancel}
		err := run(ctx, []string{"rebuild", "--config", s.config}, env{&out, fail})
		code := daemon.Report(fail, name, err)
		if code != c.code || !strings.Contains(out.String(), c.text) ||
			!strings.Contains(fail.out.String(), "warning: index.db is not filled yet: context canceled; the daemons do the rest") {
			t.Errorf("%d %q %q", code, &out, &fail.out)
		}
	}
	s.whole(t, want)
	code, out, fail := s.ctl(t, "rebuild", "--json")
	if list := lines(t, out); code != 0 || list[len(list)-1]["indexed"] != true {
		t.Errorf("%d %q %q", code, out, fail)
	}
}
