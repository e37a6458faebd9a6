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

// AppendPart makes the part of that number what it is, followed by what r yields until io.EOF; a part that is missing is empty.
// It is to PutPart what Append is to Put: for a door whose clients go on in steps of their own, so that they do not run out of numbers.
// Options are of what r yields. The MD5 and SHA-256 of a part that was appended to are not known. Two that append to one part at
// once both succeed, and the part is what one of them has made of it. Errors: those of PutPart.
func (s *Store) AppendPart(ctx context.Context, name UploadName, number int, r io.Reader, opts PartOptions) (Part, error) {
	var got ingested
	p, err := s.storePart(ctx, name, number, func(sess Session) (p Part, err error) {
		p, got, err = s.stageAppend(ctx, sess, partName{name.ID, number}, r, opts)
		return p, err
	})
	if err == nil {
		s.intake.add(got)
	}
	return p, wrap("append to part", name.Bucket, name.Key, err)
}

type partName struct {
	upload string
	number int
}

func (s *Store) stageAppend(ctx context.Context, sess Session, name partName, r io.Reader, opts PartOptions) (p Part, got ingested, err error) {
	was, err := s.partBefore(ctx, name)
	if err == nil {
		err = cmp.Or(tooLarge("part", opts.Size, MaxPartSize), tooLarge("part", was.Size+opts.Size, MaxPartSize))
	}
	if err != nil {
		return p, got, err
	}
	begun, err := s.begin(ctx, sess, was)
	if err != nil {
		return p, got, err
	}
	got, err = ingest(ctx, begun, r, opts.WantSHA256 || opts.SHA256 != nil)
	if err == nil {
		asked := PutOptions{Size: opts.Size, Sized: opts.Sized, MD5: opts.MD5, SHA256: opts.SHA256}
		err = asked.verify(got)
	}
	if err != nil {
		return p, got, err
	}
	p = Part{Size: int64(got.file.Size), File: got.file.Hash, Digests: got.digests}
	if was.Size > 0 {
		p.Digests = Digests{CRC64NVME: joinedCRC(was, got)}
	}
	if opts.Note != nil {
		p.Note = opts.Note()
	}
	return p, got, sess.PutFile(ctx, got.file)
}

// partBefore returns a part, which is empty when it is missing.
func (s *Store) partBefore(ctx context.Context, name partName) (Part, error) {
	page, _, err := s.driver.Parts(ctx, name.upload, name.number-1, 1)
	if err != nil || len(page) == 0 || page[0].Number != name.number {
		return Part{}, err
	}
	return page[0], nil
}

// begin returns a packer that has the content of a part already.
func (s *Store) begin(ctx context.Context, sess Session, was Part) (_ *packer, err error) {
	j := newJoiner(sess)
	if was.Size == 0 {
		return j.open(), nil
	}
	content, err := s.driver.OpenFile(ctx, was.File)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: the file %v of part %d is not there", ErrCorrupt, was.File, was.Number)
	}
	if err != nil {
		return nil, err
	}
	err = j.add(ctx, piece{content, 0, content.Size()}, false)
	return j.open(), closeAfter(content, err)
}

// joinedCRC is the CRC of a part and what came behind it; nil when that of the part is not known.
func joinedCRC(was Part, got ingested) []byte {
	if len(was.Digests.CRC64NVME) != 8 {
		return nil
	}
	crc := CombineCRC(PolyCRC64NVME, binary.BigEndian.Uint64(was.Digests.CRC64NVME), binary.BigEndian.Uint64(got.digests.CRC64NVME), got.came)
	return binary.BigEndian.AppendUint64(nil, crc)
}
