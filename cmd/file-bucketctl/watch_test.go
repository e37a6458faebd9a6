package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// expecting makes a store of which something is expected, and that has got it, or never has.
func expecting(t *testing.T, filled bool) testStore {
	t.Helper()
	s := newTestStore(t)
	s.configure(t, `"buckets": [{"name": "backup", "token": "token-one", "expect": "26h"}]`)
	var keys []string
	if filled {
		keys = append(keys, "key")
	}
	s.put(t, 10, keys...)
	return s
}

// configure adds keys to the configuration.
func (s testStore) configure(t *testing.T, keys string) {
	t.Helper()
	text := fmt.Sprintf(`{"storage": {"path": %q, "min_free": "1MiB"}, %s}`, s.dir, keys)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// heardAlerts takes note of alerts, and fails while it is to.
type heardAlerts struct {
	code  int
	heard []string // the arguments of each, with whether anything ever came in the place of when
}

func (h *heardAlerts) Run(_ context.Context, call daemon.HookCall) (daemon.HookResult, error) {
	if len(call.Args) == 3 {
		call.Args[1] = strconv.FormatBool(call.Args[1] != "never")
	}
	h.heard = append(h.heard, strings.Join(call.Args, " "))
	return daemon.HookResult{Code: h.code, Output: []byte("no mail\n")}, nil
}

// watchAt lets the watch look at a time, and returns what it logged as level:event:bucket.
func (s testStore) watchAt(t *testing.T, now time.Time, h hooks) (logged []string) {
	t.Helper()
	var out bytes.Buffer
	w := watch{storeFlags: testFlags(s), now: func() time.Time { return now }, log: zerolog.New(&out), hooks: h}
	var fail bytes.Buffer
	if err := w.run(t.Context(), env{&fail, &fail}); err != nil || fail.Len() > 0 {
		t.Fatal(err, &fail)
	}
	for dec := json.NewDecoder(&out); dec.More(); {
		var line struct{ Level, Event, Bucket string }
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		logged = append(logged, line.Level+":"+line.Event+":"+line.Bucket)
	}
	return logged
}

// TestWatchAlertsOncePerLapse looks again and again while the clock goes on.
func TestWatchAlertsOncePerLapse(t *testing.T) {
	const overdue, failed, came = "warn:overdue:backup", "error:alert-failed:backup", "info:came:backup"
	type step struct {
		at     time.Duration // since the start
		fails  bool          // the alert
		put    bool          // something comes before
		logged []string
		alerts []string
	}
	for name, steps := range map[string][]step{
		"filled": {
			{at: 25 * time.Hour},
			{at: 27 * time.Hour, fails: true, logged: []string{overdue, failed}, alerts: []string{"backup true 27"}},
			{at: 28 * time.Hour, logged: []string{overdue}, alerts: []string{"backup true 28"}},
			{at: 29 * time.Hour},
			{at: 51*time.Hour + 59*time.Minute},
			{at: 52 * time.Hour, logged: []string{overdue}},
			{at: 53 * time.Hour},
			{at: time.Minute, logged: []string{came}}, // the clock stands for something that came: to the store it is now
			{at: 2 * time.Minute},
			{at: 30 * time.Hour, logged: []string{overdue}, alerts: []string{"backup true 30"}},
			{at: -30 * time.Hour, logged: []string{overdue}}, // a clock that went back
		},
		"empty": {
			{at: 0},
			{at: 25 * time.Hour},
			{at: 27 * time.Hour, logged: []string{overdue}, alerts: []string{"backup false 27"}},
			{at: 28 * time.Hour},
			{at: time.Hour, put: true, logged: []string{came}},
			{at: 40*time.Hour + 30*time.Minute, logged: []string{overdue}, alerts: []string{"backup true 40"}}, // it came a little after the start
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := expecting(t, name == "filled")
			start := time.Now().Add(time.Second) // a little after what came
			for _, st := range steps {
				if st.put {
					s.put(t, 10, "late")
				}
				h := &heardAlerts{}
				if st.fails {
					h.code = 1
				}
				logged := s.watchAt(t, start.Add(st.at), h)
				if !slices.Equal(logged, st.logged) || !slices.Equal(h.heard, st.alerts) {
					t.Errorf("at %v: logged %q, want %q; alerts %q, want %q", st.at, logged, st.logged, h.heard, st.alerts)
				}
			}
		})
	}
}

