package s3

import (
	"strings"

	"hugbucket/internal/object"
)

// listParts implements ListParts.
func (q *request) listParts() error {
	limit, err := q.count("max-parts", maxListed)
	if err != nil {
		return err
	}
	after, err := q.count("part-number-marker", 0)
	if err != nil {
		return err
	}
	l := &listing{x: newXML()}
	if err := l.readEncoding(q); err != nil {
		return err
	}
	u, upload, err := q.findUpload()
	if err := q.mustBeOpen(u, err); err != nil {
		return err
	}
	limit = min(limit, maxListed)
	var page []object.Part
	more := false
	if limit > 0 {
		if page, more, err = q.s.store.Parts(q.r.Context(), q.uploadName(), after, limit); err != nil {
			return q.uploadError(err)
		}
	}
	x := l.x
	x.root("ListPartsResult")
	x.elem("Bucket", q.bucket)
	l.name("Key", q.key)
	x.elem("UploadId", u.ID)
	x.uploader(q.id.owner())
	x.int("PartNumberMarker", int64(after))
	next := 0
	if len(page) > 0 {
		next = page[len(page)-1].Number
	}
	x.int("NextPartNumberMarker", int64(next))
	x.int("MaxParts", int64(limit))
	if l.urlEncode {
		x.elem("EncodingType", "url")
	}
	x.truncated(more)
	x.sumKind(knownSum{algorithm: upload.Algorithm, kind: upload.Type})
	for i := range page {
		p := &page[i]
		x.open("Part")
		x.int("PartNumber", int64(p.Number))
		x.time("LastModified", p.ModTime)
		x.etag(p.ETag())
		x.int("Size", p.Size)
		x.sumValue(upload.shown(upload.partSum(p)))
		x.close("Part")
	}
	x.close("ListPartsResult")
	return q.sendXML(x)
}

// uploader writes whose an upload is. Keys of one owner are not told apart.
func (x *xmlDoc) uploader(owner string) {
	x.owner("Initiator", owner)
	x.owner("Owner", owner)
	x.elem("StorageClass", "STANDARD")
}

// uploadListing is one page of the uploads of a bucket.
type uploadListing struct {
	q         object.UploadPage
	delimiter string
	uploads   []object.Upload
	prefixes  []string
	more      bool
}

// listUploads implements ListMultipartUploads.
func (q *request) listUploads() error {
	limit, err := q.count("max-uploads", maxListed)
	if err != nil {
		return err
	}
	l := &listing{x: newXML()}
	if err := l.readEncoding(q); err != nil {
		return err
	}
	limit = min(limit, maxListed)
	marker := q.query.get("key-marker")
	u := uploadListing{delimiter: q.query.get("delimiter")}
	u.q = object.UploadPage{Prefix: q.query.get("prefix"), AfterKey: marker}
	if marker != "" {
		u.q.AfterID = q.query.get("upload-id-marker")
	}
	if group, in := u.group(marker); in && group == marker {
		u.q.AfterKey, u.q.AfterID = behind(group), "" // the page before ended with it
	}
	if err := u.fill(q, limit); err != nil {
		return err
	}
	x := l.x
	x.root("ListMultipartUploadsResult")
	x.elem("Bucket", q.bucket)
	l.name("KeyMarker", marker)
	x.elem("UploadIdMarker", q.query.get("upload-id-marker"))
	if u.more {
		key, id := u.last()
		l.name("NextKeyMarker", key)
		x.elem("NextUploadIdMarker", id)
	}
	l.name("Prefix", u.q.Prefix)
	if u.delimiter != "" {
		l.name("Delimiter", u.delimiter)
	}
	x.int("MaxUploads", int64(limit))
	if l.urlEncode {
		x.elem("EncodingType", "url")
	}
	x.truncated(u.more)
	for i := range u.uploads {
		up := &u.uploads[i]
		n := parseNote(up.Note)
		x.open("Upload")
		l.name("Key", up.Key)
		x.elem("UploadId", up.ID)
		x.uploader(q.id.owner())
		x.time("Initiated", up.Created)
		x.sumKind(knownSum{algorithm: n.Algorithm, kind: n.Type})
		x.close("Upload")
	}
	for _, p := range u.prefixes {
		x.open("CommonPrefixes")
		l.name("Prefix", p)
		x.close("CommonPrefixes")
	}
	x.close("ListMultipartUploadsResult")
	return q.sendXML(x)
}

// fill asks the store until the page is full. A group of keys under a common prefix is stepped over.
func (u *uploadListing) fill(q *request, limit int) error {
	for more := limit > 0; more; {
		u.q.Limit = limit // some of it is in vain when there are groups
		page, rest, err := q.s.store.ListUploads(q.r.Context(), q.bucket, u.q)
		if err != nil {
			return err
		}
		more = rest && len(page) > 0
		for i := range page {
			group, in := u.group(page[i].Key)
			if in && len(u.prefixes) > 0 && u.prefixes[len(u.prefixes)-1] == group {
				continue
			}
			if len(u.uploads)+len(u.prefixes) == limit {
				u.more = true
				return nil
			}
			if in {
				u.prefixes = append(u.prefixes, group)
				u.q.AfterKey, u.q.AfterID = behind(group), ""
				continue
			}
			u.uploads = append(u.uploads, page[i])
			u.q.AfterKey, u.q.AfterID = page[i].Key, page[i].ID
		}
	}
	return nil
}

// group is the common prefix that a key is rolled up into, if it is.
func (u *uploadListing) group(key string) (string, bool) {
	if u.delimiter == "" || !strings.HasPrefix(key, u.q.Prefix) {
		return "", false
	}
	i := strings.Index(key[len(u.q.Prefix):], u.delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(u.q.Prefix)+i+len(u.delimiter)], true
}

// behind sorts behind all keys with a prefix, and before all others that do: no key holds this byte.
func behind(prefix string) string { return prefix + "\xff" }

// last is where the next page goes on.
func (u *uploadListing) last() (key, id string) {
	if n := len(u.uploads); n > 0 {
		key, id = u.uploads[n-1].Key, u.uploads[n-1].ID
	}
	if n := len(u.prefixes); n > 0 && u.prefixes[n-1] > key {
		key, id = u.prefixes[n-1], ""
	}
	return key, id
}
