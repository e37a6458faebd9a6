package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
)

// hookDir is a directory that nobody else may write to.
func hookDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // whatever the umask
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writeHook(t *testing.T, dir, name, script string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func hooksOf(dir, socket string, timeout time.Duration, log io.Writer) *Hooks {
	cfg := config.Default()
	cfg.Hooks.Dir, cfg.Hooks.Timeout = dir, config.Duration(timeout)
	h := NewHooks(cfg, zerolog.New(log))
	h.Socket = socket
	return h
}

// runner serves hooks at a socket, as systemd has it done, and returns the socket and what the calls ended with.
func runner(t *testing.T, dir string, timeout time.Duration, stderr io.Writer) (socket string, ended <-chan error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, fmt.Sprintf(`{"hooks": {"dir": %q, "timeout": %q}, "prot": 1}`, dir, timeout))
	socket = filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 64)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			serving.Go(func() {
				defer conn.Close() //nolint:errcheck // a test's
				r := HookRunner{Config: path, Stderr: stderr, Owners: []int{0, os.Geteuid()}}
				errs <- r.Serve(context.WithoutCancel(t.Context()), conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // a test's
		serving.Wait()
	})
	return socket, errs
}

// bothWays runs a test with hooks that are children, and with hooks that a runner runs.
func bothWays(t *testing.T, dir string, timeout time.Duration, test func(t *testing.T, h *Hooks)) {
	t.Helper()
	t.Run("child", func(t *testing.T) {
		test(t, hooksOf(dir, filepath.Join(t.TempDir(), "none"), timeout, t.Output()))
	})
	t.Run("runner", func(t *testing.T) {
		socket, _ := runner(t, dir, timeout, t.Output())
		test(t, hooksOf(dir, socket, timeout, t.Output()))
	})
}

func TestHook(t *testing.T) {
	dir := hookDir(t)
	writeHook(t, dir, "alert.sh", `pwd; printf '%s\n' "$#" "$@"; env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort; read line; exit 3`)
	writeHook(t, dir, "pre-push.sh", `head -c 100000 /dev/zero; kill -9 $$`)
	t.Setenv("HOME", "/of/the/daemon")
	bothWays(t, dir, time.Hour, func(t *testing.T, h *Hooks) {
		t.Helper()
		got, err := h.Run(t.Context(), HookCall{
			Name: "alert.sh", Args: []string{"db01", "", "with \xff and\nline"}, Env: []string{"FB_BUCKET=db01", "FB_EMPTY="},
		})
		want := "/\n3\ndb01\n\nwith \xff and\nline\n" +
			"FB_BUCKET=db01\nFB_EMPTY=\nLANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
		if err != nil || got.Code != 3 || string(got.Output) != want {
			t.Errorf("got %d %q, %v", got.Code, got.Output, err)
		}
		got, err = h.Run(t.Context(), HookCall{Name: "pre-push.sh"})
		if err != nil || got.Code != 137 || len(got.Output) != maxHookOutput {
			t.Errorf("got %d, %d bytes, %v", got.Code, len(got.Output), err)
		}
		if _, err = h.Run(t.Context(), HookCall{Name: "post-push.sh"}); !errors.Is(err, ErrNoHook) || !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		// Anything may be done with the rights of hooks, so nothing but hooks is, and nothing but what is told reaches them.
		for _, call := range []HookCall{
			{Name: "../../bin/sh"},
			{Name: "alert.sh", Env: []string{"LD_PRELOAD=/tmp/x"}},
			{Name: "alert.sh", Env: []string{"FB_"}},
		} {
			if got, err := h.Run(t.Context(), call); err == nil {
				t.Errorf("%v: %v", call, got)
			}
		}
	})
}

