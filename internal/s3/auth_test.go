package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// payloadModes are all ways a body can be covered by a signature.
var payloadModes = []string{
	"hash", "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
	"STREAMING-UNSIGNED-PAYLOAD-TRAILER",
}

func crc32Trailer(content []byte) string {
	return "x-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(content)))
}

// putRequest is a PUT in one of the payload modes, signed in the header or the query. change may tamper with the body.
func (w *world) putRequest(target, mode string, presigned bool, content []byte, change func([]byte) []byte) *http.Request {
	w.t.Helper()
	r := w.raw(http.MethodPut, target, nil)
	payload := mode
	streaming := strings.HasPrefix(mode, "STREAMING-")
	if mode == "hash" {
		payload = testHash(string(content))
	}
	f := frame{chunk: 64 << 10}
	if streaming {
		r.Header.Set("Content-Encoding", "aws-chunked")
		r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(content)))
		if strings.HasPrefix(mode, "STREAMING-AWS4") {
			f.signer = &w.signer
		}
		if strings.HasSuffix(mode, "TRAILER") {
			r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
			f.trailer = crc32Trailer(content)
		}
	}
	if presigned {
		r.Header.Set("X-Amz-Content-Sha256", payload)
		f.seed = w.signer.presign(r, 600, payload)
	} else {
		f.seed = w.signer.sign(r, payload)
	}
	body := content
	if streaming {
		body = f.encode(content)
	}
	if change != nil {
		body = change(bytes.Clone(body))
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r
}

func TestEveryPayloadMode(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	for _, mode := range payloadModes {
		for _, presigned := range []bool{false, true} {
			for _, size := range []int{0, 1, 64 << 10, 200_001} {
				key := fmt.Sprintf("%s-%v-%d", mode, presigned, size)
				content := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
				w.wantReply(w.send(w.putRequest("/bkt/"+key, mode, presigned, content, nil)), 200, "", key)
				re := w.want(200, "", http.MethodGet, "/bkt/"+key, "")
				if re.body != string(content) || re.header.Get("Content-Encoding") != "" {
					t.Errorf("%s: got %d bytes, encoding %q", key, len(re.body), re.header.Get("Content-Encoding"))
				}
			}
		}
	}
}

// TestNobodyGetsIn tries each shape of authentication in each payload mode with something wrong about it. The store is
// never asked.
func TestNobodyGetsIn(t *testing.T) {
	w := newWorld(t, Config{})
	content := bytes.Repeat([]byte("x"), 100_000)
	wrongSecret, wrongKey := *w, *w
	wrongSecret.signer.secret = "another secret"
	wrongKey.signer.access = "AKNOBODY"
	refuse := func(what string, r *http.Request, code string) {
		t.Helper()
		before := w.calls.n.Load()
		w.wantReply(w.send(r), 403, code, what)
		if n := w.calls.n.Load() - before; n != 0 {
			t.Errorf("%s: the store was asked %d times", what, n)
		}
	}
	for _, mode := range payloadModes {
		for _, presigned := range []bool{false, true} {
			what := fmt.Sprintf("%s presigned=%v", mode, presigned)
			refuse(what+" wrong secret", wrongSecret.putRequest("/bkt/k", mode, presigned, content, nil), "SignatureDoesNotMatch")
			refuse(what+" unknown key", wrongKey.putRequest("/bkt/k", mode, presigned, content, nil), "InvalidAccessKeyId")
			for _, extra := range []string{"X-Amz-Copy-Source", "X-Amz-Meta-A", "X-Amz-Acl"} {
				r := w.putRequest("/bkt/k", mode, presigned, content, nil)
				r.Header.Set(extra, "/bkt/other")
				refuse(what+" unsigned "+extra, r, "AccessDenied")
			}
			r := w.putRequest("/bkt/k", mode, presigned, content, nil)
			r.URL.Path, r.URL.RawPath = "/bkt/other", ""
			refuse(what+" other key", r, "SignatureDoesNotMatch")
			r = w.putRequest("/bkt/k", mode, presigned, content, nil)
			r.Method = http.MethodPost
			refuse(what+" other method", r, "SignatureDoesNotMatch")
			r = w.putRequest("/bkt/k", mode, presigned, content, nil)
			r.Host = "elsewhere.example"
			refuse(what+" other host", r, "SignatureDoesNotMatch")
		}
	}
	// Every route, without and with a wrong signature.
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete} {
		for _, target := range []string{"/", "/bkt", "/bkt?location", "/bkt?delete", "/bkt?list-type=2", "/bkt/k", "/bkt/k?acl", "/bkt?nosuch", "/bkt/k?uploads"} {
			code := func(c string) string {
				if m == http.MethodHead {
					return ""
				}
				return c
			}
			refuse(m+target+" anonymous", w.raw(m, target, nil), code("AccessDenied"))
			r := wrongSecret.raw(m, target, nil)
			wrongSecret.signer.sign(r, emptySHA256)
			refuse(m+target+" signed", r, code("SignatureDoesNotMatch"))
			r = wrongSecret.raw(m, target, nil)
			wrongSecret.signer.presign(r, 60, "UNSIGNED-PAYLOAD")
			refuse(m+target+" presigned", r, code("SignatureDoesNotMatch"))
		}
	}
}

