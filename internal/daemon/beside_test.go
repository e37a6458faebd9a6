package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hugbucket/internal/config"
)

// TestWhatLiesBesideTheStoreIsNotWaitedFor puts what the daemons' user could put in the place of files that root reads. Where it is
// waited for, the test never ends.
func TestWhatLiesBesideTheStoreIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	cfg := &config.Config{Storage: config.Storage{Path: dir}}
	path := WatchFile(cfg)
	elsewhere := filepath.Join(t.TempDir(), "watch.json")
	if err := os.WriteFile(elsewhere, []byte(`{"buckets": {"secret": {}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, place := range map[string]func() error{
		"is not a regular file": func() error { return syscall.Mkfifo(path, 0o600) },
		"is a link":             func() error { return os.Symlink(elsewhere, path) },
		"bytes; remove it":      func() error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<30)) },
		"no such file":          func() error { return nil }, // which is nothing remembered
	} {
		if err := place(); err != nil {
			t.Fatal(err)
		}
		w, err := LoadWatch(cfg)
		_, history := readHistory(path)
		if want == "no such file" {
			if err != nil || history != nil || len(w.Buckets) > 0 {
				t.Errorf("%s: %v, %v", want, err, history)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || history == nil || !strings.Contains(history.Error(), want) {
			t.Errorf("%s: got %v, %v", want, err, history)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if last, err := NewestFile(path); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("of a FIFO in the place of a token's directory: %v, %v", last, err)
	}
	if _, err := ReadBeside(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
