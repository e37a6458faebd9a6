package s3

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestHealth: no signature is asked for, and nothing is told but whether the store answers.
func TestHealth(t *testing.T) {
	w := newWorld(t, Config{Domains: []string{"s3.lan"}})
	get := func(method, target string) *reply { return w.send(w.raw(method, target, nil)) }
	for _, target := range []string{"/_health/live", "/_health/ready", "/_health/ready?x=1"} {
		asked := w.calls.n.Load()
		re := get(http.MethodGet, target)
		if re.status != 200 || re.body != "ok\n" || re.header.Get("X-Amz-Request-Id") == "" {
			t.Errorf("%s: %d %q %v", target, re.status, re.body, re.header)
		}
		if ready := target != livePath; (w.calls.n.Load() > asked) != ready {
			t.Errorf("%s: the store was asked %d times", target, w.calls.n.Load()-asked)
		}
		if re := get(http.MethodHead, target); re.status != 200 || re.body != "" {
			t.Errorf("HEAD %s: %d %q", target, re.status, re.body)
		}
	}
	for _, r := range []struct{ method, target string }{
		{"GET", "/_health"},
		{"GET", "/_health/"},
		{"GET", "/_health/other"},
		{"GET", "/_health/ready/"},
		{"PUT", "/_health/ready"},
		{"POST", "/_health/live"},
		{"DELETE", "/_health/live"},
	} {
		w.wantReply(get(r.method, r.target), 403, "", r.method+" "+r.target)
	}
	if object.ValidBucket("_health") == nil {
		t.Error("a bucket can have the name")
	}
	w.want(400, "InvalidBucketName", http.MethodPut, "/_health", "")
	r := w.raw(http.MethodGet, readyPath, nil)
	r.Host = "bkt.s3.lan"
	w.wantReply(w.send(r), 403, "AccessDenied", "a key by this name")

	w.calls.before = func(string) { panic("broken") }
	w.wantReply(get(http.MethodGet, livePath), 200, "", "live without a store")
	w.wantReply(get(http.MethodGet, readyPath), 500, "", "a store that panics")
	w.calls.before = nil
	w.wantReply(get(http.MethodGet, readyPath), 200, "", "it is well again")
}

// sickDriver does not answer.
type sickDriver struct {
	object.Driver
	err error // nil: not before the context ends
}

