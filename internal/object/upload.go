package object

import (
	"context"
	"errors"
	"time"

	"hugbucket/internal/xet"
)

// MaxParts is the highest number of a part, and how many an upload can have.
const MaxParts = 10_000

var (
	// ErrNoUpload is returned when an upload does not exist, was aborted, or is another bucket's or key's.
	ErrNoUpload = errors.New("no such upload")
	// ErrPart is returned by Complete when a part that it names is not there, or is not the one that is named; see PartError.
	ErrPart = errors.New("no such part")
)

// PartError is an ErrPart that says which.
type PartError struct{ Number int }

func (e *PartError) Error() string { return ErrPart.Error() }

// Is makes a PartError an ErrPart.
func (e *PartError) Is(target error) bool { return target == ErrPart }

// Upload is a multipart upload: its parts come in any order, and are joined to one object when it is completed.
type Upload struct {
	ID      string // unguessable; no other upload ever has it
	Bucket  string
	Key     string
	Created time.Time
	Attrs   Attrs
	// Note is what a door keeps with the upload; the store does not look at it.
	Note string
	// Done is what it was completed to, nil before. A completed upload is remembered until it expires, so that a client that
	// did not hear the answer gets it again.
	Done *Info
}

// Part is a part of an upload.
type Part struct {
	Number  int // 1 to MaxParts
	Size    int64
	ModTime time.Time
	File    xet.Hash
	Digests Digests
	// Note is what a door keeps with the part, for example checksums of its own.
	Note string
}

// Uploads keeps multipart uploads. A driver implements it beside Catalog and Contents. A missing upload is ErrNoUpload. Parts
// are stored by Session.CommitPart, and an upload is completed by a Change that names it.
type Uploads interface {
	// CreateUpload notes an upload. ErrNoBucket.
	CreateUpload(ctx context.Context, u Upload) error
	// Upload returns an upload by its id; also one that is done.
	Upload(ctx context.Context, id string) (Upload, error)
	// ListUploads returns up to q.Limit uploads of a bucket that are not done, by key, then by time of creation, then by id, those
	// behind q.After, and whether there are more.
	ListUploads(ctx context.Context, bucket string, q UploadPage) (page []Upload, more bool, err error)
	// Parts returns up to limit (1 to 1000) parts of an upload with numbers above after, in order, and whether there are more.
	// One that is done has none.
	Parts(ctx context.Context, id string, after, limit int) (page []Part, more bool, err error)
	// AbortUpload deletes an upload and its parts. One that is done is ErrNoUpload, and stays.
	AbortUpload(ctx context.Context, id string) error
	// ForgetUploads deletes those of some uploads that are done.
	ForgetUploads(ctx context.Context, ids []string) error
	// ExpireUploads deletes uploads to which nothing has happened since a time: that were created before it, and so was the part that
	// came last, or, when they are done, what they were completed to. It returns how many were not done. An upload of which damage
	// hides how old it is stays, and the error, an ErrCorrupt, comes when the others have been looked at.
	ExpireUploads(ctx context.Context, before time.Time) (int, error)
}

// UploadPage is a question to Uploads.ListUploads.
type UploadPage struct {
	Prefix string // of keys
	// Key asks for the uploads of this key alone, in place of Prefix, so that damage to those of others does not matter; empty does not.
	Key string
	// AfterKey and AfterID say where to go on: behind the upload AfterID of AfterKey; behind all of AfterKey when AfterID is empty;
	// at the first key >= Prefix when both are. When that upload is gone, it is at the first upload of AfterKey: who aborts what
	// is listed sees all.
	AfterKey, AfterID string
	Limit             int // 1 to 1000
}

// ETag is the MD5 of a part in hex, as ETagOf has it.
func (p Part) ETag() string { return ETagOf(p.Digests.MD5, p.File) }

// Completion completes an upload with the Change that it is part of: the commit fails with ErrNoUpload unless the upload is
// open and of the change's bucket and key, and with a PartError unless each of these parts is as it was. All parts of the upload
// are deleted, and it is done.
type Completion struct {
	Upload string
	Parts  []Part // in order of numbers; number and file are compared
}
