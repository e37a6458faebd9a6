package s3

import (
	"errors"
	"io/fs"
	"net/http"

	"hugbucket/internal/object"
)

const (
	// maxDeletes is how many keys one DeleteObjects may name, and maxDeleteXML what they take: each byte of a key of
	// 1,024 may be written as an entity.
	maxDeletes   = 1000
	maxDeleteXML = 8 << 20
)

// deleteXML is what names the keys of a DeleteObjects.
var deleteXML = document{root: "Delete", limit: maxDeleteXML, row: "Object", rows: maxDeletes, flat: true}

// deleteObject implements DeleteObject. A missing key is deleted with success, unless a condition wants it to be there.
func (q *request) deleteObject() error {
	cond := object.Condition{IfMatch: parseETags(q.r.Header["If-Match"])}
	if err := q.deleteKey(q.key, cond); err != nil {
		return err
	}
	q.send(http.StatusNoContent)
	return nil
}

func (q *request) deleteKey(key string, cond object.Condition) error {
	err := q.s.store.Delete(q.r.Context(), q.bucket, key, cond)
	switch {
	case errors.Is(err, object.ErrNoBucket), errors.Is(err, object.ErrCorrupt):
		return err
	case cond.IfMatch != nil && errors.Is(err, fs.ErrNotExist), errors.Is(err, object.ErrPrecondition):
		return preconditionFailed.err("Condition", "If-Match").because(err)
	}
	return err
}

// deletion is one row of a DeleteObjects request.
type deletion struct {
	Key              xmlKey
	VersionId        *string
	ETag             *string
	LastModifiedTime *string
	Size             *string
}

// ownPrefix is what DeleteObjects is about to scopes, before its keys are looked at one by one.
func (q *request) ownPrefix() string {
	if q.id.key == nil {
		return ""
	}
	return q.id.key.Prefix
}

// deleteObjects implements DeleteObjects.
func (q *request) deleteObjects() error {
	sum, err := announcedChecksum(q.r.Header)
	if err != nil {
		return err
	}
	if sum == nil && q.r.Header["Content-Md5"] == nil {
		return invalidRequest.says("Missing required header for this request: Content-MD5 OR x-amz-checksum-*").err()
	}
	var list struct {
		Quiet  bool
		Object []deletion
	}
	switch ok, err := q.readXML(deleteXML, &list); {
	case err != nil:
		return err
	case !ok || len(list.Object) == 0 || len(list.Object) > maxDeletes:
		return malformedXML.err()
	}
	errs, err := q.deleteEach(list.Object)
	if err != nil {
		return err
	}
	x := newXML()
	x.root("DeleteResult")
	for i, d := range list.Object {
		switch {
		case errs[i] != nil:
			e := answerTo(errs[i], q.bucket, string(d.Key))
			if e.status >= 500 && e.status != http.StatusNotImplemented {
				q.err = e // the answer is 200: the log should know all the same
			}
			x.open("Error")
			x.elem("Key", string(d.Key))
			x.elem("Code", e.code)
			x.elem("Message", e.message)
			x.close("Error")
		case !list.Quiet:
			x.open("Deleted")
			x.elem("Key", string(d.Key))
			x.close("Deleted")
		}
	}
	x.close("DeleteResult")
	return q.sendXML(x)
}

// deleteEach deletes what it may and returns an error for each row, nil where the key is gone. Rows without a condition
// are deleted together. Where others are gone already, an error that befalls those is one of their rows.
func (q *request) deleteEach(rows []deletion) ([]error, error) {
	errs := make([]error, len(rows))
	var keys []string
	var at []int // which row each key is of
	done := false
	for i, d := range rows {
		key := string(d.Key)
		switch {
		case d.VersionId != nil && *d.VersionId != "" && *d.VersionId != "null", d.LastModifiedTime != nil, d.Size != nil:
			errs[i] = notImplemented.says("An element you provided implies functionality that is not implemented").err()
		case !q.id.allows(actDelete, q.bucket, key):
			errs[i] = accessDenied.err()
		case d.ETag != nil:
			errs[i] = q.deleteKey(key, object.Condition{IfMatch: parseETags([]string{*d.ETag})})
			done = done || errs[i] == nil
		default:
			keys, at = append(keys, key), append(at, i)
		}
	}
	if len(keys) == 0 {
		return errs, nil
	}
	got, err := q.s.store.DeleteMany(q.r.Context(), q.bucket, keys)
	if err != nil && !done {
		return nil, err
	}
	for j, i := range at {
		if errs[i] = err; j < len(got) && got[j] != nil {
			errs[i] = got[j]
		}
	}
	return errs, nil
}
