package s3

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// createUpload implements CreateMultipartUpload.
func (q *request) createUpload() error {
	h := q.r.Header
	if err := q.refuseBody("A multipart upload gets its content in parts."); err != nil {
		return err
	}
	attrs, err := readAttrs(h)
	if err != nil {
		return err
	}
	n, err := newUploadNote(h)
	if err != nil {
		return err
	}
	ctx := q.r.Context()
	if !q.id.can(actOverwrite) {
		// Completing would be refused: better now than after the parts.
		switch _, err := q.s.store.Stat(ctx, q.bucket, q.key); {
		case err == nil:
			return accessDenied.err()
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if q.id.key != nil {
		n.By = q.id.key.AccessKey
	}
	u, err := q.s.store.CreateUpload(ctx, q.bucket, q.key, object.UploadOptions{Attrs: attrs, Note: n.String()})
	if err != nil {
		return err
	}
	if n.Algorithm != "" {
		out := q.w.Header()
		out["x-amz-checksum-algorithm"] = []string{strings.ToUpper(n.Algorithm)}
		out["x-amz-checksum-type"] = []string{n.Type}
	}
	x := newXML()
	x.root("InitiateMultipartUploadResult")
	x.elem("Bucket", q.bucket)
	x.elem("Key", q.key)
	x.elem("UploadId", u.ID)
	x.close("InitiateMultipartUploadResult")
	return q.sendXML(x)
}

// newUploadNote reads which checksum an upload is to have, of its parts and of the object.
func newUploadNote(h http.Header) (note, error) {
	kind := strings.ToUpper(h.Get("X-Amz-Checksum-Type"))
	if h["X-Amz-Checksum-Algorithm"] == nil {
		if kind != "" {
			return note{}, invalidRequest.says("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.").err()
		}
		return note{}, nil
	}
	n := note{Algorithm: strings.ToLower(h.Get("X-Amz-Checksum-Algorithm")), Type: kind}
	if newChecksum(n.Algorithm) == nil {
		return note{}, unknownHeader("x-amz-checksum-algorithm")
	}
	possible := []string{composite, fullObject} // the first is the default
	switch {
	case n.Algorithm == "crc64nvme":
		possible = []string{fullObject}
	case crcs[n.Algorithm] == 0:
		possible = []string{composite}
	}
	switch kind {
	case "":
		n.Type = possible[0]
	case possible[0], possible[len(possible)-1]:
	case composite, fullObject:
		return note{}, invalidRequest.says("The %s checksum type cannot be used with the %s checksum algorithm.", kind, n.Algorithm).err()
	default:
		return note{}, invalidRequest.says("Value for x-amz-checksum-type header is invalid.").err()
	}
	return n, nil
}

// uploadName is the upload that the query names.
func (q *request) uploadName() object.UploadName {
	return object.UploadName{Bucket: q.bucket, Key: q.key, ID: q.query.get("uploadId")}
}

// findUpload finds the upload that the query names, done or not.
func (q *request) findUpload() (object.Upload, note, error) {
	u, err := q.s.store.Upload(q.r.Context(), q.uploadName())
	if err != nil {
		return object.Upload{}, note{}, q.uploadError(err)
	}
	return u, parseNote(u.Note), nil
}

// ownUpload is findUpload for a request that changes it. A key that may only add gets at the uploads that it began itself,
// and learns nothing of others: to replace or drop the parts of somebody else would take something away.
func (q *request) ownUpload() (object.Upload, note, error) {
	u, n, err := q.findUpload()
	if err == nil && !q.id.can(actOverwrite) && n.By != q.id.key.AccessKey {
		err = q.uploadError(object.ErrNoUpload)
	}
	return u, n, err
}

// continued is ownUpload for a request that adds to it or completes it. That is for the door that has begun it: clients take the one
// open upload of their key for their own (s3cmd --continue-put), and would give its type to their object, or lose that with it.
func (q *request) continued() (object.Upload, note, error) {
	u, n, err := q.ownUpload()
	if err == nil && !ownNote(u.Note) {
		err = q.uploadError(object.ErrNoUpload)
	}
	return u, n, err
}

// mustBeOpen passes on the error of having found an upload, or says that one that is done is none.
func (q *request) mustBeOpen(u object.Upload, err error) error {
	if err == nil && u.Done != nil {
		err = q.uploadError(object.ErrNoUpload)
	}
	return err
}

// uploadError names the upload that is not there.
func (q *request) uploadError(err error) error {
	if errors.Is(err, object.ErrNoUpload) {
		return noSuchUpload.err("UploadId", q.query.get("uploadId")).because(err)
	}
	return err
}

// abortUpload implements AbortMultipartUpload.
func (q *request) abortUpload() error {
	u, _, err := q.ownUpload()
	if err := q.mustBeOpen(u, err); err != nil {
		return err
	}
	if err := q.s.store.AbortUpload(q.r.Context(), q.uploadName()); err != nil {
		return q.uploadError(err)
	}
	q.send(http.StatusNoContent)
	return nil
}

// takeObjectSum takes the checksum that the object of a CompleteMultipartUpload must have out of the headers: in any other
// request it would be that of the body. count is behind the "-" of a composite one.
func takeObjectSum(h http.Header) (sum *checksum, count string, err error) {
	for key, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(key), checksumPrefix)
		c := newChecksum(name)
		if !ok || c == nil {
			continue
		}
		if sum != nil || len(values) != 1 {
			return nil, "", invalidRequest.says("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.").err()
		}
		sum = c
		value, n, _ := strings.Cut(values[0], "-")
		if err := sum.set(value); err != nil {
			return nil, "", err
		}
		count = n
		h.Del(key)
	}
	return sum, count, nil
}

// checkObjectSum compares what the client of a CompleteMultipartUpload expects of the object with what it is going to be.
func (q *request) checkObjectSum(want *checksum, count string, upload, got note, parts int) error {
	if kind := q.r.Header.Get("X-Amz-Checksum-Type"); kind != "" {
		has := upload.Type
		if has == "" {
			has = fullObject
		}
		if !strings.EqualFold(kind, has) {
			return invalidRequest.says("The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", has).err()
		}
	}
	if want == nil {
		return nil
	}
	has := upload.Algorithm
	if has == "" {
		has = "crc64nvme"
	}
	if want.name != has {
		return sumMismatch(has, want.name)
	}
	if count != "" && (got.Type != composite || count != strconv.Itoa(parts)) {
		return badDigest.says("The %s you specified did not match the calculated checksum.", want.name).err()
	}
	return want.verify(got.Value)
}

// sumMismatch refuses a checksum in another algorithm than that of the upload.
func sumMismatch(want, got string) error {
	return invalidRequest.says("Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", want, got).err()
}

// shown is a checksum of a part of the upload, for answers.
func (n note) shown(sum []byte) knownSum {
	if n.Algorithm == "" || sum == nil {
		return knownSum{}
	}
	return knownSum{n.Algorithm, n.Type, base64.StdEncoding.EncodeToString(sum)}
}
