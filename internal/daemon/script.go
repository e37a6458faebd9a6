package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxHookOutput is how many bytes of a hook's stdout are kept.
	maxHookOutput = 64 << 10
	// maxHookLine is how many bytes of a line of its stderr are.
	maxHookLine = 1 << 10
	// hookGrace is how long something that a hook left in the background may keep its output open.
	hookGrace = time.Second
)

// script is how hooks are run by this process.
type script struct {
	dir     string
	timeout time.Duration
	owners  []int               // who may own the hook, and the directories above it
	as      *syscall.Credential // whose rights it gets; nil is this process's
	stderr  io.Writer           // what hooks write there, a line with each Write; one call at a time
	prefix  string              // of these lines
}

// run runs a hook in a process group of its own, which is killed when ctx ends or the hook takes too long.
func (s script) run(ctx context.Context, call HookCall) (HookResult, error) {
	path, err := hookPath(s.dir, call.Name, s.owners)
	if err != nil {
		return HookResult{}, err
	}
	if s.as == nil {
		err = mayRun(path)
	}
	if err == nil {
		err = startable(path)
	}
	if err != nil {
		return HookResult{}, err
	}
	ctx, stop := context.WithTimeoutCause(ctx, s.timeout, ErrHookTime)
	defer stop()
	out := &head{left: maxHookOutput}
	cmd := exec.CommandContext(ctx, path, call.Args...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}, call.Env...)
	lines := &hookLines{to: s.stderr, prefix: s.prefix, token: call.value("FB_TOKEN"), shell: shellComplaint(path)}
	cmd.Stdout, cmd.Stderr = out, lines
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.as}
	cmd.WaitDelay = hookGrace
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	lines.flush()
	if cmd.Process == nil {
		return HookResult{}, fmt.Errorf("run hook: %w", err)
	}
	if err != nil && ctx.Err() != nil {
		return HookResult{}, context.Cause(ctx)
	}
	result := HookResult{cmd.ProcessState.ExitCode(), out.buf.Bytes(), lines.first}
	// An error that is not an exit code is about the output of what the hook left in the background.
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			result.Code = 128 + int(status.Signal())
		}
	}
	if call.Name == "pre-push.sh" && result.Code == shellCode && lines.complaint != "" {
		return HookResult{}, fmt.Errorf("it ended with 2 and its shell complains: %s", lines.complaint)
	}
	return result, nil
}

// shellCode is what a shell ends with that cannot go on with a script. As the code of pre-push.sh it lets a file be replaced, which a
// mistake in a script must not.
const shellCode = 2

// shellComplaint matches a line that a shell has written, not the script: "path: 3: …", "path: line 3: …", and bash about what it
// evaluates, "path: eval: line 3: …". It may stand behind what the script has not ended a line after, and before what a trap says. What is
// sourced has a path of its own, and a shell that the script calls is "sh".
func shellComplaint(path string) *regexp.Regexp {
	path = regexp.QuoteMeta(strings.ToValidUTF8(path, "?")) // one that is no text is found by its slash
	return regexp.MustCompile(`(` + path + `|^/[^:]*|^(ba|da)?sh): (([-a-z ]+: )?line )?[0-9]+: `)
}

// mayRun returns why this process cannot run a hook that is there. A script that it may execute and not read would be run, and then
// not be read by its shell.
func mayRun(path string) error {
	if errors.Is(unix.Access(path, unix.R_OK|unix.X_OK), unix.EACCES) {
		return fmt.Errorf("%s: is not run: user %d may not read and execute it; chmod a+rx helps", path, os.Getuid())
	}
	return nil
}

// hookPath is the path of a hook that may be run. A hook is run with rights that whoever sends files does not have, so nobody
// but its owners may have a hand in it: it is a regular file that is executable, and it and every directory above it belong to
// them and are open to writing by nobody else.
func hookPath(dir, name string, owners []int) (string, error) {
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("hooks are not run: %q is no directory for them", dir) // its way up would never end at the root
	}
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNoHook
	}
	if err != nil {
		return "", fmt.Errorf("look for hooks: %w", err)
	}
	path := filepath.Join(real, name)
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", ErrNoHook
	case err != nil:
		return "", fmt.Errorf("look for hooks: %w", err)
	case !fi.Mode().IsRegular():
		return "", fmt.Errorf("%s: is not run: it is not a regular file", path)
	case fi.Mode()&0o111 == 0:
		return "", fmt.Errorf("%s: is not run: it is not executable (mode %04o); chmod +x helps", path, fi.Mode().Perm())
	}
	for at := path; ; at = filepath.Dir(at) {
		fi, err := os.Lstat(at)
		if err != nil {
			return "", fmt.Errorf("look for hooks: %w", err)
		}
		if err := trusted(at, fi, owners); err != nil {
			return "", err
		}
		if at == "/" {
			return path, nil
		}
	}
}

// trusted refuses a file or directory that somebody else may replace or write to. In a directory with the sticky bit nobody
// replaces what belongs to another.
func trusted(path string, fi fs.FileInfo, owners []int) error {
	sys, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return fmt.Errorf("%s: has no owner", path)
	case !slices.Contains(owners, int(sys.Uid)):
		return fmt.Errorf("%s: hooks are not run: it must belong to root, not to user %d; chown root helps", path, sys.Uid)
	case fi.Mode()&0o022 != 0 && (!fi.IsDir() || fi.Mode()&fs.ModeSticky == 0):
		return fmt.Errorf("%s: hooks are not run: others than its owner may write to it (mode %04o); chmod go-w helps", path, fi.Mode().Perm())
	}
	return nil
}

// head keeps the first bytes that are written to it.
type head struct {
	buf  bytes.Buffer
	left int
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.left)
	h.left -= n
	h.buf.Write(p[:n])
	return len(p), nil
}
