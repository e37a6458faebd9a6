package s3

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What other S3 servers were bitten by. Each test names the advisories that it is the answer to; those about authentication are
// rows of disguises and routes in TestMatrix.

// TestStreamingWithBadSeed: CVE-2025-31489 (an upload with an unsigned trailer whose seed signature nobody checked) and
// CVE-2026-41145 (credentials in the query, and verification skipped). TestNobodyGetsIn has each streaming kind; here, what the
// two had in common: a body that is right in itself.
func TestStreamingWithBadSeed(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	forged := *w
	forged.signer.secret = "another secret"
	for _, mode := range payloadModes {
		for _, presigned := range []bool{false, true} {
			for _, target := range []string{"/bkt/k", "/bkt/k?partNumber=1&uploadId=none"} {
				asked := w.calls.n.Load()
				w.wantReply(w.send(forged.putRequest(target, mode, presigned, []byte("content"), nil)), 403, "SignatureDoesNotMatch", mode+target)
				r := forged.putRequest(target, mode, presigned, []byte("content"), nil)
				r.Header.Del("Authorization")
				r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "X-Amz-", "Y-")
				w.wantReply(w.send(r), 403, "AccessDenied", mode+target)
				if n := w.calls.n.Load() - asked; n != 0 {
					t.Errorf("%s %s: the store was asked %d times", mode, target, n)
				}
			}
		}
	}
}

// TestAutoExtractIsOneObject: CVE-2026-40344 (a tar that was unpacked on a way without verification). There is no such way: the
// header is metadata like any other.
func TestAutoExtractIsOneObject(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/a.tar", "not unpacked", "X-Amz-Meta-Snowball-Auto-Extract", "true", "X-Amz-Meta-Minio-Snowball-Prefix", "/x")
	if re := w.want(200, "", http.MethodGet, "/bkt", ""); strings.Count(re.body, "<Key>") != 1 {
		t.Error(re.body)
	}
	w.want(501, "NotImplemented", http.MethodPut, "/bkt/b.tar", "x", "X-Amz-Snowball-Auto-Extract", "true")
}

// TestHeadersAreNoInternalMetadata: GHSA-3rh2-v3gr-35p9 (client headers that became internal metadata).
func TestHeadersAreNoInternalMetadata(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	for _, name := range []string{
		"Note", "Etag", "X-Amz-Meta-Note", "X-Amz-Meta-Etag", "X-Amz-Meta-X-Amz-Meta-A", "X-Minio-Internal-Compression", "X-Minio-Replication-Ssec-Crc",
		"X-Amz-Meta-X-Minio-Internal-Actual-Size", "X-Rustfs-Internal-A", "Xet-Hash", "X-Xet-Hash", "Last-Modified", "Owner", "X-Amz-Meta-Content-Type",
	} {
		w.want(200, "", http.MethodPut, "/bkt/k", "content", name, `{"sum":"sha256","value":"AAAA","by":"AKOTHER"}`)
		info := mustStat(t, w, "k")
		meta := strings.HasPrefix(name, metaPrefix)
		if info.Note != "" || info.Size != 7 || info.ETag != "9a0364b9e99bb480dd25e1f0284c8555" || len(info.Attrs.Headers) != 0 || (len(info.Attrs.Meta) == 1) != meta || !info.ModTime.Equal(testTime) {
			t.Errorf("%s: %+v", name, info)
		}
		re := w.want(200, "", http.MethodGet, "/bkt/k", "")
		if re.header.Get("Content-Type") != defaultContentType || re.header.Get("Etag") != `"`+info.ETag+`"` {
			t.Errorf("%s: %v", name, re.header)
		}
	}
	for _, name := range []string{"X-Amz-Internal", "X-Amz-Note", "X-Amz-Replication-Status", "X-Amz-Version-Id", "X-Amz-Restore"} {
		w.want(501, "NotImplemented", http.MethodPut, "/bkt/k", "content", name, "x")
	}
}

