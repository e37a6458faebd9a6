package s3

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// behaviour is a request, and what must be true of its answer. A behaviour that takes more than that has a test of its own.
type behaviour struct {
	what           string
	method, target string
	body           string
	headers        []string
	status         int
	code           string            // of the error
	answer         map[string]string // headers
	says           string            // a piece of the body; with "!" before it, one that is not there
}

// TestBehaviour is the table of what Amazon answers, as far as no other test has it. Rows go on from where those above them
// left the bucket.
func TestBehaviour(t *testing.T) {
	w := newWorld(t, Config{})
	meta := func(value string) map[string]string { return map[string]string{"X-Amz-Meta-M": value} }
	const crc = "x-amz-checksum-crc32"
	for _, b := range []behaviour{
		{what: "make a bucket", method: "PUT", target: "/bkt", status: 200, answer: map[string]string{"Location": "/bkt"}},
		{what: "with a slash behind it", method: "HEAD", target: "/bkt/", status: 200},
		{what: "with the region's name", method: "PUT", target: "/bkt2", body: "<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>", status: 200},
		{what: "list nothing", method: "GET", target: "/bkt", status: 200, says: "!<Contents>"},
		{what: "list nothing: the marker is told", method: "GET", target: "/bkt", status: 200, says: "<Prefix></Prefix><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Marker></Marker>"},
		{what: "list nothing, version 2", method: "GET", target: "/bkt?list-type=2", status: 200, says: "<KeyCount>0</KeyCount>"},

		{what: "put", method: "PUT", target: "/bkt/k", body: "old", headers: []string{"x-amz-meta-m", "1", "x-amz-meta-n", "2"}, status: 200, answer: map[string]string{"Etag": `"149603e6c03516362a8da23f624db945"`, "Content-Length": "0"}},
		{what: "metadata", method: "HEAD", target: "/bkt/k", status: 200, answer: meta("1")},
		{what: "put again", method: "PUT", target: "/bkt/k", body: "new", headers: []string{"x-amz-meta-m", ""}, status: 200},
		{what: "metadata is replaced, by nothing too", method: "GET", target: "/bkt/k", status: 200, says: "new", answer: map[string]string{"X-Amz-Meta-M": "", "X-Amz-Meta-N": "", "Content-Type": "binary/octet-stream"}},
		{what: "an empty type is none", method: "PUT", target: "/bkt/k", body: "new", headers: []string{"Content-Type", ""}, status: 200},
		{what: "an empty type", method: "HEAD", target: "/bkt/k", status: 200, answer: map[string]string{"Content-Type": "binary/octet-stream"}},
		{what: "any type is taken", method: "PUT", target: "/bkt/k", body: "new", headers: []string{"Content-Type", "no type"}, status: 200},
		{what: "any type", method: "HEAD", target: "/bkt/k", status: 200, answer: map[string]string{"Content-Type": "no type"}},
		{what: "put into no bucket", method: "PUT", target: "/gone/k", body: "x", status: 404, code: "NoSuchBucket"},
		{what: "head in no bucket", method: "HEAD", target: "/gone/k", status: 404},
		{what: "delete in no bucket", method: "DELETE", target: "/gone/k", status: 404, code: "NoSuchBucket"},
		{what: "delete no bucket", method: "DELETE", target: "/gone", status: 404, code: "NoSuchBucket"},
		{what: "delete no key", method: "DELETE", target: "/bkt/gone", status: 204},
		{what: "get no key", method: "GET", target: "/bkt/gone", status: 404, code: "NoSuchKey", says: "<Key>gone</Key>"},

		{what: "replace what must be there", method: "PUT", target: "/bkt/k", body: "new", headers: []string{"If-Match", "*"}, status: 200},
		{what: "replace what is not there", method: "PUT", target: "/bkt/gone", body: "new", headers: []string{"If-Match", "*"}, status: 404, code: "NoSuchKey"},
		{what: "delete what must be there", method: "DELETE", target: "/bkt/gone", headers: []string{"If-Match", "*"}, status: 412, code: "PreconditionFailed"},

		{what: "a plus is a plus", method: "PUT", target: "/bkt/p+q", body: "plus", status: 200},
		{what: "a plus, encoded", method: "GET", target: "/bkt/p%2Bq", status: 200, says: "plus"},
		{what: "a plus is no space", method: "GET", target: "/bkt/p%20q", status: 404, code: "NoSuchKey"},
		{what: "a plus is a space in a query", method: "GET", target: "/bkt?prefix=p+q", status: 200, says: "<Prefix>p q</Prefix>"},
		{what: "an encoded plus is none", method: "GET", target: "/bkt?prefix=p%2Bq", status: 200, says: "<Key>p+q</Key>"},
		{what: "a slash, encoded", method: "PUT", target: "/bkt/s%2Ft", body: "slash", status: 200},
		{what: "a slash", method: "GET", target: "/bkt/s/t", status: 200, says: "slash"},
		{what: "a semicolon does not end a parameter", method: "PUT", target: "/bkt/a;b", body: "x", status: 200},
		{what: "a semicolon in a prefix", method: "GET", target: "/bkt?prefix=a;b", status: 200, says: "<Key>a;b</Key>"},
		{what: "512 letters of two bytes", method: "PUT", target: "/bkt/" + strings.Repeat("%C3%BC", 512), status: 200},
		{what: "one byte more", method: "PUT", target: "/bkt/" + strings.Repeat("%C3%BC", 512) + "u", status: 400, code: "KeyTooLongError"},
		{what: "one byte more, read", method: "GET", target: "/bkt/" + strings.Repeat("%C3%BC", 512) + "u", status: 400, code: "KeyTooLongError"},
		{what: "half of a letter", method: "GET", target: "/bkt/%C3", status: 400, code: "InvalidURI", says: "<Message>Couldn't parse the specified URI.</Message>"},
		{what: "half of a letter in a marker", method: "GET", target: "/bkt?marker=%C3", status: 400, code: "InvalidURI"},
		{what: "a surrogate", method: "PUT", target: "/bkt/%ED%A0%80", status: 400, code: "InvalidURI"},
		{what: "an overlong slash", method: "PUT", target: "/bkt/%C0%AF", status: 400, code: "InvalidURI"},
		{what: "half of an escape in a query", method: "GET", target: "/bkt?prefix=%C", status: 400, code: "InvalidURI"},

		{what: "an empty object", method: "PUT", target: "/bkt/empty", status: 200, answer: map[string]string{"Etag": `"d41d8cd98f00b204e9800998ecf8427e"`}},
		{what: "its length", method: "HEAD", target: "/bkt/empty", status: 200, answer: map[string]string{"Content-Length": "0"}},
		{what: "its copy", method: "PUT", target: "/bkt2/empty", headers: []string{"x-amz-copy-source", "bkt/empty"}, status: 200, says: "d41d8cd98f00b204e9800998ecf8427e"},
		{what: "its copy's length", method: "GET", target: "/bkt2/empty", status: 200, answer: map[string]string{"Content-Length": "0"}},

		{what: "a marker behind all", method: "GET", target: "/bkt?marker=%EF%BF%BF", status: 200, says: "!<Contents>"},
		{what: "an empty delimiter is none", method: "GET", target: "/bkt?delimiter=", status: 200, says: "!<Delimiter>"},
		{what: "a delimiter that is nowhere", method: "GET", target: "/bkt?delimiter=zz", status: 200, says: "!<CommonPrefixes>"},
		{what: "no more than a thousand", method: "GET", target: "/bkt?max-keys=5000", status: 200, says: "<MaxKeys>1000</MaxKeys>"},
		{what: "a token goes before start-after, which is told", method: "GET", target: "/bkt?list-type=2&start-after=empty&continuation-token=", status: 200, says: "<StartAfter>empty</StartAfter><ContinuationToken></ContinuationToken>"},
		{what: "start-after is not in the list", method: "GET", target: "/bkt?list-type=2&start-after=empty", status: 200, says: "!<Key>empty</Key>"},
		{what: "start-after of nothing that is there", method: "GET", target: "/bkt?list-type=2&start-after=emp", status: 200, says: "<Key>empty</Key>"},
		{what: "no owner unless asked", method: "GET", target: "/bkt?list-type=2&fetch-owner=false", status: 200, says: "!<Owner>"},
		{what: "the owner", method: "GET", target: "/bkt?list-type=2&fetch-owner=true", status: 200, says: "<Owner><ID>default</ID>"},

		{what: "deletion of what is not there", method: "POST", target: "/bkt?delete", body: "<Delete><Object><Key>gone</Key></Object></Delete>", headers: []string{crc, ""}, status: 200, says: "<Deleted><Key>gone</Key></Deleted>"},
		{what: "no bucket with objects goes", method: "DELETE", target: "/bkt2", status: 409, code: "BucketNotEmpty"},
	} {
		headers := slices.Clone(b.headers)
		if i := slices.Index(headers, crc); i >= 0 {
			headers[i+1] = strings.TrimPrefix(crc32Trailer([]byte(b.body)), crc+":")
		}
		re := w.do(b.method, b.target, b.body, headers...)
		w.wantReply(re, b.status, b.code, b.what)
		for name, want := range b.answer {
			if got := re.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", b.what, name, got, want)
			}
		}
		if not, ok := strings.CutPrefix(b.says, "!"); strings.Contains(re.body, not) == ok && b.says != "" {
			t.Errorf("%s: want %s in %s", b.what, b.says, re.body)
		}
	}
}

