package s3

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"hugbucket/internal/object"
)

const (
	// maxHeaderSection is how many bytes of headers a request may have.
	maxHeaderSection = 8 << 10
	// maxTarget is how many bytes path and query may have together, and maxParams how many parameters. A listing with prefix,
	// marker and delimiter as long as a key can be, and each byte escaped, takes 10 KiB.
	maxTarget = 16 << 10
	maxParams = 256
)

// target is what a request is about.
type target struct {
	bucket string // empty: the service
	key    string // empty: the bucket
	byHost bool   // the bucket is named by the Host header, and all of the path is the key
	query  query
}

// param is one pair of the query, decoded.
type param struct{ name, value string }

// query is the query string in the order it came. url.ParseQuery would drop what holds a ";".
type query []param

// get returns the first value of a parameter.
func (v query) get(name string) string {
	s, _ := v.find(name)
	return s
}

func (v query) has(name string) bool {
	_, ok := v.find(name)
	return ok
}

func (v query) find(name string) (string, bool) {
	for _, p := range v {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// parseQuery splits a raw query and decodes it once.
func parseQuery(raw string) (query, bool) {
	if raw == "" {
		return nil, true
	}
	v := make(query, 0, strings.Count(raw, "&")+1)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, false
		}
		v = append(v, param{name, value})
	}
	return v, true
}

// parsePath splits an escaped path into bucket and key and decodes each once. It never cleans: "a//b", "../x" and "d/" are
// keys. A separator that is escaped does not end the bucket.
func parsePath(escaped string) (bucket, key string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok && escaped != "" {
		return "", "", false
	}
	bucket, key, _ = strings.Cut(rest, "/")
	if bucket, ok = unescapePath(bucket); !ok {
		return "", "", false
	}
	key, ok = unescapePath(key)
	if bucket == "" && key != "" {
		return "", "", false
	}
	return bucket, key, ok
}

// parseKeyPath is parsePath for a path that is a key.
func parseKeyPath(escaped string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok && escaped != "" {
		return "", false
	}
	return unescapePath(rest)
}

// unescapePath decodes what is not a query: "+" is a plus.
func unescapePath(s string) (string, bool) {
	s, err := url.PathUnescape(s)
	return s, err == nil && utf8.ValidString(s)
}

// parseTarget reads the request line, and from the Host header which bucket is meant if it names one.
func (q *request) parseTarget() error {
	path, raw := q.r.URL.EscapedPath(), q.r.URL.RawQuery
	if len(path)+len(raw) > maxTarget || strings.Count(raw, "&") >= maxParams {
		return requestHeaderTooLarge.err("MaxSizeAllowed", strconv.Itoa(maxTarget))
	}
	var ok bool
	if q.bucket, q.byHost = q.s.hosts.bucket(q.r.Host); q.byHost {
		q.key, ok = parseKeyPath(path)
		ok = ok && q.bucket != ""
	} else {
		q.bucket, q.key, ok = parsePath(path)
	}
	if !ok {
		return invalidURI.err("URI", path)
	}
	if q.query, ok = parseQuery(raw); !ok {
		return invalidURI.err("URI", path)
	}
	return nil
}

// checkTarget refuses names that no bucket and no object can have.
func (q *request) checkTarget(op *operation) error {
	if q.bucket != "" && object.ValidBucket(q.bucket) != nil {
		return invalidBucketName.err("BucketName", q.bucket)
	}
	if op.level == onObject && len(q.key) > object.MaxKeyLen {
		return keyTooLong.err("Size", strconv.Itoa(len(q.key)), "MaxSizeAllowed", strconv.Itoa(object.MaxKeyLen))
	}
	return nil
}

// resource is the target as error documents show it.
func (q *request) resource() string {
	switch {
	case q.bucket == "":
		if path := q.r.URL.EscapedPath(); len(path) <= maxTarget {
			return path
		}
		return ""
	case q.key == "":
		return "/" + q.bucket
	default:
		return "/" + q.bucket + "/" + q.key
	}
}

// checkHeaderSize enforces Amazon's limit; net/http's own is there to protect memory.
func checkHeaderSize(r *http.Request) error {
	size := len("Host: \r\n") + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	if size > maxHeaderSection {
		return requestHeaderTooLarge.err("MaxSizeAllowed", strconv.Itoa(maxHeaderSection))
	}
	return nil
}
