package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	err   error
	heard []string
}

func (h *heardAlerts) alert(_ context.Context, x daemon.Expected, now time.Time) error {
	h.heard = append(h.heard, fmt.Sprint(x.Bucket, " ", !x.Last.IsZero(), " ", int(x.Waited(now).Hours())))
	return h.err
}

// watchAt lets the watch look at a time, and returns what it logged as level:event:bucket.
func (s testStore) watchAt(t *testing.T, now time.Time, hooks alerter) (logged []string) {
	t.Helper()
	var out bytes.Buffer
	w := watch{storeFlags: testFlags(s), now: func() time.Time { return now }, log: zerolog.New(&out), hooks: hooks}
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
				hooks := &heardAlerts{}
				if st.fails {
					hooks.err = errors.New("no mail")
				}
				logged := s.watchAt(t, start.Add(st.at), hooks)
				if !slices.Equal(logged, st.logged) || !slices.Equal(hooks.heard, st.alerts) {
					t.Errorf("at %v: logged %q, want %q; alerts %q, want %q", st.at, logged, st.logged, hooks.heard, st.alerts)
				}
			}
		})
	}
}

// TestWatchRunsTheHook lets a real one say what it was given.
func TestWatchRunsTheHook(t *testing.T) {
	t.Setenv("SECRET", "of the caller")
	s := expecting(t, true)
	dir := t.TempDir()
	hook, out := filepath.Join(dir, "alert.sh"), filepath.Join(dir, "out")
	script := func(text string) {
		t.Helper()
		if err := os.WriteFile(hook, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := alertHook{dir: dir, timeout: time.Hour}
	now := time.Now()
	if logged := s.watchAt(t, now.Add(27*time.Hour), h); !slices.Equal(logged, []string{"warn:overdue:backup"}) {
		t.Errorf("without a hook: %q", logged)
	}
	script(`echo "$# $1 $2 $3 $FB_BUCKET $SECRET" >` + out)
	x := daemon.Expected{Bucket: "backup", Every: time.Hour, Last: now.UTC().Truncate(time.Second), Since: now}
	if err := h.alert(t.Context(), x, now.Add(90*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out); err != nil || string(got) != fmt.Sprintf("3 backup %s 1 backup \n", x.Last.Format(time.RFC3339)) {
		t.Errorf("it was given %q, %v", got, err)
	}
	x.Last = time.Time{}
	if err := h.alert(t.Context(), x, now); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out); err != nil || string(got) != "3 backup never 0 backup \n" {
		t.Errorf("it was given %q, %v", got, err)
	}
	script("echo no mail; exit 3")
	if err := h.alert(t.Context(), x, now); err == nil || !strings.HasSuffix(err.Error(), "alert.sh: exit status 3: no mail") {
		t.Errorf("a hook that fails: %v", err)
	}
	script("sleep 1000 & sleep 1000")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, nil)
	defer cancel()
	if err := h.alert(ctx, x, now); err == nil {
		t.Error("a hook that was killed is a success")
	}
	for mode, want := range map[os.FileMode]string{0o644: "cannot be run", 0o775: "may be changed by others", 0o757: "may be changed by others"} {
		if err := os.Chmod(hook, mode); err != nil {
			t.Fatal(err)
		}
		if err := h.alert(t.Context(), x, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("mode %o: %v", mode, err)
		}
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
