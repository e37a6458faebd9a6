package daemon

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestConfine: a socket that systemd has at every address serves the configured one and no other.
func TestConfine(t *testing.T) {
	for _, c := range []struct {
		socket, host     string
		one, two, sixth4 bool // whether 127.0.0.1, 127.0.0.2 and ::1 are served
	}{
		{"0.0.0.0:0", "127.0.0.1", true, false, false},
		{"[::]:0", "127.0.0.2", false, true, false},
		{"[::]:0", "::1", false, false, true},
		{"[::]:0", "", true, true, true},
		{"[::]:0", "0.0.0.0", true, true, true},
		{"[::]:0", "::", true, true, true},
	} {
		l, err := net.Listen("tcp", c.socket)
		if err != nil {
			t.Fatal(err)
		}
		ls, err := confine(t.Context(), []net.Listener{l}, c.host, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			for {
				conn, err := ls[0].Accept()
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				_, err = io.WriteString(conn, "served")
				if err = errors.Join(err, conn.Close()); err != nil {
					t.Error(err)
				}
			}
		}()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[string]bool{"127.0.0.1": c.one, "127.0.0.2": c.two, "::1": c.sixth4} {
			if at == "::1" && c.socket == "0.0.0.0:0" {
				continue // nobody listens there
			}
			conn, err := net.Dial("tcp", net.JoinHostPort(at, port))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if string(got) == "served" != want {
				t.Errorf("%s configured, socket at %s, %s: %q, %v", c.host, c.socket, at, got, err)
			}
			_ = conn.Close() // a test's
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-served
	}
}

func TestConfineToAName(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) //nolint:errcheck // a test's
	ls, err := confine(t.Context(), []net.Listener{l}, "localhost", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) //nolint:errcheck // a test's
	if got, err := ls[0].Accept(); err != nil {
		t.Error(err)
	} else if err := got.Close(); err != nil {
		t.Error(err)
	}
	if _, err := confine(t.Context(), []net.Listener{l}, "no such host", zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "find the address to serve") {
		t.Errorf("a host that nobody knows: %v", err)
	}
}

// TestStoresDoNotLieInTemporaryDirectories: what was acknowledged there would be gone after a restart, or when it is old.
func TestStoresDoNotLieInTemporaryDirectories(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for key, text := range map[string]string{
		"storage.path": `{"home": "/srv/x", "storage": {"path": "/var/tmp/store"}}`,
		"home":         `{"home": "/var/tmp/../tmp/home", "storage": {"path": "/srv/tmp/x"}}`,
	} {
		path := filepath.Join(dir, "config.json")
		writeConfig(t, path, text)
		cfg, err := LoadConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		for own, refused := range map[string]bool{"/etc/file-bucket": true, "/var/tmp/sub": false, "/var/tmpfs": true} {
			err := errors.Join(lasting(cfg, own)...)
			if (err != nil) != refused || refused && !strings.Contains(err.Error(), path+":1: "+key+": what is below /var/tmp does not last") {
				t.Errorf("%s, configuration in %s: %v", text, own, err)
			}
		}
	}
	if strings.HasPrefix(dir, "/var/tmp/") {
		return // everything there may be here
	}
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, `{"home": "/var/tmp/home"}`)
	var stdout, stderr bytes.Buffer
	if err := Run(t.Context(), testProgram(hello), []string{"--check", "--config", path}, &stdout, &stderr); err == nil || !strings.Contains(err.Error(), "does not last") {
		t.Errorf("--check: %v, %q", err, &stdout)
	}
}
