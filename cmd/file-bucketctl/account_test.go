package main

import (
	"errors"
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

// hostile makes a directory of daemonUser, with a link "away" in it to one of root's. Only root can.
func hostile(t *testing.T) (state, victim string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be led astray")
	}
	state, victim = filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "victim")
	link := filepath.Join(state, "away")
	for _, err := range []error{
		os.Mkdir(state, 0o750), os.Mkdir(victim, 0o755), os.Symlink(victim, link),
		os.Chown(state, daemonUser, daemonUser), os.Lchown(link, daemonUser, daemonUser),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return state, victim
}

// TestInitIsNotLedAway: the user of the daemons owns the directory of the state, and may be somebody who has broken in.
func TestInitIsNotLedAway(t *testing.T) {
	state, victim := hostile(t)
	a := &account{daemonUser, daemonUser}
	if err := a.makeDir(filepath.Join(state, "away", "etc", "store")); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("made a directory behind a link: %v", err)
	}
	if entries, err := os.ReadDir(victim); err != nil || len(entries) > 0 {
		t.Errorf("made %v, %v", entries, err)
	}
	if err := a.takeOver(filepath.Join(state, "away")); err != nil {
		t.Error(err)
	}
	if uid, _ := ids(t, victim); uid != "0" {
		t.Error("gave away what a link leads to")
	}
	// What root has put there is as good as any other directory.
	if err := os.Symlink(victim, filepath.Join(filepath.Dir(state), "mine")); err != nil {
		t.Fatal(err)
	}
	if err := a.makeDir(filepath.Join(filepath.Dir(state), "mine", "a", "b")); err != nil {
		t.Error(err)
	}
	for _, made := range []string{"a", "a/b"} {
		if uid, _ := ids(t, filepath.Join(victim, made)); uid != strconv.Itoa(daemonUser) {
			t.Errorf("%s belongs to %s", made, uid)
		}
	}
}

// TestNobodyLeadsRootToAStore: root would open it with all rights, and whoever made the link could put another in its place then.
func TestNobodyLeadsRootToAStore(t *testing.T) {
	state, victim := hostile(t)
	roots := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(victim, roots); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{filepath.Join(state, "away"): daemonUser, roots: 0} {
		o, err := becomeOwner(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := os.Geteuid(); got != want {
			t.Errorf("looks after %s as user %d, want %d", path, got, want)
		}
		if err := o.leave(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInitLetsNobodyElseWriteTheConfiguration(t *testing.T) {
	u, path := someUser(t), filepath.Join(t.TempDir(), "config.json")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o660)); err != nil {
		t.Fatal(err)
	}
	a, err := findAccount(u.Username)
	if err == nil {
		err = a.mayRead(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || os.Geteuid() == 0 && st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// TestInitLetsHooksRun: hooks that were root's alone are run by the daemons' user, and nothing else changes.
func TestInitLetsHooksRun(t *testing.T) {
	u, dir := someUser(t), t.TempDir()
	a, err := findAccount(u.Username)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct{ before, after os.FileMode }{
		"root's": {0o700, 0o750}, "read-only": {0o500, 0o550}, "everybody's": {0o755, 0o755}, "not executable": {0o600, 0o600}, "open": {0o720, 0o720},
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, row.before), a.mayRun(path)); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		uid, gid := ids(t, path)
		if os.Geteuid() == 0 && (st.Mode().Perm() != row.after || uid != "0" || (gid == u.Gid) != (row.before != row.after)) {
			t.Errorf("%s: mode %v, %s:%s", name, st.Mode(), uid, gid)
		}
	}
	link, target := filepath.Join(dir, "link"), filepath.Join(dir, "target")
	if err := errors.Join(os.WriteFile(target, nil, 0o700), os.Symlink(target, link), a.mayRun(link), a.mayRun(filepath.Join(dir, "none"))); err != nil {
		t.Error(err)
	}
	theirs := filepath.Join(dir, "theirs")
	inside := filepath.Join(theirs, "pre-push.sh")
	if err := errors.Join(os.Mkdir(theirs, 0o700), os.WriteFile(inside, nil, 0o700), os.Chown(theirs, a.uid, a.gid), a.mayRun(inside)); err != nil {
		t.Error(err)
	}
	for _, path := range []string{target, inside} {
		if st, err := os.Stat(path); err != nil || os.Geteuid() == 0 && st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
}
