package s3

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestKeysAreOpaque(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	keys := map[string]string{ // as it is in the URL, and what it names
		"a": "a", "a/b": "a/b", "a//b": "a//b", "../x": "../x", "./k": "./k", "a/../b": "a/../b", "d/": "d/", "/lead": "/lead",
		"enc%2Fslash": "enc/slash", "plus+plus": "plus+plus", "sp%20ace": "sp ace", "per%25cent": "per%cent", "%25%32%46": "%2F",
		"ctl%01%09%0A": "ctl\x01\t\n", "n%C3%BC": "nü", "nu%CC%88": "nu\u0308", "%F0%9F%98%80": "😀", "q%3Fq%23": "q?q#",
		"amp%26%3C%3E%22'": `amp&<>"'`, ".": ".", "..": "..", "semi;x=1": "semi;x=1", strings.Repeat("k", 1024): strings.Repeat("k", 1024),
	}
	for escaped, key := range keys {
		w.want(200, "", http.MethodPut, "/bkt/"+escaped, key)
		if !w.exists("bkt", key) {
			t.Errorf("%s is not stored as %q", escaped, key)
		}
	}
	for escaped, key := range keys {
		if re := w.want(200, "", http.MethodGet, "/bkt/"+escaped, ""); re.body != key {
			t.Errorf("%s: %q", escaped, re.body)
		}
		w.want(204, "", http.MethodDelete, "/bkt/"+escaped, "")
		if w.exists("bkt", key) {
			t.Errorf("%s is still there", escaped)
		}
	}
	re := w.want(400, "KeyTooLongError", http.MethodPut, "/bkt/"+strings.Repeat("k", 1025), "x")
	if !strings.Contains(re.body, "<Size>1025</Size><MaxSizeAllowed>1024</MaxSizeAllowed>") {
		t.Error(re.body)
	}
	for _, target := range []string{"/bkt/%FF", "/bkt/a%C3", "/%FFbkt", "/bkt?prefix=%FF", "//k"} {
		w.wantReply(w.send(w.raw(http.MethodGet, target, nil)), 400, "InvalidURI", target)
	}
}

func TestBucketNames(t *testing.T) {
	w := newWorld(t, Config{})
	for _, name := range []string{
		"ab", "Abc", "a_c", "-abc", "abc-", "a..b", ".abc", "192.168.1.1", "xn--abc", "abc-s3alias", "abc--ol-s3", strings.Repeat("a", 64), "a%2Fb",
	} {
		w.want(400, "InvalidBucketName", http.MethodPut, "/"+name, "")
		w.want(400, "InvalidBucketName", http.MethodGet, "/"+name, "")
	}
	w.want(200, "", http.MethodPut, "/abc", "")
	w.want(409, "BucketAlreadyOwnedByYou", http.MethodPut, "/abc", "")
	w.want(404, "NoSuchBucket", http.MethodGet, "/missing", "")
	w.want(404, "", http.MethodHead, "/missing", "")
	if h := w.want(200, "", http.MethodHead, "/abc", "").header; h.Get("X-Amz-Bucket-Region") != "us-east-1" {
		t.Error(h)
	}
	if re := w.want(200, "", http.MethodGet, "/abc?location", ""); !strings.Contains(re.body, `2006-03-01/"></LocationConstraint>`) {
		t.Error(re.body)
	}
	w.want(200, "", http.MethodPut, "/abc/k", "x")
	w.want(409, "BucketNotEmpty", http.MethodDelete, "/abc", "")
	w.want(204, "", http.MethodDelete, "/abc/k", "")
	w.want(204, "", http.MethodDelete, "/abc/", "")
	w.want(404, "NoSuchBucket", http.MethodDelete, "/abc", "")
	for _, body := range []string{"<x/>", "junk", "<CreateBucketConfiguration>", `<!DOCTYPE a [<!ENTITY b "c">]><CreateBucketConfiguration/>`, "<CreateBucketConfiguration/><a/>"} {
		w.want(400, "MalformedXML", http.MethodPut, "/abc", body)
	}
	w.want(400, "MaxMessageLengthExceeded", http.MethodPut, "/abc", strings.Repeat(" ", 70000))
	w.want(501, "NotImplemented", http.MethodPut, "/abc", "<CreateBucketConfiguration><Tags/></CreateBucketConfiguration>")
}

