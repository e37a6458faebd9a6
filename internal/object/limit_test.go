package object_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
	"hugbucket/internal/xet"
)

// claims is a driver of which parts and objects say that they are larger than they are.
type claims struct {
	object.Driver
	part, object int64
	opened       int // files
}

func (d *claims) Parts(ctx context.Context, id string, after, limit int) ([]object.Part, bool, error) {
	page, more, err := d.Driver.Parts(ctx, id, after, limit)
	for i := range page {
		page[i].Size = d.part
	}
	return page, more, err
}

func (d *claims) Open(ctx context.Context, bucket, key string) (object.Info, object.Content, error) {
	info, c, err := d.Driver.Open(ctx, bucket, key)
	info.Size = d.object
	return info, largeContent{c, d.object}, err
}

func (d *claims) OpenFile(ctx context.Context, h xet.Hash) (object.Content, error) {
	d.opened++
	return d.Driver.OpenFile(ctx, h)
}

type largeContent struct {
	object.Content
	size int64
}

func (c largeContent) Size() int64 { return c.size }

// TestTooLarge completes an upload to more than an object can have, and copies a part that is larger than one can be: both are
// refused before anything is read. What is as large as can be is not.
func TestTooLarge(t *testing.T) {
	d := &claims{Driver: objecttest.NewMemory(), part: object.MaxSize / 2}
	s := object.New(d, object.Config{})
	ctx := t.Context()
	if err := s.CreateBucket(ctx, "bucket", ""); err != nil {
		t.Fatal(err)
	}
	joinPut(t, s, "from", []byte("content"))
	u, err := s.CreateUpload(ctx, "bucket", "key", object.UploadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := object.UploadName{Bucket: "bucket", Key: "key", ID: u.ID}
	var refs []object.PartRef
	for i := range 3 {
		p, err := s.PutPart(ctx, name, i+1, bytes.NewReader([]byte("part")), object.PartOptions{})
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, object.PartRef{Number: i + 1, ETag: p.ETag()})
	}
	if _, err := s.Complete(ctx, name, refs, object.CompleteOptions{}); !errors.Is(err, object.ErrTooLarge) || d.opened > 0 {
		t.Errorf("complete with too much: %v, %d files were opened", err, d.opened)
	}
	if _, err := s.Complete(ctx, name, refs[:2], object.CompleteOptions{}); errors.Is(err, object.ErrTooLarge) || d.opened != 2 {
		t.Errorf("complete with as much as can be: %v, %d files were opened", err, d.opened)
	}
	copied := func(size, n int64) error {
		d.object = size
		_, err := s.CopyPart(ctx, name, 1, object.CopyPartOptions{FromBucket: "bucket", FromKey: "from", Len: n})
		return err
	}
	if err := copied(object.MaxPartSize+1, -1); !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("copy all of what is too large for a part: %v", err)
	}
	if err := copied(object.MaxPartSize+2, object.MaxPartSize+1); !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("copy too large a range: %v", err)
	}
	if err := copied(object.MaxPartSize+2, 3); errors.Is(err, object.ErrTooLarge) {
		t.Errorf("copy a small range: %v", err)
	}
	_, err = s.PutPart(ctx, name, 1, bytes.NewReader(nil), object.PartOptions{Size: object.MaxPartSize + 1})
	if !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("put a part that is announced to be too large: %v", err)
	}
	_, err = s.Put(ctx, "bucket", "key", bytes.NewReader(nil), object.PutOptions{Size: object.MaxSize + 1})
	if !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("put what is announced to be too large: %v", err)
	}
}

// TestTooManyTerms joins a piece to a file that has almost as many terms as can be: the last one is taken, another is not.
func TestTooManyTerms(t *testing.T) {
	s := joinStore(t)
	from := joinPut(t, s, "from", []byte("content"))
	if err := object.JoinTo(t.Context(), s, object.MaxTerms-1, from.File); err != nil {
		t.Errorf("the last term: %v", err)
	}
	if err := object.JoinTo(t.Context(), s, object.MaxTerms, from.File); !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("one term too many: %v", err)
	}
	f := xet.Reconstruction{Terms: make([]xet.Term, object.MaxTerms)}
	if err := object.CheckFile(f); err != nil {
		t.Errorf("a file with as many terms as can be: %v", err)
	}
	f.Terms = append(f.Terms, xet.Term{})
	if err := object.CheckFile(f); !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("a file with one term too many: %v", err)
	}
	if err := object.CheckFile(xet.Reconstruction{Size: object.MaxSize + 1}); !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("a file with one byte too many: %v", err)
	}
}
