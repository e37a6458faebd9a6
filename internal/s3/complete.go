package s3

import (
	"errors"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// minPart is how small a part may be that is not the last.
const minPart = 5 << 20

// completeXML is what names the parts of an object: 10,000 of them with their checksums come to 1.7 MB.
var completeXML = document{root: "CompleteMultipartUpload", limit: 4 << 20, row: "Part", rows: object.MaxParts, flat: true}

// completedPart is a part as its client has it.
type completedPart struct {
	PartNumber        int
	ETag              string
	ChecksumCRC32     string
	ChecksumCRC32C    string
	ChecksumCRC64NVME string
	ChecksumSHA1      string
	ChecksumSHA256    string
}

// sum is the checksum in an algorithm; empty when the client did not send it.
func (p *completedPart) sum(algorithm string) string {
	switch algorithm {
	case "crc32":
		return p.ChecksumCRC32
	case "crc32c":
		return p.ChecksumCRC32C
	case "crc64nvme":
		return p.ChecksumCRC64NVME
	case "sha1":
		return p.ChecksumSHA1
	case "sha256":
		return p.ChecksumSHA256
	}
	return ""
}

// completion is a CompleteMultipartUpload in the making.
type completion struct {
	parts []completedPart
	sum   *checksum // that the object must have; nil when the client does not say
	count string    // behind the "-" of sum
	size  int64     // that the object must have; -1 when the client does not say
	refs  []object.PartRef
	opts  object.CompleteOptions
}

// completeUpload implements CompleteMultipartUpload. All that can be wrong with the request is looked for first, so that it is
// answered with its status; the work itself may take long.
func (q *request) completeUpload() error {
	if err := q.roomForUpload(); err != nil {
		return err
	}
	c, err := q.readCompletion()
	if err != nil {
		return err
	}
	_, upload, err := q.continued()
	if err != nil {
		return err
	}
	if err := c.inOrder(); err != nil {
		return err
	}
	if last := &c.parts[len(c.parts)-1]; last.PartNumber > object.MaxParts {
		return q.invalidPart(last)
	}
	give, err := q.takeUpload() // not before: who is slow to send the document keeps nobody out
	if err != nil {
		return err
	}
	defer give()
	var info object.Info
	return q.slowly(func(checked func()) (err error) {
		c.opts.Note = func(parts []object.Part) (string, error) { // not asked for an upload that is done
			kept, err := q.checkCompletion(c, upload, parts)
			if err == nil {
				checked()
			}
			return kept, err
		}
		info, err = q.s.store.Complete(q.r.Context(), q.uploadName(), c.refs, c.opts)
		if e, ok := errors.AsType[*object.PartError](err); ok {
			err = q.partError(c, e)
		}
		return q.conditionError(q.uploadError(err), "")
	}, func(x *xmlDoc) {
		writeFileHash(q.w.Header(), &info) // too late when the answer has begun
		x.root("CompleteMultipartUploadResult")
		x.elem("Location", q.location())
		x.elem("Bucket", q.bucket)
		x.elem("Key", q.key)
		x.etag(info.ETag)
		x.sum(sumOf(&info))
		x.close("CompleteMultipartUploadResult")
	})
}

// readCompletion reads what does not depend on the upload.
func (q *request) readCompletion() (*completion, error) {
	h := q.r.Header
	c := &completion{size: -1}
	var err error
	if c.sum, c.count, err = takeObjectSum(h); err != nil {
		return nil, err
	}
	if v := h.Get("X-Amz-Mp-Object-Size"); v != "" {
		if c.size, err = strconv.ParseInt(v, 10, 64); err != nil || c.size < 0 {
			return nil, badArgument("x-amz-mp-object-size", v, "The x-amz-mp-object-size header must be a number of bytes.")
		}
	}
	if c.opts.If, err = q.writeCondition(); err != nil {
		return nil, err
	}
	var list struct{ Part []completedPart }
	switch ok, err := q.readXML(completeXML, &list); {
	case err != nil:
		return nil, err
	case !ok || len(list.Part) == 0:
		return nil, malformedXML.err()
	}
	c.parts = list.Part
	return c, nil
}

// inOrder reads the numbers of the parts, which ascend.
func (c *completion) inOrder() error {
	c.refs = make([]object.PartRef, len(c.parts))
	for i := range c.parts {
		p := &c.parts[i]
		p.ETag = strings.Trim(p.ETag, `"`)
		switch {
		case p.PartNumber < 1:
			return badArgument("PartNumber", strconv.Itoa(p.PartNumber), "PartNumber must be >= 1")
		case i > 0 && p.PartNumber <= c.parts[i-1].PartNumber:
			return invalidPartOrder.err()
		}
		c.refs[i] = object.PartRef{Number: p.PartNumber, ETag: p.ETag}
	}
	return nil
}

// checkCompletion compares what the client says with the parts that came, those that it names, and returns what is kept with the
// object.
func (q *request) checkCompletion(c *completion, upload note, parts []object.Part) (string, error) {
	for i := range c.parts {
		want := &c.parts[i]
		if sum := want.sum(upload.Algorithm); sum != "" && sum != upload.shown(upload.partSum(&parts[i])).value {
			return "", q.invalidPart(want)
		}
	}
	var size int64
	for i := range parts {
		if p := &parts[i]; i < len(parts)-1 && p.Size < minPart {
			return "", entityTooSmall.err("ProposedSize", strconv.FormatInt(p.Size, 10), "MinSizeAllowed", strconv.Itoa(minPart),
				"PartNumber", strconv.Itoa(p.Number), "ETag", p.ETag())
		}
		size += parts[i].Size
	}
	if c.size >= 0 && c.size != size {
		return "", invalidRequest.says("The provided 'x-amz-mp-object-size' header value %d does not match what was computed: %d", c.size, size).err()
	}
	sum, err := upload.ofObject(parts)
	if err != nil {
		return "", err
	}
	if err := q.checkObjectSum(c.sum, c.count, upload, sum, len(parts)); err != nil {
		return "", err
	}
	if sum.Algorithm == "crc64nvme" {
		sum.Value = nil
	}
	return sum.String(), nil
}

// partError names the part that the store did not find, or found to be another one.
func (q *request) partError(c *completion, e *object.PartError) error {
	for i := range c.parts {
		if c.parts[i].PartNumber == e.Number {
			return q.invalidPart(&c.parts[i])
		}
	}
	return e
}

// invalidPart names a part that is not there, or is another one.
func (q *request) invalidPart(p *completedPart) error {
	return invalidPart.err("UploadId", q.query.get("uploadId"), "PartNumber", strconv.Itoa(p.PartNumber), "ETag", p.ETag)
}

// location is the URL of the object.
func (q *request) location() string {
	var b strings.Builder
	b.WriteString("http")
	if q.r.TLS != nil {
		b.WriteByte('s')
	}
	b.WriteString("://" + q.r.Host + "/")
	if !q.byHost {
		b.WriteString(q.bucket + "/")
	}
	uriEncode(&b, q.key, true)
	return b.String()
}