func TestHeadersComeBack(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "x", "Content-Type", "text/x", "Cache-Control", "no-store", "Content-Disposition", "attachment",
		"Content-Encoding", "gzip, aws-chunked", "Content-Language", "de", "Expires", "Thu, 01 Dec 1994 16:00:00 GMT",
		"x-amz-meta-MTime", "123.5", "x-amz-meta-name", "grün", "x-amz-storage-class", "STANDARD", "x-amz-acl", "private")
	for _, m := range []string{http.MethodGet, http.MethodHead} {
		h := w.want(200, "", m, "/bkt/k", "", "Accept-Encoding", "identity").header
		for name, want := range map[string]string{
			"Content-Type": "text/x", "Cache-Control": "no-store", "Content-Disposition": "attachment", "Content-Encoding": "gzip",
			"Content-Language": "de", "Expires": "Thu, 01 Dec 1994 16:00:00 GMT", "X-Amz-Meta-Mtime": "123.5", "X-Amz-Meta-Name": "grün",
			"Etag": `"9dd4e461268c8034f5c8564e155c67a6"`, "Last-Modified": testTime.Format(http.TimeFormat), "Content-Length": "1", "Accept-Ranges": "bytes",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s %s: %q, want %q", m, name, got, want)
			}
		}
		h = w.want(200, "", m, "/bkt/k?response-content-type=a/b&response-cache-control=c&response-content-disposition=d&response-content-encoding=e&response-content-language=f&response-expires=g", "").header
		for name, want := range map[string]string{"Content-Type": "a/b", "Cache-Control": "c", "Content-Disposition": "d", "Content-Encoding": "e", "Content-Language": "f", "Expires": "g"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s overridden %s: %q, want %q", m, name, got, want)
			}
		}
	}
	w.want(400, "InvalidArgument", http.MethodGet, "/bkt/k?response-content-type=a%0D%0AX-Evil:%20b", "")
	w.want(200, "", http.MethodPut, "/bkt/plain", "x", "Content-Encoding", "aws-chunked")
	if h := w.want(200, "", http.MethodHead, "/bkt/plain", "").header; h.Get("Content-Type") != "binary/octet-stream" || h["Content-Encoding"] != nil {
		t.Error(h)
	}
	w.want(200, "", http.MethodPut, "/bkt/meta", "x", "x-amz-meta-a", strings.Repeat("v", 2047))
	w.want(400, "MetadataTooLarge", http.MethodPut, "/bkt/meta", "x", "x-amz-meta-a", strings.Repeat("v", 2048))
}

func TestRanges(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/ten", "0123456789")
	w.want(200, "", http.MethodPut, "/bkt/empty", "")
	for _, c := range []struct {
		key, header, body, contentRange string
		status                          int
	}{
		{"ten", "bytes=0-0", "0", "bytes 0-0/10", 206},
		{"ten", "bytes=2-4", "234", "bytes 2-4/10", 206},
		{"ten", "bytes=7-", "789", "bytes 7-9/10", 206},
		{"ten", "bytes=7-99", "789", "bytes 7-9/10", 206},
		{"ten", "bytes=7-99999999999999999999999", "789", "bytes 7-9/10", 206},
		{"ten", "bytes=-3", "789", "bytes 7-9/10", 206},
		{"ten", "bytes=-99", "0123456789", "bytes 0-9/10", 206},
		{"ten", "bytes=0-", "0123456789", "bytes 0-9/10", 206},
		{"ten", "bytes=4-2", "0123456789", "", 200},
		{"ten", "bytes=1-2,4-5", "0123456789", "", 200},
		{"ten", "bytes=", "0123456789", "", 200},
		{"ten", "bytes=-", "0123456789", "", 200},
		{"ten", "bytes=a-b", "0123456789", "", 200},
		{"ten", "bytes=+1-2", "0123456789", "", 200},
		{"ten", "bytes= 1-2", "0123456789", "", 200},
		{"ten", "items=1-2", "0123456789", "", 200},
		{"ten", "1-2", "0123456789", "", 200},
		{"ten", "bytes=10-", "", "bytes */10", 416},
		{"ten", "bytes=99999999999999999999999-", "", "bytes */10", 416},
		{"ten", "bytes=-0", "", "bytes */10", 416},
		{"empty", "bytes=0-", "", "bytes */0", 416},
		{"empty", "bytes=-5", "", "", 200},
		{"empty", "bytes=-0", "", "bytes */0", 416},
	} {
		for _, m := range []string{http.MethodGet, http.MethodHead} {
			re := w.do(m, "/bkt/"+c.key, "", "Range", c.header)
			if re.status != c.status || re.header.Get("Content-Range") != c.contentRange {
				t.Errorf("%s %s %s: %d %q, want %d %q", m, c.key, c.header, re.status, re.header.Get("Content-Range"), c.status, c.contentRange)
			}
			if m == http.MethodGet && c.status < 300 && re.body != c.body {
				t.Errorf("%s %s: %q", c.key, c.header, re.body)
			}
			if c.status < 300 && re.header.Get("Content-Length") != fmt.Sprint(len(c.body)) {
				t.Errorf("%s %s %s: length %s", m, c.key, c.header, re.header.Get("Content-Length"))
			}
		}
	}
	etag := w.do(http.MethodHead, "/bkt/ten", "").header.Get("Etag")
	for v, status := range map[string]int{etag: 206, `"other"`: 200, testTime.Format(http.TimeFormat): 206, testTime.Add(time.Second).Format(http.TimeFormat): 200} {
		w.want(status, "", http.MethodGet, "/bkt/ten", "", "Range", "bytes=1-2", "If-Range", v)
	}
}

