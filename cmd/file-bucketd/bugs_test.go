package main

import (
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object/objecttest"
)

// The bugs that the daemon of an earlier file-bucket had. Those of its door have tests in internal/push.

// TestBugReloadIntoWhatRuns: SIGUSR2 decoded the file into the configuration that was in use. The home moved at once, a file with
// an error had half an effect, and one without "buckets" none.
func TestBugReloadIntoWhatRuns(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, dir, `"buckets": ["token-one"]`)
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	door, err := open(cfg, objecttest.NewStore(t), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(door.Handler)
	t.Cleanup(ts.Close)
	h := &hooked{t: t, url: ts.URL + "/", home: cfg.Home}
	// reload is what the signal does, and whether the file was taken.
	reload := func(home, buckets string) bool {
		t.Helper()
		writeConfig(t, path, home, buckets)
		cfg, err := config.Load(path)
		return err == nil && door.Reload(cfg) == nil
	}
	if !reload(filepath.Join(dir, "elsewhere"), `"buckets": ["token-two"]`) {
		t.Error("a good file was refused")
	}
	h.want("token-one", "a", 403, "token doesn't exist")
	h.want("token-two", "a", 200, "a 7")
	for _, bad := range []string{`"buckets": ["token-three", 4]`, `"buckets": ["token-three"], "port": "x"`, `"buckets": ["token-three", "no"]`, `"buckets": ["token-three"`} {
		if reload(dir, bad) {
			t.Errorf("taken: %s", bad)
		}
		h.want("token-three", "a", 403, "token doesn't exist")
		h.want("token-two", "a", 405, "file exists")
	}
	if !reload(dir, `"log": {}`) {
		t.Error("a file without buckets was refused")
	}
	h.want("token-two", "b", 403, "token doesn't exist")
	if got := h.files(); len(got) != 1 || got["token-two/a"] != "content" {
		t.Errorf("stored %q in the home that it started with", got)
	}
}

// TestBugHooksHaveTheEnvironmentOfTheDaemon: whatever secrets it was started with.
func TestBugHooksHaveTheEnvironmentOfTheDaemon(t *testing.T) {
	t.Setenv("PGPASSWORD", "hidden")
	t.Setenv("FB_SECRET", "hidden")
	everyWay(t, "deny", func(t *testing.T, h *hooked) {
		t.Helper()
		h.hook("pre-push.sh", "#!/bin/sh\n{ env; pwd; cat; } >\"$0.env\"\n", 0o755)
		h.hook("post-push.sh", "#!/bin/sh\nenv; pwd; cat\n", 0o755)
		status, said := h.push("bare-token", "x", "content")
		before, err := os.ReadFile(filepath.Join(h.dir, "pre-push.sh.env"))
		if err != nil || status != 200 {
			t.Fatal(status, err)
		}
		for _, env := range []string{said, string(before)} {
			if strings.Contains(env, "hidden") || !strings.Contains(env, "FB_FILE=x\n") || !strings.HasSuffix(env, "\n/\n") {
				t.Errorf("a hook has %q", env)
			}
		}
	})
}

// TestBugHookWithoutEnd: one that hung held its client for ever, and what it had started went on.
func TestBugHookWithoutEnd(t *testing.T) {
	everyWay(t, "deny", func(t *testing.T, h *hooked) {
		t.Helper()
		fifo := filepath.Join(h.dir, "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		h.hook("pre-push.sh", "#!/bin/sh\nexec 3>"+fifo+"; sleep 100000 & wait\n", 0o755)
		held := make(chan error, 1)
		go func() {
			f, err := os.Open(fifo)
			if err == nil {
				_, err = io.ReadAll(f) // until the script and its child are gone
			}
			held <- err
		}()
		h.want("bare-token", "x", 409, aborted)
		if err := <-held; err != nil {
			t.Error(err)
		}
		if got := h.files(); len(got) != 0 {
			t.Errorf("stored %q", got)
		}
	})
}
