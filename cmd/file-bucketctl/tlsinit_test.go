package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hugbucket/internal/daemon"
)

func TestTLSInit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	args := []string{"tls", "init", "--config", path, "--host", "nas.lan, 192.0.2.7"}
	code, first, stderr := ctl(t, args...)
	if code != 0 || !strings.Contains(first, " for nas.lan, 192.0.2.7\n") {
		t.Fatalf("%d %s %s", code, first, stderr)
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", name, fi.Mode(), err)
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	for _, host := range []string{"nas.lan", "192.0.2.7"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: "other.lan", Roots: roots}); err == nil {
		t.Error("it is good for another name")
	}
	// What it says to add is what a daemon takes.
	line := regexp.MustCompile(`(?m)^  ("tls": .*)$`).FindStringSubmatch(first)
	if line == nil {
		t.Fatal(first)
	}
	if err := os.WriteFile(path, []byte("{"+line[1]+"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := daemon.CheckConfig(path); err != nil {
		t.Error(err)
	}
	// Again, nothing is made.
	_, again, _ := ctl(t, args...)
	if want := filepath.Join(dir, "tls.crt") + " is there already, and is kept.\n" + first; again != want {
		t.Errorf("got %q, want %q", again, want)
	}
	if err := os.Remove(filepath.Join(dir, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := ctl(t, args...); code != 1 || !strings.Contains(stderr, "tls.crt; to make a new pair, remove it first") {
		t.Errorf("a key was replaced: %d %s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "tls.crt")); err == nil {
		t.Error("a certificate was made without its key")
	}
	for _, wrong := range [][]string{{"--days", "0"}, {"--host", "a b"}, {"--host", "https://nas"}, {"--host", "a,,b"}} {
		other := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(other, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := ctl(t, append([]string{"tls", "init", "--config", other}, wrong...)...); code != 64 {
			t.Errorf("%s: %d %s", wrong, code, stderr)
		}
	}
}
