package push

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestLogOfRefusals: a refusal that comes before anything is decided on the file has its name, where that is known.
func TestLogOfRefusals(t *testing.T) {
	odd := func(req *http.Request, key, value string) *http.Request {
		req.Header.Set(key, value)
		return req
	}
	upload := strings.ReplaceAll(string(simpleForm("x", "content")), `"file"`, `"upload"`)
	second := strings.TrimSuffix(upload, "--b--\r\n") + string(simpleForm("y", "content"))
	for name, row := range map[string]struct {
		req    *http.Request
		file   string
		status float64
	}{
		"digest":        {odd(put("/"+nameToken+"/x", "content", 7), "X-Checksum-Sha256", "1"), "x", 400},
		"range":         {odd(put("/"+nameToken+"/x", "content", 7), "Content-Range", "1"), "x", 400},
		"size":          {put("/"+tinyToken+"/x", "", 10<<20), "x", 413},
		"slash":         {put("/"+nameToken+"/a%2Fb", "content", 7), "b", 400}, // there may be a token in front
		"second file":   {post("/"+nameToken, raw(second)), "y", 400},
		"another field": {post("/"+nameToken, raw(upload)), "x", 412},
		"no file":       {post("/"+nameToken, raw("--b--\r\n")), "", 412},
		"no form":       {odd(post("/"+nameToken, nil), "Content-Type", "x/y"), "", 412},
		"token":         {put("/"+badToken+"/x", "content", 7), "", 403},
	} {
		r := newRig(t)
		r.do(row.req)
		if line := r.lastLine(); line["file"] != row.file || line["status"] != row.status {
			t.Errorf("%s: line %v, want %q", name, line, row.file)
		}
	}
}

// TestLog sees that each request has one line with what an administrator wants to know.
func TestLog(t *testing.T) {
	r := newRig(t)
	clock := time.Unix(1_700_000_000, 0)
	r.door.now = func() time.Time { clock = clock.Add(21 * time.Millisecond); return clock }
	for i, row := range []struct {
		token, name, content       string
		event, level, bucket, file string
		status, bytes              float64
		err                        string
	}{
		{nameToken, "a/x", "content", "stored", "info", "db01", "x", 200, 7, ""},
		{nameToken, "x", "content", "denied", "warn", "db01", "x", 405, 0, "file already exists"},
		{bareToken, "x", "content", "stored", "info", bareToken[:6] + "…", "x", 200, 7, ""},
		{tinyToken, "x", strings.Repeat("s", 200), "denied", "warn", "tiny", "x", 413, 0, "file is larger than the bucket allows"},
		{nameToken, "-rf\xff", "content", "denied", "warn", "db01", "-rf?", 400, 0, "invalid file name: it is not valid UTF-8"},
		{nameToken, strings.Repeat("n", 300), "content", "denied", "warn", "db01", strings.Repeat("n", 255) + "…", 400, 0, "invalid file name: it is longer than 255 bytes"},
	} {
		r.push(row.token, row.name, row.content)
		if n := strings.Count(r.logs.String(), "\n"); n != i+1 {
			t.Fatalf("%d lines after %d requests", n, i+1)
		}
		line := r.lastLine()
		for key, want := range map[string]any{
			"event": row.event, "level": row.level, "bucket": row.bucket, "file": row.file, "status": row.status,
			"bytes": row.bytes, "ms": 21.0, "remote": "192.0.2.1",
		} {
			if line[key] != want {
				t.Errorf("%s is %v, want %v in %v", key, line[key], want, line)
			}
		}
		if err, _ := line["error"].(string); !strings.HasSuffix(err, row.err) || (err == "") != (row.err == "") {
			t.Errorf("error %q, want %q", err, row.err)
		}
		if req, _ := line["req"].(string); len(req) < 8 {
			t.Errorf("req %q", req)
		}
	}
}

// TestAuthFailure sees that the line for fail2ban stays what it is.
func TestAuthFailure(t *testing.T) {
	for addr, remote := range map[string]string{
		"192.0.2.7:1234":          "192.0.2.7",
		"[2001:db8::7]:1234":      "2001:db8::7",
		"[::ffff:192.0.2.7]:1234": "192.0.2.7",
		"[fe80::1%eth0]:1234":     "fe80::1",
		"@":                       "@",
	} {
		r := newRig(t)
		req := post("/"+badToken+"/x", simpleForm("x", "content"))
		req.RemoteAddr = addr
		wantAnswer(t, r.do(req), 403, "token doesn't exist")
		if line := r.lastLine(); line["message"] != "auth failure bucket=? remote="+remote+" token=3f9a1c" || line["status"] != 403.0 || line["event"] != "auth-failed" {
			t.Errorf("line %v", line)
		}
	}
}

// TestShownTokens sees that a log holds a quarter of a token at the most.
func TestShownTokens(t *testing.T) {
	r := newRigOver(t, objecttest.NewStore(t), []Bucket{{Token: "8letters"}})
	r.push("8letterX", "x", "content")
	if line := r.lastLine(); line["message"] != "auth failure bucket=? remote=192.0.2.1 token=8l" {
		t.Errorf("line %v", line)
	}
	r.push("8letters", "x", "content")
	if line := r.lastLine(); line["bucket"] != "8l…" || line["status"] != 200.0 {
		t.Errorf("line %v", line)
	}
}

// TestPanicLog sees that a panic is one line with the place it came from, and the token in none.
func TestPanicLog(t *testing.T) {
	d := &faulty{Driver: objecttest.OpenMemory(t), stat: func() error { panic("own fault") }}
	r := newRigOver(t, object.New(d, object.Config{}), buckets())
	r.push(nameToken, "x", "content")
	line := r.lastLine()
	if cause, _ := line["error"].(string); line["level"] != "error" || !strings.Contains(cause, "own fault") || !strings.Contains(cause, "log_test.go") {
		t.Errorf("line %v", line)
	}
}

// BenchmarkLookup is the price of looking at every token.
func BenchmarkLookup(b *testing.B) {
	list := make([]Bucket, 1000)
	for i := range list {
		list[i].Name = "bucket-" + strings.ToLower(rest(i))
		list[i].Token = "token-" + rest(i)
	}
	door, err := New(objecttest.NewStore(b), Config{Buckets: list}, zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		door.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/"+badToken, nil))
	}
}

func rest(i int) string {
	return strings.Repeat("a", i/100) + "-" + strings.Repeat("b", i%100/10) + "-" + strings.Repeat("c", i%10) + "z"
}
