package object

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

func (s *Store) put(ctx context.Context, bucket, key string, r io.Reader, opts PutOptions) (Info, error) {
	if err := tooLarge("object", opts.Size, MaxSize); err != nil {
		return Info{}, err
	}
	if !opts.small() || !opts.If.IsZero() {
		if err := s.mayPut(ctx, bucket, key, opts.If); err != nil {
			return Info{}, err
		}
	}
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return Info{}, err
	}
	info, err := s.putIn(ctx, sess, r, Info{Bucket: bucket, Key: key, Attrs: opts.Attrs}, opts)
	return info, closeAfter(sess, err)
}

// small says that the body is announced to be small. It is read before anything is asked, and the commit decides,
// unless there is a condition: a driver may have to store a body before it can know that it must not.
func (o *PutOptions) small() bool { return o.Size > 0 && o.Size <= batchData }

// mayPut spares the client an upload that could not be committed: the bucket must exist and the condition hold now, too.
func (s *Store) mayPut(ctx context.Context, bucket, key string, cond Condition) error {
	if ValidBucket(bucket) != nil {
		return ErrNoBucket
	}
	if cond.IsZero() {
		_, err := s.driver.Bucket(ctx, bucket)
		return err
	}
	cur, err := s.driver.Stat(ctx, bucket, key)
	switch {
	case err == nil:
		return cond.Check(&cur)
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNoBucket):
		return cond.Check(nil)
	default:
		return err
	}
}

// putIn ingests r and commits it under the name that info bears.
func (s *Store) putIn(ctx context.Context, sess Session, r io.Reader, info Info, opts PutOptions) (Info, error) {
	got, err := ingest(ctx, newPacker(sess), r, opts.WantSHA256 || opts.SHA256 != nil)
	if err == nil {
		err = opts.verify(got)
	}
	if err != nil && opts.small() {
		// What is wrong with the name comes before what is wrong with the body.
		err = cmp.Or(s.mayPut(ctx, info.Bucket, info.Key, opts.If), err)
	}
	if err != nil {
		return Info{}, err
	}
	return s.name(ctx, sess, got, info, opts)
}

// name commits what has come under the name that info bears.
func (s *Store) name(ctx context.Context, sess Session, got ingested, info Info, opts PutOptions) (Info, error) {
	info.Size = int64(got.file.Size)
	info.File = got.file.Hash
	info.Digests = got.digests
	info.ETag = cmp.Or(info.ETag, ETagOf(got.digests.MD5, got.file.Hash))
	info.ModTime = s.modTime(opts.ModTime)
	if opts.Note != nil {
		info.Note = opts.Note()
	}
	if err := sess.PutFile(ctx, got.file); err != nil {
		return Info{}, err
	}
	if err := sess.Commit(ctx, []Change{{Bucket: info.Bucket, Key: info.Key, New: &info, If: opts.If}}); err != nil {
		return info, err
	}
	s.intake.add(got)
	return info, nil
}

// verify compares what came with what was announced.
func (o *PutOptions) verify(got ingested) error {
	if (o.Sized || o.Size > 0) && got.came != o.Size {
		return fmt.Errorf("%w: %d bytes announced, %d received", ErrDigest, o.Size, got.came)
	}
	if o.MD5 != nil && !bytes.Equal(o.MD5, got.digests.MD5) {
		return fmt.Errorf("%w: MD5 %x announced, %x received", ErrDigest, o.MD5, got.digests.MD5)
	}
	if o.SHA256 != nil && !bytes.Equal(o.SHA256, got.digests.SHA256) {
		return fmt.Errorf("%w: SHA-256 %x announced, %x received", ErrDigest, o.SHA256, got.digests.SHA256)
	}
	return nil
}