// TestFormsAreRefused: CVE-2023-28434 and GHSA-w5fh-f8xh-5x3p (POST policies that were not enforced). There are no forms, whatever
// bucket their fields name.
func TestFormsAreRefused(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	asked := w.calls.n.Load()
	for _, target := range []string{"/", "/bkt", "/bkt/", "/bkt/k", "/bkt?delete", "/bkt/k?uploads"} {
		for _, kind := range []string{"multipart/form-data; boundary=b", "Multipart/Form-Data;boundary=b"} {
			body := "--b\r\nContent-Disposition: form-data; name=\"bucket\"\r\n\r\nother\r\n--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n" +
				"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\ncontent\r\n--b--\r\n"
			r := w.raw(http.MethodPost, target, []byte(body))
			r.Header.Set("Content-Type", kind)
			w.wantReply(w.send(r), 501, "NotImplemented", target)
		}
	}
	if n := w.calls.n.Load() - asked; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestConditionsTellStrangersNothing: CVE-2024-36107 (conditional headers answered before authorisation).
func TestConditionsTellStrangersNothing(t *testing.T) {
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, {AccessKey: "AKC", SecretKey: "secret of create", Mode: "create"}}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	etag := w.want(200, "", http.MethodPut, "/bkt/there", "content").header.Get("Etag")
	stranger := w.as(Key{AccessKey: testAccess, SecretKey: "another secret"})
	creator := w.as(Key{AccessKey: "AKC", SecretKey: "secret of create"})
	for header, values := range map[string][]string{
		"If-Match": {etag, `"x"`, "*"}, "If-None-Match": {etag, `"x"`, "*"},
		"If-Modified-Since": {"Mon, 01 Jan 2001 00:00:00 GMT", "Sat, 14 Mar 2026 15:09:26 GMT"}, "If-Unmodified-Since": {"Mon, 01 Jan 2001 00:00:00 GMT"},
		"Range": {"bytes=0-1", "bytes=100-"}, "If-Range": {etag},
	} {
		for _, v := range values {
			for _, m := range []string{http.MethodGet, http.MethodHead} {
				for name, ask := range map[string]func(target string) *reply{
					"nobody": func(target string) *reply {
						r := w.raw(m, target, nil)
						r.Header.Set(header, v)
						return w.send(r)
					},
					"wrong secret": func(target string) *reply { return stranger.do(m, target, "", header, v) },
					"create":       func(target string) *reply { return creator.do(m, target, "", header, v) },
				} {
					there, missing := ask("/bkt/there"), ask("/bkt/gonez")
					if there.status != 403 || there.seen() != missing.seen() || there.header.Get("Etag") != "" {
						t.Errorf("%s: %s %s %s: %s\n%s", name, m, header, v, there.seen(), missing.seen())
					}
				}
			}
		}
	}
	// The same for what is copied.
	for _, key := range []string{"there", "gonez"} {
		for _, h := range []string{"X-Amz-Copy-Source-If-Match", "X-Amz-Copy-Source-If-None-Match"} {
			creator.want(403, "AccessDenied", http.MethodPut, "/bkt/new", "", "X-Amz-Copy-Source", "bkt/"+key, h, etag)
		}
	}
}

// TestNoDebugRoutes: CVE-2023-28432 (an internal address that printed secrets), and key management over S3 (GHSA-jjjj-jwhf-8rgr,
// CVE-2022-24842, CVE-2021-43858): also who may do everything gets at buckets and objects, and at nothing else. That no
// answer holds a secret is looked at in every test.
func TestNoDebugRoutes(t *testing.T) {
	w := newWorld(t, Config{})
	for _, target := range []string{
		"/debug/pprof/heap", "/debug/vars", "/metrics/x", "/minio/health/cluster", "/minio/admin/v3/add-user", "/minio/bootstrap/v1/verify", "/admin/users",
	} {
		for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			w.want(404, "NoSuchBucket", m, target, "")
		}
		w.want(405, "MethodNotAllowed", http.MethodPost, target, "")
	}
	for _, body := range []string{"Action=CreateUser&UserName=x", "Action=AssumeRoleWithWebIdentity", "Action=CreateAccessKey", "Action=AssumeRoleWithLDAPIdentity"} {
		w.want(405, "MethodNotAllowed", http.MethodPost, "/", body, "Content-Type", "application/x-www-form-urlencoded")
		w.want(405, "", http.MethodPost, "/?"+body, "")
	}
	if len(w.server.keys) != 1 {
		t.Error("there are other keys than those of the configuration")
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"net/http/pprof", "expvar"} {
		if slices.Contains(strings.Fields(string(out)), p) {
			t.Errorf("the door imports %s", p)
		}
	}
}

