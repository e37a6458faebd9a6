package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// say fails the test unless a command with the store's configuration ends as it should.
func (s testStore) say(t *testing.T, code int, stdout, stderr string, args ...string) {
	t.Helper()
	expect(t, code, stdout, stderr, append(args, "--config", s.config)...)
}

// times in listings differ from run to run.
var timeInList = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

func TestLsListsLikeADirectory(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 2048, "a", "d/1", "d/e/2", "d.x", "z\nz", "\"q\"", " b")
	for want, args := range map[string][]string{
		"TIME    2.0 KiB  \" b\"\nTIME    2.0 KiB  \"\\\"q\\\"\"\nTIME    2.0 KiB  a\nTIME    2.0 KiB  d.x\n" +
			"                                d/\nTIME    2.0 KiB  \"z\\nz\"\n": {"backup"},
		"TIME    2.0 KiB  d.x\n                                d/\n":   {"backup/d"},
		"TIME    2.0 KiB  d/1\n                                d/e/\n": {"backup/d/"},
		"TIME    2.0 KiB  d/1\nTIME    2.0 KiB  d/e/2\n":               {"backup/d/", "--recursive"},
		"d.x\nd/1\nd/e/2\n": {"backup/d", "--recursive", "--quiet"},
		"TIME  backup\n":    {},
		"backup\n":          {"--quiet"},
	} {
		code, out, fail := s.ctl(t, append([]string{"ls"}, args...)...)
		if got := timeInList.ReplaceAllString(out, "TIME"); code != 0 || got != want || fail != "" {
			t.Errorf("%q: %d %q %q, want %q", args, code, got, fail, want)
		}
	}
	s.say(t, 1, "", "file-bucketctl: there is no bucket backpu\n", "ls", "backpu")
	s.say(t, 1, "", "file-bucketctl: no key in bucket backup begins with dd\n", "ls", "backup/dd")
	s.say(t, 64, "", "file-bucketctl: ls: \"/x\" is no BUCKET/PREFIX\n", "ls", "/x")
	s.say(t, 0, "made bucket empty\n", "", "mb", "empty")
	s.say(t, 0, "", "", "ls", "empty")
}

func TestLsPrintsLinesForScripts(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 10, "a", "d/1")
	_, out, _ := s.ctl(t, "ls", "backup", "--json")
	var got []objectLine
	for in := bufio.NewScanner(strings.NewReader(out)); in.Scan(); {
		var line objectLine
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		got = append(got, line)
	}
	if len(got) != 2 || got[0].Key != "a" || *got[0].Size != 10 || got[0].Modified.IsZero() || len(got[0].ETag) != 32 || len(got[0].XetHash) != 64 ||
		got[1].Prefix != "d/" || got[1].Size != nil {
		t.Errorf("got %s", out)
	}
	_, out, _ = s.ctl(t, "ls", "--json")
	var b bucketLine
	if err := json.Unmarshal([]byte(out), &b); err != nil || b.Name != "backup" || b.Created.IsZero() {
		t.Errorf("got %s, %v", out, err)
	}
}

