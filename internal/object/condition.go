package object

import (
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Condition is what must hold of the object under a key for an operation to go on (RFC 9110 §13, as S3 has it).
// The zero Condition always holds.
type Condition struct {
	// IfMatch and IfNoneMatch list ETags without quotes; "*" stands for any object. Nil means not asked.
	IfMatch     []string
	IfNoneMatch []string
	// Times are compared to the second. The zero time means not asked.
	IfModifiedSince   time.Time
	IfUnmodifiedSince time.Time
}

// IsZero says whether the condition asks nothing.
func (c Condition) IsZero() bool {
	return c.IfMatch == nil && c.IfNoneMatch == nil && c.IfModifiedSince.IsZero() && c.IfUnmodifiedSince.IsZero()
}

// Check returns nil when the condition holds of cur; cur is nil when the key does not exist. Otherwise it returns
// ErrPrecondition, ErrNotModified, or fs.ErrNotExist for an IfMatch on a missing key. The order is RFC 9110 §13.2.2:
// a true IfMatch hides IfUnmodifiedSince, any IfNoneMatch hides IfModifiedSince.
func (c Condition) Check(cur *Info) error {
	switch {
	case c.IfMatch != nil:
		if cur == nil {
			return fmt.Errorf("if-match: %w", fs.ErrNotExist)
		}
		if !matches(c.IfMatch, cur.ETag) {
			return fmt.Errorf("if-match: %w", ErrPrecondition)
		}
	case !c.IfUnmodifiedSince.IsZero() && cur != nil:
		if cur.ModTime.Truncate(time.Second).After(c.IfUnmodifiedSince) {
			return fmt.Errorf("if-unmodified-since: %w", ErrPrecondition)
		}
	}
	switch {
	case c.IfNoneMatch != nil:
		if cur != nil && matches(c.IfNoneMatch, cur.ETag) {
			return fmt.Errorf("if-none-match: %w", ErrNotModified)
		}
	case !c.IfModifiedSince.IsZero() && cur != nil:
		if !cur.ModTime.Truncate(time.Second).After(c.IfModifiedSince) {
			return fmt.Errorf("if-modified-since: %w", ErrNotModified)
		}
	}
	return nil
}

func matches(etags []string, etag string) bool {
	return slices.Contains(etags, "*") || slices.Contains(etags, etag)
}
