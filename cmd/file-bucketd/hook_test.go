package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/object/objecttest"
)

// hooked is a door with hooks in a directory.
type hooked struct {
	t    *testing.T
	url  string
	home string
	dir  string // of the hooks
	log  *bytes.Buffer
}

// hookedDirs is a door that is not opened yet, with directories below base that nobody else may write to.
func hookedDirs(t *testing.T) (h *hooked, base string) {
	t.Helper()
	base = t.TempDir()
	for _, d := range []string{base, filepath.Dir(base)} { // whatever the umask
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h = &hooked{t: t, home: filepath.Join(base, "files"), dir: filepath.Join(base, "hooks"), log: &bytes.Buffer{}}
	if err := os.Mkdir(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return h, base
}

// newHooked is a door of which a runner runs the hooks, or which has them as children.
func newHooked(t *testing.T, failure string, runner bool) *hooked {
	t.Helper()
	h, base := hookedDirs(t)
	path := filepath.Join(base, "config.json")
	text := fmt.Appendf(nil, `{"home": %q, "storage": {"path": %q}, "hooks": {"dir": %q, "timeout": "1s", "failure": %q},
"buckets": ["bare-token", {"name": "db01", "token": "token-one"}]}`, h.home, filepath.Join(base, "store"), h.dir, failure)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	log := zerolog.New(zerolog.SyncWriter(h.log))
	scripts := daemon.NewHooks(cfg, log)
	scripts.Socket = filepath.Join(base, "sock")
	if runner {
		serveRunner(t, path, scripts.Socket)
	}
	door, err := openWith(cfg, objecttest.NewStore(t), log, scripts)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(door.Handler)
	t.Cleanup(ts.Close)
	h.url = ts.URL + "/"
	return h
}

// serveRunner does what systemd does.
func serveRunner(t *testing.T, config, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			serving.Go(func() {
				defer conn.Close() //nolint:errcheck // a test's
				_ = daemon.HookRunner{Config: config, Stderr: t.Output(), Owners: []int{0, os.Geteuid()}}.
					Serve(context.WithoutCancel(t.Context()), conn) // the caller hears of it
			})
		}
	})
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // a test's
		serving.Wait()
	})
}

// hook puts a hook in place.
func (h *hooked) hook(name, script string, mode os.FileMode) {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(script), mode); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		h.t.Fatal(err)
	}
}

// push pushes a file and returns the status and the text of the answer.
func (h *hooked) push(token, name, content string) (status int, text string) {
	h.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		h.t.Fatal(err)
	}
	_, _ = io.WriteString(part, content) // into memory
	if err := form.Close(); err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.Post(h.url+token, form.FormDataContentType(), &body)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test's
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func (h *hooked) want(token, name string, status int, text string) {
	h.t.Helper()
	if got, said := h.push(token, name, "content"); got != status || !strings.HasPrefix(said, text) {
		h.t.Errorf("%s to %s: answer %d %q, want %d %q", name, token, got, said, status, text)
	}
}

// everyWay runs a test with hooks as children and by a runner.
func everyWay(t *testing.T, failure string, test func(t *testing.T, h *hooked)) {
	t.Helper()
	for name, runner := range map[string]bool{"child": false, "runner": true} {
		t.Run(name, func(t *testing.T) { test(t, newHooked(t, failure, runner)) })
	}
}

const aborted = "upload aborted due to pre-push hook\n"

func TestHooks(t *testing.T) {
	everyWay(t, "deny", func(t *testing.T, h *hooked) {
		t.Helper()
		h.want("token-one", "a", 200, "a 7 sha256:")
		h.hook("pre-push.sh", "#!/bin/sh\necho \"$# $1 $2 $3 ${4%:*}\"\ncase $2 in no) exit 1;; a) exit 2;; odd) exit 9;; dead) kill -9 $$;; late) exec sleep 100000;; esac\n", 0o755)
		h.hook("post-push.sh", "#!/bin/sh\necho \"$# $1 $(cat \"$2\") $(basename \"$2\") $(stat -c %a \"$2\") ${3%:*} $FB_SIZE $FB_BUCKET\"\n", 0o755)
		for token, bucket := range map[string]string{"token-one": "db01", "bare-token": ""} {
			h.want(token, "no", 409, aborted+"4 "+token+" no 7 127.0.0.1\n")
			h.want(token, "b", 200, "3 "+token+" content b 600 127.0.0.1 7 "+bucket+"\n")
			h.want(token, "b", 405, "file exists")
			h.want(token, "a", 200, "3 "+token+" content a 600 ")
			h.want(token, "a", 200, "3 "+token+" content a 600 ")
			h.want(token, "odd", 409, aborted)
			h.want(token, "dead", 409, aborted)
			// Nothing that a name says is done.
			odd := "$(touch " + h.dir + "/x);`id` *"
			odd = strings.ReplaceAll(odd, "/", "_")
			h.want(token, odd, 200, "3 "+token+" content "+odd)
		}
		h.want("token-one", "late", 409, aborted)
		entries, err := os.ReadDir(h.home)
		if err != nil || len(entries) != 1 { // of the bare token
			t.Errorf("left: %v, %v", entries, err)
		}
		h.hook("post-push.sh", "#!/bin/sh\necho no; exit 1\n", 0o755)
		h.want("token-one", "c", 200, "c 7 sha256:")
		h.want("token-one", "c", 405, "file exists")
	})
}

// TestChangedHooksNeedARestart: a reload has to say that it leaves them as they were.
func TestChangedHooksNeedARestart(t *testing.T) {
	before, after := config.Default(), config.Default()
	after.Hooks.Failure = "allow"
	was, is := program().Settings(before), program().Settings(after)
	for i := range was {
		if changed := !reflect.DeepEqual(was[i].Value, is[i].Value); changed != (was[i].Name == "hooks") {
			t.Errorf("%s: changed %t", was[i].Name, changed)
		}
	}
	if len(was) != 3 {
		t.Errorf("settings %v", was)
	}
}

// TestHooksThatCannotRun: such a pre-push.sh is a failure, and never an agreement.
func TestHooksThatCannotRun(t *testing.T) {
	for name, row := range map[string]struct {
		script string
		mode   os.FileMode
	}{
		"mode":           {"#!/bin/sh\n", 0o644},
		"open":           {"#!/bin/sh\n", 0o777},
		"no interpreter": {"#!/none\n", 0o755},
		"no program":     {"\x00\x01", 0o755},
		// A shell's code for that is 2, which lets files be replaced.
		"syntax": {"#!/bin/sh\nif then\n", 0o755},
	} {
		for failure, status := range map[string]int{"deny": 409, "allow": 200} {
			t.Run(name+"/"+failure, func(t *testing.T) {
				everyWay(t, failure, func(t *testing.T, h *hooked) {
					t.Helper()
					h.hook("pre-push.sh", row.script, row.mode)
					h.hook("post-push.sh", row.script, row.mode)
					text := aborted
					if failure == "allow" {
						text = "x 7 sha256:"
					}
					h.want("token-one", "x", status, text)
					if !strings.Contains(h.log.String(), "pre-push.sh: ") {
						t.Errorf("the log has nothing of it:\n%s", h.log)
					}
				})
			})
		}
	}
}
