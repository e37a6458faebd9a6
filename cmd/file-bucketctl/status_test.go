package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// statusWorld is a store with two doors that answer anything, and one that greets.
type statusWorld struct {
	testStore

	doors [2]*httptest.Server
	ftp   net.Listener
	asked chan string // by the prober
	home  string
	off   bool   // no door is meant to run
	stray string // a daemon that does not run, where something answers

	running string // a daemon that systemd runs
	chore   string // a service that has failed, in words
	floor   string // of the store's file system
}

func newStatusWorld(t *testing.T) *statusWorld {
	t.Helper()
	w := &statusWorld{testStore: newTestStore(t), asked: make(chan string, 100), home: t.TempDir()}
	for i := range w.doors {
		w.doors[i] = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.asked <- r.URL.Path
			http.Error(rw, "no", http.StatusForbidden)
		}))
		t.Cleanup(w.doors[i].Close)
	}
	w.ftp = greets(t, "220-it has\r\n220 two lines\r\n", w.asked)
	return w
}

// greets is an FTP server that says its first word. What clients say but goodbye goes to a channel.
func greets(t *testing.T, word string, asked chan<- string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // a test's
				_, _ = io.WriteString(conn, word)
				for r := bufio.NewScanner(conn); r.Scan(); {
					if r.Text() == "QUIT" {
						_, _ = io.WriteString(conn, "221 bye\r\n")
						return
					}
					asked <- r.Text()
				}
			}()
		}
	}()
	return l
}

func portOf(s *httptest.Server) int { return s.Listener.Addr().(*net.TCPAddr).Port } //nolint:errcheck,forcetypeassert // it is one

// status runs it at a time and returns exit code, output and error text.
func (w *statusWorld) status(t *testing.T, buckets string, now time.Time, asJSON bool) (int, string, string) {
	t.Helper()
	w.configure(t, fmt.Sprintf(`"host": "", "port": %d, "home": %q, "s3": {"host": "127.0.0.1", "port": %d},
"ftp": {"host": "127.0.0.1", "port": %d}, "buckets": [%s]`,
		portOf(w.doors[0]), w.home, portOf(w.doors[1]), w.ftp.Addr().(*net.TCPAddr).Port, buckets)) //nolint:errcheck,forcetypeassert // it is one
	var out, fail bytes.Buffer
	o := testFlags(w.testStore)
	o.json = &asJSON
	err := keep(t.Context(), env{&out, &fail}, o, func(ctx context.Context, k *keeper) error {
		p := newProber(k.cfg)
		p.enabled = func(context.Context, string) bool { return !w.off }
		p.stopped = func(_ context.Context, daemon string) bool { return daemon == w.stray }
		p.running = func(_ context.Context, daemon string) bool { return daemon == w.running }
		p.failed = func(context.Context) []string {
			return slices.DeleteFunc([]string{w.chore}, func(s string) bool { return s == "" })
		}
		if w.floor != "" {
			if err := k.cfg.Storage.MinFree.Set(w.floor); err != nil {
				return err
			}
		}
		return k.status(ctx, p, false, now)
	})
	return daemon.Report(&fail, name, err), out.String(), fail.String()
}

const dailyBucket = `{"name": "backup", "token": "token-one", "expect": "26h"}`

