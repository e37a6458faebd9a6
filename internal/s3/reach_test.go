package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// What other S3 servers let clients reach; see advisory_test.go.

// TestDotSegments: GHSA-8v25-v8p6-qf7v (/bucket/../x left the bucket), CVE-2026-54917 and CVE-2026-55874 (".." in the key of a URL,
// then the same in x-amz-copy-source). A key is never a path, in none of the places where keys are named: who may do everything
// below one prefix gets at nothing else.
func TestDotSegments(t *testing.T) {
	in := Key{AccessKey: "AKP", SecretKey: "secret of prefix", Prefix: "in/", Buckets: []string{"bkt"}}
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, in}})
	for _, b := range []string{"/bkt", "/other"} {
		w.want(200, "", http.MethodPut, b, "")
		w.want(200, "", http.MethodPut, b+"/out", "out of reach")
	}
	guest := w.as(in)
	for i, key := range []string{"in/../out", "in/..%2Fout", "in/%2e%2e/out", "in/../../other/out", "in/..", "in/./../out", `in/..\out`, "in//../../out", "in/%2E%2E%2Fout"} {
		target := "/bkt/" + key
		plain, ok := unescapePath(key)
		if !ok {
			t.Fatal(key)
		}
		guest.want(404, "NoSuchKey", http.MethodGet, target, "")
		guest.want(404, "NoSuchKey", http.MethodPut, "/bkt/in/copy", "", "X-Amz-Copy-Source", "bkt/"+key)
		guest.want(204, "", http.MethodDelete, target, "")
		content := fmt.Sprint("own ", i)
		guest.want(200, "", http.MethodPut, target, content)
		if !w.exists("bkt", plain) {
			t.Errorf("%s is stored under another name", key)
		}
		if re := guest.want(200, "", http.MethodGet, target, ""); re.body != content {
			t.Errorf("%s: %q", key, re.body)
		}
		guest.want(200, "", http.MethodPut, "/bkt/in/copy", "", "X-Amz-Copy-Source", "/bkt/"+key)
		guest.want(200, "", http.MethodPut, "/bkt/in/copy", "", "X-Amz-Copy-Source", "bkt%2F"+key)
		if re := guest.want(200, "", http.MethodGet, "/bkt/in/copy", ""); re.body != content {
			t.Errorf("%s: the copy is %q", key, re.body)
		}
		doc := "<Delete><Object><Key>" + plain + "</Key></Object></Delete>"
		re := guest.want(200, "", http.MethodPost, "/bkt?delete", doc, "x-amz-checksum-crc32", strings.TrimPrefix(crc32Trailer([]byte(doc)), "x-amz-checksum-crc32:"))
		if !strings.Contains(re.body, "<Deleted><Key>"+plain+"</Key></Deleted>") || w.exists("bkt", plain) {
			t.Errorf("%s: %s", key, re.body)
		}
	}
	for _, target := range []string{"/bkt/../other/out", "/bkt%2F..%2Fother/out", "/../other/out", "/bkt/../bkt/in/x", "/%2e%2e/x", "/./bkt/out", "/.", "/..", "//bkt/out"} {
		for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			if re := guest.do(m, target, ""); re.status != 403 && re.status != 400 {
				t.Errorf("%s %s: %d %s", m, target, re.status, re.body)
			}
		}
	}
	for _, source := range []string{"bkt/../other/out", "../other/out", "bkt%2F..%2Fother%2Fout", "/other/out", "other/out", "bkt/in/../../other/../bkt/out2"} {
		if re := guest.do(http.MethodPut, "/bkt/in/stolen", "", "X-Amz-Copy-Source", source); re.status == 200 {
			t.Errorf("copied from %s", source)
		}
	}
	for _, b := range []string{"/bkt/out", "/other/out"} {
		if re := w.want(200, "", http.MethodGet, b, ""); re.body != "out of reach" {
			t.Errorf("%s: %q", b, re.body)
		}
	}
}

// TestUploadIDIsNoPath: GHSA-ccjc-4qc3-jxqc (an uploadId that was joined to a path).
func TestUploadIDIsNoPath(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/k")
	doc := completed("1", w.part("/bkt/k", up, 1, "x"))
	id := strings.TrimPrefix(up, "uploadId=")
	for _, bad := range []string{"..%2F" + id, id + "%2F", id + "%2F..", "..%2F..%2Fetc", "%2Fetc%2Fpasswd", id + "%00", "", "*", strings.ToUpper(id) + "x", "%25", "'%20OR%201=1", strings.Repeat("a", 4000)} {
		q := "uploadId=" + bad
		w.want(404, "NoSuchUpload", http.MethodPut, "/bkt/k?partNumber=1&"+q, "x")
		w.want(404, "NoSuchUpload", http.MethodPost, "/bkt/k?"+q, doc)
		w.want(404, "NoSuchUpload", http.MethodGet, "/bkt/k?"+q, "")
		w.want(404, "NoSuchUpload", http.MethodDelete, "/bkt/k?"+q, "")
	}
	w.want(404, "NoSuchUpload", http.MethodDelete, "/bkt/other?"+up, "")
	w.want(200, "", http.MethodPost, "/bkt/k?"+up, doc)
}

