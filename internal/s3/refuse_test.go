package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
)

// TestHeaderList: a header that is not on the list is refused by name, and what clients send is taken.
func TestHeaderList(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/src", "x")
	const crc, nothing = "jNw7gw==", "AAAAAA=="
	for _, c := range []struct {
		status          int
		method, headers string
	}{
		{200, "PUT", "x-amz-checksum-type: FULL_OBJECT"},
		{200, "PUT", "x-amz-checksum-algorithm: CRC64NVME"},
		{200, "PUT", "x-amz-user-agent: aws-sdk-js/3|x-amz-request-payer: requester|x-amz-meta-any: x|x-amz-acl: private"},
		{200, "GET", "x-amz-checksum-mode: ENABLED|x-amz-checksum-crc32: " + nothing},
		{200, "COPY", "x-amz-checksum-algorithm: CRC64NVME"},
		{400, "PUT", "x-amz-checksum-algorithm: SHA256"},
		{501, "PUT", "x-amz-checksum-algorithm: SHA512"},
		{501, "PUT", "x-amz-checksum-type: COMPOSITE"},
		{501, "PUT", "x-amz-checksum-xxhash64: AAAA"},
		{501, "PUT", "x-amz-unheard-of: 1"},
		{501, "GET", "x-amz-unheard-of: 1"},
		{501, "GET", "x-amz-checksum-crc32: " + crc},
		{501, "COPY", "x-amz-checksum-algorithm: SHA256"},
		{501, "COPY", "x-amz-checksum-crc32: " + nothing},
		{400, "PUT", "x-amz-security-token: t"},
	} {
		var headers []string
		for h := range strings.SplitSeq(c.headers, "|") {
			name, value, _ := strings.Cut(h, ": ")
			headers = append(headers, name, value)
		}
		method, target, body := c.method, "/bkt/k", ""
		switch method {
		case "COPY":
			method, headers = http.MethodPut, append(headers, "x-amz-copy-source", "bkt/src")
		case http.MethodGet:
			target = "/bkt/src"
		default:
			body = "y"
		}
		re := w.want(c.status, "", method, target, body, headers...)
		if c.status == 501 && strings.Count(re.body, headers[0]) != 2 {
			t.Errorf("%s %s: the header is not named: %s", c.method, c.headers, re.body)
		}
		if headers[0] == "x-amz-security-token" && re.code() != "InvalidToken" {
			t.Error(re.body)
		}
	}
	w.want(400, "InvalidRequest", http.MethodPut, "/bkt/k", "body", "x-amz-copy-source", "bkt/src")
	r := w.raw(http.MethodPut, "/bkt/k", nil)
	r.Header.Set("X-Amz-Copy-Source", "bkt/src")
	w.signer.sign(r, "UNSIGNED-PAYLOAD")
	r.Body, r.ContentLength = &trickle{"chunked"}, -1
	w.wantReply(w.send(r), 400, "InvalidRequest", "copy with a body of unknown length")
	open := newWorld(t, Config{Keys: []Key{}})
	open.want(200, "", http.MethodPut, "/bkt", "", "x-amz-security-token", "t") // nobody has to prove anything there
}

// trickle is a body without a length.
type trickle struct{ rest string }

func (r *trickle) Read(p []byte) (int, error) {
	if r.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (*trickle) Close() error { return nil }

// TestUnknownParameters: a read of something else than the object or listing is refused as a write is, by name, and what is
// there twice is not guessed at.
func TestUnknownParameters(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "x")
	for _, p := range []string{"annotations", "annotations=", "foo", "x-foo", "foo=&x-id=GetObject", "X-Amz-Foo"} {
		for _, target := range []string{"/bkt?" + p, "/bkt?list-type=2&" + p, "/bkt/k?" + p} {
			name, _, _ := strings.Cut(p, "=")
			if re := w.want(501, "NotImplemented", http.MethodGet, target, ""); !strings.Contains(re.body, "not implemented: "+name+"</Message>") {
				t.Error(re.body)
			}
			w.want(501, "", http.MethodHead, target, "")
		}
	}
	w.want(405, "MethodNotAllowed", http.MethodPatch, "/bkt/k?foo", "")
	for _, target := range []string{"/bkt?prefix=&marker=&delimiter=&fetch-owner=", "/bkt/k?x-id", "/bkt/k?x-own=1&versionId=null", "/bkt/k?response-expires="} {
		w.want(200, "", http.MethodGet, target, "")
	}
	for _, target := range []string{"/bkt?prefix=a&prefix=b", "/bkt?list-type=2&list-type=2", "/bkt/k?versionId=null&versionId=null", "/bkt/k?response-expires=a&response-expires=b", "/bkt/k?uploadId=a&uploadId=b", "/bkt/k?partNumber=1&partNumber=2"} {
		w.want(400, "InvalidArgument", http.MethodGet, target, "")
	}
	r := w.raw(http.MethodGet, "/bkt/k?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", nil)
	w.signer.presign(r, 60, "UNSIGNED-PAYLOAD")
	w.wantReply(w.send(r), 400, "InvalidArgument", "presigned")
}

