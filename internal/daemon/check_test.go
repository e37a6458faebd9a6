package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestKeepAloneIsWarnedOf: a client that was broken into must not be able to delete by adding.
func TestKeepAloneIsWarnedOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, `{"buckets": [{"name": "aaa", "token": "aaaaaaaa", "keep": 7, "max_age": "90d"},
{"name": "bbb", "token": "bbbbbbbb", "keep": 2}, {"name": "ccc", "token": "cccccccc", "max_age": "90d"}]}`)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := CheckConfig(path)
	want := path + ":2: buckets[1].keep: without max_age, who pushes 2 files has expire delete all that was there before"
	if err != nil || len(warnings) != 1 || warnings[0] != want {
		t.Errorf("%v, %q, want %q", err, warnings, want)
	}
}

func TestOpenSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, anyPort)
	want := path + ": holds secrets and is open to every user (mode 0644); chmod o= helps"
	for mode, warns := range map[os.FileMode]bool{0o644: true, 0o640: false, 0o600: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		if err := Run(t.Context(), testProgram(hello), []string{"--check", "--config", path}, &stdout, &stderr); err != nil || stdout.String() != path+": ok\n" {
			t.Errorf("%q, %v", &stdout, err)
		}
		if got := stderr.String(); (got == "testd: warning: "+want+"\n") != warns || (got == "") == warns {
			t.Errorf("%o: %q", mode, got)
		}
	}
}

func TestOpenSecretsAreLogged(t *testing.T) {
	i := start(t, testProgram(hello), anyPort, nil)
	i.address()
	if err := os.Chmod(i.path, 0o604); err != nil {
		t.Fatal(err)
	}
	i.signals <- syscall.SIGUSR2
	if got := i.line("open to every user (mode 0604)"); got["level"] != "warn" {
		t.Errorf("logged %v", got)
	}
	i.stop()
}

// TestDeadHooksAreLogged: when a daemon starts, and when it reloads.
func TestDeadHooksAreLogged(t *testing.T) {
	dir := hookDir(t)
	text := fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "hooks": {"dir": %q}}`, dir)
	writeHook(t, dir, "pre-push.sh", "exit 0")
	hook := filepath.Join(dir, "pre-push.sh")
	if err := os.Chmod(hook, 0o666); err != nil {
		t.Fatal(err)
	}
	i := start(t, testProgram(hello), text, nil)
	if got := i.line("is not run: it is not executable (mode 0666)"); got["level"] != "warn" {
		t.Errorf("logged %v", got)
	}
	i.address()
	if err := os.Chmod(hook, 0o757); err != nil {
		t.Fatal(err)
	}
	i.signals <- syscall.SIGUSR2
	if got := i.line("others than its owner may write to it (mode 0757)"); got["level"] != "warn" {
		t.Errorf("logged %v", got)
	}
	i.stop()
}

// TestRefusedStore: a store that would not open is found by a check.
func TestRefusedStore(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, fmt.Sprintf(`{"storage": {"path": %q}}`, file))
	if _, _, err := CheckConfig(path); err == nil || !strings.Contains(err.Error(), "it is not a directory") ||
		!strings.Contains(err.Error(), "storage.path") {
		t.Errorf("check: %v", err)
	}
}

// TestDeadHooks: a hook that cannot be run is told, and keeps nothing from starting.
func TestDeadHooks(t *testing.T) {
	dir := hookDir(t)
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, fmt.Sprintf(`{"hooks": {"dir": %q}}`, dir))
	writeHook(t, dir, "alert.sh", "exit 0")
	if _, warnings, err := CheckConfig(path); err != nil || len(warnings) != 0 {
		t.Error(err, warnings)
	}
	if err := os.Chmod(filepath.Join(dir, "alert.sh"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(dir, "alert.sh") + ": is not run: it is not executable (mode 0644); chmod +x helps"
	if _, warnings, err := CheckConfig(path); err != nil || len(warnings) != 1 || warnings[0] != want {
		t.Error(err, warnings)
	}
	var stdout, stderr bytes.Buffer
	err := Run(t.Context(), testProgram(hello), []string{"--check", "--config", path}, &stdout, &stderr)
	if err != nil || stdout.String() != path+": ok\n" || !strings.Contains(stderr.String(), "testd: warning: "+want+"\n") {
		t.Errorf("--check: %v, %q, %q", err, &stdout, &stderr)
	}
	if got := hookOwners(path); len(got) != 1 || got[0] != 0 {
		t.Errorf("with a runner, hooks of %v are run", got)
	}
}
