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
	// object.ErrNoSpace, InvalidError, r's own.
	put(ctx context.Context, f file, r io.Reader) (receipt, error)
}

// file is what a client says about a file.
type file struct {
	name        string
	contentType string
}

// receipt is what a client gets for a file that is stored.
type receipt struct {
	Bucket string `json:"bucket,omitempty"`
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`         // hex
	Hook   string `json:"hook,omitempty"` // what post-push.sh said, if it succeeded

	hookFailed bool
}

// bucketPlace is a bucket of the object store.
type bucketPlace struct {
	store     *object.Store
	bucket    string
	overwrite bool
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
	opts := object.PutOptions{WantSHA256: true}
	if goodType(f.contentType) {
		opts.Attrs.Headers = map[string]string{"content-type": f.contentType}
	}
	if !p.overwrite {
		opts.If.IfNoneMatch = []string{"*"}
	}
	info, err := p.store.Put(ctx, p.bucket, f.name, r, opts)
	if err != nil {
		return receipt{}, err
	}
	return receipt{Bucket: p.bucket, Name: f.name, Size: info.Size, SHA256: hex.EncodeToString(info.Digests.SHA256)}, nil
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
