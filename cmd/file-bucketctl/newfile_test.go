package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// writeFile makes a file by newFile.
func writeFile(path, text string, force bool) error {
	f, err := createFile(path, force)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return errors.Join(err, f.abandon())
	}
	return f.finish()
}

// has fails the test unless a directory holds one file, and that a text.
func has(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: got %q %v, want %q", path, got, err, want)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestNewFileReplacesOnlyByForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := writeFile(path, "one", false); err != nil {
		t.Fatal(err)
	}
	has(t, path, "one")
	if err := writeFile(path, "two", false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	has(t, path, "one")
	if err := writeFile(path, "three", true); err != nil {
		t.Error(err)
	}
	has(t, path, "three")
}

// TestNewFileLosesARace sees that a file that somebody made meanwhile is not replaced.
func TestNewFileLosesARace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := createFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.finish(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	has(t, path, "theirs")
}

func TestNewFileThatIsAbandonedIsGone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := createFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	left := func() int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if left() != 2 {
		t.Error("it is not made beside the old one")
	}
	if err := f.abandon(); err != nil {
		t.Error(err)
	}
	has(t, path, "old")
}

func TestNewFileReplacesNothingButFiles(t *testing.T) {
	dir := t.TempDir()
	link, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.Symlink(filepath.Join(dir, "other"), link), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, pipe, dir} {
		if f, err := createFile(path, true); err == nil {
			t.Errorf("%s: replaced", path)
			_ = f.abandon()
		}
	}
}