// TestRepeatedMetadata: what a client sends in several headers of one name comes back in one.
func TestRepeatedMetadata(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	r := w.raw(http.MethodPut, "/bkt/k", []byte("x"))
	r.Header["X-Amz-Meta-A"] = []string{"1", "2"}
	w.signer.sign(r, testHash("x"))
	w.wantReply(w.send(r), 200, "", "put")
	if h := w.want(200, "", http.MethodHead, "/bkt/k", "").header; h.Get("X-Amz-Meta-A") != "1,2" {
		t.Error(h)
	}
}

// TestPresignedMethod: a link for reading is for nothing else.
func TestPresignedMethod(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "x")
	for method, status := range map[string]int{http.MethodGet: 200, http.MethodHead: 403, http.MethodPut: 403, http.MethodDelete: 403} {
		r := w.raw(http.MethodGet, "/bkt/k", nil)
		w.signer.presign(r, 60, "UNSIGNED-PAYLOAD")
		r.Method = method
		w.wantReply(w.send(r), status, "", method)
	}
}

// TestFormsOfTheRequestLine: what a request line or its headers say twice does not get around the signature, nor is content taken for
// anything else.
func TestFormsOfTheRequestLine(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "x")
	r := w.raw(http.MethodGet, "/bkt/k", nil)
	w.signer.sign(r, "UNSIGNED-PAYLOAD")
	signed := func(line, host string, more ...string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%s HTTP/1.1\r\nHost: %s\r\n", line, host)
		if err := r.Header.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String() + strings.Join(more, "\r\n") + "\r\n\r\n"
	}
	for what, c := range map[string]struct {
		request string
		status  int
	}{
		"absolute":              {signed("GET http://"+r.Host+"/bkt/k", r.Host), 200},
		"absolute, to another":  {signed("GET http://elsewhere/bkt/k", r.Host), 403},
		"another host":          {signed("GET /bkt/k", "elsewhere"), 403},
		"dots":                  {signed("GET /bkt/x/../k", r.Host), 403},
		"slashes":               {signed("GET //bkt/k", r.Host), 400},
		"another length, twice": {signed("GET /bkt/k", r.Host, "Content-Length: 1", "Content-Length: 2"), 400},
		"a length with a sign":  {signed("GET /bkt/k", r.Host, "Content-Length: +1"), 400},
	} {
		conn := w.dial()
		if _, err := io.WriteString(conn, c.request); err != nil {
			t.Fatal(err)
		}
		t.Log(what)
		conn.answer(http.MethodGet, c.status)
	}
	r = w.raw(http.MethodPut, "/bkt/both", nil)
	w.signer.sign(r, "UNSIGNED-PAYLOAD")
	conn := w.dial()
	if _, err := io.WriteString(conn, signed("PUT /bkt/both", r.Host, "Content-Length: 3", "Transfer-Encoding: chunked")+"5\r\nwhole\r\n0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	conn.answer(http.MethodPut, 200)
	if re := w.want(200, "", http.MethodGet, "/bkt/both", ""); re.body != "whole" {
		t.Errorf("stored %q", re.body)
	}
}

