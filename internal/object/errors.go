package object

import (
	"errors"
	"fmt"
	"io/fs"
)

// What callers branch on. A missing key is fs.ErrNotExist and nothing else.
var (
	// ErrNoBucket is returned when the bucket does not exist. It is an fs.ErrNotExist too.
	ErrNoBucket = fmt.Errorf("no such bucket: %w", fs.ErrNotExist)
	// ErrBucketExists is returned when a bucket to be created exists. It is an fs.ErrExist too.
	ErrBucketExists = fmt.Errorf("bucket exists: %w", fs.ErrExist)
	// ErrBucketNotEmpty is returned when a bucket to be deleted holds keys.
	ErrBucketNotEmpty = errors.New("bucket is not empty")
	// ErrTaken is returned by Rename when there are keys under the new name already. It is an fs.ErrExist too.
	ErrTaken = fmt.Errorf("there is something under the new name: %w", fs.ErrExist)
	// ErrTooMany is returned by Rename when there are more keys to be renamed than MaxRename.
	ErrTooMany = errors.New("too many keys to rename at once")
	// ErrPrecondition is returned when a Condition does not hold at the commit, or before it.
	ErrPrecondition = errors.New("precondition failed")
	// ErrNotModified is the ErrPrecondition of IfNoneMatch and IfModifiedSince, which reads answer differently.
	ErrNotModified = fmt.Errorf("not modified: %w", ErrPrecondition)
	// ErrInvalid is returned for a name or argument that breaks a rule; see InvalidError.
	ErrInvalid = errors.New("invalid")
	// ErrDigest is returned when the bytes received do not have the digest or length that was announced.
	ErrDigest = errors.New("digest mismatch")
	// ErrTooLarge is returned for an object or a part of more bytes, or in more pieces, than can be stored; see MaxSize.
	ErrTooLarge = errors.New("too large")
	// ErrNoSpace is returned when the store has no room; what was stored stays readable.
	ErrNoSpace = errors.New("no space left in the store")
	// ErrCorrupt is returned when stored bytes are damaged; they are never served.
	ErrCorrupt = errors.New("stored data is damaged")
)

// InvalidError is an ErrInvalid that names the field and the rule it breaks.
type InvalidError struct {
	Field string // what was wrong: "bucket", "key", …
	Rule  string // the rule, in words for the client
}

func (e *InvalidError) Error() string { return "invalid " + e.Field + ": " + e.Rule }

// Is makes an InvalidError an ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Error says which operation on which name failed. Unwrap gives the cause.
type Error struct {
	Op     string // "put", "open", "list", …
	Bucket string
	Key    string // empty for operations on a bucket
	Err    error
}

func (e *Error) Error() string {
	switch {
	case e.Bucket == "":
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	case e.Key == "":
		return fmt.Sprintf("%s %s: %v", e.Op, e.Bucket, e.Err)
	}
	return fmt.Sprintf("%s %s/%q: %v", e.Op, e.Bucket, e.Key, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
