package s3

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew")

// wire is a connection that a test writes to by hand.
type wire struct {
	net.Conn
	w *world
	r *bufio.Reader
}

func (w *world) dial() *wire {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	return &wire{conn, w, bufio.NewReader(conn)}
}

// head writes a signed request without its body.
func (c *wire) head(method, target string, length int, headers ...string) {
	c.w.t.Helper()
	r := c.w.raw(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	c.w.signer.sign(r, "UNSIGNED-PAYLOAD")
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, target, r.Host, length)
	if err := r.Header.Write(&b); err != nil {
		c.w.t.Fatal(err)
	}
	b.WriteString("\r\n")
	if _, err := c.Write(b.Bytes()); err != nil {
		c.w.t.Fatal(err)
	}
}

// answer reads an answer to its end, and says whether the connection closes after it.
func (c *wire) answer(method string, status int) bool {
	c.w.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.w.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		c.w.t.Error(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != status {
		c.w.t.Errorf("%s: %s, want %d", method, resp.Status, status)
	}
	return resp.Close
}

// TestContinue: clients that wait for "100 Continue" get one for each body, the empty one too, and none when they are
// refused.
func TestContinue(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	c := w.dial()
	for i, body := range []string{"ab", "", "cd"} {
		c.head(http.MethodPut, fmt.Sprint("/bkt/k", i), len(body), "Expect", "100-continue")
		c.answer(http.MethodPut, http.StatusContinue)
		if _, err := io.WriteString(c, body); err != nil {
			t.Fatal(err)
		}
		c.answer(http.MethodPut, 200)
		if re := w.want(200, "", http.MethodGet, fmt.Sprint("/bkt/k", i), ""); re.body != body {
			t.Errorf("stored %q", re.body)
		}
	}
	wrong := *w
	wrong.signer.secret = "other"
	for _, o := range []*world{&wrong, w} {
		for _, n := range []int{0, 5} {
			c := o.dial()
			c.head(http.MethodPut, "/gone/k", n, "Expect", "100-continue")
			status := 403
			if o == w {
				status = 404
			}
			if !c.answer(http.MethodPut, status) {
				t.Error("the connection of a refused Expect stays open")
			}
		}
	}
}

// TestHeadersAsSpelled: some clients compare header names literally, and each answer has one of each id.
func TestHeadersAsSpelled(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "x", "x-amz-meta-a", "b")
	for target, names := range map[string][]string{
		"/bkt/k":    {"ETag", "x-amz-meta-a", "Last-Modified", "Content-Length", "x-amz-request-id", "x-amz-id-2"},
		"/bkt":      {"x-amz-bucket-region", "x-amz-request-id", "x-amz-id-2"},
		"/bkt/gone": {"x-amz-request-id", "x-amz-id-2"},
	} {
		c := w.dial()
		c.head(http.MethodHead, target, 0, "Connection", "close")
		raw, err := io.ReadAll(c.r)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if bytes.Count(raw, []byte("\r\n"+name+": ")) != 1 || len(regexp.MustCompile(`(?i)\r\n`+name+": ").FindAll(raw, -1)) != 1 {
				t.Errorf("%s: %s is not there once:\n%s", target, name, raw)
			}
		}
		if !bytes.HasSuffix(raw, []byte("\r\n\r\n")) || bytes.Count(raw, []byte("\r\n\r\n")) != 1 {
			t.Errorf("%s: HEAD with a body:\n%s", target, raw)
		}
	}
}

// TestStoreFails: whatever the store does, the client gets an answer and an id, and the log the cause.
func TestStoreFails(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	for _, c := range []struct {
		err    any
		status int
		code   string
	}{
		{errors.New("disk on fire"), 500, "InternalError"},
		{fmt.Errorf("write: %w", object.ErrNoSpace), 507, "InsufficientStorage"},
		{fmt.Errorf("read: %w", object.ErrCorrupt), 500, "InternalError"},
	} {
		w.calls.before = func(op string) {
			if op == "Open" {
				panic(c.err)
			}
		}
		re := w.do(http.MethodGet, "/bkt/k", "")
		w.wantReply(re, 500, "InternalError", "panic")
		if strings.Contains(re.body, "fire") || !strings.Contains(w.logs.String(), fmt.Sprint(c.err)) {
			t.Errorf("%v: the client saw %s", c.err, re.body)
		}
		w.calls.before = nil
		if e := answerTo(fmt.Errorf("wrapped: %w", c.err.(error)), "b", "k"); e.status != c.status || e.code != c.code { //nolint:errcheck,forcetypeassert // it is one
			t.Errorf("%v: %v", c.err, e)
		}
	}
	w.want(404, "NoSuchKey", http.MethodGet, "/bkt/k", "")
	if n := strings.Count(w.logs.String(), `"level":"error"`); n != 3 {
		t.Errorf("%d errors in the log", n)
	}
}