// TestKeysEverywhere: keys that are no paths, and characters that XML cannot say, come through every operation that names
// keys, and stay different from each other.
func TestKeysEverywhere(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	keys := []string{"a", "a/b", "a//b", "a/", "/lead", "./k", "k", "a/../b", "../b", "..", "ctl\x01\x1f\x7f", "\x00", "\n", "\t ", "\r", "\uFFFE", "\uFFFF", "\uE001", "\uE021", "\uE020\uFFFE", "n\u00fc", "nu\u0308", strings.Repeat("k", 1024)}
	for _, k := range keys {
		w.want(200, "", http.MethodPut, "/bkt/"+url.PathEscape(k), k)
	}
	slices.Sort(keys)
	text := func(s string) string {
		x := &xmlDoc{}
		x.elem("Key", s)
		return x.String()
	}
	if got := text("ctl\x01\x1f\x7f"); got != "<Key>ctl&#x1;&#x1f;&#x7f;</Key>" {
		t.Error(got)
	}
	for _, query := range []string{"", "list-type=2", "versions"} {
		body := w.want(200, "", http.MethodGet, "/bkt?"+query, "").body
		at := 0
		for _, k := range keys {
			i := strings.Index(body[at:], text(k))
			if i < 0 {
				t.Fatalf("%s: no %q, or not in its place, in %s", query, k, body)
			}
			at += i + 1
		}
		if n := strings.Count(body, "<Key>"); n != len(keys) {
			t.Errorf("%s: %d keys", query, n)
		}
	}
	for _, k := range keys {
		escaped := url.PathEscape(k)
		w.want(200, "", http.MethodPut, "/bkt/copy", "", "x-amz-copy-source", url.PathEscape("bkt/"+k))
		if re := w.want(200, "", http.MethodGet, "/bkt/copy", ""); re.body != k {
			t.Errorf("the copy of %q is %q", k, re.body)
		}
		up := w.begin("/bkt/" + escaped)
		for _, re := range []*reply{
			w.want(200, "", http.MethodGet, "/bkt/"+escaped+"?"+up, ""),
			w.want(200, "", http.MethodGet, "/bkt?uploads&prefix="+url.QueryEscape(k), ""),
			w.want(200, "", http.MethodPost, "/bkt/"+escaped+"?"+up, completed("1", w.part("/bkt/"+escaped, up, 1, "in parts"))),
		} {
			if !strings.Contains(re.body, text(k)) {
				t.Errorf("no %q in %s", k, re.body)
			}
		}
	}
	for i, k := range keys {
		body := "<Delete><Object>" + text(k) + "</Object></Delete>"
		sum := strings.TrimPrefix(crc32Trailer([]byte(body)), "x-amz-checksum-crc32:")
		if re := w.want(200, "", http.MethodPost, "/bkt?delete", body, "x-amz-checksum-crc32", sum); !strings.Contains(re.body, "<Deleted>"+text(k)+"</Deleted>") {
			t.Error(re.body)
		}
		if re := w.want(404, "NoSuchKey", http.MethodGet, "/bkt/"+url.PathEscape(k), ""); !strings.Contains(re.body, text(k)) {
			t.Error(re.body)
		}
		for _, other := range keys[i+1:] {
			if !w.exists("bkt", other) {
				t.Fatalf("%q went with %q", other, k)
			}
		}
	}
}
