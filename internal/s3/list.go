package s3

import (
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// maxListed is the most keys and prefixes that one answer lists.
const maxListed = 1000

// listing is one question for keys and how its answer is written.
type listing struct {
	x         *xmlDoc
	opts      object.ListOptions
	maxKeys   int  // as asked
	urlEncode bool // encoding-type=url
	fetch     bool // owners are asked for
	owner     string
	got       object.Listing
}

// listedPrefix is what a listing is about, to scopes.
func (q *request) listedPrefix() string { return q.query.get("prefix") }

// newListing reads the parameters that both versions of listing have.
func (q *request) newListing() (*listing, error) {
	l := &listing{x: newXML(), owner: q.id.owner()}
	l.opts = object.ListOptions{Prefix: q.query.get("prefix"), Delimiter: q.query.get("delimiter")}
	var err error
	if l.maxKeys, err = q.count("max-keys", maxListed); err != nil {
		return nil, err
	}
	l.opts.Limit = min(l.maxKeys, maxListed)
	return l, l.readEncoding(q)
}

// readEncoding reads how keys are to be written.
func (l *listing) readEncoding(q *request) error {
	switch v := q.query.get("encoding-type"); v {
	case "":
	case "url":
		l.urlEncode = true
	default:
		return badArgument("encoding-type", v, "Invalid Encoding Method specified in Request")
	}
	return nil
}

// count reads a number of the query; the default when it is not there.
func (q *request) count(name string, def int) (int, error) {
	return number(q.query.get(name), name, def)
}

// number reads a number from 0 to what a 32-bit integer holds; the default when there is none.
func number(v, name string, def int) (int, error) {
	if v == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	switch {
	case err != nil:
		return 0, badArgument(name, v, "Provided "+name+" not an integer or within integer range")
	case n < 0:
		return 0, badArgument(name, v, "Argument "+name+" must be an integer between 0 and 2147483647")
	}
	return int(n), nil
}

// run asks the store. max-keys=0 asks for nothing, and is not cut short.
func (l *listing) run(q *request) (err error) {
	if l.maxKeys == 0 {
		return nil
	}
	l.got, err = q.s.store.List(q.r.Context(), q.bucket, l.opts)
	return err
}

// startAfter has the listing go on behind a marker, which is the last row of the page before, or any text.
func (l *listing) startAfter(marker string) {
	l.opts.StartAfter = marker
	if p := l.opts.Prefix; l.opts.Delimiter != "" && strings.HasPrefix(marker, p) {
		// The marker may be a common prefix of the page before. Its whole group is behind us then.
		if i := strings.Index(marker[len(p):], l.opts.Delimiter); i >= 0 && len(p)+i+len(l.opts.Delimiter) == len(marker) {
			l.opts.StartAfter = ""
			l.opts.Start, _ = object.PrefixEnd(marker) // there is one: UTF-8 holds no 0xFF
		}
	}
}

// listObjects implements ListObjects, version 1.
func (q *request) listObjects() error {
	l, err := q.newListing()
	if err != nil {
		return err
	}
	marker := q.query.get("marker")
	l.startAfter(marker)
	if err := l.run(q); err != nil {
		return err
	}
	l.fetch = true
	x := l.x
	x.root("ListBucketResult")
	l.head(q.bucket)
	l.name("Marker", marker)
	if l.got.Truncated && l.opts.Delimiter != "" {
		last, _ := l.last()
		l.name("NextMarker", last)
	}
	l.rows("Contents")
	x.close("ListBucketResult")
	return q.sendXML(x)
}

// listObjectsV2 implements ListObjectsV2.
func (q *request) listObjectsV2() error {
	if v := q.query.get("list-type"); v != "2" {
		return badArgument("list-type", v, "Invalid List Type specified in Query")
	}
	l, err := q.newListing()
	if err != nil {
		return err
	}
	token, hasToken := q.query.find("continuation-token")
	startAfter := q.query.get("start-after")
	if token != "" {
		var ok bool
		if l.opts.Start, ok = q.openToken(token); !ok {
			return badArgument("continuation-token", token, "The continuation token provided is incorrect")
		}
	} else {
		l.opts.StartAfter = startAfter // a token goes before it
	}
	l.fetch = q.query.get("fetch-owner") == "true"
	if err := l.run(q); err != nil {
		return err
	}
	x := l.x
	x.root("ListBucketResult")
	l.head(q.bucket)
	x.int("KeyCount", int64(len(l.got.Objects)+len(l.got.Prefixes)))
	if startAfter != "" {
		l.name("StartAfter", startAfter)
	}
	if hasToken {
		x.elem("ContinuationToken", token)
	}
	if l.got.Truncated {
		x.elem("NextContinuationToken", q.sealToken(l.got.Next))
	}
	l.rows("Contents")
	x.close("ListBucketResult")
	return q.sendXML(x)
}

// head writes what both versions begin with.
func (l *listing) head(bucket string) {
	l.x.elem("Name", bucket)
	l.name("Prefix", l.opts.Prefix)
	if l.opts.Delimiter != "" {
		l.name("Delimiter", l.opts.Delimiter)
	}
	l.x.int("MaxKeys", int64(min(l.maxKeys, maxListed)))
	if l.urlEncode {
		l.x.elem("EncodingType", "url")
	}
	l.x.truncated(l.got.Truncated)
}

// rows writes keys, each in an element elem, and common prefixes.
func (l *listing) rows(elem string) {
	x := l.x
	for i := range l.got.Objects {
		o := &l.got.Objects[i]
		x.open(elem)
		l.name("Key", o.Key)
		if elem == "Version" {
			x.elem("VersionId", nullVersion)
			x.elem("IsLatest", "true")
		}
		x.time("LastModified", o.ModTime)
		x.etag(o.ETag)
		x.sumKind(sumOf(o))
		x.int("Size", o.Size)
		if l.fetch {
			x.owner("Owner", l.owner)
		}
		x.elem("StorageClass", "STANDARD")
		x.close(elem)
	}
	for _, p := range l.got.Prefixes {
		x.open("CommonPrefixes")
		l.name("Prefix", p)
		x.close("CommonPrefixes")
	}
}

// last is the last key or common prefix of the page, whichever sorts behind, and says which it is.
func (l *listing) last() (last string, isKey bool) {
	if n := len(l.got.Objects); n > 0 {
		last, isKey = l.got.Objects[n-1].Key, true
	}
	if n := len(l.got.Prefixes); n > 0 && l.got.Prefixes[n-1] > last {
		last, isKey = l.got.Prefixes[n-1], false
	}
	return last, isKey
}

// name writes a key or a piece of one, encoded if that was asked for.
func (l *listing) name(elem, s string) {
	if !l.urlEncode {
		l.x.elem(elem, s)
		return
	}
	var b strings.Builder
	uriEncode(&b, s, true)
	l.x.elem(elem, b.String())
}
