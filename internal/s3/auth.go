package s3

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxTold is how many bytes of what should have been signed are told to who signed something else. The answer is four times
// as long, and anybody can ask for it.
const maxTold = 8 << 10

// seal is what the rest of a verified request is verified with.
type seal struct {
	payload   string // the value of x-amz-content-sha256: a digest, or how the body comes
	key       []byte // signs chunks and trailers; nil when the request was not verified
	date      string
	scope     string
	signature string
}

// authenticate decides who asks, in this one place, before the store is asked anything and before the body is read.
func (q *request) authenticate() error {
	where, err := q.shape()
	if err != nil {
		return err
	}
	if q.s.Anonymous() {
		q.id.anybody = true
		q.seal.payload = q.payloadName()
	} else if err := q.verify(where); err != nil {
		return err
	}
	q.id.signed, q.id.presigned = where != shapeNone, where == shapeQuery
	if q.seal.payload == "" {
		q.seal.payload = unsigned
	}
	if err := checkPayloadName(q.seal.payload); err != nil {
		return err
	}
	if q.id.presigned {
		return q.unhoist()
	}
	return nil
}

// verify makes an identity of what the request claims, or refuses it.
func (q *request) verify(where shape) error {
	var c *claim
	var err error
	switch where {
	case shapeHeader:
		c, err = q.claimFromHeader(q.s.now())
	case shapeQuery:
		c, err = q.claimFromQuery(q.s.now())
	case shapeNone:
		if isForm(q.r) {
			return notImplemented.err("Header", "Content-Type") // a form bears its credentials in the body
		}
		return accessDenied.err()
	}
	if err != nil {
		return err
	}
	if q.s.cfg.StrictRegion && c.region != q.s.cfg.Region {
		return authHeaderMalformed.says("The authorization header is malformed; the region '%s' is wrong; expecting '%s'", c.region, q.s.cfg.Region).
			err("Region", q.s.cfg.Region)
	}
	if err := q.checkAllSigned(c); err != nil {
		return err
	}
	canonical, ok := c.canonicalRequest(q.r, q.path(), q.query)
	toSign := c.stringToSign(canonical)
	k, secret := q.s.keys[c.accessKey], dummySecret
	if k != nil {
		secret = k.SecretKey
	}
	key := q.s.signer.key(c, secret)
	match := sameSignature(hexHMAC(key, toSign), c.signature)
	if k == nil || !ok || !match {
		q.guess = shownKey(c.accessKey)
	}
	switch {
	case k == nil:
		return invalidAccessKey.err("AWSAccessKeyId", c.accessKey)
	case !ok || !match:
		told := []string{"AWSAccessKeyId", c.accessKey, "SignatureProvided", c.signature}
		if len(toSign)+len(canonical) <= maxTold {
			told = append(told, "StringToSign", toSign, "StringToSignBytes", spacedHex(toSign),
				"CanonicalRequest", canonical, "CanonicalRequestBytes", spacedHex(canonical))
		}
		return signatureDoesNotMatch.err(told...)
	}
	q.s.signer.keep(c, key)
	q.id.key = k
	q.seal = seal{payload: c.payload, key: key, date: c.time.Format(isoBasic), scope: c.scope(), signature: c.signature}
	return nil
}

// path is the path as it is signed: decoded once.
func (q *request) path() string {
	if q.r.URL.Path == "" {
		return "/"
	}
	return q.r.URL.Path
}

// checkAllSigned refuses headers that change what a request means and that the signature does not cover. Without this,
// whoever holds a presigned link could add a copy source to it.
func (q *request) checkAllSigned(c *claim) error {
	var loose []string
	for name := range q.r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") && !slices.Contains(c.signed, lower) {
			loose = append(loose, lower)
		}
	}
	if loose == nil {
		return nil
	}
	slices.Sort(loose)
	return accessDenied.says("There were headers present in the request which were not signed").
		err("HeadersNotSigned", strings.Join(loose, ", "))
}

// unhoist gives back their place to headers that the maker of a presigned link moved into the query. They are covered by
// the signature there. A header that is in both places is refused.
func (q *request) unhoist() error {
	for _, p := range q.query {
		name := http.CanonicalHeaderKey(p.name)
		if !strings.HasPrefix(name, "X-Amz-") || isAuthParam(name) {
			continue
		}
		if old, ok := q.r.Header[name]; ok && (len(old) != 1 || old[0] != p.value) {
			return badArgument(p.name, p.value, "The header and the query parameter of this name differ.")
		}
		if strings.ContainsFunc(p.value, func(c rune) bool { return c < ' ' || c == 0x7F }) {
			return badArgument(p.name, p.value, "Header values hold no control characters.")
		}
		if emptyChecksum(name, p.value) && q.r.ContentLength != 0 {
			continue // some SDKs presign the checksum of the empty body that they have at that time
		}
		q.r.Header[name] = []string{p.value}
	}
	if q.r.Header.Get("X-Amz-Sdk-Checksum-Algorithm") != "" {
		q.r.Header.Del("X-Amz-Sdk-Checksum-Algorithm") // it tells what the presigner would have done with a body
	}
	return nil
}

// isAuthParam says whether a header name is that of a query parameter which is part of the signature itself.
func isAuthParam(name string) bool {
	switch name {
	case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signedheaders", "X-Amz-Signature",
		"X-Amz-Content-Sha256", "X-Amz-Security-Token":
		return true
	}
	return false
}

// checkPayloadName refuses values of x-amz-content-sha256 that mean nothing.
func checkPayloadName(name string) error {
	if _, ok := streamModes[name]; ok || name == unsigned {
		return nil
	}
	if strings.HasPrefix(name, "STREAMING-AWS4-ECDSA-") {
		return notImplemented.err("Header", "x-amz-content-sha256")
	}
	if b, err := hex.DecodeString(name); err != nil || len(b) != 32 {
		return badArgument("x-amz-content-sha256", name, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
	}
	return nil
}

// spacedHex is how error documents show the bytes of what was signed.
func spacedHex(s string) string {
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		if i > 0 {
			b = append(b, ' ')
		}
		if s[i] < 0x10 {
			b = append(b, '0')
		}
		b = strconv.AppendUint(b, uint64(s[i]), 16)
	}
	return string(b)
}
