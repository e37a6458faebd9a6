package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const daemonUser = 64123 // nobody's

// theirs makes a store with one object and an empty bucket that belongs to daemonUser. Only root can.
func theirs(t *testing.T) testStore {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a store away")
	}
	s := newTestStore(t)
	s.put(t, 100_000, "key")
	s.say(t, 0, "made bucket empty\n", "", "mb", "empty")
	if err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, daemonUser, daemonUser))
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// stillTheirs fails the test if there is a file in the store that daemonUser cannot open.
func (s testStore) stillTheirs(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != daemonUser || st.Gid != daemonUser { //nolint:errcheck // it is Linux
			t.Errorf("%s belongs to %d:%d", path, st.Uid, st.Gid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRootLeavesTheStoreToItsOwner runs each command as root and looks whose the files are, while it has the store open and
// after that.
func TestRootLeavesTheStoreToItsOwner(t *testing.T) {
	for command, args := range keepers(t) {
		s := theirs(t)
		if command == "restore" {
			// A backup that only root can read, and a store that only its owner can write to.
			at := filepath.Join(s.dir, "catalog.db")
			text, err := os.ReadFile(at)
			if err == nil {
				err = errors.Join(os.WriteFile(args[1], text, 0o600), os.Remove(at))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		want := 0
		if command == "status" {
			want = 2 // no door serves
		}
		if code, out, fail := s.ctl(t, args...); code != want {
			t.Errorf("%s: %d %q %q", command, code, out, fail)
		}
		s.stillTheirs(t)
		if os.Geteuid() != 0 || os.Getegid() != 0 {
			t.Fatalf("%s: did not give root's rights back: %d:%d", command, os.Geteuid(), os.Getegid())
		}
	}
}

// TestRootGetsAndPutsItsOwnFiles sees that files which are not the store's are read and written with the rights of the caller.
func TestRootGetsAndPutsItsOwnFiles(t *testing.T) {
	s := theirs(t)
	dir := t.TempDir()
	mine, back := filepath.Join(dir, "mine"), filepath.Join(t.TempDir(), "back")
	if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(mine, []byte("of root alone"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s.say(t, 0, "", "", "put", mine, "backup/mine", "--quiet")
	s.say(t, 0, "", "", "get", "backup/mine", back, "--quiet")
	has(t, back, "of root alone")
	fi, err := os.Stat(back)
	if err != nil {
		t.Fatal(err)
	}
	if st := fi.Sys().(*syscall.Stat_t); st.Uid != 0 || st.Gid != 0 { //nolint:errcheck // it is Linux
		t.Errorf("it belongs to %d:%d", st.Uid, st.Gid)
	}
	s.say(t, 1, "", "file-bucketctl: "+filepath.Join(s.dir, "catalog.db")+" lies in the store: choose a FILE elsewhere\n",
		"get", "backup/mine", filepath.Join(s.dir, "catalog.db"), "--force")
	s.stillTheirs(t)
}

// TestRootKeepsItsRightsElsewhere sees that the owner's rights are taken within the store alone.
func TestRootKeepsItsRightsElsewhere(t *testing.T) {
	s := theirs(t)
	private := filepath.Join(t.TempDir(), "private") // where only root may look
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(private, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n/usr/bin/id -u\n/usr/bin/id -g\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	o, err := becomeOwner(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.leave(); err != nil {
			t.Error(err)
		}
	}()
	if os.Geteuid() != daemonUser || os.Getegid() != daemonUser {
		t.Errorf("is %d:%d", os.Geteuid(), os.Getegid())
	}
	file := filepath.Join(private, "file")
	create := func() error { return writeFile(file, "text", false) }
	if err := create(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("as the owner: got %v", err)
	}
	if err := o.asCaller(create); err != nil {
		t.Errorf("as root: got %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "after"), nil, 0o600); err != nil {
		t.Error(err)
	}
	s.stillTheirs(t)
	t.Setenv("PATH", private)
	var out strings.Builder
	k := &keeper{env: env{&out, &out}, storeFlags: testFlags(s), owner: o}
	if err := k.command(t.Context(), backup{path: "x", command: []string{"script"}}); err != nil || out.String() != "0\n0\n" {
		t.Errorf("the command: %v %q", err, &out)
	}
	if st, err := os.Stat(file); err == nil || st != nil {
		t.Error("root's rights stayed behind")
	}
}

func TestOthersAreSentToRoot(t *testing.T) {
	s := theirs(t)
	program := filepath.Join(filepath.Dir(s.config), "file-bucketctl") // where every user may run it
	text, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(program, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	check := func(user uint32) ([]byte, error) {
		cmd := child(t, "check", "--config", s.config)
		cmd.Path = program
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		return cmd.CombinedOutput()
	}
	out, err := check(daemonUser + 1)
	want := "file-bucketctl: the store in " + s.dir + " belongs to user 64123: run it as root, with sudo for example, or as that user\n"
	if err == nil || string(out) != want {
		t.Errorf("got %v %q, want %q", err, out, want)
	}
	if out, err := check(daemonUser); err != nil {
		t.Errorf("the owner: %v %s", err, out)
	}
	s.stillTheirs(t)
}

// TestRootIsNotLedAwayOnTheWayToTheStore has links in all places on the way to a store.
func TestRootIsNotLedAwayOnTheWayToTheStore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be led away")
	}
	const them, other = daemonUser, daemonUser + 1
	top := t.TempDir()
	dir := func(owner int, path string) string {
		path = filepath.Join(top, path)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chown(path, owner, owner)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := func(owner int, to, path string) string {
		path = filepath.Join(top, path)
		if err := errors.Join(os.Symlink(to, path), os.Lchown(path, owner, owner)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root := dir(0, "root")
	dir(0, "root/store")
	dir(other, "root/others")
	dir(them, "theirs")
	for path, want := range map[string]int{
		root:                        0,
		dir(them, "theirs/b/store"): them,
		dir(other, "theirs/others"): other, // who is let in there by its owner
		dir(0, "theirs/roots"):      them,
		link(them, filepath.Join(root, "others"), "theirs/link"):       them,
		link(them, root, "theirs/a") + "/store":                        them,
		link(them, root, "theirs/c") + "/others":                       them,
		link(0, root, "theirs/d") + "/others":                          them,
		link(0, "root", "mine") + "/others":                            other,
		link(0, "../"+filepath.Base(top)+"/theirs", "up") + "/a/store": them,
		link(0, filepath.Join(top, "theirs"), "my") + "/b/store":       them,
		link(0, "loop", "loop"):                                        -1,
		filepath.Join(top, "theirs", "none"):                           them,
		filepath.Join(top, "none"):                                     0,
	} {
		o, err := becomeOwner(path)
		if err != nil {
			if want != -1 || !errors.Is(err, syscall.ELOOP) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if got := os.Geteuid(); got != want || os.Getegid() != want {
			t.Errorf("%s: rights of %d:%d, want %d", path, got, os.Getegid(), want)
		}
		if err := o.leave(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAConfigurationThatMayNotBeRead: who forgot sudo is told.
func TestAConfigurationThatMayNotBeRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can act as somebody else")
	}
	dir := passableDir(t)
	path, program := filepath.Join(dir, "config.json"), filepath.Join(dir, "ctl")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := child(t, "status", "--config", path)
	cmd.Path = program
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: daemonUser, Gid: daemonUser}}
	out, err := cmd.CombinedOutput()
	want := "file-bucketctl: read configuration: open " + path + ": permission denied: run it as root, with sudo for example\n"
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 78 || string(out) != want {
		t.Errorf("%v %q, want %q", err, out, want)
	}
}