// TestHasHook: in doubt there is one, and a missing directory is a doubt only where a runner may see more.
func TestHasHook(t *testing.T) {
	dir := hookDir(t)
	writeHook(t, dir, "alert.sh", "exit 0")
	socket, _ := runner(t, dir, time.Hour, t.Output())
	none := filepath.Join(dir, "none")
	for _, row := range []struct {
		dir, socket, name string
		want              bool
	}{
		{dir, none, "alert.sh", true},
		{dir, none, "pre-push.sh", false},
		{dir, socket, "pre-push.sh", false},
		{none, none, "alert.sh", false},
		{none, socket, "alert.sh", true},
		{filepath.Join(dir, "alert.sh"), none, "pre-push.sh", true}, // no directory at all
	} {
		if got := hooksOf(row.dir, row.socket, time.Hour, io.Discard).Has(row.name); got != row.want {
			t.Errorf("%+v: %t", row, got)
		}
	}
}

// TestHooksDoNotWaitForOthers: slow hooks delay their own kind and no other.
func TestHooksDoNotWaitForOthers(t *testing.T) {
	dir := hookDir(t)
	writeHook(t, dir, "pre-push.sh", "exit 2")
	writeHook(t, dir, "post-push.sh", "exit 3")
	bothWays(t, dir, time.Hour, func(t *testing.T, h *Hooks) {
		t.Helper()
		for range hookCalls {
			h.slots["post-push.sh"] <- struct{}{} // runs
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if got, err := h.Run(ctx, HookCall{Name: "post-push.sh"}); !errors.Is(err, context.Canceled) {
			t.Errorf("one too many: %v, %v", got, err)
		}
		if got, err := h.Run(t.Context(), HookCall{Name: "pre-push.sh"}); err != nil || got.Code != 2 {
			t.Errorf("got %v, %v", got, err)
		}
		<-h.slots["post-push.sh"]
		if got, err := h.Run(t.Context(), HookCall{Name: "post-push.sh"}); err != nil || got.Code != 3 {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// TestHooksOfABucketLeavePlaces: those of one bucket, by its name or token, never have all places.
func TestHooksOfABucketLeavePlaces(t *testing.T) {
	dir := hookDir(t)
	for _, env := range []string{"FB_BUCKET=db01", "FB_TOKEN=3547264155"} {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		writeHook(t, dir, "pre-push.sh", `test -z "$FB_BUCKET$FB_TOKEN" || read line <`+fifo)
		h := hooksOf(dir, filepath.Join(dir, "none"), time.Hour, t.Output())
		ctx, stop := context.WithCancel(t.Context())
		var slow sync.WaitGroup
		for range hookCalls {
			slow.Go(func() {
				if _, err := h.Run(ctx, HookCall{Name: "pre-push.sh", Env: []string{env}}); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		all := func() (n int) {
			for _, users := range h.shares.Users() {
				n += users
			}
			return n
		}
		for all() < hookCalls || len(h.slots["pre-push.sh"]) < hookShare {
			runtime.Gosched()
		}
		if n := len(h.slots["pre-push.sh"]); n == hookCalls {
			t.Fatalf("one bucket has all %d places", n)
		}
		if got, err := h.Run(t.Context(), HookCall{Name: "pre-push.sh"}); err != nil || got.Code != 0 {
			t.Errorf("another bucket's: %v, %v", got, err)
		}
		stop()
		slow.Wait()
		if n := len(h.shares.Users()); n != 0 {
			t.Errorf("%d shares are left", n)
		}
	}
}

// TestRunnerChecksCalls: whoever may connect may send anything.
func TestRunnerChecksCalls(t *testing.T) {
	dir := hookDir(t)
	writeHook(t, dir, "other.sh", "touch "+filepath.Join(dir, "ran"))
	writeHook(t, dir, "alert.sh", `test -n "$LD_PRELOAD" && touch `+filepath.Join(dir, "ran"))
	socket, ended := runner(t, dir, time.Hour, t.Output())
	for _, text := range []string{
		`{"name": "b3RoZXIuc2g="}`,
		`{"name": "other.sh"}`,
		`{"name": "../` + filepath.Base(dir) + `/other.sh"}`,
		`{"name": "alert.sh", "env": ["TERfUFJFTE9BRD14"]}`, // LD_PRELOAD=x
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answer), `"failure":`) {
			t.Errorf("%s: %q, %v", text, answer, err)
		}
		if err := errors.Join(<-ended, conn.Close()); err != nil {
			t.Error(err)
		}
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a call that nobody made was answered")
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("something was run that is no hook, or with what is not for it")
	}
}

func TestHookTime(t *testing.T) {
	dir := hookDir(t)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The hook and its child hold the FIFO open as long as they live.
	writeHook(t, dir, "alert.sh", `exec 3>`+fifo+`; trap "" TERM; echo started >&3; sleep 100000 & wait; wait`)
	for name, wait := range map[string]time.Duration{"too long": time.Second, "ended": time.Hour} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, dir, wait, func(t *testing.T, h *Hooks) {
				t.Helper()
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				left := make(chan string, 1)
				go func() {
					f, err := os.Open(fifo)
					if err != nil {
						left <- err.Error()
						return
					}
					var line [8]byte
					_, _ = io.ReadFull(f, line[:]) // what it reads is compared
					if wait == time.Hour {
						stop()
					}
					rest, _ := io.ReadAll(f) // until nobody is left
					left <- string(line[:]) + string(rest)
				}()
				want := ErrHookTime
				if wait == time.Hour {
					want = context.Canceled
				}
				if got, err := h.Run(ctx, HookCall{Name: "alert.sh"}); !errors.Is(err, want) {
					t.Errorf("got %v, %v, want %v", got, err, want)
				}
				if got := <-left; got != "started\n" {
					t.Errorf("read %q", got)
				}
			})
		})
	}
}

func TestHookLeavesSomethingBehind(t *testing.T) {
	dir := hookDir(t)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	writeHook(t, dir, "alert.sh", `echo done; read line <`+fifo+` & exit 4`)
	bothWays(t, dir, time.Hour, func(t *testing.T, h *Hooks) {
		t.Helper()
		got, err := h.Run(t.Context(), HookCall{Name: "alert.sh"})
		if err != nil || got.Code != 4 || string(got.Output) != "done\n" {
			t.Errorf("got %d %q, %v", got.Code, got.Output, err)
		}
		if err := os.WriteFile(fifo, []byte("end\n"), 0); err != nil { // what was left ends
			t.Error(err)
		}
	})
}

func TestHookStderr(t *testing.T) {
	dir := hookDir(t)
	writeHook(t, dir, "alert.sh", `echo "no mail" >&2; exit 1`)
	var child, there bytes.Buffer
	h := hooksOf(dir, filepath.Join(dir, "none"), time.Hour, &child)
	if _, err := h.Run(t.Context(), HookCall{Name: "alert.sh"}); err != nil || !strings.Contains(child.String(), `"stderr":"no mail"`) {
		t.Errorf("%q, %v", &child, err)
	}
	socket, _ := runner(t, dir, time.Hour, &there)
	h = hooksOf(dir, socket, time.Hour, io.Discard)
	if _, err := h.Run(t.Context(), HookCall{Name: "alert.sh"}); err != nil || there.String() != "no mail\n" {
		t.Errorf("%q, %v", &there, err)
	}
}

// TestHookStderrIsWholeLines: each says of which push it is, and none has the token, wherever a hook's writes end.
func TestHookStderrIsWholeLines(t *testing.T) {
	const token = "3547264155b541de5cb6a7eae0431a14"
	dir := hookDir(t)
	writeHook(t, dir, "post-push.sh", `printf 'no ' >&2; printf "db for 3547264155b541de" >&2; printf '5cb6a7eae0431a14 now\nlast' >&2; exit 127`)
	for env, bucket := range map[string]string{"FB_BUCKET=db01": "db01", "FB_BUCKET=": "354726…"} {
		call := HookCall{Name: "post-push.sh", Env: []string{env, "FB_TOKEN=" + token, "FB_FILE=a b.sql"}}
		var child, there bytes.Buffer
		if _, err := hooksOf(dir, filepath.Join(dir, "none"), time.Hour, &child).Run(t.Context(), call); err != nil {
			t.Error(err)
		}
		for _, line := range []string{"no db for 354726… now", "last"} {
			want := fmt.Sprintf(`"hook":"post-push.sh","bucket":%q,"file":"a b.sql","stderr":%q`, bucket, line)
			if strings.Count(child.String(), want) != 1 || strings.Count(child.String(), "\n") != 2 {
				t.Errorf("want %s in\n%s", want, &child)
			}
		}
		socket, _ := runner(t, dir, time.Hour, &there)
		if _, err := hooksOf(dir, socket, time.Hour, io.Discard).Run(t.Context(), call); err != nil {
			t.Error(err)
		}
		prefix := "post-push.sh " + bucket + ` "a b.sql": `
		if want := prefix + "no db for 354726… now\n" + prefix + "last\n"; there.String() != want {
			t.Errorf("got %q, want %q", &there, want)
		}
	}
}

// TestLongLineOfStderr is cut, and not in the middle of the token.
func TestLongLineOfStderr(t *testing.T) {
	const token = "3547264155b541de5cb6a7eae0431a14"
	for n := maxStderrLine - 10; n < maxStderrLine+80; n++ {
		var out bytes.Buffer
		l := &hookLines{to: &out, token: token, shell: shellComplaint("/x")}
		text := strings.Repeat("x", n) + token + "end"
		for i := range len(text) {
			_, _ = l.Write([]byte(text[i : i+1]))
		}
		l.flush()
		if got := strings.ReplaceAll(out.String(), "\n", ""); got != strings.Repeat("x", n)+"354726…end" {
			t.Fatalf("%d: %q", n, got[maxStderrLine-20:])
		}
	}
}

// TestRunnerIsGone: a hook is not run inside the daemon's sandbox because its runner is in trouble.
func TestRunnerIsGone(t *testing.T) {
	dir := hookDir(t)
	writeHook(t, dir, "alert.sh", "exit 0")
	stale := filepath.Join(t.TempDir(), "sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h := hooksOf(dir, stale, time.Hour, io.Discard)
	if _, err := h.Run(t.Context(), HookCall{Name: "alert.sh"}); err == nil || !strings.Contains(err.Error(), "systemctl start file-bucket-hook.socket") {
		t.Error(err)
	}
	mute, err := net.Listen("unix", filepath.Join(t.TempDir(), "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close() //nolint:errcheck // a test's
	go func() {
		conn, err := mute.Accept()
		if err == nil {
			conn.Close() //nolint:errcheck // a test's
		}
	}()
	h = hooksOf(dir, mute.Addr().String(), time.Hour, io.Discard)
	if got, err := h.Run(t.Context(), HookCall{Name: "alert.sh"}); err == nil {
		t.Error(got)
	}
}

// TestHookPathNeedsADirectory: the runner takes what a configuration says that a daemon would refuse.
func TestHookPathNeedsADirectory(t *testing.T) {
	t.Chdir(hookDir(t))
	writeHook(t, ".", "alert.sh", "exit 0")
	for _, dir := range []string{"", "."} {
		if got, err := hookPath(dir, "alert.sh", []int{0, os.Geteuid()}); err == nil {
			t.Errorf("%q: would run %q", dir, got)
		}
	}
}

func TestHookPath(t *testing.T) {
	uid := os.Geteuid()
	for name, c := range map[string]struct {
		change func(dir, hook string) error
		owners []int
		want   string // empty is a hook that is run
	}{
		"good":   {func(string, string) error { return nil }, []int{0, uid}, ""},
		"sticky": {func(dir, _ string) error { return os.Chmod(dir, 0o777|fs.ModeSticky) }, []int{0, uid}, ""},
		"link": {func(_, hook string) error {
			return errors.Join(os.Rename(hook, hook+".x"), os.Symlink(hook+".x", hook))
		}, []int{0, uid}, "not a regular file"},
		"directory": {func(_, hook string) error { return errors.Join(os.Remove(hook), os.Mkdir(hook, 0o755)) }, []int{0, uid}, "not a regular file"},
		"mode":      {func(_, hook string) error { return os.Chmod(hook, 0o640) }, []int{0, uid}, "not executable (mode 0640)"},
		"group":     {func(_, hook string) error { return os.Chmod(hook, 0o775) }, []int{0, uid}, "others than its owner may write"},
		"world":     {func(_, hook string) error { return os.Chmod(hook, 0o757) }, []int{0, uid}, "others than its owner may write"},
		"open dir":  {func(dir, _ string) error { return os.Chmod(dir, 0o777) }, []int{0, uid}, "others than its owner may write"},
		"above":     {func(dir, _ string) error { return os.Chmod(filepath.Dir(dir), 0o775) }, []int{0, uid}, "others than its owner may write"},
		"owner":     {func(string, string) error { return nil }, []int{uid + 1}, "hooks are not run: it must belong to root"},
		"none":      {func(_, hook string) error { return os.Remove(hook) }, []int{0, uid}, "no such hook"},
		"no dir":    {func(dir, _ string) error { return os.RemoveAll(dir) }, []int{0, uid}, "no such hook"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := hookDir(t)
			hook := filepath.Join(dir, "alert.sh")
			writeHook(t, dir, "alert.sh", "exit 0")
			if err := c.change(dir, hook); err != nil {
				t.Fatal(err)
			}
			got, err := hookPath(dir, "alert.sh", c.owners)
			if c.want == "" {
				if err != nil || got != hook {
					t.Errorf("got %q, %v", got, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v, want %s", got, err, c.want)
			}
		})
	}
}

// TestHookRunnerRaisesTheAlarmInSpiteOfTheConfiguration has the runner read what is no JSON: the alarm is looked for where it is by
// default, and a hook that may forbid something is not said to be missing.
func TestHookRunnerRaisesTheAlarmInSpiteOfTheConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, "{")
	r := HookRunner{Config: path, Stderr: t.Output(), Owners: []int{-1}} // nothing of this machine is run
	for name, refused := range map[string]bool{"alert.sh": false, "pre-push.sh": true} {
		if _, err := r.run(t.Context(), HookCall{Name: name}); err == nil || strings.Contains(err.Error(), "read configuration") != refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHookOfAServiceIsNotRunInItsSandbox: without the socket it is not run there at all, and so is not taken for run.
func TestHookOfAServiceIsNotRunInItsSandbox(t *testing.T) {
	dir := hookDir(t)
	writeHook(t, dir, "alert.sh", "exit 0")
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("SYSTEMD_EXEC_PID", strconv.Itoa(os.Getpid()))
	_, err := hooksOf(dir, none, time.Hour, t.Output()).Run(t.Context(), HookCall{Name: "alert.sh"})
	if err == nil || errors.Is(err, ErrNoHook) || !strings.Contains(err.Error(), "systemctl start file-bucket-hook.socket") {
		t.Errorf("got %v", err)
	}
	t.Setenv("SYSTEMD_EXEC_PID", strconv.Itoa(os.Getppid())) // of a terminal that somebody works in, maybe
	if got, err := hooksOf(dir, none, time.Hour, t.Output()).Run(t.Context(), HookCall{Name: "alert.sh"}); err != nil || got.Code != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestHookSaysWhyItFailed keeps the first line of what it writes to stderr, which goes to the log as a whole.
func TestHookSaysWhyItFailed(t *testing.T) {
	dir := hookDir(t)
	writeHook(t, dir, "alert.sh", `echo "mail: not found" >&2; echo more >&2; exit 127`)
	writeHook(t, dir, "pre-push.sh", `head -c 100000 /dev/zero | tr "\000" x >&2; kill -9 $$`)
	bothWays(t, dir, time.Hour, func(t *testing.T, h *Hooks) {
		t.Helper()
		if got, err := h.Run(t.Context(), HookCall{Name: "alert.sh"}); err != nil || got.Code != 127 || got.Stderr != "mail: not found" {
			t.Errorf("got %d %q, %v", got.Code, got.Stderr, err)
		}
		if got, err := h.Run(t.Context(), HookCall{Name: "pre-push.sh"}); err != nil || got.Code != 137 || got.Stderr != strings.Repeat("x", 1024) {
			t.Errorf("got %d %q, %v", got.Code, got.Stderr, err)
		}
	})
}
