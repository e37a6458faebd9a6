package object

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Append makes the object's content the first at bytes of what the key names, followed by what r yields until io.EOF; at < 0 is
// all of it, and a missing key is empty. Otherwise it is as Put: attributes (but see PutOptions.Amend), note and time are those of opts, whose Size and
// digests are of what r yields, and whose condition is of what the key names. The file hash is that of one upload of all bytes.
// Of what is stored only the last chunk that is kept is read, and when not all is kept, for the CRC, the shorter of what is kept and
// what is not; but the time that it takes grows with the number of chunks. MD5 and SHA-256 of the whole are not known, unless
// nothing is kept, or nothing but kept: then all stays that is known of the content. The commit demands that the key
// still names what it named. Errors: InvalidError, also when at is beyond the size and the condition holds, ErrPrecondition, also when the object was changed or
// deleted meanwhile, and the others of Put.
func (s *Store) Append(ctx context.Context, bucket, key string, at int64, r io.Reader, opts PutOptions) (Info, error) { //nolint:revive // six things belong to it
	err := validName(bucket, key)
	if err == nil {
		err = validAttrs(opts.Attrs)
	}
	if err != nil {
		return Info{}, wrap("append", bucket, key, err)
	}
	info, err := s.append(ctx, Info{Bucket: bucket, Key: key, Attrs: opts.Attrs}, at, r, opts)
	return info, wrap("append", bucket, key, err)
}

func (s *Store) append(ctx context.Context, info Info, at int64, r io.Reader, opts PutOptions) (_ Info, err error) {
	// The session begins before the old content is looked at, so that it cannot be collected before the commit.
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return Info{}, err
	}
	defer func() { err = closeAfter(sess, err) }()
	old, err := s.keep(ctx, sess, info, at, opts.If)
	if err == nil {
		err = cmp.Or(tooLarge("object", opts.Size, MaxSize), tooLarge("object", old.size+opts.Size, MaxSize))
	}
	if err != nil {
		return Info{}, err
	}
	got, err := ingest(ctx, old.p, r, opts.WantSHA256 || opts.SHA256 != nil)
	if err == nil {
		err = opts.verify(got)
	}
	if err == nil && opts.Amend != nil {
		info.Attrs, err = s.amendedNow(ctx, info.Bucket, info.Key, opts.Amend)
	}
	if err != nil {
		return Info{}, err
	}
	old.describe(&info, &got)
	opts.If = old.still()
	info, err = s.name(ctx, sess, got, info, opts)
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNoBucket) {
		err = fmt.Errorf("%w: the object was deleted", ErrPrecondition)
	}
	return info, err
}

// amendedNow returns the attributes that a key has, as change leaves a copy of them; of a missing key, none.
func (s *Store) amendedNow(ctx context.Context, bucket, key string, change func(*Attrs)) (Attrs, error) {
	was, err := s.driver.Stat(ctx, bucket, key)
	if err != nil && (errors.Is(err, ErrNoBucket) || !errors.Is(err, fs.ErrNotExist)) {
		return Attrs{}, err
	}
	return was.Attrs.amended(change)
}

// kept is the beginning of what a key names, to go on from.
type kept struct {
	was  *Info // nil when the key was missing
	size int64 // bytes that are kept
	crc  []byte
	p    *packer // has them
}

// keep prepares the first at bytes of an object of which the condition holds.
func (s *Store) keep(ctx context.Context, sess Session, name Info, at int64, cond Condition) (k kept, err error) {
	was, content, err := s.driver.Open(ctx, name.Bucket, name.Key)
	switch {
	case err == nil:
		defer func() { err = closeAfter(content, err) }()
		k.was = &was
	case errors.Is(err, ErrNoBucket) || !errors.Is(err, fs.ErrNotExist):
		return k, err
	}
	if err := cond.Check(k.was); err != nil { // before the offset is looked at, which may be of another object
		return k, err
	}
	if k.size = at; at < 0 {
		k.size = was.Size
	}
	if k.size > was.Size {
		return k, &InvalidError{"offset", fmt.Sprintf("it is beyond the %d bytes of the object", was.Size)}
	}
	j := newJoiner(sess)
	if k.size > 0 {
		if err := j.add(ctx, piece{content, 0, k.size}, false); err != nil {
			return k, err
		}
		if k.crc, err = crcOfStart(ctx, content, was.Digests.CRC64NVME, k.size); err != nil {
			return k, err
		}
	}
	k.p = j.open()
	return k, nil
}

// open returns the packer, to which what follows is still to be added.
func (j *joiner) open() *packer {
	j.p.carry, j.p.split = j.carry, j.split
	return j.p
}

// still is the condition that the key names what was kept of.
func (k *kept) still() Condition {
	if k.was == nil {
		return Condition{IfNoneMatch: []string{"*"}}
	}
	return Condition{IfMatch: []string{k.was.ETag}}
}

// describe fills in what is known of what is kept and what came together.
func (k *kept) describe(info *Info, got *ingested) {
	switch {
	case k.size == 0:
	case k.size == k.was.Size && got.came == 0:
		info.ETag, info.Parts, got.digests = k.was.ETag, k.was.Parts, k.was.Digests
	case k.crc == nil:
		got.digests = Digests{}
	default:
		crc := CombineCRC(PolyCRC64NVME, binary.BigEndian.Uint64(k.crc), binary.BigEndian.Uint64(got.digests.CRC64NVME), got.came)
		got.digests = Digests{CRC64NVME: binary.BigEndian.AppendUint64(nil, crc)}
	}
}

// crcOfStart returns the CRC-64/NVME of the first n bytes of content, by that of all of it, which may be unknown, and by reading the
// shorter of the first n and the others.
func crcOfStart(ctx context.Context, content Content, all []byte, n int64) ([]byte, error) {
	rest := content.Size() - n
	if rest == 0 {
		return all, nil
	}
	if all == nil || n <= rest {
		d, err := piece{content, 0, n}.digests(ctx, nil)
		return d.CRC64NVME, err
	}
	d, err := piece{content, n, content.Size()}.digests(ctx, nil)
	if err != nil {
		return nil, err
	}
	crc := firstCRC(PolyCRC64NVME, binary.BigEndian.Uint64(all), binary.BigEndian.Uint64(d.CRC64NVME), rest)
	return binary.BigEndian.AppendUint64(nil, crc), nil
}