// TestLsGoesOnBehindAPage lists more than the store gives at once.
func TestLsGoesOnBehindAPage(t *testing.T) {
	s := newTestStore(t)
	const n = 2100
	s.use(t, func(store *object.Store) {
		if err := store.CreateBucket(t.Context(), "backup", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(t.Context(), "backup", "x", strings.NewReader("x"), object.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			opts := object.CopyOptions{FromBucket: "backup", FromKey: "x", ToBucket: "backup", ToKey: fmt.Sprintf("many/%04d", i)}
			if _, err := store.Copy(t.Context(), opts); err != nil {
				t.Fatal(err)
			}
		}
	})
	_, out, _ := s.ctl(t, "ls", "backup", "--recursive", "--quiet")
	if got := strings.Count(out, "\n"); got != n+1 {
		t.Errorf("%d lines", got)
	}
	s.say(t, 0, fmt.Sprintf("would delete %s objects, 2.1 KiB\n", count(n)), "", "rm", "--recursive", "--dry-run", "backup/many/")
	s.say(t, 0, fmt.Sprintf("deleted %s objects, 2.1 KiB\n", count(n)), "", "rm", "--recursive", "backup/many/")
	s.say(t, 0, "x\n", "", "ls", "backup", "--recursive", "--quiet")
}

func TestPutAndGetAFile(t *testing.T) {
	s := newTestStore(t)
	data := noise("data", 3<<20)
	dir := t.TempDir()
	file := filepath.Join(dir, "dump.sql")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s.put(t, 1, "other")
	code, out, fail := s.ctl(t, "put", file, "backup/db/")
	if want := regexp.MustCompile(`^stored backup/db/dump\.sql, 3\.0 MiB, sha256:[0-9a-f]{64}\n$`); code != 0 || !want.MatchString(out) || fail != "" {
		t.Fatalf("%d %q %q", code, out, fail)
	}
	s.whole(t, map[string][]byte{"db/dump.sql": data})

	t.Chdir(t.TempDir())
	s.say(t, 0, "wrote dump.sql, 3.0 MiB\n", "", "get", "backup/db/dump.sql")
	has(t, "dump.sql", string(data))
	s.say(t, 1, "", "file-bucketctl: dump.sql exists: choose another FILE, or replace it with --force\n", "get", "backup/db/dump.sql")
	if err := os.WriteFile("dump.sql", []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.say(t, 0, "", "", "get", "backup/db/dump.sql", "--force", "--quiet")
	has(t, "dump.sql", string(data))
	if fi, err := os.Stat("dump.sql"); err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode %v %v", fi.Mode(), err)
	}
	if err := os.Mkdir("in", 0o700); err != nil {
		t.Fatal(err)
	}
	s.say(t, 0, "wrote in/dump.sql, 3.0 MiB\n", "", "get", "backup/db/dump.sql", "in")
	has(t, "in/dump.sql", string(data))
	s.say(t, 0, string(data), "", "get", "backup/db/dump.sql", "-")

	_, out, _ = s.ctl(t, "get", "backup/other", "o", "--json")
	var got getResult
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.File != "o" || *got.Size != 1 || got.Bucket != "backup" || got.Key != "other" {
		t.Errorf("%s: %v", out, err)
	}
	_, out, _ = s.ctl(t, "put", file, "backup/db/2", "--json")
	var put putResult
	if err := json.Unmarshal([]byte(out), &put); err != nil || len(put.SHA256) != 64 || *put.Size != 3<<20 || put.Key != "db/2" {
		t.Errorf("%s: %v", out, err)
	}
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestPutReplacesNothingUnasked(t *testing.T) {
	s := newTestStore(t)
	stored := s.put(t, 100, "key")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.say(t, 1, "", "file-bucketctl: backup/key exists: choose another KEY, or replace it with --force\n", "put", file, "backup")
	s.whole(t, stored)
	s.say(t, 0, "", "", "put", file, "backup/key", "--force", "--quiet")
	s.whole(t, map[string][]byte{"key": []byte("new")})
	s.say(t, 1, "", "file-bucketctl: there is no bucket none\n", "put", file, "none/key")
	s.say(t, 1, "", "file-bucketctl: open "+file+"x: no such file or directory\n", "put", file+"x", "backup/x")
	s.say(t, 64, "", "file-bucketctl: put: \"backup/\" is no BUCKET/KEY\n", "put", "-", "backup/")
	s.say(t, 64, "", "file-bucketctl: put: BUCKET/KEY is missing\n", "put", file)
}

func TestPutReadsAPipe(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 1, "x")
	cmd := child(t, "put", "-", "backup/piped", "--config", s.config)
	data := noise("pipe", 1<<20)
	cmd.Stdin = bytes.NewReader(data)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	s.whole(t, map[string][]byte{"piped": data})
}

// TestInterruptedTransferIsNotTheWhole sees that what had come when a signal came is not stored: the program before in a pipe
// hears the signal too, and its end looks like the end of what it had to say.
func TestInterruptedTransferIsNotTheWhole(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	tr := &transfer{ctx: ctx, show: nil}
	tr.show = newMeter(io.Discard, true).show
	cancel()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (transferReader{tr, r}).Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if _, err := (transferWriter{tr, io.Discard}).Write([]byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
}

// TestGetKeepsToItsDirectory sees that no key decides where a file comes to lie.
func TestGetKeepsToItsDirectory(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 10, "../x", "a/..", "d/", ".")
	top := t.TempDir()
	here := filepath.Join(top, "here")
	if err := os.Mkdir(here, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)
	s.say(t, 0, "wrote x, 10 B\n", "", "get", "backup/../x")
	for _, key := range []string{"a/..", "d/", "."} {
		s.say(t, 64, "", "file-bucketctl: get: "+key+" does not end like a file name: say FILE\n", "get", "backup/"+key)
		s.say(t, 1, "", "file-bucketctl: "+key+" does not end like a file name, and . is a directory\n", "get", "backup/"+key, ".")
		s.say(t, 0, "wrote f, 10 B\n", "", "get", "backup/"+key, "f", "--force")
	}
	entries, err := os.ReadDir(top)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
	s.say(t, 1, "", "file-bucketctl: there is no object backup/none\n", "get", "backup/none")
	s.say(t, 1, "", "file-bucketctl: there is no bucket none\n", "get", "none/none")
	s.say(t, 64, "", "file-bucketctl: get: --json and FILE cannot both go to stdout\n", "get", "backup/x", "-", "--json")
	s.say(t, 64, "", "file-bucketctl: get: \"backup\" is no BUCKET/KEY\n", "get", "backup")
}

// TestGetOfDamageLeavesNoFile sees that what cannot be read whole does not look like a file that was.
func TestGetOfDamageLeavesNoFile(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 3<<20, "key")
	for _, path := range s.files(t, "xorbs", "packs") {
		rot(t, path)
	}
	t.Chdir(t.TempDir())
	code, out, fail := s.ctl(t, "get", "backup/key")
	if code != 1 || out != "" || !strings.Contains(fail, object.ErrCorrupt.Error()) {
		t.Errorf("%d %q %q", code, out, fail)
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("%v %v", entries, err)
	}
	if code, _, _ = s.ctl(t, "get", "backup/key", "-"); code != 1 {
		t.Errorf("to stdout: %d", code)
	}
}

