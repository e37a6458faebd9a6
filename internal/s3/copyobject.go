package s3

import (
	"errors"
	"io"
	"strings"

	"hugbucket/internal/object"
)

// copySourcePrefix begins the names of the conditional headers that are about the source.
const copySourcePrefix = "X-Amz-Copy-Source-"

// copyObject implements CopyObject. It moves no data, so there is no limit on the size.
func (q *request) copyObject() error {
	h := q.r.Header
	if err := q.refuseBody(copyHasNoBody); err != nil {
		return err
	}
	bucket, key, err := parseCopySource(h.Get("X-Amz-Copy-Source"))
	if err != nil {
		return err
	}
	opts := object.CopyOptions{FromBucket: bucket, FromKey: key, ToBucket: q.bucket, ToKey: q.key}
	switch d := h.Get("X-Amz-Metadata-Directive"); d {
	case "", "COPY":
		if bucket == q.bucket && key == q.key && h.Get("X-Amz-Storage-Class") == "" {
			return invalidRequest.says("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.").err()
		}
	case "REPLACE":
		attrs, err := readAttrs(h)
		if err != nil {
			return err
		}
		opts.Attrs = &attrs
	default:
		return badArgument("x-amz-metadata-directive", d, "Unknown metadata directive.")
	}
	if err := q.authoriseSource(bucket, key); err != nil {
		return err
	}
	opts.FromIf = readCondition(h, copySourcePrefix, q.s.now())
	if opts.If, err = q.writeCondition(); err != nil {
		return err
	}
	info, err := q.s.store.Copy(q.r.Context(), opts)
	if err != nil {
		prefix := ""
		if isOfSource(err) {
			prefix = copySourcePrefix
		}
		return q.conditionError(err, prefix)
	}
	writeFileHash(q.w.Header(), &info)
	x := newXML()
	x.root("CopyObjectResult")
	x.time("LastModified", info.ModTime)
	x.etag(info.ETag)
	sum := sumOf(&info)
	if h["X-Amz-Checksum-Algorithm"] != nil { // it is CRC64NVME, which is known also where the source has another one
		sum = sumOf(&object.Info{Digests: info.Digests})
	}
	x.sum(sum)
	x.close("CopyObjectResult")
	return q.sendXML(x)
}

// isOfSource says whether an error of a copy is about its source.
func isOfSource(err error) bool {
	for e, ok := errors.AsType[*object.Error](err); ok; e, ok = errors.AsType[*object.Error](e.Err) {
		if e.Op == "copy from" {
			return true
		}
	}
	return false
}

// copySource is the source of a copy, which the request may read.
func (q *request) copySource() (bucket, key string, err error) {
	if bucket, key, err = parseCopySource(q.r.Header.Get("X-Amz-Copy-Source")); err != nil {
		return "", "", err
	}
	return bucket, key, q.authoriseSource(bucket, key)
}

// authoriseSource decides on reading the source of a copy.
func (q *request) authoriseSource(bucket, key string) error {
	if err := q.authorise(actRead, bucket, key); err != nil {
		return err
	}
	return q.expectOwner("X-Amz-Source-Expected-Bucket-Owner")
}

const copyHasNoBody = "A copy takes its content from x-amz-copy-source and has no body."

// refuseBody refuses a request that brings content where none is wanted: it would be thought to be stored. why is for the
// client.
func (q *request) refuseBody(why string) error {
	n := q.r.ContentLength
	if n < 0 {
		got, err := io.ReadFull(&bodyReader{q: q}, make([]byte, 1))
		if n = int64(got); got == 0 && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if n != 0 {
		return invalidRequest.says("%s", why).err()
	}
	return nil
}

// parseCopySource reads x-amz-copy-source: [/]bucket/key, decoded once before it is split, with an optional versionId.
func parseCopySource(s string) (bucket, key string, err error) {
	bad := badArgument("x-amz-copy-source", s, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	path, version, versioned := strings.Cut(s, "?versionId=")
	if versioned && version != "null" {
		return "", "", notImplemented.err("Header", "x-amz-copy-source")
	}
	if strings.HasPrefix(path, "arn:") {
		return "", "", notImplemented.err("Header", "x-amz-copy-source")
	}
	path, ok := unescapePath(path)
	if !ok {
		return "", "", bad
	}
	bucket, key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if object.ValidBucket(bucket) != nil || object.ValidKey(key) != nil {
		return "", "", bad
	}
	return bucket, key, nil
}
