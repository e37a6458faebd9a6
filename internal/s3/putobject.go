package s3

import (
	"encoding/base64"
	"errors"
	"net/http"

	"hugbucket/internal/object"
)

// putObject implements PutObject.
func (q *request) putObject() error {
	h := q.r.Header
	if q.r.ContentLength == 0 && h["Content-Length"] == nil && q.r.TransferEncoding == nil && q.r.ProtoMajor == 1 {
		return missingLength.err()
	}
	select {
	case q.s.uploads <- struct{}{}:
		defer func() { <-q.s.uploads }()
	default:
		return slowDown.err().with("Retry-After", "1")
	}
	attrs, err := readAttrs(h)
	if err != nil {
		return err
	}
	cond, err := q.writeCondition()
	if err != nil {
		return err
	}
	p, err := q.openPayload()
	if err != nil {
		return err
	}
	info, err := q.s.store.Put(q.r.Context(), q.bucket, q.key, p, object.PutOptions{
		Attrs: attrs, If: cond, Size: max(p.size, 0), Sized: p.size >= 0,
		MD5: p.md5, SHA256: p.sha256, WantSHA256: p.sum != nil && p.sum.name == "sha256",
	})
	q.moved = p.checks.n
	if bad := p.failed(); bad != nil {
		return bad // a client that hangs up also ends the request's context, and the store may say so first
	}
	if errors.Is(err, object.ErrDigest) {
		return p.digestError(err)
	}
	if err != nil {
		return q.conditionError(err, "")
	}
	out := q.w.Header()
	out["ETag"] = []string{`"` + info.ETag + `"`}
	if p.sum != nil {
		out[checksumPrefix+p.sum.name] = []string{base64.StdEncoding.EncodeToString(p.sum.want)}
		out["x-amz-checksum-type"] = []string{fullObject}
	} else {
		writeChecksums(out, object.Digests{CRC64NVME: info.Digests.CRC64NVME})
	}
	q.send(http.StatusOK)
	return nil
}
