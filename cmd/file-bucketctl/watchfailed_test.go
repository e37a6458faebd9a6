package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/daemon"
)

// TestFailureOfTheWatchAlertsOncePerLapse lets watches fail and work in turn.
func TestFailureOfTheWatchAlertsOncePerLapse(t *testing.T) {
	s := expecting(t, true)
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	fail := func(code int, after time.Duration, want ...string) {
		t.Helper()
		h := &heardAlerts{code: code}
		f := failedWatch{health: healthFile(), now: time.Now().Add(after), log: zerolog.New(t.Output()), hooks: h}
		if err := f.run(t.Context()); (err != nil) != (code != 0) || !slices.Equal(h.heard, want) {
			t.Errorf("heard %q, want %q; %v", h.heard, want, err)
		}
	}
	work := func() {
		t.Helper()
		if code, out, complaint := s.ctl(t, "watch"); code != 0 {
			t.Fatal(code, out, complaint)
		}
	}
	fail(1, 0, "- false 0")
	fail(0, 0, "- false 0") // it failed before
	fail(0, time.Hour)
	work()
	fail(0, 90*time.Minute, "- true 1")
	fail(0, 90*time.Minute)
	work()
	if err := os.WriteFile(healthFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	fail(0, 0, "- false 0")

	if err := os.WriteFile(s.config, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, complaint := s.ctl(t, "watch"); code != 78 {
		t.Errorf("got %d %q", code, complaint)
	}
	fail(0, time.Hour) // a watch that fails is none that works
}

// TestFailureOfTheWatchRunsTheHookOfTheConfiguration lets the command itself find the hook, before it is there and then, while the
// configuration has a fault for which the watch refuses it.
func TestFailureOfTheWatchRunsTheHookOfTheConfiguration(t *testing.T) {
	if _, err := os.Stat(daemon.HookSocket); err == nil {
		t.Fatal("hooks are run by the service of this machine, which knows nothing of this configuration")
	}
	s := newTestStore(t)
	dir, out := alertScript(t, ""), filepath.Join(t.TempDir(), "out")
	s.configure(t, `"hooks": {"dir": "`+dir+`"}, "no_such_key": 1`)
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	for n, want := range []string{"", "- never 0\n", "- never 0\n"} {
		if n == 1 {
			if err := os.WriteFile(filepath.Join(dir, "alert.sh"), []byte("#!/bin/sh\necho $* >>"+out+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if code, _, complaint := s.ctl(t, "watch", "--failed"); code != 0 || strings.Contains(complaint, "no alert.sh") != (n == 0) {
			t.Errorf("%d: got %d %q", n, code, complaint)
		}
		if got, _ := os.ReadFile(out); string(got) != want {
			t.Errorf("%d: it was given %q, want %q", n, got, want)
		}
	}
}