func TestRmDeletesWhatIsNamed(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 10, "a", "b", "d/1", "d/2", "dd", "e/")
	s.say(t, 1, "deleted 2 objects, 20 B\n", "file-bucketctl: there is no object backup/none\n", "rm", "backup/a", "backup/none", "backup/b")
	s.say(t, 64, "", "file-bucketctl: rm: \"backup/\" is no BUCKET/KEY\n", "rm", "backup/")
	s.say(t, 64, "", "file-bucketctl: rm: \"backup\" is no BUCKET/KEY\n", "rm", "backup", "--recursive")
	s.say(t, 0, "would delete 2 objects, 20 B\n", "", "rm", "--recursive", "--dry-run", "backup/d/")
	s.say(t, 1, "deleted 0 objects, 0 B\n", "file-bucketctl: there is no object backup/d\n", "rm", "--recursive", "backup/d")
	s.say(t, 1, "deleted 0 objects, 0 B\n", "file-bucketctl: no key in bucket backup begins with none/\n", "rm", "--recursive", "backup/none/")
	s.say(t, 0, "d/1\nd/2\ndd\ne/\n", "", "ls", "backup", "--quiet", "--recursive")
	s.say(t, 0, "{\n  \"dry_run\": false,\n  \"objects\": 2,\n  \"bytes\": 20\n}\n", "", "rm", "--recursive", "backup/d/", "--json")
	s.say(t, 0, "deleted 1 object, 10 B\n", "", "rm", "backup/e/")
	expect(t, 1, "deleted 0 objects, 0 B\n", "file-bucketctl: there is no object backup/--json\n", "rm", "--config", s.config, "--", "backup/--json")
	expect(t, 64, "", "file-bucketctl: rm: \"--json\" is no BUCKET/KEY\n", "rm", "--config", s.config, "--", "--json")
	s.say(t, 0, "dd\n", "", "ls", "backup", "--quiet", "--recursive")
}