// TestNothingBeforeAuthorisation compares what a stranger sees of a private key and of a missing one.
func TestNothingBeforeAuthorisation(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	etag := w.want(200, "", http.MethodPut, "/bkt/there", "content").header.Get("Etag")
	var first string
	for _, key := range []string{"there", "gone!"} {
		r := w.raw(http.MethodGet, "/bkt/"+key, nil)
		r.Header.Set("If-None-Match", etag)
		r.Header.Set("If-Modified-Since", testTime.Format(http.TimeFormat))
		re := w.send(r)
		w.wantReply(re, 403, "AccessDenied", key)
		body := strings.ReplaceAll(re.body, key, "")
		body = body[:strings.Index(body, "<RequestId>")]
		if first == "" {
			first = body
		}
		if body != first {
			t.Errorf("%s: %s, and of another key %s", key, body, first)
		}
	}
}

func TestTimes(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	at := func(d time.Duration) *world {
		o := *w
		o.signer.now = testTime.Add(d)
		return &o
	}
	for _, d := range []time.Duration{-14 * time.Minute, 14 * time.Minute} {
		at(d).want(200, "", http.MethodGet, "/bkt", "")
	}
	for _, d := range []time.Duration{-20 * time.Minute, 20 * time.Minute, -25 * time.Hour} {
		re := at(d).want(403, "RequestTimeTooSkewed", http.MethodGet, "/bkt", "")
		if !strings.Contains(re.body, "<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>") {
			t.Error(re.body)
		}
	}
	presigned := func(d time.Duration, expires int) *reply {
		r := w.raw(http.MethodGet, "/bkt", nil)
		at(d).signer.presign(r, expires, "UNSIGNED-PAYLOAD")
		return w.send(r)
	}
	for _, c := range []struct {
		made    time.Duration
		expires int
		status  int
		code    string
	}{
		{0, 1, 200, ""},
		{-59 * time.Second, 60, 200, ""},
		{-60 * time.Second, 60, 200, ""},
		{-61 * time.Second, 60, 403, "AccessDenied"},
		{-6 * 24 * time.Hour, 604800, 200, ""},
		{14 * time.Minute, 60, 200, ""},
		{16 * time.Minute, 6000, 403, "AccessDenied"},
		{0, 0, 400, "AuthorizationQueryParametersError"},
		{0, -1, 400, "AuthorizationQueryParametersError"},
		{0, 604801, 400, "AuthorizationQueryParametersError"},
	} {
		w.wantReply(presigned(c.made, c.expires), c.status, c.code, fmt.Sprint(c))
	}
}

// TestDates signs with each of the two headers in each of the two formats.
func TestDates(t *testing.T) {
	w := newWorld(t, Config{})
	for _, c := range []struct{ amz, date string }{
		{testTime.Format(isoBasic), ""},
		{testTime.Format(http.TimeFormat), ""},
		{"", testTime.Format(isoBasic)},
		{"", testTime.Format(http.TimeFormat)},
		{testTime.Format(isoBasic), "Mon, 01 Jan 2001 00:00:00 GMT"},
		{"", testTime.Format(time.RFC1123Z)},
	} {
		r := w.raw(http.MethodGet, "/", nil)
		names := []string{"x-amz-content-sha256"}
		r.Header.Set("X-Amz-Content-Sha256", emptySHA256)
		if c.amz != "" {
			r.Header.Set("X-Amz-Date", c.amz)
			names = append(names, "x-amz-date")
		}
		if c.date != "" {
			r.Header.Set("Date", c.date)
			names = append(names, "date")
		}
		signed, sig := w.signer.signature(r, names, emptySHA256)
		r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", testAccess, w.signer.scope(), signed, sig))
		w.wantReply(w.send(r), 200, "", fmt.Sprint(c))
		r.Header.Del("Date")
		r.Header.Del("X-Amz-Date")
		w.wantReply(w.send(r), 403, "AccessDenied", "no date")
	}
}