// TestDamage: damaged bytes are never served. Found first, they are an error; found later, the answer is cut.
func TestDamage(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	content := strings.Repeat("all work and no play\n", 100_000)
	w.want(200, "", http.MethodPut, "/bkt/first", content)
	w.want(200, "", http.MethodPut, "/bkt/later", "x"+content)
	for key, off := range map[string]int64{"first": 0, "later": int64(len(content)) - 1} {
		info, err := w.mem.Stat(t.Context(), "bkt", key)
		if err != nil {
			t.Fatal(err)
		}
		w.mem.Damage(info.File, off)
	}
	w.want(500, "InternalError", http.MethodGet, "/bkt/first", "")
	re := w.do(http.MethodGet, "/bkt/later", "")
	if re.status != 200 || re.err == nil || len(re.body) == 0 || !strings.HasPrefix("x"+content, re.body) {
		t.Errorf("%d, %d bytes, %v", re.status, len(re.body), re.err)
	}
	if n := strings.Count(w.logs.String(), `"level":"error"`); n != 2 {
		t.Errorf("%d errors in the log:\n%s", n, w.logs)
	}
	// The rest of the damage is on purpose; the world's own check would find it.
	w.mem.Damage(mustStat(t, w, "first").File, 0)
	w.mem.Damage(mustStat(t, w, "later").File, int64(len(content))-1)
}

func mustStat(t *testing.T, w *world, key string) object.Info {
	t.Helper()
	info, err := w.mem.Stat(t.Context(), "bkt", key)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestStall: a client that stops in the middle of its body is let go, and one that only is slow is not.
func TestStall(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.server.stall = 100 * time.Millisecond
	c := w.dial()
	c.head(http.MethodPut, "/bkt/stalled", 10)
	if _, err := io.WriteString(c, "12345"); err != nil {
		t.Fatal(err)
	}
	c.answer(http.MethodPut, 400)
	wrong := *w
	wrong.signer.secret = "other"
	c = wrong.dial()
	c.head(http.MethodPut, "/bkt/stalled", 10) // and no body at all
	c.answer(http.MethodPut, 403)
	if w.exists("bkt", "stalled") || !strings.Contains(w.logs.String(), "RequestTimeout") {
		t.Error(w.logs)
	}
}

var volatile = regexp.MustCompile(`(?i)(Date: |request-?id: |<RequestId>|127\.0\.0\.1:|Signature(?:Provided|Does)?=?)[^<\r\n]*`)

// TestTranscripts compares whole answers with those in testdata.
func TestTranscripts(t *testing.T) {
	w := newWorld(t, Config{})
	w.server.hostID = "czMtZG9vci1vZi10aGUtb2JqZWN0LXN0b3Jl"
	for i, step := range []struct{ method, target, body, headers string }{
		{"PUT", "/bkt", "", ""},
		{"PUT", "/bkt/dir/a&b", "hello", "x-amz-meta-colour: blue"},
		{"PUT", "/bkt/plain.txt", "0123456789", "Content-Type: text/plain"},
		{"GET", "/", "", ""},
		{"GET", "/bkt?list-type=2&delimiter=/", "", ""},
		{"GET", "/bkt?delimiter=/&max-keys=1", "", ""},
		{"GET", "/bkt/dir/a&b", "", "x-amz-checksum-mode: ENABLED"},
		{"GET", "/bkt/plain.txt", "", "Range: bytes=2-4"},
		{"GET", "/bkt/plain.txt", "", "Range: bytes=10-"},
		{"HEAD", "/bkt/plain.txt", "", ""},
		{"HEAD", "/bkt/missing", "", ""},
		{"GET", "/bkt/mis%3Csing%01", "", ""},
		{"PUT", "/bkt/copy", "", "x-amz-copy-source: bkt/plain.txt"},
		{"GET", "/bkt?location", "", ""},
		{"GET", "/bkt?policy", "", ""},
		{"PUT", "/bkt/k", "x", "x-amz-server-side-encryption: AES256"},
		{"DELETE", "/bkt", "", ""},
		{"DELETE", "/bkt/copy", "", ""},
		{"PATCH", "/bkt/copy", "", ""},
	} {
		c := w.dial()
		headers := []string{"Connection", "close"}
		if name, value, ok := strings.Cut(step.headers, ": "); ok {
			headers = append(headers, name, value)
		}
		c.head(step.method, step.target, len(step.body), headers...)
		if _, err := io.WriteString(c, step.body); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c.r)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s %s\n%s\n\n%s\n", step.method, step.target, step.headers, strings.ReplaceAll(string(answer), "\r", ""))
		got = volatile.ReplaceAllString(got, "$1…")
		golden := filepath.Join("testdata", fmt.Sprintf("%02d.txt", i))
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", golden, got, want)
		}
	}
}

// TestTooLargeForTheStore: what the store refuses for its size is the client's mistake.
func TestTooLargeForTheStore(t *testing.T) {
	if e := answerTo(fmt.Errorf("wrapped: %w", object.ErrTooLarge), "b", "k"); e.status != 400 || e.code != "EntityTooLarge" {
		t.Errorf("%d %s", e.status, e.code)
	}
}