func (d *sickDriver) Buckets(ctx context.Context, _ string, _ int) ([]object.Bucket, bool, error) {
	if d.err == nil {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	return nil, false, d.err
}

func TestNotReady(t *testing.T) {
	for _, cause := range []error{nil, errors.New("disk on fire"), object.ErrCorrupt} {
		synctest.Test(t, func(t *testing.T) {
			mem := objecttest.NewMemory()
			logs := &logBuffer{}
			s, err := New(object.New(&sickDriver{mem, cause}, object.Config{}), Config{}, zerolog.New(logs))
			if err != nil {
				t.Fatal(err)
			}
			answers := make(chan *recorded)
			const n = 3 // some at once: each is answered, also behind one that hangs
			for range n {
				go func() { answers <- record(t, s, readyPath) }()
			}
			for range n {
				if re := <-answers; re.status != 503 || !strings.Contains(re.body, "<Code>ServiceUnavailable</Code>") || strings.Contains(re.body, "fire") {
					t.Errorf("%v: %d %s", cause, re.status, re.body)
				}
			}
			if re := record(t, s, livePath); re.status != 200 {
				t.Errorf("%v: %d %s", cause, re.status, re.body)
			}
			if n := strings.Count(logs.String(), `"level":"error"`); n != 3 || cause != nil && !strings.Contains(logs.String(), cause.Error()) {
				t.Errorf("%v: logged %s", cause, logs)
			}
		})
	}
}

// TestRequestIDs: every answer bears one of each, and the log line has both.
func TestRequestIDs(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "content")
	upload := w.begin("/bkt/parts")
	etag := w.part("/bkt/parts", upload, 1, "part")
	seen := map[string]bool{}
	host := ""
	check := func(what string, re *reply) {
		t.Helper()
		ids, hosts := re.header.Values("X-Amz-Request-Id"), re.header.Values("X-Amz-Id-2")
		if len(ids) != 1 || len(hosts) != 1 || len(ids[0]) != 16 || seen[ids[0]] || host != "" && hosts[0] != host || hosts[0] == "" {
			t.Errorf("%s: %q %q", what, ids, hosts)
			return
		}
		seen[ids[0]], host = true, hosts[0]
		if strings.Contains(re.body, "<Error>") && (!strings.Contains(re.body, "<RequestId>"+ids[0]+"<") || !strings.Contains(re.body, "<HostId>"+hosts[0]+"<")) {
			t.Errorf("%s: other ids in %s", what, re.body)
		}
		lines := 0
		for line := range strings.Lines(w.logs.String()) {
			var fields struct{ Req, ID2 string }
			if err := json.Unmarshal([]byte(line), &fields); err == nil && fields.Req == ids[0] && fields.ID2 == hosts[0] {
				lines++
			}
		}
		if lines != 1 {
			t.Errorf("%s: %d lines of the log", what, lines)
		}
	}
	for _, r := range []struct{ method, target, body string }{
		{"GET", "/", ""},
		{"PUT", "/bkt2", ""},
		{"HEAD", "/bkt", ""},
		{"GET", "/bkt", ""},
		{"GET", "/bkt/k", ""},
		{"HEAD", "/bkt/k", ""},
		{"PUT", "/bkt/k2", "x"},
		{"DELETE", "/bkt/k2", ""},
		{"DELETE", "/bkt2", ""},
		{"POST", "/bkt/parts?" + upload, completed("1", etag)},
		{"GET", "/bkt/none", ""},
		{"HEAD", "/bkt/none", ""},
		{"GET", "/none", ""},
		{"PUT", "/bkt?policy", "x"},
		{"PATCH", "/bkt", ""},
		{"BREW", "/bkt", ""},
		{"GET", "/b", ""},
		{"POST", "/bkt?delete", "<x"},
		{"OPTIONS", "/bkt", ""},
	} {
		check(r.method+" "+r.target, w.do(r.method, r.target, r.body))
	}
	check("304", w.do(http.MethodGet, "/bkt/k", "", "If-None-Match", "*"))
	check("206", w.do(http.MethodGet, "/bkt/k", "", "Range", "bytes=0-1"))
	check("no signature", w.send(w.raw(http.MethodGet, "/bkt", nil)))
	check("bad path", w.send(w.raw(http.MethodGet, "/%FF", nil)))
	check("live", w.send(w.raw(http.MethodGet, livePath, nil)))
	check("ready", w.send(w.raw(http.MethodHead, readyPath, nil)))
	w.calls.before = func(string) { panic("broken") }
	check("panic", w.do(http.MethodGet, "/bkt/k", ""))
	w.calls.before = nil
	if other := newWorld(t, Config{}).want(200, "", http.MethodGet, "/", "").header.Get("X-Amz-Id-2"); other == host {
		t.Error("another process bears the same id")
	}
}

type recorded struct {
	status int
	body   string
}

// record serves a request without a connection, which time in a bubble cannot have.
func record(t *testing.T, h http.Handler, target string) *recorded {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
	return &recorded{w.Code, w.Body.String()}
}

// TestStuckStore: one that does not even end with its context holds up the one request that asked it, and no other.
func TestStuckStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &stuckDriver{objecttest.NewMemory(), make(chan struct{})}
		s, err := New(object.New(d, object.Config{}), Config{}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan *recorded, 3)
		for range 3 {
			go func() { answers <- record(t, s, readyPath) }()
		}
		for range 2 {
			if re := <-answers; re.status != 503 {
				t.Errorf("%d %s", re.status, re.body)
			}
		}
		close(d.release)
		<-answers
		if re := record(t, s, readyPath); re.status != 200 {
			t.Errorf("%d %s", re.status, re.body)
		}
	})
}

type stuckDriver struct {
	object.Driver
	release chan struct{}
}

func (d *stuckDriver) Buckets(context.Context, string, int) ([]object.Bucket, bool, error) {
	<-d.release
	return nil, false, nil
}
