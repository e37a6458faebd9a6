package main

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"hugbucket/internal/daemon"
)

// TestStopped: only who is meant to run the daemon of this configuration, and does not, is known not to.
func TestStopped(t *testing.T) {
	path := writeConfig(t, "{}")
	for _, c := range []struct {
		state, config, off string
		want               bool
	}{
		{"inactive", path, "", true},
		{"failed", path, "", true},
		{"active", path, "", false},
		{"reloading", path, "", false},
		{"activating", path, "", false},
		{"deactivating", path, "", false},
		{"inactive", writeConfig(t, "{}"), "", false},
		{"inactive", path, "file-bucketd.socket.disabled", false},
	} {
		s, _ := fakeSystemd(t, map[string]string{"file-bucketd.service": c.state, cmp.Or(c.off, "enabled"): ""})
		s.config = path
		if got := s.stopped(t.Context(), c.config, "file-bucketd"); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
		if got, want := s.running(t.Context(), c.config, "file-bucketd"), c.config == path && (c.state == "active" || c.state == "reloading"); got != want {
			t.Errorf("%+v: running is %t", c, got)
		}
		s.booted = "/none"
		if s.stopped(t.Context(), c.config, "file-bucketd") {
			t.Errorf("%+v: it is known without a service manager", c)
		}
	}
}

// TestTaken: who listens on addresses of IPv6 alone is in nobody's way on those of IPv4.
func TestTaken(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // it is TCP
	for host, want := range map[string]bool{"::1": true, "::": true, "": true, "0.0.0.0": false, "127.0.0.1": false, "192.0.2.1": false} {
		if got := taken(t.Context(), host, port); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if taken(t.Context(), "::", port) {
		t.Error("a port that is free again is taken")
	}
}

// TestApplyToATakenPort: a door stays where it is when another program has the port that it is to move to.
func TestApplyToATakenPort(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()                      //nolint:errcheck // a test's
	port := l.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // it is TCP
	here, elsewhere := fmt.Sprintf("[::]:%d", port), fmt.Sprintf("[::]:%d1, 127.0.0.1:99999", port)
	const restart = "daemon-reload\nrestart file-bucketd.socket file-bucketd.service\n"
	for what, c := range map[string]struct {
		host          string
		state         string // of the service; empty when it does not run
		status        string // where its daemon says that it serves
		listen        string // where the socket unit was told to
		off           bool   // the socket unit is
		calls, stderr string
	}{
		"moves":                      {"127.0.0.1", "active", elsewhere, elsewhere, false, "", "taken"},
		"moves to all addresses":     {"::", "active", elsewhere, elsewhere, false, "", "taken"},
		"moves to all of IPv4":       {"0.0.0.0", "active", elsewhere, elsewhere, false, "", "taken"},
		"moves by name":              {"localhost", "active", elsewhere, elsewhere, false, "", "taken"},
		"moves to an address beside": {"127.0.0.2", "active", elsewhere, elsewhere, false, reloads, ""},
		"was to move before":         {"127.0.0.1", "active", elsewhere, here, false, "", "taken"},
		"serves there":               {"127.0.0.1", "active", here, elsewhere, false, reloads, ""},
		"starts elsewhere":           {"127.0.0.1", "activating", "", elsewhere, false, "", "taken"},
		"starts there":               {"127.0.0.1", "activating", here, elsewhere, false, restart, ""},
		"listens there":              {"127.0.0.1", "", "", here, false, restart, ""},
		"without a socket":           {"127.0.0.1", "active", elsewhere, elsewhere, true, reloads, ""},
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, fmt.Appendf(nil, `{"host": %q, "port": %d}`, c.host, port), 0o600); err != nil {
				t.Fatal(err)
			}
			files := map[string]string{
				oldState: "3 ok\n", "file-bucketd.service.StatusText": "serving on " + c.status + "; 5.0 GiB free\n",
				"file-bucketd.socket.Listen": c.listen + " (Stream)\n",
			}
			if c.state != "" {
				files["file-bucketd.service"] = c.state
			}
			if !c.off {
				files["file-bucketd.socket"] = ""
			}
			if c.stderr != "" {
				c.stderr = fmt.Sprintf("file-bucketctl: %s:1: port: another program listens on port %d; ss -ltnp tells which\n", path, port)
			}
			s, calls := fakeSystemd(t, files)
			var out, fail bytes.Buffer
			code := daemon.Report(&fail, name, apply(t.Context(), env{&out, &fail}, path, s))
			if fail.String() != c.stderr || (code == 78) != (c.stderr != "") || calls() != c.calls {
				t.Errorf("got %d %q, called %q, want %q, %q", code, &fail, calls(), c.stderr, c.calls)
			}
		})
	}
}
