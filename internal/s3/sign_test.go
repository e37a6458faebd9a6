package s3

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

// The signer below is a client's, written from the specification and apart from the door's own code.

func testMAC(key []byte, s string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(s))
	return m.Sum(nil)
}

func testHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// testEncode is the encoding of names and values in canonical requests.
func testEncode(s string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
}

// testSigner signs requests as a client does.
type testSigner struct {
	access, secret, region string
	now                    time.Time
	made                   func(signature string) // told every signature; may be nil
}

func (s testSigner) date() string  { return s.now.UTC().Format("20060102T150405Z") }
func (s testSigner) scope() string { return s.date()[:8] + "/" + s.region + "/s3/aws4_request" }

func (s testSigner) key() []byte {
	k := testMAC([]byte("AWS4"+s.secret), s.date()[:8])
	for p := range strings.SplitSeq(s.region+"/s3/aws4_request", "/") {
		k = testMAC(k, p)
	}
	return k
}

// signature signs a request whose headers are complete. names are the headers to be signed beside host.
func (s testSigner) signature(r *http.Request, names []string, payload string) (signed, signature string) {
	names = append([]string{"host"}, names...)
	sort.Strings(names)
	var headers strings.Builder
	for _, n := range names {
		v := r.Host
		if n != "host" {
			v = strings.Join(r.Header[http.CanonicalHeaderKey(n)], ",")
		}
		fmt.Fprintf(&headers, "%s:%s\n", n, strings.Join(strings.Fields(v), " "))
	}
	var pairs []string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name)
		value, _ = url.QueryUnescape(value)
		pairs = append(pairs, testEncode(name)+"="+testEncode(value))
	}
	sort.Strings(pairs)
	path := strings.ReplaceAll(testEncode(r.URL.Path), "%2F", "/")
	signed = strings.Join(names, ";")
	canonical := strings.Join([]string{r.Method, path, strings.Join(pairs, "&"), headers.String(), signed, payload}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", s.date(), s.scope(), testHash(canonical)}, "\n")
	signature = hex.EncodeToString(testMAC(s.key(), toSign))
	s.tell(signature)
	return signed, signature
}

// tell has a signature looked for in the log.
func (s testSigner) tell(signature string) {
	if s.made != nil {
		s.made(signature)
	}
}

// sign adds an Authorization header that covers all x-amz-* headers, and returns the signature.
func (s testSigner) sign(r *http.Request, payload string) string {
	r.Header.Set("X-Amz-Date", s.date())
	r.Header.Set("X-Amz-Content-Sha256", payload)
	signed, sig := s.signature(r, amzHeaders(r), payload)
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		s.access, s.scope(), signed, sig))
	return sig
}

// presign puts the signature into the query, and returns it.
func (s testSigner) presign(r *http.Request, expires int, payload string) string {
	names := amzHeaders(r)
	signed := strings.Join(append([]string{"host"}, names...), ";")
	q := r.URL.RawQuery
	if q != "" {
		q += "&"
	}
	q += "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + testEncode(s.access+"/"+s.scope()) + "&X-Amz-Date=" + s.date() +
		fmt.Sprintf("&X-Amz-Expires=%d&X-Amz-SignedHeaders=%s", expires, testEncode(signed))
	r.URL.RawQuery = q
	_, sig := s.signature(r, names, payload)
	r.URL.RawQuery += "&X-Amz-Signature=" + sig
	return sig
}

func amzHeaders(r *http.Request) []string {
	var names []string
	for n := range r.Header {
		if n = strings.ToLower(n); strings.HasPrefix(n, "x-amz-") {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	return names
}

// frame is a body in aws-chunked framing as a client makes it.
type frame struct {
	chunk   int         // bytes of content in a chunk
	signer  *testSigner // nil: chunks are not signed
	seed    string      // signature of the request
	trailer string      // "name:value", or empty
	newline bool        // end the trailer's line as some clients do
}

func (f frame) encode(content []byte) []byte {
	var out bytes.Buffer
	prev := f.seed
	put := func(data []byte) {
		fmt.Fprintf(&out, "%x", len(data))
		if f.signer != nil {
			prev = hex.EncodeToString(testMAC(f.signer.key(), strings.Join([]string{
				"AWS4-HMAC-SHA256-PAYLOAD", f.signer.date(), f.signer.scope(), prev, testHash(""), testHash(string(data)),
			}, "\n")))
			f.signer.tell(prev)
			out.WriteString(";chunk-signature=" + prev)
		}
		out.WriteString("\r\n")
		out.Write(data)
		if len(data) > 0 {
			out.WriteString("\r\n")
		}
	}
	for len(content) > 0 {
		n := min(f.chunk, len(content))
		put(content[:n])
		content = content[n:]
	}
	put(nil)
	if f.trailer != "" {
		out.WriteString(f.trailer)
		if f.newline {
			out.WriteString("\n")
		}
		out.WriteString("\r\n")
		if f.signer != nil {
			sig := hex.EncodeToString(testMAC(f.signer.key(), strings.Join([]string{
				"AWS4-HMAC-SHA256-TRAILER", f.signer.date(), f.signer.scope(), prev, testHash(f.trailer + "\n"),
			}, "\n")))
			f.signer.tell(sig)
			out.WriteString("x-amz-trailer-signature:" + sig + "\r\n")
		}
	}
	out.WriteString("\r\n")
	return out.Bytes()
}