func TestStatusWhenAllIsWell(t *testing.T) {
	w := newStatusWorld(t)
	w.put(t, 1<<20, "a", "b")
	w.watchAt(t, time.Now(), &heardAlerts{}) // with a configuration that expects nothing yet
	dir := filepath.Join(w.home, "bare-token-1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	written := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	for file, at := range map[string]time.Time{"old": written.Add(-time.Hour), "new": written, ".partial-x": time.Now()} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, file), at, at); err != nil {
			t.Fatal(err)
		}
	}
	buckets := dailyBucket + `, "bare-token-1", "other-token-2", {"name": "missing", "token": "token-two"}`
	code, out, fail := w.status(t, buckets, time.Now(), true)
	var r statusResult
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || fail != "" || len(r.Wrong) > 0 {
		t.Fatalf("%d %s %s %v", code, out, fail, err)
	}
	if len(w.asked) > 0 {
		t.Errorf("a door was asked for %s, which it logs", <-w.asked)
	}
	for _, d := range r.Doors {
		if d.State != "serving" || (d.Note == "") != (d.Name == "file-bucketd") {
			t.Errorf("door %+v", d)
		}
	}
	b := r.Buckets
	if len(b) != 4 || b[0].Name != "backup" || b[0].Last == nil || b[0].Expect != 26 || b[0].Overdue || b[1].Name != "missing" || b[1].Last != nil ||
		b[2].Token != "bar…" || b[2].Last == nil || !b[2].Last.Equal(written) || b[3].Token != "oth…" || b[3].Last != nil {
		t.Errorf("buckets %+v", b)
	}
	if c := r.Store.Count; c == nil || c.Objects != 2 || c.Logical != 2<<20 || c.Dedup != 1 || c.Loose != 0 || r.Store.Free <= r.Store.Floor {
		t.Errorf("store %+v", r.Store)
	}
	code, out, fail = w.status(t, buckets, time.Now(), false)
	for _, want := range []string{"\nbucket backup  ", "every 1d2h\n", "\nbucket missing  last never\n", "token bar…", "3 hours ago", "2 objects of 2.0 MiB take 2.0 MiB"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in it: %d %s", want, code, out)
		}
	}
	if code != 0 || strings.Contains(fail, name) || strings.Contains(out, "bare-token-1") {
		t.Errorf("%d %q %s", code, fail, out)
	}
}

func TestStatusSaysWhatIsWrong(t *testing.T) {
	w := newStatusWorld(t)
	w.put(t, 10, "key")
	now := time.Now()
	wrong := func(what string, want string, at time.Time, buckets string) {
		t.Helper()
		code, out, fail := w.status(t, buckets, at, true)
		var r statusResult
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != 2 || len(r.Wrong) != 1 || !strings.Contains(fail, want) || !strings.Contains(r.Wrong[0], want) {
			t.Errorf("%s: %d %q %s, want %q", what, code, fail, out, want)
		}
	}
	wrong("no watch", "nobody watches for buckets into which nothing comes: file-bucketctl watch has never run", now, dailyBucket)
	w.watchAt(t, now, &heardAlerts{})
	if code, _, fail := w.status(t, dailyBucket, now.Add(59*time.Minute), true); code != 0 {
		t.Errorf("a watch of an hour ago: %d %s", code, fail)
	}
	wrong("an old watch", "file-bucketctl watch last ran 2 hours ago", now.Add(2*time.Hour), dailyBucket)
	late := now.Add(30 * time.Hour)
	w.watchAt(t, late, &heardAlerts{})
	wrong("overdue", "nothing came into bucket backup for 30 hours, and something is expected every 1d2h", late, dailyBucket)
	if code, out, _ := w.status(t, dailyBucket, late, false); code != 2 || !strings.Contains(out, "every 1d2h: OVERDUE\n") {
		t.Errorf("overdue: %d %s", code, out)
	}
	w.stray = "file-bucketd"
	wrong("a stray door", "another program answers there, and file-bucketd.service does not run", late, "")
	w.stray, w.chore = "", "file-bucket-check.service has failed"
	wrong("a check that found damage", "file-bucket-check.service has failed", late, "")
	w.chore, w.floor = "", "1000000TiB"
	wrong("a full disk", "the file system of the store is full: ", late, "")
	w.floor = ""
	w.doors[1].Close()
	wrong("a dead door", "hugbucket-s3d does not serve at 127.0.0.1:", late, "")
	w.running = "hugbucket-s3d"
	wrong("a door that is elsewhere", "connection refused; the daemon runs, so the configuration has changed: file-bucketctl apply applies it", late, "")
	_ = w.ftp.Close()
	w.off = true
	if code, out, fail := w.status(t, "", late, false); code != 0 || !strings.Contains(out, "  off\n") {
		t.Errorf("a door that is off: %d %s %s", code, out, fail)
	}
}

