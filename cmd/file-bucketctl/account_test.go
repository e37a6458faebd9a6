package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// someUser is a user that is not the caller, when the caller may give things away.
func someUser(t *testing.T) *user.User {
	t.Helper()
	if os.Geteuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// ids are whom a file belongs to.
func ids(t *testing.T, path string) (uid, gid string) {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("%s has no owner", path)
	}
	return strconv.FormatUint(uint64(sys.Uid), 10), strconv.FormatUint(uint64(sys.Gid), 10)
}

func TestInitForAnotherUser(t *testing.T) {
	u, dir := someUser(t), t.TempDir()
	path, data := filepath.Join(dir, "config.json"), filepath.Join(dir, "a", "b")
	expect(t, 0, path+": made\n", "", "init", "--config", path, "--var", data, "--user", u.Username, "--mode", "0640")
	uid, gid := ids(t, path)
	if uid != strconv.Itoa(os.Geteuid()) || gid != u.Gid {
		t.Errorf("the configuration belongs to %s:%s", uid, gid)
	}
	for _, made := range []string{filepath.Dir(data), data, filepath.Join(data, "files"), filepath.Join(data, "store")} {
		if uid, gid := ids(t, made); uid != u.Uid || gid != u.Gid {
			t.Errorf("%s belongs to %s:%s", made, uid, gid)
		}
	}
	if uid, _ := ids(t, dir); uid != strconv.Itoa(os.Geteuid()) {
		t.Errorf("a directory that was there became %s's", uid)
	}
	if code, _, _ := ctl(t, "init", "--config", path, "--user", "no such user"); code != 1 {
		t.Errorf("exit code %d for a user that is not there", code)
	}
}

func TestInitTakesOverWhatIsThere(t *testing.T) {
	u, dir := someUser(t), t.TempDir()
	path, home := filepath.Join(dir, "config.json"), filepath.Join(dir, "home")
	used, file, other := filepath.Join(home, "bare-token-1"), filepath.Join(home, "bare-token-1", "f"), filepath.Join(home, "other")
	for _, d := range []string{used, other} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := `{"host": "127.0.0.1", "port": 1234, "home": "` + home + `", "buckets": ["bare-token-1", "bare-token-2"],
"storage": {"path": "` + filepath.Join(dir, "store") + `"}}`
	for name, text := range map[string]string{path: text, file: "content"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, 0, "", path+": exists and is kept\n", "init", "--config", path, "--user", u.Username)
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("the configuration is %q, %v", got, err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, gid := ids(t, path); os.Geteuid() == 0 && (gid != u.Gid || st.Mode().Perm() != 0o640) {
		t.Errorf("the daemons cannot read the configuration: group %s, mode %v", gid, st.Mode())
	}
	caller := strconv.Itoa(os.Geteuid())
	for name, want := range map[string]string{home: u.Uid, used: u.Uid, file: caller, other: caller} {
		if uid, _ := ids(t, name); uid != want {
			t.Errorf("%s belongs to %s, want %s", name, uid, want)
		}
	}
}

func TestInitGivesNoDirectoryOfTheSystemAway(t *testing.T) {
	a := &account{uid: -1, gid: -1} // with which chown changes nothing, should this go wrong
	if err := a.takeOver("/usr"); err == nil || !strings.Contains(err.Error(), "too near to the root") {
		t.Errorf("got %v", err)
	}
}
