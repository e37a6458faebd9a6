package s3

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the protocol has it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// maxUpload is the most that one PUT may bring.
const maxUpload = 5 << 30

// payload is the body of a request as it is to be stored.
type payload struct {
	// Reader yields the content, and instead of io.EOF the *apiError of the check that failed.
	io.Reader
	size int64 // announced length of the content; -1 when unknown
	// md5 and sha256 are announced digests that the payload does not check itself: whoever hashes the content anyway does.
	md5, sha256 []byte
	sum         *checksum // announced with x-amz-checksum-…; nil when none was
	checks      *checkedReader
	body        *bodyReader
}

// openPayload readies the body for reading and checks all that was said about it. Nothing is read yet.
func (q *request) openPayload() (*payload, error) {
	h := q.r.Header
	p := &payload{size: q.r.ContentLength}
	var err error
	if p.md5, err = contentMD5(h); err != nil {
		return nil, err
	}
	if p.sum, err = announcedChecksum(h); err != nil {
		return nil, err
	}
	mode, streaming := streamModes[q.seal.payload]
	p.body = &bodyReader{q: q}
	var r io.Reader = p.body
	var checks []check
	switch {
	case streaming:
		if p.size, err = decodedLength(h); err != nil {
			return nil, err
		}
		d := newChunkReader(r, mode, p.size, q.seal)
		if err := d.expectTrailer(h, p.sum); err != nil {
			return nil, err
		}
		r = d
	case h["X-Amz-Trailer"] != nil:
		return nil, invalidRequest.says("The x-amz-trailer header goes with a payload that has a trailer.").err()
	case q.seal.payload != unsigned:
		want, _ := hex.DecodeString(q.seal.payload) // it was checked with the signature
		if p.md5 == nil {
			p.sha256 = want
		} else {
			// An answer must tell which of the two was wrong, and the store does not say.
			checks = append(checks, check{sha256.New(), payloadCheck(want)})
		}
	}
	if p.size > maxUpload {
		return nil, entityTooLarge.err("ProposedSize", strconv.FormatInt(p.size, 10), "MaxSizeAllowed", strconv.FormatInt(maxUpload, 10))
	}
	if p.sum != nil {
		checks = append(checks, check{p.sum.hash, p.sum.verify})
	}
	p.checks = &checkedReader{r: r, checks: checks, size: p.size}
	p.Reader = p.checks
	return p, nil
}

// hashHere has all digests checked by the payload itself, for bodies that are not stored.
func (p *payload) hashHere() {
	if p.sha256 != nil {
		p.checks.checks = append(p.checks.checks, check{sha256.New(), payloadCheck(p.sha256)})
	}
	if p.md5 != nil {
		p.checks.checks = append(p.checks.checks, check{md5.New(), md5Check(p.md5)})
	}
	p.sha256, p.md5 = nil, nil
}

// computeSum has a checksum computed that the client did not announce. Its value is there once the payload ended.
func (p *payload) computeSum(algorithm string) *checksum {
	sum := newChecksum(algorithm)
	p.checks.checks = append(p.checks.checks, check{sum.hash, sum.keep})
	return sum
}

// storeError is what a store that was given the payload has to say, and what is wrong with the payload itself comes first: a
// client that hangs up also ends the request's context, and the store may say so before.
func (p *payload) storeError(err error) error {
	if bad := p.failed(); bad != nil {
		return bad
	}
	if errors.Is(err, object.ErrDigest) {
		return p.digestError(err)
	}
	return err
}

// contentMD5 reads a Content-MD5 header.
func contentMD5(h http.Header) ([]byte, error) {
	v, ok := h["Content-Md5"]
	if !ok {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(v[0])
	if err != nil || len(b) != 16 || len(v) > 1 {
		return nil, invalidDigest.err("Content-MD5", v[0])
	}
	return b, nil
}

// payloadCheck compares the body with what the signature covers.
func payloadCheck(want []byte) func(got []byte) error {
	return func(got []byte) error {
		if !bytes.Equal(got, want) {
			return contentSHA256Mismatch.err("ClientComputedContentSHA256", hex.EncodeToString(want),
				"S3ComputedContentSHA256", hex.EncodeToString(got))
		}
		return nil
	}
}

// failed is the error that the payload itself ended with; nil when it ended well, or did not end.
func (p *payload) failed() error {
	if e, ok := errors.AsType[*apiError](p.checks.err); ok {
		return e
	}
	return nil
}

// md5Check compares the body with Content-MD5.
func md5Check(want []byte) func(got []byte) error {
	return func(got []byte) error {
		if !bytes.Equal(got, want) {
			return badDigest.err("ExpectedDigest", base64.StdEncoding.EncodeToString(want),
				"CalculatedDigest", base64.StdEncoding.EncodeToString(got))
		}
		return nil
	}
}

// digestError tells which digest it was that the store found wrong.
func (p *payload) digestError(err error) *apiError {
	if p.sha256 != nil {
		return contentSHA256Mismatch.err("ClientComputedContentSHA256", hex.EncodeToString(p.sha256)).because(err)
	}
	return badDigest.err("ExpectedDigest", base64.StdEncoding.EncodeToString(p.md5)).because(err)
}

// check is a digest of the content and what it is told to at the end.
type check struct {
	hash.Hash
	verify func(got []byte) error
}

// checkedReader passes content on and, when it ends, checks its length and digests.
type checkedReader struct {
	r      io.Reader
	checks []check
	size   int64 // announced; -1 when unknown
	n      int64
	err    error // the end, once it is known
}

// Read implements io.Reader.
func (c *checkedReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	for _, k := range c.checks {
		k.Write(p[:n])
	}
	switch {
	case c.n > maxUpload:
		c.err = entityTooLarge.err("MaxSizeAllowed", strconv.FormatInt(maxUpload, 10))
	case errors.Is(err, io.EOF):
		c.err = c.finish()
	default:
		c.err = err
	}
	return n, c.err
}

func (c *checkedReader) finish() error {
	if c.size >= 0 && c.n != c.size {
		return incompleteBody.err()
	}
	for _, k := range c.checks {
		if err := k.verify(k.Sum(nil)); err != nil {
			return err
		}
	}
	return io.EOF
}

// withoutAWSChunked takes the token "aws-chunked" out of a Content-Encoding: it names the framing, not the content.
func withoutAWSChunked(encoding string) string {
	if !strings.Contains(strings.ToLower(encoding), "aws-chunked") {
		return encoding
	}
	var kept []string
	for token := range strings.SplitSeq(encoding, ",") {
		if token = strings.TrimSpace(token); token != "" && !strings.EqualFold(token, "aws-chunked") {
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, ", ")
}