// TestNoPayloadDigest signs as curl up to 7.88 does: the digest of the empty body, without a header that names it.
func TestNoPayloadDigest(t *testing.T) {
	w := newWorld(t, Config{})
	for _, c := range []struct {
		method, target, body string
		status               int
		code                 string
	}{
		{http.MethodPut, "/bkt", "", 200, ""},
		{http.MethodPut, "/bkt/empty", "", 200, ""},
		{http.MethodGet, "/bkt/empty", "", 200, ""},
		{http.MethodPut, "/bkt/full", "x", 400, "InvalidRequest"},
		{http.MethodGet, "/bkt/full", "", 404, "NoSuchKey"},
	} {
		r := w.raw(c.method, c.target, []byte(c.body))
		r.Header.Set("X-Amz-Date", testTime.Format(isoBasic))
		signed, sig := w.signer.signature(r, []string{"x-amz-date"}, emptySHA256)
		r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", testAccess, w.signer.scope(), signed, sig))
		w.wantReply(w.send(r), c.status, c.code, c.method+c.target)
	}
}

func TestMalformedAuthorization(t *testing.T) {
	w := newWorld(t, Config{})
	good := func() *http.Request {
		r := w.raw(http.MethodGet, "/", nil)
		w.signer.sign(r, emptySHA256)
		return r
	}
	for _, c := range []struct {
		what, old, new string
		status         int
		code           string
	}{
		{"no host", "host;", "", 400, "AuthorizationHeaderMalformed"},
		{"upper case", "host;", "Host;", 400, "AuthorizationHeaderMalformed"},
		{"twice", "host;", "host;host;", 400, "AuthorizationHeaderMalformed"},
		{"absent header", "host;", "host;range;", 403, "SignatureDoesNotMatch"},
		{"service", "/s3/", "/sts/", 400, "AuthorizationHeaderMalformed"},
		{"terminator", "aws4_request", "aws5_request", 400, "AuthorizationHeaderMalformed"},
		{"day", "20260314", "20260315", 400, "AuthorizationHeaderMalformed"},
		{"no day", "20260314", "2026-03-14", 400, "AuthorizationHeaderMalformed"},
		{"no region", "us-east-1", "", 400, "AuthorizationHeaderMalformed"},
		{"region", "us-east-1", "eu-west-1", 403, "SignatureDoesNotMatch"},
		{"short", "Signature=", "Signature=0", 400, "AuthorizationHeaderMalformed"},
		{"no signature", "Signature=", "Sig=", 400, "AuthorizationHeaderMalformed"},
		{"two signatures", "Signature=", "Signature=00,Signature=", 400, "AuthorizationHeaderMalformed"},
		{"more", "Signature=", "Foo=1,Signature=", 400, "AuthorizationHeaderMalformed"},
		{"v2", "AWS4-HMAC-SHA256 ", "AWS ", 400, "InvalidRequest"},
		{"ecdsa", "AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 ", 501, "NotImplemented"},
		{"bearer", "AWS4-HMAC-SHA256 ", "Bearer ", 400, "InvalidArgument"},
		{"empty", "", "", 400, "InvalidArgument"},
	} {
		r := good()
		v := strings.Replace(r.Header.Get("Authorization"), c.old, c.new, 1)
		if c.old == "" {
			v = ""
		}
		r.Header.Set("Authorization", v)
		w.wantReply(w.send(r), c.status, c.code, c.what)
	}
	r := good()
	w.signer.presign(r, 60, "UNSIGNED-PAYLOAD")
	w.wantReply(w.send(r), 400, "InvalidArgument", "both mechanisms")
	r = good()
	r.Header.Add("Authorization", r.Header.Get("Authorization"))
	w.wantReply(w.send(r), 400, "InvalidArgument", "two headers")
	r = w.raw(http.MethodGet, "/?AWSAccessKeyId=a&Signature=b&Expires=1", nil)
	w.wantReply(w.send(r), 400, "InvalidRequest", "v2 query")
	for _, payload := range []string{"junk", "STREAMING-FOO", strings.Repeat("z", 64), "e3b0"} {
		r = w.raw(http.MethodGet, "/", nil)
		w.signer.sign(r, payload)
		w.wantReply(w.send(r), 400, "InvalidArgument", payload)
	}
	r = w.raw(http.MethodGet, "/", nil)
	w.signer.sign(r, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
	w.wantReply(w.send(r), 501, "NotImplemented", "ecdsa payload")
	r = w.raw(http.MethodGet, "/", nil)
	w.signer.sign(r, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	w.wantReply(w.send(r), 400, "InvalidArgument", "streaming where nothing streams")
	r = good()
	r.Header.Set("X-Pad", strings.Repeat("p", 8<<10))
	w.wantReply(w.send(r), 400, "RequestHeaderSectionTooLarge", "headers")
	for _, drop := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		r = w.raw(http.MethodGet, "/", nil)
		w.signer.presign(r, 60, "UNSIGNED-PAYLOAD")
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, drop+"=", "y=", 1)
		w.wantReply(w.send(r), 400, "AuthorizationQueryParametersError", "without "+drop)
	}
}

