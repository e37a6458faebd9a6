package object

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"
)

// UploadName says which upload is meant. The id alone would do, but who knows one must not reach another key with it.
type UploadName struct {
	Bucket, Key, ID string
}

// UploadOptions are what an upload's object shall have.
type UploadOptions struct {
	Attrs Attrs
	Note  string // kept as Upload.Note
}

// CreateUpload begins an upload in parts. Errors: InvalidError, ErrNoBucket, ErrNoSpace.
func (s *Store) CreateUpload(ctx context.Context, bucket, key string, opts UploadOptions) (Upload, error) {
	err := validName(bucket, key)
	if err == nil {
		err = validAttrs(opts.Attrs)
	}
	u := Upload{ID: rand.Text(), Bucket: bucket, Key: key, Created: s.stamp(), Attrs: opts.Attrs, Note: opts.Note}
	if err == nil {
		err = s.driver.CreateUpload(ctx, u)
	}
	return u, wrap("create upload", bucket, key, err)
}

// Upload returns an upload, also one that is done. Errors: ErrNoUpload, also when it is another bucket's or key's.
func (s *Store) Upload(ctx context.Context, name UploadName) (Upload, error) {
	u, err := s.upload(ctx, name)
	return u, wrap("look at upload", name.Bucket, name.Key, err)
}

// FindUpload returns an upload of a bucket by its id alone, also one that is done, for a door whose clients do not say the key.
// Errors: ErrNoUpload, also when it is another bucket's.
func (s *Store) FindUpload(ctx context.Context, bucket, id string) (Upload, error) {
	u, err := s.driver.Upload(ctx, id)
	if err == nil && u.Bucket != bucket {
		u, err = Upload{}, ErrNoUpload
	}
	return u, wrap("find upload", bucket, "", err)
}

func (s *Store) upload(ctx context.Context, name UploadName) (Upload, error) {
	if name.ID == "" {
		return Upload{}, ErrNoUpload
	}
	u, err := s.driver.Upload(ctx, name.ID)
	if err == nil && (u.Bucket != name.Bucket || u.Key != name.Key) {
		err = ErrNoUpload
	}
	if err != nil {
		return Upload{}, err
	}
	return u, nil
}

// mustBeOpen returns ErrNoUpload unless the upload is there, and not done.
func (s *Store) mustBeOpen(ctx context.Context, name UploadName) error {
	u, err := s.upload(ctx, name)
	if err == nil && u.Done != nil {
		err = ErrNoUpload
	}
	return err
}

// ListUploads returns up to q.Limit uploads of a bucket that are not done, as Uploads has it. Errors: ErrNoBucket.
func (s *Store) ListUploads(ctx context.Context, bucket string, q UploadPage) ([]Upload, bool, error) {
	if ValidBucket(bucket) != nil {
		return nil, false, wrap("list uploads", bucket, "", ErrNoBucket)
	}
	q.Limit = min(max(q.Limit, 1), maxPage)
	page, more, err := s.driver.ListUploads(ctx, bucket, q)
	return page, more, wrap("list uploads", bucket, "", err)
}

// Parts returns up to limit (at most 1000) parts of an open upload with numbers above after, in order, and whether there are
// more. Errors: ErrNoUpload.
func (s *Store) Parts(ctx context.Context, name UploadName, after, limit int) ([]Part, bool, error) {
	page, more, err := s.parts(ctx, name, after, limit)
	return page, more, wrap("list parts", name.Bucket, name.Key, err)
}

func (s *Store) parts(ctx context.Context, name UploadName, after, limit int) ([]Part, bool, error) {
	if err := s.mustBeOpen(ctx, name); err != nil {
		return nil, false, err
	}
	return s.driver.Parts(ctx, name.ID, after, min(max(limit, 1), maxPage))
}

// PartOptions say more about a PutPart; what is not explained here is as in PutOptions.
type PartOptions struct {
	Size       int64
	Sized      bool
	MD5        []byte
	SHA256     []byte
	WantSHA256 bool
	Note       func() string // is asked for Part.Note when the body was read to its end; may be nil
}

// PutPart stores what r yields as a part, in place of the one of that number, if any; otherwise it is as Put.
// Errors: InvalidError, ErrTooLarge, ErrNoUpload, ErrDigest, ErrNoSpace, r's own.
func (s *Store) PutPart(ctx context.Context, name UploadName, number int, r io.Reader, opts PartOptions) (Part, error) {
	var got ingested
	p, err := s.storePart(ctx, name, number, func(sess Session) (_ Part, err error) {
		if err := tooLarge("part", opts.Size, MaxPartSize); err != nil {
			return Part{}, err
		}
		sha := opts.WantSHA256 || opts.SHA256 != nil
		got, err = ingest(ctx, newPacker(sess), r, sha)
		if err == nil {
			asked := PutOptions{Size: opts.Size, Sized: opts.Sized, MD5: opts.MD5, SHA256: opts.SHA256}
			err = asked.verify(got)
		}
		if err != nil {
			return Part{}, err
		}
		p := Part{Size: int64(got.file.Size), File: got.file.Hash, Digests: got.digests}
		if opts.Note != nil {
			p.Note = opts.Note()
		}
		return p, sess.PutFile(ctx, got.file)
	})
	if err == nil {
		s.intake.add(got)
	}
	return p, wrap("put part", name.Bucket, name.Key, err)
}

// storePart stores the part that stage has staged. The session begins before anything is read, so that nothing of it can be
// collected before the commit.
func (s *Store) storePart(ctx context.Context, name UploadName, number int, stage func(Session) (Part, error)) (Part, error) {
	if number < 1 || number > MaxParts {
		return Part{}, &InvalidError{"part number", fmt.Sprintf("it is from 1 to %d", MaxParts)}
	}
	if err := s.mustBeOpen(ctx, name); err != nil {
		return Part{}, err // the commit decides; this spares the client a body
	}
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return Part{}, err
	}
	p, err := stage(sess)
	if err == nil {
		err = tooLarge("part", p.Size, MaxPartSize)
	}
	if err == nil {
		p.Number, p.ModTime = number, s.stamp()
		err = sess.CommitPart(ctx, name.ID, p)
	}
	if err = closeAfter(sess, err); err != nil {
		return Part{}, err
	}
	return p, nil
}

// AbortUpload deletes an upload and its parts. Errors: ErrNoUpload, also when it is done.
func (s *Store) AbortUpload(ctx context.Context, name UploadName) error {
	err := s.mustBeOpen(ctx, name)
	if err == nil {
		err = s.driver.AbortUpload(ctx, name.ID)
	}
	return wrap("abort upload", name.Bucket, name.Key, err)
}

// ForgetUploads deletes those of some uploads that are done, by their ids: what they were completed to stays, and to complete one again
// is ErrNoUpload.
func (s *Store) ForgetUploads(ctx context.Context, ids []string) error {
	return wrap("forget uploads", "", "", s.driver.ForgetUploads(ctx, ids))
}

// ExpireUploads deletes uploads to which nothing has happened for so long: they were begun before, got their last part or were
// completed before. It returns how many were not done, also with an error. Errors: ErrCorrupt, when some are damaged and were
// therefore kept.
func (s *Store) ExpireUploads(ctx context.Context, idle time.Duration) (int, error) {
	n, err := s.driver.ExpireUploads(ctx, s.now().Add(-idle))
	return n, wrap("expire uploads", "", "", err)
}