// endless is a body without an end, which counts what is taken of it.
type endless struct {
	begin string
	n     int64
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		if e.n < int64(len(e.begin)) {
			p[i] = e.begin[e.n]
		} else {
			p[i] = ' '
		}
		e.n++
	}
	return len(p), nil
}

func (*endless) Close() error { return nil }

// TestBodiesAreNotHeld: CVE-2018-1000538 (bodies of signed requests read into memory). An operation takes no more of a body than
// its document may be long, and nothing of one that announces more; those that take none take none.
func TestBodiesAreNotHeld(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/there", "x")
	upload := w.begin("/bkt/there")
	limits := map[string]int64{
		"CreateBucket": createXML.limit, "DeleteObjects": deleteXML.limit, "CompleteMultipartUpload": completeXML.limit,
		"PutBucketAcl": aclXML.limit, "PutObjectAcl": aclXML.limit,
	}
	begins := map[string]string{
		"DeleteObjects": "<Delete>", "CreateBucket": "<CreateBucketConfiguration>",
		"CompleteMultipartUpload": "<CompleteMultipartUpload>", "PutBucketAcl": "<AccessControlPolicy>", "PutObjectAcl": "<AccessControlPolicy>",
	}
	for _, r := range everyOperation("bkt", "there", upload) {
		if r.op.streams && limits[r.op.name] == 0 {
			continue // stores it
		}
		for _, length := range []int64{1 << 30, -1} {
			body := &endless{begin: begins[r.op.name]}
			req := w.request(r)
			if r.op.name == "DeleteObjects" {
				req.Header.Set("X-Amz-Checksum-Crc32", "AAAAAA==")
			}
			w.signer.sign(req, unsigned)
			req.Body, req.ContentLength = body, length
			if length < 0 {
				req.TransferEncoding = []string{"chunked"}
			}
			rec := httptest.NewRecorder()
			w.server.ServeHTTP(rec, req)
			want := limits[r.op.name] + 1<<16
			if length > 0 {
				want = 0
			}
			// What is taken off the wire behind an answer is not held.
			if body.n > want+lingerBytes {
				t.Errorf("%s: %d bytes of %d were read", r, body.n, length)
			}
			if r.op.reads && (rec.Code != 400 || !strings.Contains(rec.Body.String(), "MaxMessageLengthExceeded")) {
				t.Errorf("%s: %d %s", r, rec.Code, rec.Body)
			}
		}
	}
}

// TestGovernanceBypass: CVE-2023-25812 (a bypass that was honoured in spite of a denial). The header lets nobody delete who may
// not do so without it; nothing is locked, so for the others it changes nothing either. It counts only when it is signed.
func TestGovernanceBypass(t *testing.T) {
	reader := Key{AccessKey: "AKREAD", SecretKey: "secret-of-it", Mode: "read"}
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, reader}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "x")
	w.as(reader).want(403, "AccessDenied", http.MethodDelete, "/bkt/k", "", bypassHeader, "true")
	r := w.raw(http.MethodDelete, "/bkt/k", nil)
	w.signer.sign(r, emptySHA256)
	r.Header.Set(bypassHeader, "true")
	w.wantReply(w.send(r), 403, "AccessDenied", "unsigned")
	if !w.exists("bkt", "k") {
		t.Error("it was deleted")
	}
	w.want(204, "", http.MethodDelete, "/bkt/k", "", bypassHeader, "true")
}

