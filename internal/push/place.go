package push

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"

	"hugbucket/internal/object"
)

// place is where the files of a bucket go.
type place interface {
	// prepare returns fs.ErrExist when the name is taken and may not be overwritten, and makes the bucket when it is
	// missing (errBucket when that fails). It answers early; put decides.
	prepare(ctx context.Context, name string) error
	// put stores what r yields until io.EOF and makes it durable and visible in one step, or returns an error and leaves
	// nothing behind. Errors: fs.ErrExist or object.ErrPrecondition when the name was taken meanwhile, errBucket,
	// object.ErrNoSpace, object.ErrDigest, InvalidError, r's own.
	put(ctx context.Context, f file, r io.Reader) (receipt, error)
	// room returns object.ErrNoSpace when it is known before that no file of n bytes can be stored.
	room(n int64) error
	// size is how many bytes the file of a name has; 0 when there is none.
	size(ctx context.Context, name string) (int64, error)
	// sha256 is that of the file of a name, in hex; empty when there is none, or nobody knows it.
	sha256(ctx context.Context, name string) (string, error)
	// used is how many bytes all files have, and those of uploads are going to have. Files that come and go meanwhile may count or not.
	used(ctx context.Context) (int64, error)
}

// file is what a client says about a file.
type file struct {
	name        string
	contentType string
	sha256      []byte // that it must have, or nil
}

// receipt is what a client gets for a file that is stored.
type receipt struct {
	Bucket string `json:"bucket,omitempty"`
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`         // hex
	Hook   string `json:"hook,omitempty"` // what post-push.sh said, if it succeeded

	HookFailed bool `json:"hook_failed,omitempty"` // post-push.sh
}

// bucketPlace is a bucket of the object store.
type bucketPlace struct {
	store     *object.Store
	bucket    string
	overwrite bool
	ended     *endings // of uploads
}

var _ place = bucketPlace{}

func (p bucketPlace) prepare(ctx context.Context, name string) error {
	_, err := p.store.Stat(ctx, p.bucket, name)
	switch {
	case err == nil && !p.overwrite:
		return fs.ErrExist
	case errors.Is(err, object.ErrNoBucket):
		return p.create(ctx)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func (p bucketPlace) create(ctx context.Context) error {
	err := p.store.CreateBucket(ctx, p.bucket, "")
	if err == nil || errors.Is(err, object.ErrBucketExists) {
		return nil
	}
	return fmt.Errorf("%w: %w", errBucket, err)
}

func (p bucketPlace) put(ctx context.Context, f file, r io.Reader) (receipt, error) {
	opts := object.PutOptions{WantSHA256: true, SHA256: f.sha256, Attrs: attrsOf(f.contentType), If: ifFree(p.overwrite)}
	info, err := p.store.Put(ctx, p.bucket, f.name, r, opts)
	if err != nil {
		return receipt{}, err
	}
	return receipt{Bucket: p.bucket, Name: f.name, Size: info.Size, SHA256: hex.EncodeToString(info.Digests.SHA256)}, nil
}

// room is lenient: how little a file takes that resembles what is stored shows when it comes. It only looks whether there is any.
func (p bucketPlace) room(int64) error {
	err := p.store.Room(1)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

func (p bucketPlace) size(ctx context.Context, name string) (int64, error) {
	info, err := p.store.Stat(ctx, p.bucket, name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return info.Size, err
}

func (p bucketPlace) sha256(ctx context.Context, name string) (string, error) {
	info, err := p.store.Stat(ctx, p.bucket, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return hex.EncodeToString(info.Digests.SHA256), err
}

func (p bucketPlace) used(ctx context.Context) (n int64, err error) {
	// Uploads first: one that is done meanwhile counts twice, and not never.
	open, err := held(ctx, p)
	if err != nil {
		return 0, err
	}
	n = open.all
	files := 0
	for start, more := "", true; more; {
		l, err := p.store.List(ctx, p.bucket, object.ListOptions{Start: start})
		if errors.Is(err, object.ErrNoBucket) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		for i := range l.Objects {
			n += l.Objects[i].Size - open.room(l.Objects[i].Key, l.Objects[i].Size)
		}
		files += len(l.Objects)
		start, more = l.Next, l.Truncated
	}
	return n + overhead(files), nil
}

// ifFree is the condition of what is stored: that there is no such file, unless it may be overwritten.
func ifFree(overwrite bool) object.Condition {
	if overwrite {
		return object.Condition{}
	}
	return object.Condition{IfNoneMatch: []string{"*"}}
}

// attrsOf is what is kept of a file beside its bytes.
func attrsOf(contentType string) object.Attrs {
	if !goodType(contentType) {
		return object.Attrs{}
	}
	return object.Attrs{Headers: map[string]string{"content-type": contentType}}
}

// goodType says whether a part's Content-Type is worth keeping: other doors send it as a header.
func goodType(s string) bool {
	if len(s) > 255 {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	_, _, err := mime.ParseMediaType(s)
	return err == nil
}
