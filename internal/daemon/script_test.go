package daemon

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBrokenScriptIsNoAgreement: shells end with 2 when they cannot go on, which from pre-push.sh would let files be replaced.
func TestBrokenScriptIsNoAgreement(t *testing.T) {
	dir := hookDir(t)
	bothWays(t, dir, time.Hour, func(t *testing.T, h *Hooks) {
		t.Helper()
		run := func(script string) (HookResult, error) {
			t.Helper()
			path := filepath.Join(dir, "pre-push.sh")
			if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
			return h.Run(t.Context(), HookCall{Name: "pre-push.sh"})
		}
		for what, script := range map[string]string{
			"syntax":           "#!/bin/sh\nif then\n",
			"variable":         "#!/bin/sh\nset -u\necho \"$nope\"\n",
			"syntax for bash":  "#!/bin/bash\nif then\n",
			"odd test for set": "#!/bin/sh -e\n[ x -eq 0 ]\n",
			"eval of bash":     "#!/bin/bash\nset -e\neval if\n",
			"says first":       "#!/bin/sh\necho checking >&2\nif then\n",
			"of bash":          "#!/bin/bash\necho checking >&2\nif then\n",
			"traced":           "#!/bin/sh\nset -x\n: ${NOPE?}\n",
			"another's first":  "#!/bin/sh\ndf /nope-there-is-no-such-thing\n. /missing.conf\n",
			"and a trap last":  "#!/bin/sh\ntrap 'echo bye >&2' EXIT\n: ${NOPE?}\n",
			"in a line":        "#!/bin/sh\nprintf 'is it there? ' >&2\n: ${NOPE?}\n",
			"after much":       "#!/bin/sh\nseq 500 >&2\n: ${NOPE?}\n",
		} {
			if got, err := run(script); err == nil || !strings.Contains(err.Error(), "it ended with 2 and its shell complains: ") || !strings.Contains(err.Error(), dir+"/pre-push.sh: ") {
				t.Errorf("%s: %+v, %v", what, got, err)
			}
		}
		part := filepath.Join(dir, "part")
		if err := os.WriteFile(part, []byte("if\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for script, want := range map[string]string{
			"#!/bin/bash\nset -e\n. " + part + "\n":          part + ": line 2: syntax error",
			"#!/bin/sh\nset -e\necho checking >&2\nsh -c if": "sh: 1: Syntax error",
			"#!/bin/sh\nset -e\nbash -c if":                  "bash: -c: line ",
		} {
			if got, err := run(script); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %+v, %v", script, got, err)
			}
		}
		for what, script := range map[string]string{
			"silent": "#!/bin/sh\nexit 2\n",
			"says":   "#!/bin/sh\necho \"$0: replaced\" >&2\necho \"note: 3: is fine\" >&2\nexit 2\n",
		} {
			if got, err := run(script); err != nil || got.Code != 2 {
				t.Errorf("%s: %+v, %v", what, got, err)
			}
		}
		if got, err := run("#!/bin/sh\nnope-there-is-no-such-thing\nexit 1\n"); err != nil || got.Code != 1 {
			t.Errorf("another code: %+v, %v", got, err)
		}
	})
}

// TestTokenOfAFailure: what a hook and its shell say of a failure is for the journal, and without the token.
func TestTokenOfAFailure(t *testing.T) {
	const token = "3547264155b541de5cb6a7eae0431a14"
	dir := hookDir(t)
	bothWays(t, dir, time.Hour, func(t *testing.T, h *Hooks) {
		t.Helper()
		call := HookCall{Name: "pre-push.sh", Args: []string{token}, Env: []string{"FB_TOKEN=" + token}}
		writeHook(t, dir, call.Name, "set -e\necho x >>/srv/missing/$1/log")
		if got, err := h.Run(t.Context(), call); err == nil || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "/srv/missing/354726…/log") {
			t.Errorf("%+v, %v", got, err)
		}
		call.Name = "post-push.sh" // of which 2 is a code like others
		writeHook(t, dir, call.Name, "set -e\necho x >>/srv/missing/$1/log")
		if got, err := h.Run(t.Context(), call); err != nil || got.Code != 2 || !strings.Contains(got.Stderr, "/srv/missing/354726…/log") {
			t.Errorf("%+v, %v", got, err)
		}
		for n := maxHookLine - len(token); n < maxHookLine; n++ {
			writeHook(t, dir, call.Name, "head -c "+strconv.Itoa(n)+" /dev/zero | tr '\\0' x >&2; echo $1 >&2; exit 3")
			got, err := h.Run(t.Context(), call)
			if said := strings.TrimLeft(got.Stderr, "x"); err != nil || got.Code != 3 || !strings.HasPrefix("354726…", strings.TrimRight(said, "?")) {
				t.Fatalf("behind %d bytes: %q, %v", n, said, err)
			}
		}
	})
}

// TestHookThatCannotBeReadIsNotRun: its shell would end with 2. Root may read everything.
func TestHookThatCannotBeReadIsNotRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file that another user may execute and not read")
	}
	dir := hookDir(t)
	writeHook(t, dir, "pre-push.sh", "exit 0")
	path := filepath.Join(dir, "pre-push.sh")
	for mode, refused := range map[os.FileMode]bool{0o755: false, 0o711: true, 0o700: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		told := make(chan error, 1)
		go func() {
			// The thread alone becomes another user's, and ends with the goroutine, which keeps it.
			runtime.LockOSThread()
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
				told <- errno
				return
			}
			told <- mayRun(path)
		}()
		err := <-told
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "user 65534 may not read and execute it; chmod a+rx helps") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}
