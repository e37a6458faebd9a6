package s3

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// partNumber reads the number of a part from the query.
func (q *request) partNumber() (int, error) {
	v := q.query.get("partNumber")
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > object.MaxParts || !isDigits(v) {
		return 0, badArgument("partNumber", v, "Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}

// ofPart reads which part a request is about, and finds its upload, which is not done.
func (q *request) ofPart() (int, note, error) {
	if !q.query.has("uploadId") {
		return 0, note{}, badArgument("uploadId", "", "A part number goes with an upload ID.")
	}
	number, err := q.partNumber()
	if err != nil {
		return 0, note{}, err
	}
	u, n, err := q.continued()
	return number, n, q.mustBeOpen(u, err)
}

// uploadPart implements UploadPart.
func (q *request) uploadPart() error {
	if err := q.needLength(); err != nil {
		return err
	}
	if err := q.roomForUpload(); err != nil {
		return err
	}
	number, upload, err := q.ofPart()
	if err != nil {
		return err
	}
	p, err := q.openPayload()
	if err != nil {
		return err
	}
	sum := p.sum
	switch {
	case sum != nil && upload.Algorithm != "" && sum.name != upload.Algorithm:
		return sumMismatch(upload.Algorithm, sum.name)
	case sum == nil && upload.Algorithm != "" && upload.Algorithm != "crc64nvme":
		sum = p.computeSum(upload.Algorithm) // the object's is made of it
	}
	give, err := q.takeUploadFor(p)
	if err != nil {
		return err
	}
	defer give()
	part, err := q.s.store.PutPart(q.r.Context(), q.uploadName(), number, p, object.PartOptions{
		Size: max(p.size, 0), Sized: p.size >= 0, MD5: p.md5, SHA256: p.sha256,
		Note: func() string { return keepSum(sum) },
	})
	q.moved = p.checks.n
	if err := p.storeError(err); err != nil {
		return q.uploadError(err)
	}
	h := q.w.Header()
	h["ETag"] = []string{`"` + part.ETag() + `"`}
	shown, value := note{Algorithm: "crc64nvme", Type: fullObject}, part.Digests.CRC64NVME
	if sum != nil {
		shown.Algorithm, value = sum.name, sum.want
	}
	if upload.Type != "" {
		shown.Type = upload.Type
	}
	shown.shown(value).headers(h)
	q.send(http.StatusOK)
	return nil
}

// uploadPartCopy implements UploadPartCopy.
func (q *request) uploadPartCopy() error {
	if err := q.refuseBody(copyHasNoBody); err != nil {
		return err
	}
	if err := q.roomForUpload(); err != nil {
		return err
	}
	bucket, key, err := q.copySource()
	if err != nil {
		return err
	}
	number, upload, err := q.ofPart()
	if err != nil {
		return err
	}
	opts := object.CopyPartOptions{FromBucket: bucket, FromKey: key, FromIf: readCondition(q.r.Header, copySourcePrefix, q.s.now())}
	if opts.Off, opts.Len, err = q.copyRange(); err != nil {
		return err
	}
	if upload.Algorithm != "" && upload.Algorithm != "crc64nvme" {
		sum := newChecksum(upload.Algorithm)
		opts.Also = sum.hash
		opts.Note = func(object.Part) string {
			sum.want = sum.hash.Sum(nil)
			return keepSum(sum)
		}
	}
	give, err := q.takeUpload()
	if err != nil {
		return err
	}
	defer give()
	var part object.Part
	return q.slowly(func(checked func()) (err error) {
		checked() // its MD5 may have to be read
		part, err = q.s.store.CopyPart(q.r.Context(), q.uploadName(), number, opts)
		if e, ok := errors.AsType[*object.InvalidError](err); ok && e.Field == "range" {
			// Amazon says InvalidArgument, as of a range that is none, and others this.
			return invalidRange.says("Range specified is not valid for source object: %s", e.Rule).
				err("RangeRequested", q.r.Header.Get(copyRangeHeader)).because(err)
		}
		return q.conditionError(q.uploadError(err), copySourcePrefix)
	}, func(x *xmlDoc) {
		x.root("CopyPartResult")
		x.time("LastModified", part.ModTime)
		x.etag(part.ETag())
		x.sumValue(upload.shown(upload.partSum(&part)))
		x.close("CopyPartResult")
	})
}

// copyRangeHeader names the bytes of a source that become a part.
const copyRangeHeader = "x-amz-copy-source-range"

// copyRange reads it. Without the header it is all of the source, and n negative.
func (q *request) copyRange() (off, n int64, err error) {
	v := q.r.Header.Get(copyRangeHeader)
	if v == "" {
		return 0, -1, nil
	}
	spec, isBytes := strings.CutPrefix(v, "bytes=")
	first, last, isRange := strings.Cut(spec, "-")
	from, to := parseOffset(first), parseOffset(last)
	if !isBytes || !isRange || first == "" || last == "" || !isDigits(first) || !isDigits(last) || from > to || to == math.MaxInt64 {
		return 0, 0, badArgument(copyRangeHeader, v, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	return from, to - from + 1, nil
}