func TestStrictRegion(t *testing.T) {
	w := newWorld(t, Config{Region: "eu-lan-1", StrictRegion: true})
	re := w.want(400, "AuthorizationHeaderMalformed", http.MethodGet, "/", "")
	if !strings.Contains(re.body, "<Region>eu-lan-1</Region>") {
		t.Error(re.body)
	}
	w.signer.region = "eu-lan-1"
	w.want(200, "", http.MethodGet, "/", "")
	w.want(400, "IllegalLocationConstraintException", http.MethodPut, "/bkt", "<CreateBucketConfiguration><LocationConstraint>us-west-1</LocationConstraint></CreateBucketConfiguration>")
	w.want(200, "", http.MethodPut, "/bkt", `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>eu-lan-1</LocationConstraint></CreateBucketConfiguration>`)
	if re := w.want(200, "", http.MethodGet, "/bkt?location", ""); !strings.Contains(re.body, ">eu-lan-1</LocationConstraint>") {
		t.Error(re.body)
	}
}

// TestHoisted: what a presigner moved into the query is what it was as a header.
func TestHoisted(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/src", "source")
	put := func(query, body string) *reply {
		r := w.raw(http.MethodPut, "/bkt/k?"+query, []byte(body))
		w.signer.presign(r, 60, "UNSIGNED-PAYLOAD")
		return w.send(r)
	}
	w.wantReply(put("x-amz-meta-colour=blue&x-id=PutObject", "one"), 200, "", "meta")
	if re := w.want(200, "", http.MethodGet, "/bkt/k", ""); re.header.Get("X-Amz-Meta-Colour") != "blue" || re.body != "one" {
		t.Errorf("%v %q", re.header, re.body)
	}
	w.wantReply(put("x-amz-copy-source=%2Fbkt%2Fsrc", ""), 200, "", "copy source")
	if re := w.want(200, "", http.MethodGet, "/bkt/k", ""); re.body != "source" {
		t.Errorf("the copy is %q", re.body)
	}
	w.wantReply(put("x-amz-server-side-encryption=AES256", "x"), 501, "NotImplemented", "encryption")
	w.wantReply(put("x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32", "body"), 200, "", "checksum of nothing")
	w.wantReply(put("x-amz-checksum-crc32=AAAAAQ%3D%3D", "body"), 400, "BadDigest", "wrong checksum")
	w.want(501, "NotImplemented", http.MethodPut, "/bkt/k?x-amz-copy-source=%2Fbkt%2Fsrc", "not a copy")
}

func TestAnonymousDoor(t *testing.T) {
	w := newWorld(t, Config{Keys: []Key{}})
	send := func(method, target, body string, headers ...string) *reply {
		r := w.raw(method, target, []byte(body))
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return w.send(r)
	}
	w.wantReply(send(http.MethodPut, "/bkt", ""), 200, "", "create")
	w.wantReply(send(http.MethodPut, "/bkt/k", "hello"), 200, "", "put")
	if re := send(http.MethodGet, "/bkt/k", ""); re.body != "hello" {
		t.Error(re.body)
	}
	w.wantReply(send(http.MethodGet, "/bkt/k?response-content-type=text/html", ""), 400, "InvalidRequest", "override")
	w.want(200, "", http.MethodGet, "/bkt/k?response-content-type=text/html", "") // any key will do
	for _, mode := range payloadModes {
		w.wantReply(w.send(w.putRequest("/bkt/"+mode, mode, false, []byte("framed"), nil)), 200, "", mode)
		if re := send(http.MethodGet, "/bkt/"+mode, ""); re.body != "framed" {
			t.Errorf("%s: %q", mode, re.body)
		}
	}
	w.wantReply(send(http.MethodPut, "/bkt/k", "hello", "X-Amz-Content-Sha256", testHash("other")), 400, "XAmzContentSHA256Mismatch", "hash")
}