// TestStatusAsksForWhatTimersStart has a service manager that knows of services that have failed.
func TestStatusAsksForWhatTimersStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := fakeSystemd(t, map[string]string{
		"file-bucket-check.service": "failed", "file-bucket-gc.service": "inactive", "file-bucket-expire.service": "activating",
		"file-bucket-watch.service": "failed",
	})
	s.config = path
	if got := s.failedChores(t.Context(), path); len(got) != 2 || !strings.HasPrefix(got[0], "file-bucket-check.service has failed; journalctl -u ") ||
		!strings.HasPrefix(got[1], "file-bucket-watch.service has failed; ") {
		t.Errorf("got %q", got)
	}
	if got := s.failedChores(t.Context(), filepath.Join(s.runtime, "systemctl")); got != nil {
		t.Errorf("of a configuration that no service has: %q", got)
	}
	s.systemctl = "/none"
	if got := s.failedChores(t.Context(), path); len(got) != 1 || !strings.HasPrefix(got[0], "nobody knows whether ") {
		t.Errorf("of a service manager that does not answer: %q", got)
	}
	s.booted = "/none"
	if got := s.failedChores(t.Context(), path); got != nil {
		t.Errorf("without a service manager: %q", got)
	}
}

// TestStatusOfAPortThatNobodyServes connects to a socket that a service manager holds for a daemon which does not come.
func TestStatusOfAPortThatNobodyServes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	cut := make(chan error)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = c.Close()
		}
		cut <- err
	}()
	p := newProber(&config.Config{})
	p.enabled = func(context.Context, string) bool { return false }
	if d := p.door(t.Context(), unit{}, l.Addr().String()); d.State != "down" || d.Error == "" {
		t.Errorf("got %+v", d)
	}
	if err := <-cut; err != nil {
		t.Error(errors.Unwrap(err))
	}
}

// TestStatusOfTheFTPDoor: it is asked without TLS, and a door that is full or speaks something else is told apart.
func TestStatusOfTheFTPDoor(t *testing.T) {
	p := newProber(&config.Config{TLS: config.TLS{Cert: "cert", Key: "key"}})
	for word, state := range map[string]string{
		"220 welcome\r\n": "serving", "421 too many\r\n": "serving", "HTTP/1.1 400 Bad Request\r\n\r\n": "down",
	} {
		asked := make(chan string, 10)
		if d := p.door(t.Context(), unit{ftp: true}, greets(t, word, asked).Addr().String()); d.State != state {
			t.Errorf("%q: got %+v", word, d)
		}
		if len(asked) > 0 {
			t.Errorf("%q: it was asked %q", word, <-asked)
		}
	}
}

// TestStatusOfDoorsThatNobodyAskedFor: nothing is wrong when the door of a section that nobody wrote does not run, whatever `run` starts.
func TestStatusOfDoorsThatNobodyAskedFor(t *testing.T) {
	all := []string{"file-bucketd", "hugbucket-s3d", ftpDoor}
	for text, want := range map[string]struct{ asked, run []string }{
		`{"host": "", "port": 1, "home": "/h", "buckets": []}`: {all[:1], all[:2]},
		`{"s3": {}}`:            {all[:2], all[:2]},
		`{"s3": {}, "ftp": {}}`: {all, all},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := daemon.LoadConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		asked := slices.DeleteFunc(slices.Clone(all), func(door string) bool { return !askedFor(cfg, door) })
		if got := doorsOf(cfg); !slices.Equal(asked, want.asked) || !slices.Equal(got, want.run) {
			t.Errorf("%s: asked for %q, runs %q", text, asked, got)
		}
	}
}

func TestStatusOfADoorWithTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	p := newProber(&config.Config{TLS: config.TLS{Cert: "cert", Key: "key"}})
	if d := p.door(t.Context(), unit{}, s.Listener.Addr().String()); d.State != "serving" {
		t.Errorf("got %+v", d)
	}
}

func TestLoopback(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", ":1": "127.0.0.1:1", "localhost:1": "127.0.0.1:1", "192.0.2.1:1": "192.0.2.1:1", "[2001:db8::1]:1": "[2001:db8::1]:1", "host:1": "host:1",
	} {
		if got := loopback(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}