func TestConditions(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	etag := w.want(200, "", http.MethodPut, "/bkt/k", "x", "Cache-Control", "c").header.Get("Etag")
	old, now := testTime.Add(-time.Hour).Format(http.TimeFormat), testTime.Format(http.TimeFormat)
	bare := strings.Trim(etag, `"`)
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{[]string{"If-Match", etag}, 200},
		{[]string{"If-Match", bare}, 200},
		{[]string{"If-Match", "*"}, 200},
		{[]string{"If-Match", `"a", ` + etag}, 200},
		{[]string{"If-Match", `"other"`}, 412},
		{[]string{"If-None-Match", etag}, 304},
		{[]string{"If-None-Match", "W/" + etag}, 304},
		{[]string{"If-None-Match", "*"}, 304},
		{[]string{"If-None-Match", `"other"`}, 200},
		{[]string{"If-Modified-Since", now}, 304},
		{[]string{"If-Modified-Since", old}, 200},
		{[]string{"If-Modified-Since", "junk"}, 200},
		{[]string{"If-Modified-Since", testTime.Add(time.Hour).Format(http.TimeFormat)}, 200},
		{[]string{"If-Unmodified-Since", now}, 200},
		{[]string{"If-Unmodified-Since", old}, 412},
		{[]string{"If-Match", etag, "If-Unmodified-Since", old}, 200},
		{[]string{"If-None-Match", `"other"`, "If-Modified-Since", now}, 200},
		{[]string{"If-Match", `"other"`, "If-None-Match", etag}, 412},
		{[]string{"If-Match", etag, "If-None-Match", etag}, 304},
	} {
		for _, m := range []string{http.MethodGet, http.MethodHead} {
			re := w.want(c.status, "", m, "/bkt/k", "", c.headers...)
			if c.status == 304 && (re.header.Get("Etag") != etag || re.header.Get("Cache-Control") != "c" || re.body != "") {
				t.Errorf("%v: 304 with %v", c.headers, re.header)
			}
		}
	}
	for _, c := range []struct {
		method, key, header, value string
		status                     int
		code                       string
	}{
		{http.MethodPut, "k", "If-None-Match", "*", 412, "PreconditionFailed"},
		{http.MethodPut, "new", "If-None-Match", "*", 200, ""},
		{http.MethodPut, "k", "If-None-Match", etag, 412, "PreconditionFailed"},
		{http.MethodPut, "k", "If-None-Match", `"other", ` + etag, 412, "PreconditionFailed"},
		{http.MethodPut, "k", "If-None-Match", `"other"`, 200, ""},
		{http.MethodPut, "new2", "If-None-Match", etag, 200, ""},
		{http.MethodPut, "k", "If-None-Match", "", 501, "NotImplemented"},
		{http.MethodPut, "k", "If-None-Match", `""`, 501, "NotImplemented"},
		{http.MethodPut, "k", "If-Match", `"other"`, 412, "PreconditionFailed"},
		{http.MethodPut, "k", "If-Match", etag, 200, ""},
		{http.MethodPut, "gone", "If-Match", etag, 404, "NoSuchKey"},
		{http.MethodDelete, "k", "If-Match", `"other"`, 412, "PreconditionFailed"},
		{http.MethodDelete, "gone", "If-Match", etag, 412, "PreconditionFailed"},
		{http.MethodDelete, "k", "If-Match", etag, 204, ""},
		{http.MethodDelete, "gone", "X-Unused", "", 204, ""},
	} {
		w.want(c.status, c.code, c.method, "/bkt/"+c.key, "x", c.header, c.value)
	}
	w.want(404, "NoSuchKey", http.MethodGet, "/bkt/gone", "", "If-None-Match", "*")
}

