package push

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestNoDirectory has the bucket's directory impossible to make.
func TestNoDirectory(t *testing.T) {
	r := newRig(t)
	if err := os.WriteFile(r.home, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r.push(bareToken, "x", "content"), 401, "cannot create bucket dir or writable")
	if line := r.lastLine(); line["event"] != "failed" || line["error"] == nil {
		t.Errorf("line %v", line)
	}
	if err := os.Remove(r.home); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.home, bareToken), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r.push(bareToken, "x", "content"), 401, "cannot create bucket dir or writable")
}

// TestTaken has something under the file's name that is not a file of ours.
func TestTaken(t *testing.T) {
	for _, token := range []string{bareToken, bareOver} {
		r := newRig(t)
		dir := filepath.Join(r.home, token)
		if err := os.MkdirAll(filepath.Join(dir, "d"), 0o700); err != nil {
			t.Fatal(err)
		}
		outside := filepath.Join(t.TempDir(), "outside")
		if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, r.push(token, "d", "content"), 405, "file exists")
		wantAnswer(t, r.push(token, "link", "content"), 405, "file exists")
		if _, err := os.Lstat(outside); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a link was followed: %v", err)
		}
	}
}

// TestLinkedDirectory has an administrator move a token's directory to another disk.
func TestLinkedDirectory(t *testing.T) {
	r := newRig(t)
	other := t.TempDir()
	if err := os.Mkdir(r.home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(r.home, bareToken)); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r.push(bareToken, "x", "content"), 200, "x 7")
	if data, err := os.ReadFile(filepath.Join(other, "x")); err != nil || string(data) != "content" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestDirectoryGoes has the directory removed while a file is received.
func TestDirectoryGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	p := plainPlace{dir: dir}
	if err := p.prepare(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := p.put(t.Context(), file{name: "x"}, strings.NewReader("content")); !errors.Is(err, errBucket) {
		t.Errorf("%v", err)
	}
}

// TestPublish publishes to a name that was taken after the early check, and by link where renaming cannot do it.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := plainPlace{dir: dir}
	if _, err := p.put(t.Context(), file{name: "x"}, strings.NewReader("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	if _, err := p.put(t.Context(), file{name: strings.Repeat("n", 256)}, strings.NewReader("second")); !errors.Is(err, object.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if err := p.prepare(t.Context(), strings.Repeat("n", 256)); !errors.Is(err, object.ErrInvalid) {
		t.Errorf("%v", err)
	}
	p.overwrite = true
	if _, err := p.put(t.Context(), file{name: "x"}, strings.NewReader("third")); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || string(data) != "third" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestLinkNew does what renameNew does where the file system cannot.
func TestLinkNew(t *testing.T) {
	dir := t.TempDir()
	for i, want := range []error{nil, fs.ErrExist} {
		p, err := newPartial(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprint(p.file, "content ", i); err != nil {
			t.Error(err)
		}
		if err := p.linkNew("x"); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		p.close()
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || string(data) != "content 0" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestSweep removes what dead processes left and nothing else.
func TestSweep(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, bareToken)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	dead := partialPrefix + strings.Repeat("a", partialRandom)
	for _, name := range []string{dead, "x", ".hidden", partialPrefix + "x", dead + "x", strings.ToUpper(dead)} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	living, err := newPartial(dir)
	if err != nil {
		t.Fatal(err)
	}
	logged := &logs{}
	if _, err := New(objecttest.NewStore(t), Config{Home: home, Buckets: buckets()}, zerolog.New(logged)); err != nil {
		t.Fatal(err)
	}
	if _, err := living.file.WriteString("content"); err != nil {
		t.Error(err)
	}
	if err := living.publish("y", false); err != nil {
		t.Error(err)
	}
	living.close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := fmt.Sprint([]string{".PARTIAL-" + strings.Repeat("A", partialRandom), ".hidden", dead + "x", partialPrefix + "x", "x", "y"}); fmt.Sprint(names) != want {
		t.Errorf("left %v, want %v", names, want)
	}
	if s := logged.String(); !strings.Contains(s, `"removed":1`) || strings.Contains(s, bareToken) {
		t.Errorf("log %s", s)
	}
}

// TestPlainErrors sees that a full disk has its own answer and that no error holds a path, which holds the token.
func TestPlainErrors(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT} {
		err := plainError(&fs.PathError{Op: "write", Path: bareToken, Err: errno})
		if !errors.Is(err, object.ErrNoSpace) || strings.Contains(err.Error(), bareToken) {
			t.Errorf("%v", err)
		}
		if status, _ := answerTo(dirError(&fs.PathError{Op: "mkdir", Path: bareToken, Err: errno})); status != 507 {
			t.Errorf("%v: %d", errno, status)
		}
	}
	for _, err := range []error{
		&fs.PathError{Op: "open", Path: bareToken, Err: unix.EIO},
		&os.LinkError{Op: "rename", Old: bareToken, New: bareToken, Err: unix.EIO},
	} {
		if err := plainError(err); !errors.Is(err, unix.EIO) || strings.Contains(err.Error(), bareToken) {
			t.Errorf("%v", err)
		}
	}
}
