// Package mounttest mounts small file systems for tests.
package mounttest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// namespaceEnv says that this process was started by MayMount.
const namespaceEnv = "TEST_NAMESPACE"

// MayMount says whether the test may mount file systems. Where it may not, it is run in a process of its own, which is root
// of a user namespace, and there is nothing left to do.
func MayMount(t *testing.T) bool {
	t.Helper()
	probe := t.TempDir()
	err := unix.Mount("none", probe, "tmpfs", 0, "size=1m")
	if err == nil {
		if err := unix.Unmount(probe, 0); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Getenv(namespaceEnv) != "" || !errors.Is(err, unix.EPERM) {
		t.Fatal("mount a tmpfs: ", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Skipf("NOT TESTED: only root, or who may make user namespaces, can mount what this test needs: %v", err)
	}
	t.Logf("in a user namespace:\n%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// Tmpfs makes a directory a small file system, until the test ends.
func Tmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// Remount changes flags and options of a file system that Tmpfs has made.
func Remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|flags, options); err != nil {
		t.Fatal(err)
	}
}
