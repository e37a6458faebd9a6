package s3

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// TestCreateHoldsAtTheCommit: what comes under the key while a key that may only add is at work stays, however late it comes.
func TestCreateHoldsAtTheCommit(t *testing.T) {
	creator := Key{AccessKey: "AKC", SecretKey: "sc", Mode: "create"}
	for name, add := range map[string]func(w *world) *reply{
		"PutObject": func(w *world) *reply { return w.do(http.MethodPut, "/bkt/k", "mine") },
		"CompleteMultipartUpload": func(w *world) *reply {
			upload := w.begin("/bkt/k")
			etag := w.part("/bkt/k", upload, 1, "mine")
			return w.do(http.MethodPost, "/bkt/k?"+upload, completed("1", etag))
		},
	} {
		// Each session that is begun is one moment between what was asked before and the commit; the n-th is the one in which
		// somebody else is faster.
		for n := int64(1); ; n++ {
			w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, creator}})
			w.want(200, "", http.MethodPut, "/bkt", "")
			var sessions atomic.Int64
			w.calls.before = func(op string) {
				if op == "Begin" && sessions.Add(1) == n {
					w.want(200, "", http.MethodPut, "/bkt/k", "faster")
				}
			}
			re := add(w.as(creator))
			w.calls.before = nil
			if sessions.Load() < n {
				if n == 1 || re.status != 200 {
					t.Errorf("%s: %d sessions, %d %s", name, sessions.Load(), re.status, re.body)
				}
				break
			}
			if got := w.want(200, "", http.MethodGet, "/bkt/k", ""); re.status != 403 || re.code() != "AccessDenied" || got.body != "faster" {
				t.Errorf("%s, session %d: %d %s; the object is %q", name, n, re.status, re.body, got.body)
			}
		}
	}
}

// TestConcurrentAdds: of many that add under one key, in one piece or in parts, one wins, and its content is there.
func TestConcurrentAdds(t *testing.T) {
	creator := Key{AccessKey: "AKC", SecretKey: "sc", Mode: "create"}
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, creator}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	c := w.as(creator)
	const n = 20
	sends := make([]func() *reply, n)
	for i := range n {
		body := fmt.Sprint("content ", i)
		if i%2 == 0 {
			sends[i] = func() *reply { return c.do(http.MethodPut, "/bkt/k", body) }
			continue
		}
		upload := c.begin("/bkt/k")
		doc := completed("1", c.part("/bkt/k", upload, 1, body))
		sends[i] = func() *reply { return c.do(http.MethodPost, "/bkt/k?"+upload, doc) }
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	replies := make([]*reply, n)
	for i := range n {
		wg.Go(func() {
			<-start
			replies[i] = sends[i]()
		})
	}
	close(start)
	wg.Wait()
	winner := -1
	for i, re := range replies {
		switch {
		case re.status == 200 && winner < 0:
			winner = i
		case re.status != 403 || re.code() != "AccessDenied":
			t.Errorf("%d: %d %s", i, re.status, re.body)
		}
	}
	if got := w.want(200, "", http.MethodGet, "/bkt/k", ""); winner < 0 || got.body != fmt.Sprint("content ", winner) {
		t.Errorf("%d won, and the object is %q", winner, got.body)
	}
}

// TestCreateTakesNothingAway: neither what it has itself stored, nor by a detour.
func TestCreateTakesNothingAway(t *testing.T) {
	creator := Key{AccessKey: "AKC", SecretKey: "sc", Mode: "create", Prefix: "in/"}
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, creator}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	c := w.as(creator)
	c.want(200, "", http.MethodPut, "/bkt/in/k", "one")
	upload := c.begin("/bkt/in/parts")
	etag := c.part("/bkt/in/parts", upload, 1, "part")
	c.want(200, "", http.MethodPost, "/bkt/in/parts?"+upload, completed("1", etag))
	before := w.state()
	for _, r := range []struct{ method, target, body, header, value string }{
		{"PUT", "/bkt/in/k", "two", "", ""},
		{"PUT", "/bkt/in/k", "one", "", ""}, // the same again
		{"PUT", "/bkt/in/k", "two", "If-Match", "*"},
		{"PUT", "/bkt/in/k", "two", "If-Match", hexMD5("one")},
		{"PUT", "/bkt/in/k", "", "x-amz-copy-source", "bkt/in/parts"},
		{"PUT", "/bkt/in/copy", "", "x-amz-copy-source", "bkt/in/k"},
		{"POST", "/bkt/in/k?uploads", "", "", ""},
		{"DELETE", "/bkt/in/k", "", "", ""},
		{"DELETE", "/bkt/in/k", "", "If-Match", hexMD5("one")},
		{"DELETE", "/bkt/in/none", "", "", ""},
		{"DELETE", "/bkt", "", "", ""},
		{"PUT", "/bkt", "", "", ""},
		{"GET", "/bkt/in/k", "", "", ""},
		{"GET", "/bkt/in/k", "", "Range", "bytes=0-0"},
		{"GET", "/bkt/in/none", "", "", ""},
		{"GET", "/bkt?list-type=2&prefix=in/", "", "", ""},
		{"GET", "/bkt?uploads&prefix=in/", "", "", ""},
		{"GET", "/bkt/in/parts?" + upload, "", "", ""},
		{"GET", "/", "", "", ""},
	} {
		var headers []string
		if r.header != "" {
			headers = []string{r.header, r.value}
		}
		c.want(403, "AccessDenied", r.method, r.target, r.body, headers...)
	}
	c.want(403, "AccessDenied", "PUT", "/bkt/in/k", "", "x-amz-copy-source", "bkt/in/k", "x-amz-metadata-directive", "REPLACE")
	c.want(412, "PreconditionFailed", "PUT", "/bkt/in/k", "two", "If-None-Match", "*")
	c.want(404, "NoSuchUpload", "DELETE", "/bkt/in/parts?"+upload, "") // it is an object now
	c.want(404, "NoSuchUpload", "PUT", "/bkt/in/parts?partNumber=1&"+upload, "two")
	c.want(404, "NoSuchUpload", "POST", "/bkt/in/k?"+upload, completed("1", etag)) // an upload is of its key
	for _, r := range []struct{ method, target string }{{"HEAD", "/bkt/in/k"}, {"HEAD", "/bkt/in/none"}} {
		c.want(403, "", r.method, r.target, "")
	}
	if now := w.state(); now != before {
		t.Errorf("before:\n%snow:\n%s", before, now)
	}
}
