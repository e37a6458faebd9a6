package config

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPeek: a file that Load refuses still says where things are.
func TestPeek(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	text := `{"prot": 1, "port": 8080, "port": 8081, "home": 7, "hooks": {"timeout": "x"},
"buckets": [{"token_file": "/nowhere"}], "s3": {"access_key": "a", "host": "::"}, "storage": {"driver": "hub"}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("Load took it")
	}
	cfg, err := Peek(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	if cfg.Port != 8080 || cfg.S3.Host != "::" || cfg.Home != want.Home || cfg.Hooks != want.Hooks || cfg.Storage.Path != defaultStore["hub"] {
		t.Errorf("got %+v", cfg)
	}
	if err := os.WriteFile(path, []byte(`{"port": 1`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Peek(path); err == nil {
		t.Error("half a file was taken")
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Peek(fifo); err == nil {
		t.Error("a FIFO was taken")
	}
}
