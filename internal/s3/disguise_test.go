package s3

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// disguise is one way to ask without the right to: it signs, or does not sign, a request that is complete.
type disguise struct {
	name   string
	status int
	code   string
	sign   func(w *world, r *http.Request)
}

// editAuthorization signs and then replaces something in the Authorization header.
func editAuthorization(old, replacement string) func(*world, *http.Request) {
	return func(w *world, r *http.Request) {
		w.signer.sign(r, emptySHA256)
		v := r.Header.Get("Authorization")
		if !strings.Contains(v, old) {
			w.t.Errorf("there is no %q in %q", old, v)
		}
		r.Header.Set("Authorization", strings.Replace(v, old, replacement, 1))
	}
}

// editQuery presigns and then replaces something in the query.
func editQuery(old, replacement string) func(*world, *http.Request) {
	return func(w *world, r *http.Request) {
		w.signer.presign(r, 600, unsigned)
		if !strings.Contains(r.URL.RawQuery, old) {
			w.t.Errorf("there is no %q in %q", old, r.URL.RawQuery)
		}
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, old, replacement, 1)
	}
}

// signedBy signs in the header, and presignedBy in the query, with a signer that is a little wrong.
func signedBy(change func(*testSigner)) func(*world, *http.Request) {
	return func(w *world, r *http.Request) {
		s := w.signer
		change(&s)
		s.sign(r, emptySHA256)
	}
}

func presignedBy(expires int, change func(*testSigner)) func(*world, *http.Request) {
	return func(w *world, r *http.Request) {
		s := w.signer
		change(&s)
		s.presign(r, expires, unsigned)
	}
}

// after signs well and changes the request then.
func after(change func(*http.Request)) func(*world, *http.Request) {
	return func(w *world, r *http.Request) {
		w.signer.sign(r, emptySHA256)
		change(r)
	}
}

// framed announces a streaming payload, with a body, under a signature that is junk.
func framed(mode string, sign func(*world, *http.Request)) func(*world, *http.Request) {
	return func(w *world, r *http.Request) {
		r.Header.Set("X-Amz-Decoded-Content-Length", "1")
		r.Header.Set("X-Amz-Content-Sha256", mode)
		sign(w, r)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			body := []byte("1\r\nx\r\n0\r\n\r\n")
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
	}
}

var (
	wrongSecret = func(s *testSigner) { s.secret = "another secret" }
	emptySecret = func(s *testSigner) { s.secret = "" }
	unknownKey  = func(s *testSigner) { s.access = "AKNOBODY" }
	junkQuery   = func(w *world, r *http.Request) {
		s := w.signer
		s.secret = "another secret"
		s.presign(r, 600, r.Header.Get("X-Amz-Content-Sha256"))
	}
)

func signedAt(d time.Duration) func(*testSigner) { return func(s *testSigner) { s.now = s.now.Add(d) } }

const (
	signedNotMatching = "SignatureDoesNotMatch"
	malformedHeader   = "AuthorizationHeaderMalformed"
	malformedQuery    = "AuthorizationQueryParametersError"
)

