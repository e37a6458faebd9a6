package s3

import (
	"errors"
	"io/fs"
	"net/http"

	"hugbucket/internal/object"
)

// putObject implements PutObject.
func (q *request) putObject() error {
	if err := q.needLength(); err != nil {
		return err
	}
	if err := q.roomForUpload(); err != nil {
		return err
	}
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
	if err := q.checkBeforeBody(cond); err != nil {
		return err
	}
	give, err := q.takeUploadFor(p)
	if err != nil {
		return err
	}
	defer give()
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

// checkBeforeBody spares a client that waits for "100 Continue" a body that could not be stored. Many that have been told to go
// on do not look for an answer before they have sent all of it.
func (q *request) checkBeforeBody(cond object.Condition) error {
	if cond.IsZero() || !q.expectsContinue() {
		return nil
	}
	info, err := q.s.store.Stat(q.r.Context(), q.bucket, q.key)
	switch {
	case err == nil:
		err = cond.Check(&info)
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, object.ErrNoBucket):
		err = cond.Check(nil)
	}
	return q.conditionError(err, "")
}

// needLength refuses an upload of which neither the length nor an end is announced.
func (q *request) needLength() error {
	if q.r.ContentLength == 0 && q.r.Header["Content-Length"] == nil && q.r.TransferEncoding == nil && q.r.ProtoMajor == 1 {
		return missingLength.err()
	}
	return nil
}