func TestConcurrentCreate(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	var wg sync.WaitGroup
	var mu sync.Mutex
	status := map[int]int{}
	for i := range 16 {
		wg.Go(func() {
			re := w.do(http.MethodPut, "/bkt/lock", fmt.Sprint("writer ", i), "If-None-Match", "*")
			mu.Lock()
			defer mu.Unlock()
			status[re.status]++
		})
	}
	wg.Wait()
	if status[200] != 1 || status[412] != 15 {
		t.Errorf("answers: %v", status)
	}
}

func TestCopy(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/other", "")
	etag := w.want(200, "", http.MethodPut, "/bkt/a%20b%2Bc", "content", "Content-Type", "text/x", "x-amz-meta-a", "1").header.Get("Etag")
	cp := func(status int, code, target, source string, headers ...string) *reply {
		t.Helper()
		return w.want(status, code, http.MethodPut, target, "", append(headers, "x-amz-copy-source", source)...)
	}
	for _, source := range []string{"bkt/a b+c", "/bkt/a%20b+c", "bkt%2Fa%20b%2Bc", "/bkt/a%20b+c?versionId=null"} {
		re := cp(200, "", "/other/copy", source)
		if !strings.Contains(re.body, "<ETag>&quot;"+strings.Trim(etag, `"`)+"&quot;</ETag>") || !strings.Contains(re.body, "<LastModified>2026-03-14T15:09:26.000Z<") {
			t.Error(re.body)
		}
		if re := w.want(200, "", http.MethodGet, "/other/copy", ""); re.body != "content" || re.header.Get("Content-Type") != "text/x" || re.header.Get("X-Amz-Meta-A") != "1" {
			t.Errorf("%s: %q %v", source, re.body, re.header)
		}
	}
	cp(200, "", "/other/copy", "bkt/a b+c", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-b", "2")
	if h := w.want(200, "", http.MethodHead, "/other/copy", "").header; h.Get("Content-Type") != "binary/octet-stream" || h.Get("X-Amz-Meta-A") != "" || h.Get("X-Amz-Meta-B") != "2" {
		t.Error(h)
	}
	cp(400, "InvalidRequest", "/bkt/a%20b%2Bc", "bkt/a b+c")
	cp(200, "", "/bkt/a%20b%2Bc", "bkt/a b+c", "x-amz-metadata-directive", "REPLACE")
	cp(400, "InvalidArgument", "/bkt/c", "bkt/a b+c", "x-amz-metadata-directive", "MERGE")
	for _, source := range []string{"", "bkt", "bkt/", "/", "BKT/x", "bkt/%zz", "bkt/%FF"} {
		cp(400, "InvalidArgument", "/bkt/c", source)
	}
	cp(404, "NoSuchKey", "/bkt/c", "bkt/gone")
	cp(404, "NoSuchKey", "/bkt/c", "bkt/../bkt/a b+c")
	cp(404, "NoSuchBucket", "/bkt/c", "gone/gone")
	cp(404, "NoSuchBucket", "/gone/c", "bkt/a b+c")
	cp(501, "NotImplemented", "/bkt/c", "bkt/a b+c?versionId=abc")
	cp(501, "NotImplemented", "/bkt/c", "bkt/a b+c", "x-amz-tagging-directive", "REPLACE")
	cp(501, "NotImplemented", "/bkt/c", "bkt/a b+c", "x-amz-copy-source-range", "bytes=0-1")
	for header, c := range map[string][2]int{ // status with the right and the wrong value
		"x-amz-copy-source-if-match":      {200, 412},
		"x-amz-copy-source-if-none-match": {412, 200},
	} {
		cp(c[0], "", "/bkt/c", "bkt/a b+c", header, etag)
		cp(c[1], "", "/bkt/c", "bkt/a b+c", header, `"other"`)
	}
	cp(412, "PreconditionFailed", "/bkt/c", "bkt/a b+c", "x-amz-copy-source-if-modified-since", testTime.Format(http.TimeFormat))
	cp(412, "PreconditionFailed", "/bkt/c", "bkt/a b+c", "x-amz-copy-source-if-unmodified-since", testTime.Add(-time.Hour).Format(http.TimeFormat))
	cp(412, "PreconditionFailed", "/bkt/c", "bkt/a b+c", "If-None-Match", "*")
	cp(200, "", "/bkt/c2", "bkt/a b+c", "If-None-Match", "*")
}

func TestDeleteObjects(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	put := func(keys ...string) {
		for _, k := range keys {
			w.want(200, "", http.MethodPut, "/bkt/"+k, "x")
		}
	}
	del := func(status int, code, body string) *reply {
		t.Helper()
		return w.want(status, code, http.MethodPost, "/bkt?delete", body, "x-amz-checksum-crc32", strings.TrimPrefix(crc32Trailer([]byte(body)), "x-amz-checksum-crc32:"))
	}
	put("a", "b", "c%01", "keep")
	re := del(200, "", `<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object>`+
		`<Object><Key>b</Key><VersionId>null</VersionId></Object><Object><Key>missing</Key></Object><Object><Key>keep</Key><VersionId>v1</VersionId></Object>`+
		`<Object><Key>keep</Key><ETag>"other"</ETag></Object><Object><Key>`+strings.Repeat("k", 1025)+`</Key></Object></Delete>`)
	for _, want := range []string{
		"<Deleted><Key>a</Key></Deleted>", "<Deleted><Key>b</Key></Deleted>", "<Deleted><Key>missing</Key></Deleted>",
		"<Error><Key>keep</Key><Code>NotImplemented</Code>", "<Error><Key>keep</Key><Code>PreconditionFailed</Code>", "<Code>KeyTooLongError</Code>",
	} {
		if !strings.Contains(re.body, want) {
			t.Errorf("no %s in %s", want, re.body)
		}
	}
	if w.exists("bkt", "a") || w.exists("bkt", "b") || !w.exists("bkt", "keep") {
		t.Error("wrong keys are gone")
	}
	put("e%01f%02")
	if re := del(200, "", "<Delete><Object><Key>e\x01f&#x2;</Key></Object></Delete>"); !strings.Contains(re.body, "<Deleted><Key>e&#x1;f&#x2;</Key></Deleted>") || w.exists("bkt", "e\x01f\x02") {
		t.Error(re.body)
	}
	put("a")
	if re := del(200, "", "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>"); strings.Contains(re.body, "Deleted") {
		t.Error(re.body)
	}
	many := func(n int) string {
		return "<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", n) + "</Delete>"
	}
	del(200, "", many(1000))
	del(400, "MalformedXML", many(1001))
	del(400, "MalformedXML", many(0))
	del(400, "MalformedXML", "")
	del(400, "MalformedXML", "<Delete><Object>")
	del(400, "MalformedXML", `<!DOCTYPE x><Delete><Object><Key>a</Key></Object></Delete>`)
	del(400, "MalformedXML", strings.Repeat("<Delete>", 17)+strings.Repeat("</Delete>", 17))
	del(400, "MaxMessageLengthExceeded", strings.Repeat(" ", 8<<20+1))
	w.want(400, "InvalidRequest", http.MethodPost, "/bkt?delete", many(1))
	w.want(400, "BadDigest", http.MethodPost, "/bkt?delete", many(1), "x-amz-checksum-crc32", "AAAAAA==")
	w.want(400, "BadDigest", http.MethodPost, "/bkt?delete", many(1), "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
	w.want(404, "NoSuchBucket", http.MethodPost, "/gone?delete", many(1), "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
}
