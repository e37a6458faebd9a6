package s3

import (
	"net/http"

	"hugbucket/internal/object"
)

// putObject implements PutObject.
func (q *request) putObject() error {
	if err := q.needLength(); err != nil {
		return err
	}
	give, err := q.takeUpload()
	if err != nil {
		return err
	}
	defer give()
	attrs, err := readAttrs(q.r.Header)
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
		Attrs: attrs, If: cond, Size: max(p.size, 0), Sized: p.size >= 0, MD5: p.md5, SHA256: p.sha256,
		Note: func() string { return keepSum(p.sum) },
	})
	q.moved = p.checks.n
	if err := p.storeError(err); err != nil {
		return q.conditionError(err, "")
	}
	h := q.w.Header()
	h["ETag"] = []string{`"` + info.ETag + `"`}
	sumOf(&info).headers(h)
	writeFileHash(h, &info)
	q.send(http.StatusOK)
	return nil
}

// needLength refuses an upload of which neither the length nor an end is announced.
func (q *request) needLength() error {
	if q.r.ContentLength == 0 && q.r.Header["Content-Length"] == nil && q.r.TransferEncoding == nil && q.r.ProtoMajor == 1 {
		return missingLength.err()
	}
	return nil
}