// TestUnknownKeyCostsTheSame: CVE-2026-33419, GHSA-5cx5-wh4m-82fh and CVE-2026-88018. A key that is not configured never gets in,
// with no secret at all, and is verified like one that is.
func TestUnknownKeyCostsTheSame(t *testing.T) {
	w := newWorld(t, Config{})
	for _, secret := range []string{"", testSecret, dummySecret, "x"} {
		o := w.as(Key{AccessKey: "AKNOBODY", SecretKey: secret})
		re := o.want(403, "InvalidAccessKeyId", http.MethodGet, "/", "")
		if strings.Contains(re.body, "Canonical") {
			t.Error(re.body)
		}
	}
	// All that it takes to compare a signature is done for it, too.
	r := w.raw(http.MethodGet, "/", nil)
	w.as(Key{AccessKey: "AKNOBODY", SecretKey: "x"}).signer.sign(r, emptySHA256)
	q := &request{s: w.server, r: r}
	if err := q.parseTarget(); err != nil {
		t.Fatal(err)
	}
	var c *claim
	claiming := testing.AllocsPerRun(10, func() { c, _ = q.claimFromHeader(testTime) })
	signing := testing.AllocsPerRun(10, func() {
		canonical, _ := c.canonicalRequest(r, q.path(), q.query)
		_ = hexHMAC(newSigner().key(c, dummySecret), c.stringToSign(canonical))
	})
	if n := testing.AllocsPerRun(10, func() { _ = q.authenticate() }); n < claiming+signing-5 {
		t.Errorf("an unknown key costs %v allocations, a known one %v and more", n, claiming+signing)
	}
	if len(w.server.signer.keys) != 0 {
		t.Error("the key of a stranger is kept")
	}
	for _, k := range []Key{{AccessKey: "a"}, {SecretKey: "s"}, {}} {
		if _, err := New(nil, Config{Keys: []Key{k}}, w.server.log); err == nil {
			t.Errorf("%+v was taken", k)
		}
	}
}

// TestConfiguredKeysAreNeverBypassed: CVE-2026-88044 (a server that ignored its keys and was open). That one without keys says so
// is TestAnonymous of hugbucket-s3d.
func TestConfiguredKeysAreNeverBypassed(t *testing.T) {
	for _, keys := range [][]Key{{{AccessKey: "a", SecretKey: "s"}}, {{AccessKey: "a", SecretKey: "s", Mode: "read", Buckets: []string{}}}} {
		w := newWorld(t, Config{Keys: keys})
		if w.server.Anonymous() {
			t.Error("a door with keys takes itself for one without")
		}
		w.wantReply(w.send(w.raw(http.MethodGet, "/", nil)), 403, "AccessDenied", "no signature")
		w.as(Key{AccessKey: "", SecretKey: ""}).want(400, "AuthorizationHeaderMalformed", http.MethodGet, "/", "")
	}
	if w := newWorld(t, Config{Keys: []Key{}}); !w.server.Anonymous() {
		t.Error("a door without keys does not know it")
	}
	none := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret, Buckets: []string{}}}})
	none.want(403, "AccessDenied", http.MethodPut, "/bkt", "") // an empty list is no bucket, not all
}

// TestUnsignedHeaders: a presigned PUT to which somebody adds x-amz-copy-source copies another object in MinIO and RustFS
// (GHSA-g8w9-qw9q-fghr, GHSA-xm99-m3gq-83g8).
func TestUnsignedHeaders(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/secret", "secret")
	for _, presigned := range []bool{false, true} {
		for _, h := range []string{
			"X-Amz-Copy-Source", "x-amz-copy-source", "X-Amz-Metadata-Directive", "X-Amz-Meta-A", "X-Amz-Storage-Class", "X-Amz-Tagging",
			"X-Amz-Decoded-Content-Length", "X-Amz-Trailer", "X-Amz-Security-Token", "X-Amz-Checksum-Crc32", "X-Amz-Unheard-Of",
		} {
			r := w.putRequest("/bkt/k", unsigned, presigned, []byte("content"), nil)
			r.Header.Set(h, "/bkt/secret")
			re := w.send(r)
			w.wantReply(re, 403, "AccessDenied", h)
			if !strings.Contains(re.body, "<HeadersNotSigned>"+strings.ToLower(h)+"</HeadersNotSigned>") || w.exists("bkt", "k") {
				t.Errorf("%s: %s", h, re.body)
			}
		}
	}
}

// TestPanicIsAnswered: a panic in one request is that request's, and the process stays up.
func TestPanicIsAnswered(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.calls.before = func(op string) { panic("on purpose: " + op) }
	for _, r := range everyOperation("bkt", "k", "uploadId=none") {
		if r.op.act == actNone {
			continue
		}
		req := w.request(r)
		if r.op.reads {
			req.Body = io.NopCloser(bytes.NewReader(nil))
		}
		w.signer.sign(req, emptySHA256)
		re := w.send(req)
		if re.status != 500 && re.status != 400 && re.status != 411 || strings.Contains(re.body, "purpose") {
			t.Errorf("%s: %d %s", r, re.status, re.body)
		}
	}
	w.calls.before = nil
	w.want(200, "", http.MethodPut, "/bkt/k", "x")
}
