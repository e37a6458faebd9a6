package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/daemon"
)

// passableDir is a directory that every user gets to, in which others can be made.
func passableDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, at := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// readOnlyMount mounts a directory for the test so that nobody writes there.
func readOnlyMount(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Skipf("only root can mount: %s", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
}

func applied(t *testing.T, config string, files map[string]string) (code int, stdout, stderr, calls string) {
	t.Helper()
	path := writeConfig(t, config)
	s, called := fakeSystemd(t, files)
	var out, fail bytes.Buffer
	code = daemon.Report(&fail, name, apply(t.Context(), env{&out, &fail}, path, s))
	return code, out.String(), strings.ReplaceAll(fail.String(), path, "FILE"), called()
}

// TestApplyRefusesUnusableDirectories: nothing is done, and what helps is said.
func TestApplyRefusesUnusableDirectories(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root knows what others can write to")
	}
	dir := passableDir(t)
	owners := map[string]int{"theirs": 65534, "stored": 65534, "roots": 0, "closed": 0, "closed/theirs": 65534}
	for _, path := range slices.Sorted(maps.Keys(owners)) { // a directory before what is in it
		owner := owners[path]
		path = filepath.Join(dir, path)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("theirs", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	readOnlyMount(t, filepath.Join(dir, "readonly"))
	const good, store, install = "theirs", "stored", "install -d -o nobody -g nobody -m 0750 DIR/"
	for _, c := range []struct{ home, store, want string }{
		{good, store, ""},
		{good, "link", ""},
		{"", "", ""}, // the daemons make what is below the directory of the package
		{"none", store, "FILE:1: home: DIR/none does not exist; this makes it: " + install + "none\n"},
		{"the files", store, "FILE:1: home: DIR/the files does not exist; this makes it: install -d -o nobody -g nobody -m 0750 'DIR/the files'\n"},
		{good, "none/store", "FILE:1: storage.path: DIR/none/store does not exist; this makes it: " + install + "none/store\n"},
		{"roots", store, "FILE:1: home: user nobody cannot write to DIR/roots; this lets it: " + install + "roots\n"},
		{good, "closed/theirs", "FILE:1: storage.path: user nobody cannot write to DIR/closed/theirs; this lets it: " + install + "closed/theirs\n"},
		{"file", store, "FILE:1: home: open DIR/file: not a directory\n"},
		{"readonly", store, "FILE:1: home: the file system of DIR/readonly is read-only\n"},
	} {
		config := `{}`
		if c.home != "" {
			config = fmt.Sprintf(`{"home": %q, "storage": {"path": %q}}`, filepath.Join(dir, c.home), filepath.Join(dir, c.store))
		}
		code, _, stderr, calls := applied(t, config, map[string]string{
			"file-bucketd.service": "", oldState: "3 ok\n", "file-bucketd.service.User": "nobody\n",
		})
		stderr = strings.ReplaceAll(strings.TrimPrefix(stderr, name+": "), dir, "DIR")
		if stderr != c.want || code == 0 != (c.want == "") || calls == "" != (c.want != "") {
			t.Errorf("%s, %s: %d %q, called %q, want %q", c.home, c.store, code, stderr, calls, c.want)
		}
	}
}

// TestWritableThroughABoundDirectory: of what is below a home directory the service sees nothing but what is bound there, so nobody
// has to let it through.
func TestWritableThroughABoundDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root knows what others can write to")
	}
	dir, err := os.MkdirTemp("/root", "bound-") //nolint:usetesting // it has to be below a home directory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for owner, want := range map[int]bool{0: false, 65534: true} {
		if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
		if err := usable(t.Context(), dir, "nobody"); (err == nil) != want {
			t.Errorf("owner %d: %v", owner, err)
		}
	}
}

// TestApplyRestartsWhoIsShutOut: what a service may write to is decided when it starts, so a reload that says that all is applied is
// not enough.
func TestApplyRestartsWhoIsShutOut(t *testing.T) {
	const restart = "restart file-bucketd.service\n"
	dir := t.TempDir()
	for _, sub := range []string{"files", "store"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		pid    string
		sees   []string // of dir; else it sees what is there
		locked string   // of it, a directory to which it cannot write
		calls  string
	}{
		"it sees all":         {"77", []string{"files", "store"}, "", reloads},
		"no home":             {"77", []string{"store"}, "", reloads + restart},
		"no store":            {"77", []string{"files"}, "", reloads + restart},
		"a store as it was":   {"77", []string{"files", "store"}, "store", reloads + restart},
		"it has ended":        {"78", nil, "", reloads},
		"it does not run now": {"0", nil, "", reloads},
	} {
		t.Run(what, func(t *testing.T) {
			path := writeConfig(t, fmt.Sprintf(`{"home": %q, "storage": {"path": %q}}`, dir+"/files", dir+"/store"))
			s, calls := fakeSystemd(t, map[string]string{
				"file-bucketd.service": "", oldState: "3 ok\n", "file-bucketd.service.MainPID": c.pid,
			})
			for _, sub := range c.sees {
				sees := filepath.Join(s.root, "proc/77/root", dir, sub)
				if err := os.MkdirAll(sees, 0o755); err != nil {
					t.Fatal(err)
				}
				if sub == c.locked {
					readOnlyMount(t, sees)
				}
			}
			var out, fail bytes.Buffer
			if err := apply(t.Context(), env{&out, &fail}, path, s); err != nil || calls() != c.calls {
				t.Errorf("%v, called %q, want %q", err, calls(), c.calls)
			}
		})
	}
	// What the daemons make themselves may be missing.
	code, _, _, calls := applied(t, `{}`, map[string]string{
		"file-bucketd.service": "", oldState: "3 ok\n", "file-bucketd.service.MainPID": "77", "proc/77/root/etc/x": "",
	})
	if code != 0 || calls != reloads {
		t.Errorf("%d, called %q", code, calls)
	}
}

// TestConfigCheckLooksForDirectories: only those of the services are not made by a daemon.
func TestConfigCheckLooksForDirectories(t *testing.T) {
	path := writeConfig(t, `{"storage": {"path": "/nowhere/store"}}`)
	s, calls := fakeSystemd(t, map[string]string{"file-bucketd.service.User": "nobody\n"})
	check := func() string {
		var out, fail bytes.Buffer
		code := daemon.Report(&fail, name, checkConfig(t.Context(), env{&out, &fail}, path, s))
		return fmt.Sprint(code, " ", out.String(), fail.String())
	}
	ok := "0 " + path + ": ok\n"
	if got := check(); got != ok {
		t.Errorf("of another program's: %s", got)
	}
	s.config = path
	want := "78 file-bucketctl: " + path + ":1: storage.path: /nowhere/store does not exist; this makes it: install -d -o nobody -g nobody -m 0750 /nowhere/store\n"
	if got := check(); got != want || calls() != "" {
		t.Errorf("got %s, called %q, want %s", got, calls(), want)
	}
	s.booted = "/none"
	if got := check(); got != ok {
		t.Errorf("without systemd: %s", got)
	}
}