// alertScript makes a directory of hooks with alert.sh in it, unless its text is empty.
func alertScript(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if text == "" {
		return dir
	}
	path := filepath.Join(dir, "alert.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Dir(dir), dir, path} { // whatever the umask
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// hooksIn are those of a directory, and of a store in another, where no service manager runs them.
func hooksIn(t *testing.T, dir, store string) *daemon.Hooks {
	t.Helper()
	cfg := config.Default()
	cfg.Hooks.Dir, cfg.Storage.Path = dir, store
	h, err := newHooks(cfg, zerolog.New(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	h.Socket = filepath.Join(t.TempDir(), "none")
	return h
}

// TestAlertRunsTheHook lets a real one say what it was given.
func TestAlertRunsTheHook(t *testing.T) {
	t.Setenv("SECRET", "of the caller")
	out := filepath.Join(t.TempDir(), "out")
	h := hooksIn(t, alertScript(t, `echo "$# $1 $2 $3 $FB_BUCKET $SECRET" >`+out), t.TempDir())
	now := time.Now()
	x := daemon.Expected{Bucket: "backup", Every: time.Hour, Last: now.UTC().Truncate(time.Second), Since: now}
	for _, want := range []string{"3 backup " + x.Last.Format(time.RFC3339) + " 1 backup \n", "3 backup never 1 backup \n"} {
		if err := alert(t.Context(), h, x, now.Add(90*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(out); err != nil || string(got) != want {
			t.Errorf("it was given %q, %v", got, err)
		}
		x.Last = time.Time{}
	}
	if err := alert(t.Context(), hooksIn(t, alertScript(t, ""), t.TempDir()), x, now); !errors.Is(err, daemon.ErrNoHook) {
		t.Errorf("without a hook: %v", err)
	}
	h = hooksIn(t, alertScript(t, "echo no mail; exit 3"), t.TempDir())
	if err := alert(t.Context(), h, x, now); err == nil || err.Error() != `alert.sh: exit code 3: "no mail"` {
		t.Errorf("a hook that fails: %v", err)
	}
	h = hooksIn(t, alertScript(t, "echo mail: not found >&2; echo more >&2; exit 127"), t.TempDir())
	if err := alert(t.Context(), h, x, now); err == nil || err.Error() != `alert.sh: exit code 127: "", and on stderr "mail: not found"` {
		t.Errorf("a hook that complains: %v", err)
	}
	dir := alertScript(t, "exit 0")
	if err := os.Chmod(filepath.Join(dir, "alert.sh"), 0o775); err != nil {
		t.Fatal(err)
	}
	if err := alert(t.Context(), hooksIn(t, dir, t.TempDir()), x, now); err == nil || !strings.Contains(err.Error(), "others than its owner may write to it") {
		t.Errorf("a hook that others may change: %v", err)
	}
}

// TestAlertThatIsInstalledLateIsRun looks at a lapse before there is a hook, before it may be run, and then.
func TestAlertThatIsInstalledLateIsRun(t *testing.T) {
	s := expecting(t, true)
	start, dir, out := time.Now(), alertScript(t, ""), filepath.Join(t.TempDir(), "out")
	script := filepath.Join(dir, "alert.sh")
	look := func(hour int, want ...string) {
		t.Helper()
		if logged := s.watchAt(t, start.Add(time.Duration(hour)*time.Hour), hooksIn(t, dir, s.dir)); !slices.Equal(logged, want) {
			t.Errorf("after %d hours: logged %q, want %q", hour, logged, want)
		}
	}
	look(27, "warn:overdue:backup")
	look(28)
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $3 >>"+out+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	look(29, "error:alert-failed:backup")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	look(30)
	look(31)
	if got, err := os.ReadFile(out); err != nil || strings.TrimSpace(string(got)) != "30" {
		t.Errorf("it was run after %q hours, %v", got, err)
	}
}

// TestAlertIsNotRunAsRoot sees that a hook which root's watch runs has the rights of the store's owner.
func TestAlertIsNotRunAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give rights up")
	}
	store := t.TempDir()
	if err := os.Chown(store, 64121, 64122); err != nil {
		t.Fatal(err)
	}
	h := hooksIn(t, alertScript(t, "echo $(id -ru) $(id -u) $(id -G)"), store)
	if got, err := h.Run(t.Context(), daemon.HookCall{Name: "alert.sh"}); err != nil || string(got.Output) != "64121 64121 64122\n" {
		t.Errorf("%q, %v", got.Output, err)
	}
	dir := alertScript(t, "exit 0")
	if err := os.Chown(filepath.Join(dir, "alert.sh"), 64121, 64122); err != nil {
		t.Fatal(err)
	}
	if _, err := hooksIn(t, dir, store).Run(t.Context(), daemon.HookCall{Name: "alert.sh"}); err != nil {
		t.Errorf("a hook of the store's owner: %v", err)
	}
	if _, err := hooksIn(t, dir, t.TempDir()).Run(t.Context(), daemon.HookCall{Name: "alert.sh"}); err == nil {
		t.Error("a hook of somebody else was run as root")
	}
}

// TestWatchAsksTheRunnerOfHooks has a watch alert somebody by the socket that a service manager listens on: there are no hooks
// where its own configuration says.
func TestWatchAsksTheRunnerOfHooks(t *testing.T) {
	s := expecting(t, true)
	dir := alertScript(t, `echo "$1 $3" >&2; exit 5`)
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"hooks": {"dir": %q, "timeout": "1h"}}`, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	h := hooksIn(t, "/none/such", s.dir)
	h.Socket = filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", h.Socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	var stderr bytes.Buffer
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = daemon.HookRunner{Config: path, Stderr: &stderr, Owners: []int{0, os.Geteuid()}}.Serve(context.Background(), conn)
			err = errors.Join(err, conn.Close())
		}
		served <- err
	}()
	logged := s.watchAt(t, time.Now().Add(27*time.Hour), h)
	if want := []string{"warn:overdue:backup", "error:alert-failed:backup"}; !slices.Equal(logged, want) {
		t.Errorf("logged %q", logged)
	}
	if err := errors.Join(l.Close(), <-served); err != nil || // which waits for nobody when nobody came
		stderr.String() != "alert.sh backup: backup 27\n" {
		t.Errorf("the hook said %q, %v", &stderr, err)
	}
}

// TestWatchAlertsWhenTheStoreCannotBeOpened lets a store break, so that nothing comes into it any more: nobody may be left to believe
// that all is well.
func TestWatchAlertsWhenTheStoreCannotBeOpened(t *testing.T) {
	s := expecting(t, true)
	now := time.Now()
	if logged := s.watchAt(t, now, &heardAlerts{}); logged != nil {
		t.Errorf("at first: %q", logged)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "catalog.db"), []byte("no catalog, but long enough to be looked at"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after  time.Duration
		alerts []string
	}{{time.Hour, nil}, {27 * time.Hour, []string{"backup true 27"}}, {28 * time.Hour, nil}} {
		var out bytes.Buffer
		hooks := &heardAlerts{}
		w := watch{storeFlags: testFlags(s), now: func() time.Time { return now.Add(step.after) }, log: zerolog.Nop(), hooks: hooks}
		if err := w.run(t.Context(), env{&out, &out}); err == nil || !slices.Equal(hooks.heard, step.alerts) {
			t.Errorf("after %v: %v; alerts %q, want %q", step.after, err, hooks.heard, step.alerts)
		}
	}
}

// TestWatchLeavesNothingWhereNoStoreIs runs before the daemons have made the store.
func TestWatchLeavesNothingWhereNoStoreIs(t *testing.T) {
	s := newTestStore(t)
	s.configure(t, `"buckets": [{"name": "backup", "token": "token-one", "expect": "26h"}]`)
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, fail := s.ctl(t, "watch"); code == 0 || !strings.Contains(fail, "the daemons make it") {
		t.Errorf("got %d %q", code, fail)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestWatchIsHidden(t *testing.T) {
	if _, out, _ := ctl(t, "--help"); strings.Contains(out, "  watch ") {
		t.Error("watch is in the help")
	}
	s := expecting(t, true)
	if code, out, fail := s.ctl(t, "watch"); code != 0 || out+fail != "" {
		t.Errorf("got %d %q %q", code, out, fail)
	}
	w, err := daemon.LoadWatch(&config.Config{Storage: config.Storage{Path: s.dir}})
	if err != nil || len(w.Buckets) != 1 || w.Looked.IsZero() {
		t.Errorf("it remembers %+v, %v", w, err)
	}
}
