package s3

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"hugbucket/internal/object"
)

// readCondition reads the four conditional headers, whose names begin with prefix (none, or that of copy sources). Dates
// that are malformed or in the future say nothing (RFC 9110 §13.1.3).
func readCondition(h http.Header, prefix string, now time.Time) object.Condition {
	c := object.Condition{
		IfMatch:     parseETags(h[prefix+"If-Match"]),
		IfNoneMatch: parseETags(h[prefix+"If-None-Match"]),
	}
	if t, err := http.ParseTime(h.Get(prefix + "If-Unmodified-Since")); err == nil {
		c.IfUnmodifiedSince = t
	}
	if t, err := http.ParseTime(h.Get(prefix + "If-Modified-Since")); err == nil && !t.After(now) {
		c.IfModifiedSince = t
	}
	return c
}

// parseETags reads a list of ETags, quoted or bare. Nil means that there is no such header.
func parseETags(values []string) []string {
	if values == nil {
		return nil
	}
	etags := []string{}
	for _, v := range values {
		for tag := range strings.SplitSeq(v, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag = strings.Trim(tag, `"`); tag != "" {
				etags = append(etags, tag)
			}
		}
	}
	return etags
}

// writeCondition is what must hold of the key that a request writes. Amazon knows only "*" for If-None-Match; ETags mean what
// they mean for reads.
func (q *request) writeCondition() (object.Condition, error) {
	c := object.Condition{
		IfMatch:     parseETags(q.r.Header["If-Match"]),
		IfNoneMatch: parseETags(q.r.Header["If-None-Match"]),
	}
	if c.IfNoneMatch != nil && len(c.IfNoneMatch) == 0 {
		return c, notImplemented.err("Header", "If-None-Match") // it would hold of everything
	}
	if q.id.can(actOverwrite) {
		return c, nil
	}
	if c.IfMatch != nil || c.IfNoneMatch != nil && !slices.Contains(c.IfNoneMatch, "*") {
		return c, accessDenied.err() // it could overwrite
	}
	c.IfNoneMatch = []string{"*"}
	return c, nil
}

// conditionError names the condition that did not hold, which the store does not. A write that may only create is
// forbidden to overwrite; it is not its own condition that fails.
func (q *request) conditionError(err error, prefix string) error {
	if !errors.Is(err, object.ErrPrecondition) {
		return err
	}
	names := []string{"If-Match", "If-Unmodified-Since"}
	if errors.Is(err, object.ErrNotModified) {
		names = []string{"If-None-Match", "If-Modified-Since"}
	}
	for _, name := range names {
		if q.r.Header[prefix+name] != nil {
			return preconditionFailed.err("Condition", strings.ToLower(prefix)+name).because(err)
		}
	}
	if !q.id.can(actOverwrite) {
		return accessDenied.err().because(err)
	}
	return err
}