// brokenDriver fails to begin when it began a number of times.
type brokenDriver struct {
	object.Driver
	left int
}

func (d *brokenDriver) Begin(ctx context.Context) (object.Session, error) {
	if d.left--; d.left < 0 {
		return nil, errBroken
	}
	return d.Driver.Begin(ctx)
}

// TestDeleteHalf: keys that are gone are told, also when the rest fails.
func TestDeleteHalf(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	const rows = "<Object><Key>b</Key></Object><Object><Key>c</Key></Object>"
	del := func(status int, left int, rows string) string {
		t.Helper()
		w.calls.Driver = &brokenDriver{w.mem, left}
		body := "<Delete>" + rows + "</Delete>"
		re := w.want(status, "", http.MethodPost, "/bkt?delete", body, "x-amz-checksum-crc32", strings.TrimPrefix(crc32Trailer([]byte(body)), "x-amz-checksum-crc32:"))
		return re.body
	}
	w.want(200, "", http.MethodPut, "/bkt/a", "x")
	got := del(200, 1, "<Object><Key>a</Key><ETag>*</ETag></Object>"+rows)
	for _, want := range []string{"<Deleted><Key>a</Key></Deleted>", "<Error><Key>b</Key><Code>InternalError</Code>", "<Error><Key>c</Key><Code>InternalError</Code>"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if !strings.Contains(w.logs.String(), errBroken.Error()) {
		t.Error("the log does not say why")
	}
	del(500, 0, rows) // nothing is gone: it is the request that failed
}

// TestCopyCondition: the condition that is named is the one that failed.
func TestCopyCondition(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	etag := w.want(200, "", http.MethodPut, "/bkt/src", "x").header.Get("Etag")
	w.want(200, "", http.MethodPut, "/bkt/dst", "y")
	old := testTime.Add(-time.Hour).Format(http.TimeFormat)
	for _, c := range []struct{ want, header, value, source, sourceValue string }{
		{"If-Match", "If-Match", `"other"`, "if-match", etag},
		{"If-None-Match", "If-None-Match", "*", "if-none-match", `"other"`},
		{"If-None-Match", "If-None-Match", "*", "if-modified-since", old},
		{"x-amz-copy-source-If-Match", "If-None-Match", "*", "if-match", `"other"`},
	} {
		re := w.want(412, "PreconditionFailed", http.MethodPut, "/bkt/dst", "", "x-amz-copy-source", "bkt/src",
			c.header, c.value, "x-amz-copy-source-"+c.source, c.sourceValue)
		if !strings.Contains(re.body, "<Condition>"+c.want+"</Condition>") {
			t.Errorf("%v: %s", c, re.body)
		}
	}
}

// TestDamageIsNotMissing: no other kind of an error hides that the data is damaged.
func TestDamageIsNotMissing(t *testing.T) {
	for _, other := range []error{fs.ErrNotExist, fs.ErrExist, object.ErrNoBucket, object.ErrPrecondition, object.ErrInvalid} {
		for _, err := range []error{
			fmt.Errorf("%w: %w", object.ErrCorrupt, other),
			&object.Error{Op: "open", Bucket: "b", Key: "k", Err: errors.Join(other, object.ErrCorrupt)},
		} {
			if e := answerTo(err, "b", "k"); e.status != 500 || e.code != "InternalError" {
				t.Errorf("%v: %v", err, e)
			}
		}
	}
}