func TestBucketsAreMadeAndDeleted(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 10, "a")
	s.say(t, 0, "made bucket new\n", "", "mb", "new")
	s.say(t, 1, "", "file-bucketctl: bucket new exists\n", "mb", "new")
	s.say(t, 64, "", "file-bucketctl: mb: \"N\" is no bucket name: a bucket name has 3 to 63 characters\n", "mb", "N")
	code, out, fail := s.ctl(t, "mb", "theirs", "--owner", "team", "--json")
	var b bucketLine
	if err := json.Unmarshal([]byte(out), &b); code != 0 || err != nil || b.Owner != "team" || b.Name != "theirs" || b.Created.IsZero() {
		t.Errorf("%d %q %q: %v", code, out, fail, err)
	}
	if code, _, _ := s.ctl(t, "mb", "other", "--owner", "default"); code != 64 {
		t.Errorf("owner default: %d", code)
	}
	_, out, _ = s.ctl(t, "ls")
	if got := timeInList.ReplaceAllString(out, "TIME"); got != "TIME  backup\nTIME  new\nTIME  theirs                          team\n" {
		t.Errorf("got %q", got)
	}
	s.say(t, 0, "deleted bucket new\n", "", "rb", "new")
	s.say(t, 1, "", "file-bucketctl: there is no bucket new\n", "rb", "new")
	s.say(t, 1, "", "file-bucketctl: bucket backup is not empty: rm --recursive backup/ deletes what is in it\n", "rb", "backup")
	s.say(t, 0, "", "", "rm", "--recursive", "backup/", "--quiet")
	s.use(t, func(store *object.Store) {
		for i := range 1002 {
			if _, err := store.CreateUpload(t.Context(), "backup", fmt.Sprint(i%7), object.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	s.say(t, 1, "", "file-bucketctl: 1,002 multipart uploads under way in bucket backup: rb --force backup drops what has come of them\n", "rb", "backup")
	s.say(t, 0, "deleted bucket backup, and 1,002 multipart uploads under way\n", "", "rb", "backup", "--force")
	s.say(t, 0, "made bucket backup\n", "", "mb", "backup")
	var d deletedBucket
	if _, out, _ := s.ctl(t, "rb", "backup", "--json"); json.Unmarshal([]byte(out), &d) != nil || d.Name != "backup" || d.Uploads != 0 {
		t.Errorf("got %q", out)
	}
}

// TestObjectsBesideADaemon sees that the tool and a daemon see at once what the other stores.
func TestObjectsBesideADaemon(t *testing.T) {
	s := newTestStore(t)
	s.use(t, func(store *object.Store) {
		tool := func(stdin string, args ...string) string {
			cmd := exec.CommandContext(t.Context(), os.Args[0], append(args, "--config", s.config)...)
			cmd.Env = append(os.Environ(), "FB_TEST_CTL=ctl")
			cmd.Stdin = strings.NewReader(stdin)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%q: %v: %s", args, err, out)
			}
			return string(out)
		}
		tool("", "mb", "shared")
		tool("from the tool", "put", "-", "shared/tool", "--quiet")
		f, err := store.Open(t.Context(), "shared", "tool")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(f); err != nil || string(text) != "from the tool" {
			t.Errorf("%q %v", text, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := store.Put(t.Context(), "shared", "daemon", strings.NewReader("from the daemon"), object.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := tool("", "get", "shared/daemon", "-"); got != "from the daemon" {
			t.Errorf("got %q", got)
		}
		tool("", "rm", "--quiet", "shared/daemon", "shared/tool")
		tool("", "rb", "shared")
		if _, err := store.Bucket(t.Context(), "shared"); !errors.Is(err, object.ErrNoBucket) {
			t.Errorf("got %v", err)
		}
	})
}
