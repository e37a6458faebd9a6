package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Signature Version 4: "Signing AWS API requests", and "Authenticating Requests" in the Amazon S3 API Reference.
const (
	algorithm    = "AWS4-HMAC-SHA256"
	serviceName  = "s3"
	terminator   = "aws4_request"
	isoBasic     = "20060102T150405Z"
	isoDay       = "20060102"
	unsigned     = "UNSIGNED-PAYLOAD"
	emptySHA256  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	maxSkew      = 15 * time.Minute
	maxSigned    = 256 // signing keys that are kept
	dummySecret  = "no key has this secret; it only costs what a real one does"
	signatureLen = 2 * sha256.Size
)

// claim is what a request says about who signed it. Nothing of it is verified.
type claim struct {
	accessKey string
	day       string // of the scope
	region    string // of the scope
	signed    []string
	signature string
	time      time.Time
	payload   string // what stands for the body in what was signed
}

func (c *claim) scope() string {
	return c.day + "/" + c.region + "/" + serviceName + "/" + terminator
}

func (c *claim) stringToSign(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return algorithm + "\n" + c.time.Format(isoBasic) + "\n" + c.scope() + "\n" + hex.EncodeToString(sum[:])
}

// canonicalRequest is what the signature covers. ok is false when a header that is listed as signed is not there.
func (c *claim) canonicalRequest(r *http.Request, path string, v query) (canonical string, ok bool) {
	var b strings.Builder
	b.Grow(512)
	b.WriteString(r.Method)
	b.WriteByte('\n')
	uriEncode(&b, path, true)
	b.WriteByte('\n')
	canonicalQuery(&b, v)
	b.WriteByte('\n')
	for _, name := range c.signed {
		values := signedValues(r, name)
		if values == nil {
			return "", false
		}
		b.WriteString(name)
		b.WriteByte(':')
		for i, value := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			foldSpaces(&b, value)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(c.signed, ";"))
	b.WriteByte('\n')
	b.WriteString(c.payload)
	return b.String(), true
}

// canonicalQuery writes the query encoded once, sorted by name, then value, without the signature.
func canonicalQuery(b *strings.Builder, v query) {
	pairs := make([]param, 0, len(v))
	for _, p := range v {
		if p.name == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, param{uriEncoded(p.name), uriEncoded(p.value)})
	}
	slices.SortFunc(pairs, func(x, y param) int {
		if d := strings.Compare(x.name, y.name); d != 0 {
			return d
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
}

// signedValues are the values of a header as the client sent it; net/http moves some of them away.
func signedValues(r *http.Request, name string) []string {
	if v := r.Header[http.CanonicalHeaderKey(name)]; v != nil {
		return v
	}
	switch {
	case name == "host":
		return []string{r.Host}
	case name == "transfer-encoding" && r.TransferEncoding != nil:
		return r.TransferEncoding
	}
	return nil
}

// foldSpaces writes a header value without outer spaces, and with one space for each inner run.
func foldSpaces(b *strings.Builder, s string) {
	s = strings.Trim(s, " \t")
	for {
		i := strings.Index(s, "  ")
		if i < 0 {
			b.WriteString(s)
			return
		}
		b.WriteString(s[:i+1])
		s = strings.TrimLeft(s[i:], " ")
	}
}

func uriEncoded(s string) string {
	if i := strings.IndexFunc(s, func(c rune) bool { return c > 0x7F || !isUnreserved(byte(c)) }); i < 0 {
		return s
	}
	var b strings.Builder
	uriEncode(&b, s, false)
	return b.String()
}

// uriEncode writes s with everything but unreserved characters, and slashes if they are kept, as %XX.
func uriEncode(b *strings.Builder, s string, keepSlash bool) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; isUnreserved(c) || keepSlash && c == '/' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// signer makes signatures and keeps the keys that verified ones were made with.
type signer struct {
	mu   sync.RWMutex // guards keys
	keys map[signingScope][]byte
}

// signingScope is all that a signing key depends on besides the secret.
type signingScope struct{ accessKey, day, region string }

func newSigner() *signer { return &signer{keys: make(map[signingScope][]byte)} }

func (c *claim) signingScope() signingScope { return signingScope{c.accessKey, c.day, c.region} }

// key returns the signing key of a claim.
func (s *signer) key(c *claim, secret string) []byte {
	s.mu.RLock()
	key := s.keys[c.signingScope()]
	s.mu.RUnlock()
	if key == nil {
		key = signingKey(secret, c.day, c.region)
	}
	return key
}

// keep keeps a signing key. It is called for claims that were verified, so that strangers cannot fill the map.
func (s *signer) keep(c *claim, key []byte) {
	s.mu.RLock()
	_, ok := s.keys[c.signingScope()]
	s.mu.RUnlock()
	if ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= maxSigned {
		clear(s.keys)
	}
	s.keys[c.signingScope()] = key
}

func signingKey(secret, day, region string) []byte {
	key := hmacSHA256([]byte("AWS4"+secret), day)
	for _, part := range []string{region, serviceName, terminator} {
		key = hmacSHA256(key, part)
	}
	return key
}

func hmacSHA256(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func hexHMAC(key []byte, data string) string { return hex.EncodeToString(hmacSHA256(key, data)) }

// sameSignature compares in constant time.
func sameSignature(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
