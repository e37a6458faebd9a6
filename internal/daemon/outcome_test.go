package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestOutcomeIsReadAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reload")
	if _, err := ReadReload(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, o := range []Outcome{
		{},
		{Generation: 12, Running: true},
		{Generation: 3, Note: "; restart to apply it"},
		{Generation: 4, Failure: "/etc/file-bucket/config.json:3: prot: unknown key"},
	} {
		if err := o.write(path); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadReload(path); err != nil || got != o {
			t.Errorf("got %+v, %v, want %+v", got, err, o)
		}
	}
	for _, text := range []string{"", "ok", "x ok\n", "7"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadReload(path); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

// TestOutcomeOfAHostileDaemon: root reads what a daemon wrote, and somebody may have broken into that.
func TestOutcomeOfAHostileDaemon(t *testing.T) {
	dir := t.TempDir()
	link, fifo, text := filepath.Join(dir, "link"), filepath.Join(dir, "fifo"), filepath.Join(dir, "text")
	secret := filepath.Join(dir, "secret")
	for _, err := range []error{
		os.WriteFile(secret, []byte("1 a secret of root's\n"), 0o600), os.Symlink(secret, link), syscall.Mkfifo(fifo, 0o600),
		os.WriteFile(text, []byte("1 \x1b]0;owned\x07\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{link, fifo, "/dev/zero"} {
		if got, err := ReadReload(path); err == nil {
			t.Errorf("%s is %+v", path, got)
		}
	}
	if got, err := ReadReload(text); err != nil || got.Failure != "?]0;owned?" {
		t.Errorf("got %q, %v", got.Failure, err)
	}
}

func TestReloadFile(t *testing.T) {
	for env, want := range map[string]string{
		"": "", "/run/file-bucketd": "/run/file-bucketd/reload", "/run/file-bucket:/run/file-bucketd": "/run/file-bucketd/reload",
	} {
		t.Setenv("RUNTIME_DIRECTORY", env)
		if got := ReloadFile(); got != want {
			t.Errorf("%q: %q", env, got)
		}
	}
}