// TestCopySourceIsAuthorised: GHSA-mx42-j6wv-px98 and GHSA-wfxj-ph3v-7mjf (parts that were copied from where the key could not read),
// for both operations; what is there and what is missing look the same.
func TestCopySourceIsAuthorised(t *testing.T) {
	all := Key{AccessKey: testAccess, SecretKey: testSecret}
	limited := Key{AccessKey: "AKB", SecretKey: "secret of bucket", Buckets: []string{"bkt"}}
	prefix := Key{AccessKey: "AKP", SecretKey: "secret of prefix", Prefix: "in/"}
	w := newWorld(t, Config{Keys: []Key{all, limited, prefix, {AccessKey: "AKO", SecretKey: "secret of other", Owner: "other"}}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/private", "")
	w.want(200, "", http.MethodPut, "/private/there", "secret")
	w.want(200, "", http.MethodPut, "/bkt/there", "secret")
	up := w.begin("/bkt/in/k")
	stranger := w.as(Key{AccessKey: "AKO", SecretKey: "secret of other"})
	stranger.want(200, "", http.MethodPut, "/theirs", "")
	theirs := stranger.begin("/theirs/in/k")
	for _, c := range []struct {
		w              *world
		to, up, source string
	}{
		{w.as(limited), "/bkt/in/k", up, "private/there"},
		{w.as(limited), "/bkt/in/k", up, "private/gonez"},
		{w.as(limited), "/bkt/in/k", up, "missing/gonez"},
		{w.as(prefix), "/bkt/in/k", up, "bkt/there"},
		{w.as(prefix), "/bkt/in/k", up, "bkt/gonez"},
		{w.as(prefix), "/bkt/in/k", up, "private/there"},
		{stranger, "/theirs/in/k", theirs, "bkt/there"},
		{stranger, "/theirs/in/k", theirs, "bkt/gonez"},
	} {
		for _, target := range []string{c.to + "copied", c.to + "?partNumber=1&" + c.up} {
			for _, h := range []string{"x-id", "X-Amz-Copy-Source-If-Match", "X-Amz-Copy-Source-If-None-Match"} {
				re := c.w.want(403, "AccessDenied", http.MethodPut, target, "", "X-Amz-Copy-Source", c.source, h, "*")
				if strings.Contains(re.body, "secret") {
					t.Error(re.body)
				}
			}
		}
	}
}

// TestForeignOrigins: GHSA-x5xv-223c-8vm7 (an origin that was reflected, with credentials) and GHSA-fc6g-2gcp-2qrq (X-Forwarded-For was
// believed).
func TestForeignOrigins(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "x")
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		for _, signed := range []bool{true, false} {
			r := w.raw(m, "/bkt/k", nil)
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Access-Control-Request-Method", "PUT")
			r.Header.Set("X-Forwarded-For", "203.0.113.77")
			r.Header.Set("X-Real-Ip", "203.0.113.77")
			r.Header.Set("Forwarded", "for=203.0.113.77")
			if signed {
				w.signer.sign(r, emptySHA256)
			}
			for name := range w.send(r).header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: %s", m, name)
				}
			}
		}
	}
	w.http.Close() // the last line may be written behind the answer
	if s := w.logs.String(); strings.Contains(s, "203.0.113.77") || !strings.Contains(s, `"remote":"127.0.0.1"`) {
		t.Error(s)
	}
}

// TestNothingIsFetched: a client names no address that the server would go to.
func TestNothingIsFetched(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	visited := make(chan struct{})
	go func() {
		if conn, err := l.Accept(); err == nil {
			_ = conn.Close()
			t.Error("somebody came")
		}
		close(visited)
	}()
	addr := l.Addr().String()
	for _, source := range []string{"http://" + addr + "/x", "https://" + addr + "/x", "//" + addr + "/x", addr + "/x", "file:///etc/passwd", "arn:aws:s3:::bkt/k", "%68ttp://" + addr + "/x"} {
		if re := w.do(http.MethodPut, "/bkt/k", "", "X-Amz-Copy-Source", source); re.status != 400 && re.status != 501 && re.status != 404 {
			t.Errorf("%s: %d", source, re.status)
		}
	}
	w.want(501, "", http.MethodPut, "/bkt/k", "", "X-Amz-Website-Redirect-Location", "http://"+addr)
	w.want(501, "", http.MethodPut, "/bkt?notification", "<NotificationConfiguration/>")
	r := w.raw(http.MethodGet, "/bkt", nil)
	r.Host = addr
	w.signer.sign(r, emptySHA256)
	w.wantReply(w.send(r), 200, "", "another host, signed")
	_ = l.Close()
	<-visited
}

// TestMissingObjectOfForeignBucket: whether a key is there is nobody's business but the owner's.
func TestMissingObjectOfForeignBucket(t *testing.T) {
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, {AccessKey: "AKO", SecretKey: "secret of other", Owner: "other"}}})
	w.want(200, "", http.MethodPut, "/bkt-here", "")
	w.want(200, "", http.MethodPut, "/bkt-here/there", "x")
	stranger := w.as(Key{AccessKey: "AKO", SecretKey: "secret of other"})
	there, gone := everyOperation("bkt-here", "there", "uploadId=none"), everyOperation("bkt-here", "gonez", "uploadId=none")
	for i, r := range there {
		if r.op.level != onObject {
			continue
		}
		var seen [2]string
		for k, r := range []route{r, gone[i]} {
			req := w.request(r)
			stranger.signer.sign(req, emptySHA256)
			re := w.send(req)
			if re.status != 403 {
				t.Errorf("%s: %d %s", r, re.status, re.body)
			}
			seen[k] = re.seen()
		}
		if seen[0] != seen[1] {
			t.Errorf("%s: %s\n%s", r, seen[0], seen[1])
		}
	}
	if _, err := w.mem.Stat(context.Background(), "bkt-here", "there"); errors.Is(err, object.ErrNoBucket) {
		t.Error("it is gone")
	}
}
