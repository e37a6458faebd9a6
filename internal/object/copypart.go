package object

import (
	"context"
	"fmt"
	"io"

	"hugbucket/internal/xet"
)

// CopyPartOptions say what a CopyPart copies.
type CopyPartOptions struct {
	FromBucket, FromKey string
	FromIf              Condition // of the source
	// Off and Len are the range in bytes; Len < 0 is all from Off on. What is not in the source is an InvalidError.
	Off, Len int64
	// Also is written the bytes of the part when it is not nil, for digests of a door's own. They are read for that.
	Also io.Writer
	Note func(Part) string // is asked for Part.Note; may be nil
}

// CopyPart makes a range of an object a part. It refers to what is stored, and cuts anew at the edges of the range; bytes are
// read only for what is not known of them: the digests of anything but a whole object.
// Errors: InvalidError, ErrTooLarge, ErrNoUpload, ErrNoBucket, fs.ErrNotExist, ErrPrecondition.
func (s *Store) CopyPart(ctx context.Context, name UploadName, number int, opts CopyPartOptions) (Part, error) {
	p, err := s.storePart(ctx, name, number, func(sess Session) (Part, error) { return s.stageCopy(ctx, sess, opts) })
	return p, wrap("copy part", name.Bucket, name.Key, err)
}

func (s *Store) stageCopy(ctx context.Context, sess Session, opts CopyPartOptions) (p Part, err error) {
	from := func(err error) error { return wrap("copy from", opts.FromBucket, opts.FromKey, err) }
	if err := validName(opts.FromBucket, opts.FromKey); err != nil {
		return p, from(err)
	}
	info, content, err := s.driver.Open(ctx, opts.FromBucket, opts.FromKey)
	if err != nil {
		return p, from(err)
	}
	defer func() { err = closeAfter(content, err) }()
	if err := opts.FromIf.Check(&info); err != nil {
		return p, from(err)
	}
	x, err := rangeOf(content, opts)
	if err != nil {
		return p, err
	}
	p = Part{Size: x.to - x.from, File: info.File}
	whole := p.Size == info.Size
	if !whole {
		file, err := join(ctx, sess, x)
		if err != nil {
			return p, from(err)
		}
		if err := sess.PutFile(ctx, file); err != nil {
			return p, err
		}
		p.File = file.Hash
	}
	if whole && opts.Also == nil && info.Digests.MD5 != nil && info.Digests.CRC64NVME != nil {
		p.Digests = info.Digests
	} else if p.Digests, err = x.digests(ctx, opts.Also); err != nil {
		return p, from(err)
	}
	if opts.Note != nil {
		p.Note = opts.Note(p)
	}
	return p, nil
}

func rangeOf(c Content, opts CopyPartOptions) (piece, error) {
	size := c.Size()
	n := opts.Len
	if n < 0 {
		n = size - opts.Off
	}
	if opts.Off < 0 || opts.Off > size || n > size-opts.Off {
		return piece{}, &InvalidError{"range", fmt.Sprintf("it is not in the %d bytes of the source", size)}
	}
	return piece{c, opts.Off, opts.Off + n}, tooLarge("part", n, MaxPartSize)
}

// join makes a file of one piece.
func join(ctx context.Context, sess Session, x piece) (xet.Reconstruction, error) {
	j := newJoiner(sess)
	if err := j.add(ctx, x, true); err != nil {
		return xet.Reconstruction{}, err
	}
	return j.finish(ctx)
}

// digests reads a piece; also gets its bytes, if it is not nil.
func (x piece) digests(ctx context.Context, also io.Writer) (Digests, error) {
	d := newDigester(false)
	for at := x.from; at < x.to; {
		b, err := x.block(ctx, at, x.to-at)
		if err != nil {
			return Digests{}, err
		}
		d.write(b)
		if also != nil {
			if _, err := also.Write(b); err != nil {
				return Digests{}, err
			}
		}
		at += int64(len(b))
	}
	return d.sum(), nil
}