// disguises are all of them. The door that they are tried on pins its region.
var disguises = []disguise{
	{"none", 403, "AccessDenied", func(*world, *http.Request) {}},
	{"wrong secret", 403, signedNotMatching, signedBy(wrongSecret)},
	{"empty secret", 403, signedNotMatching, signedBy(emptySecret)},
	{"unknown key", 403, "InvalidAccessKeyId", signedBy(unknownKey)},
	{"unknown key, empty secret", 403, "InvalidAccessKeyId", signedBy(func(s *testSigner) { unknownKey(s); emptySecret(s) })},
	{"unknown key, the secret that stands in for its own", 403, "InvalidAccessKeyId", signedBy(func(s *testSigner) { unknownKey(s); s.secret = dummySecret })},
	{"old", 403, "RequestTimeTooSkewed", signedBy(signedAt(-16 * time.Minute))},
	{"of tomorrow", 403, "RequestTimeTooSkewed", signedBy(signedAt(16 * time.Minute))},
	{"other region", 400, malformedHeader, signedBy(func(s *testSigner) { s.region = "eu-west-1" })},
	{"other service", 400, malformedHeader, editAuthorization("/s3/", "/sts/")},
	{"other terminator", 400, malformedHeader, editAuthorization("aws4_request", "aws4")},
	{"other day", 400, malformedHeader, editAuthorization("/20260314/", "/20260313/")},
	{"longer scope", 400, malformedHeader, editAuthorization("/aws4_request", "/aws4_request/x")},
	{"no host", 400, malformedHeader, editAuthorization("host;", "")},
	{"host twice", 400, malformedHeader, editAuthorization("host;", "host;host;")},
	{"header that is not there", 403, signedNotMatching, editAuthorization("host;", "host;range;")},
	{"no signature", 400, malformedHeader, editAuthorization("Signature=", "Sig=")},
	{"empty signature", 400, malformedHeader, func(w *world, r *http.Request) {
		r.Header.Set("Authorization", regexp.MustCompile("Signature=.*").ReplaceAllString(authorizationOf(w, r), "Signature="))
	}},
	{"signature of zeros", 403, signedNotMatching, func(w *world, r *http.Request) {
		r.Header.Set("Authorization", regexp.MustCompile("Signature=.*").ReplaceAllString(authorizationOf(w, r), "Signature="+strings.Repeat("0", 64)))
	}},
	{"signature in upper case", 403, signedNotMatching, func(w *world, r *http.Request) {
		head, sig, _ := strings.Cut(authorizationOf(w, r), "Signature=")
		r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(sig))
	}},
	{"empty header", 400, "InvalidArgument", func(_ *world, r *http.Request) { r.Header.Set("Authorization", "") }},
	{"bearer", 400, "InvalidArgument", func(_ *world, r *http.Request) { r.Header.Set("Authorization", "Bearer e30.e30.") }},
	{"basic", 400, "InvalidArgument", func(_ *world, r *http.Request) { r.SetBasicAuth(testAccess, testSecret) }},
	{"version 2", 400, "InvalidRequest", func(_ *world, r *http.Request) { r.Header.Set("Authorization", "AWS "+testAccess+":c2ln") }},
	{"version 2 in the query", 400, "InvalidRequest", withQuery("AWSAccessKeyId=" + testAccess + "&Signature=x&Expires=9999999999")},
	{"version 4a", 501, "NotImplemented", editAuthorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")},
	{"two headers", 400, "InvalidArgument", after(func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) })},
	{"both header and query", 400, "InvalidArgument", func(w *world, r *http.Request) {
		w.signer.presign(r, 600, unsigned)
		w.signer.sign(r, unsigned)
	}},
	{"a header and half a query", 400, "InvalidArgument", func(w *world, r *http.Request) {
		withQuery("X-Amz-Credential=x")(w, r)
		w.signer.sign(r, unsigned)
	}},
	{"other method", 403, signedNotMatching, func(w *world, r *http.Request) {
		method := r.Method
		r.Method = http.MethodOptions
		w.signer.sign(r, emptySHA256)
		r.Method = method
	}},
	{"other host", 403, signedNotMatching, after(func(r *http.Request) { r.Host = "elsewhere.example" })},
	{"query added", 403, signedNotMatching, func(w *world, r *http.Request) {
		w.signer.sign(r, emptySHA256)
		withQuery("x-id=Other")(w, r)
	}},
	{"header added", 403, "AccessDenied", after(func(r *http.Request) { r.Header.Set("X-Amz-Acl", "private") })},
	{"owner added", 403, "AccessDenied", after(func(r *http.Request) { r.Header.Set("X-Amz-Expected-Bucket-Owner", "default") })},
	{"payload changed", 403, signedNotMatching, after(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", unsigned) })},
	{"no date", 403, "AccessDenied", after(func(r *http.Request) { r.Header.Del("X-Amz-Date") })},
	{"user and password in the URL", 400, "InvalidArgument", func(_ *world, r *http.Request) {
		r.Header.Set("Authorization", "Digest username="+testAccess)
	}},
	{"trusted proxy", 403, "AccessDenied", func(_ *world, r *http.Request) {
		for _, h := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Forwarded-User", "Remote-User"} {
			r.Header.Set(h, "127.0.0.1")
		}
	}},
	{"cookie", 403, "AccessDenied", func(_ *world, r *http.Request) { r.Header.Set("Cookie", "token="+testAccess) }},

	{"presigned, wrong secret", 403, signedNotMatching, presignedBy(600, wrongSecret)},
	{"presigned, empty secret", 403, signedNotMatching, presignedBy(600, emptySecret)},
	{"presigned, unknown key", 403, "InvalidAccessKeyId", presignedBy(600, unknownKey)},
	{"presigned, expired", 403, "AccessDenied", presignedBy(600, signedAt(-601*time.Second))},
	{"presigned, not yet", 403, "AccessDenied", presignedBy(6000, signedAt(16*time.Minute))},
	{"presigned for 0 s", 400, malformedQuery, presignedBy(0, func(*testSigner) {})},
	{"presigned for -1 s", 400, malformedQuery, presignedBy(-1, func(*testSigner) {})},
	{"presigned for more than a week", 400, malformedQuery, presignedBy(604801, func(*testSigner) {})},
	{"presigned, longer", 403, signedNotMatching, editQuery("X-Amz-Expires=600", "X-Amz-Expires=601")},
	{"presigned, two ends", 400, malformedQuery, editQuery("X-Amz-Expires=600", "X-Amz-Expires=600&X-Amz-Expires=700")},
	{"presigned, other region", 400, malformedHeader, presignedBy(600, func(s *testSigner) { s.region = "eu-west-1" })},
	{"presigned, other service", 400, malformedQuery, editQuery("%2Fs3%2F", "%2Fsts%2F")},
	{"presigned, other day", 400, malformedQuery, editQuery("%2F20260314%2F", "%2F20260313%2F")},
	{"presigned, other algorithm", 400, malformedQuery, editQuery("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1")},
	{"presigned, no host", 400, malformedQuery, editQuery("SignedHeaders=host", "SignedHeaders=range")},
	{"presigned, no signature", 400, malformedQuery, editQuery("X-Amz-Signature=", "Signature=")},
	{"presigned, no credential", 400, malformedQuery, editQuery("X-Amz-Credential=", "Credential=")},
	{"presigned, no date", 400, malformedQuery, editQuery("X-Amz-Date=", "Date=")},
	{"presigned, header added", 403, "AccessDenied", func(w *world, r *http.Request) {
		w.signer.presign(r, 600, unsigned)
		r.Header.Set("X-Amz-Meta-Added", "x")
	}},
	{"presigned, copy source hoisted afterwards", 403, signedNotMatching, func(w *world, r *http.Request) {
		w.signer.presign(r, 600, unsigned)
		withQuery("X-Amz-Copy-Source=%2Fbkt%2Fthere")(w, r)
	}},
	{"presigned in lower case", 403, "AccessDenied", func(w *world, r *http.Request) {
		w.signer.presign(r, 600, unsigned)
		r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "X-Amz-", "x-amz-")
	}},

	{"unsigned trailer, wrong secret", 403, signedNotMatching, framed("STREAMING-UNSIGNED-PAYLOAD-TRAILER", func(w *world, r *http.Request) {
		s := w.signer
		s.secret = "another secret"
		s.sign(r, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	})},
	{"unsigned trailer, junk in the query", 403, signedNotMatching, framed("STREAMING-UNSIGNED-PAYLOAD-TRAILER", junkQuery)},
	{"signed chunks, junk in the query", 403, signedNotMatching, framed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", junkQuery)},
	{"signed chunks and trailer, junk in the query", 403, signedNotMatching, framed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", junkQuery)},
	{"unsigned trailer, nobody", 403, "AccessDenied", framed("STREAMING-UNSIGNED-PAYLOAD-TRAILER", func(*world, *http.Request) {})},
	{"unsigned payload, nobody", 403, "AccessDenied", func(_ *world, r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", unsigned) }},
	{"junk payload", 400, "InvalidArgument", func(w *world, r *http.Request) { w.signer.sign(r, "junk") }},
	{"payload of version 4a", 501, "NotImplemented", func(w *world, r *http.Request) { w.signer.sign(r, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD") }},
}

func withQuery(more string) func(*world, *http.Request) {
	return func(_ *world, r *http.Request) {
		if r.URL.RawQuery != "" {
			more = r.URL.RawQuery + "&" + more
		}
		r.URL.RawQuery = more
	}
}

func authorizationOf(w *world, r *http.Request) string {
	w.signer.sign(r, emptySHA256)
	return r.Header.Get("Authorization")
}
