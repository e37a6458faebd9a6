package object

import (
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"hugbucket/internal/xet"
)

// PartRef names a part as its uploader knows it.
type PartRef struct {
	Number int
	ETag   string // of the part, without quotes
}

// CompleteOptions say more about a Complete.
type CompleteOptions struct {
	If Condition // of what the key names, evaluated at the commit, and once before anything is read
	// Note is asked for Info.Note before anything is read; an error of it is Complete's. May be nil.
	Note    func([]Part) (string, error)
	ModTime time.Time // zero means now
	// SHA256 is that of the content, by a caller who has seen all of it; nil when it is not known. It is not verified.
	SHA256 []byte
}

// Complete joins parts of an upload to an object and deletes all parts, in one commit. Parts of the upload that are not named are
// dropped. The object has the file hash of its bytes, however they were cut into parts; of what is stored only the seams are
// read. Its ETag is the MD5 of the parts' MD5s, "-", and their number, or as ETagOf has it when one of those is not known; the MD5
// of its content is not known. An upload that is done is completed again with success by the same parts, if their MD5s are known,
// whatever the key names meanwhile, to the Info it got then. parts are in order of numbers, at least one. Errors: InvalidError,
// ErrNoUpload, PartError, ErrTooLarge, ErrPrecondition, ErrNoSpace.
func (s *Store) Complete(ctx context.Context, name UploadName, parts []PartRef, opts CompleteOptions) (Info, error) {
	info, err := s.complete(ctx, name, parts, opts)
	return info, wrap("complete upload", name.Bucket, name.Key, err)
}

func (s *Store) complete(ctx context.Context, name UploadName, parts []PartRef, opts CompleteOptions) (Info, error) {
	if err := validRefs(parts); err != nil {
		return Info{}, err
	}
	u, err := s.upload(ctx, name)
	if err != nil {
		return Info{}, err
	}
	if u.Done != nil {
		return completed(u, parts)
	}
	info, err := s.completeOnce(ctx, u, parts, opts)
	if err == nil {
		return info, nil
	}
	for _, kind := range []error{ErrNoUpload, ErrPart, ErrPrecondition, fs.ErrNotExist} {
		if !errors.Is(err, kind) {
			continue
		}
		// It may be that somebody else has completed it meanwhile, with the same parts: then all is well.
		if u, again := s.upload(ctx, name); again == nil && u.Done != nil {
			if info, again := completed(u, parts); again == nil {
				return info, nil
			}
		}
		break
	}
	return Info{}, err
}

func validRefs(parts []PartRef) error {
	if len(parts) == 0 {
		return &InvalidError{"parts", "there are none"}
	}
	last := 0
	for _, p := range parts {
		if p.Number <= last || p.Number > MaxParts {
			return &InvalidError{"parts", fmt.Sprintf("numbers are from 1 to %d, and ascend", MaxParts)}
		}
		last = p.Number
	}
	return nil
}

// completed is what an upload that is done became of these parts; ErrNoUpload when it was others.
func completed(u Upload, parts []PartRef) (Info, error) {
	sums := make([]byte, 0, len(parts)*md5.Size)
	for _, p := range parts {
		sum, err := hex.DecodeString(p.ETag)
		if err != nil {
			return Info{}, ErrNoUpload
		}
		sums = append(sums, sum...)
	}
	if etagOfParts(sums, len(parts)) != u.Done.ETag {
		return Info{}, ErrNoUpload
	}
	return *u.Done, nil
}

// etagOfParts is the ETag of an object of n parts, by their MD5s one behind the other.
func etagOfParts(sums []byte, n int) string {
	sum := md5.Sum(sums)
	return fmt.Sprintf("%x-%d", sum, n)
}

func (s *Store) completeOnce(ctx context.Context, u Upload, refs []PartRef, opts CompleteOptions) (info Info, err error) {
	if !opts.If.IsZero() {
		if err := s.mayPut(ctx, u.Bucket, u.Key, opts.If); err != nil {
			return Info{}, err
		}
	}
	// The session begins before the parts are read, so that their content cannot be collected before the commit.
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return Info{}, err
	}
	defer func() { err = closeAfter(sess, err) }()
	parts, err := s.named(ctx, u.ID, refs)
	if err != nil {
		return Info{}, err
	}
	if err := checkParts(parts); err != nil {
		return Info{}, err
	}
	info = Info{Bucket: u.Bucket, Key: u.Key, Attrs: u.Attrs}
	info.describe(parts)
	if opts.Note != nil {
		if info.Note, err = opts.Note(slices.Clone(parts)); err != nil {
			return Info{}, err
		}
	}
	file, err := s.joinParts(ctx, sess, parts)
	if err != nil {
		return Info{}, err
	}
	if err := sess.PutFile(ctx, file); err != nil {
		return Info{}, err
	}
	info.File, info.ModTime = file.Hash, s.modTime(opts.ModTime)
	info.Digests.SHA256 = opts.SHA256
	if info.ETag == "" {
		info.ETag = ETagOf(nil, file.Hash)
	}
	change := Change{Bucket: u.Bucket, Key: u.Key, New: &info, If: opts.If, Complete: &Completion{Upload: u.ID, Parts: parts}}
	return info, sess.Commit(ctx, []Change{change})
}

// named returns the parts that are named, or a PartError.
func (s *Store) named(ctx context.Context, upload string, refs []PartRef) ([]Part, error) {
	parts := make([]Part, 0, len(refs))
	after, more := 0, true
	for more && len(parts) < len(refs) {
		var page []Part
		var err error
		after = refs[len(parts)].Number - 1 // gaps are stepped over
		if page, more, err = s.driver.Parts(ctx, upload, after, maxPage); err != nil {
			return nil, err
		}
		for _, p := range page {
			if len(parts) == len(refs) {
				break
			}
			ref := refs[len(parts)]
			if p.Number > ref.Number || p.Number == ref.Number && p.ETag() != ref.ETag {
				return nil, &PartError{ref.Number}
			}
			if p.Number == ref.Number {
				parts = append(parts, p)
			}
		}
	}
	if len(parts) < len(refs) {
		return nil, &PartError{refs[len(parts)].Number}
	}
	return parts, nil
}

// describe fills in what the parts say of the object. The ETag stays empty when the MD5 of a part is not known.
func (i *Info) describe(parts []Part) {
	var sums []byte
	var crc uint64
	known, sure := true, true
	for _, p := range parts {
		sums = append(sums, p.Digests.MD5...)
		sure = sure && p.Digests.MD5 != nil
		if known = known && len(p.Digests.CRC64NVME) == 8; known {
			crc = CombineCRC(PolyCRC64NVME, crc, binary.BigEndian.Uint64(p.Digests.CRC64NVME), p.Size)
		}
		i.Size += p.Size
		if n := len(i.Parts); n > 0 && i.Parts[n-1].Size == p.Size {
			i.Parts[n-1].Count++
		} else {
			i.Parts = append(i.Parts, PartRun{Count: 1, Size: p.Size})
		}
	}
	if sure {
		i.ETag = etagOfParts(sums, len(parts))
	}
	if known {
		i.Digests.CRC64NVME = binary.BigEndian.AppendUint64(nil, crc)
	}
}

// joinParts makes one file of the parts' files. One of them is open at a time.
func (s *Store) joinParts(ctx context.Context, sess Session, parts []Part) (xet.Reconstruction, error) {
	j := newJoiner(sess)
	for i, p := range parts {
		content, err := s.driver.OpenFile(ctx, p.File)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: the file %v of part %d is not there", ErrCorrupt, p.File, p.Number)
		}
		if err != nil {
			return xet.Reconstruction{}, err
		}
		err = j.add(ctx, piece{content, 0, content.Size()}, i == len(parts)-1)
		if err := closeAfter(content, err); err != nil {
			return xet.Reconstruction{}, fmt.Errorf("part %d: %w", p.Number, err)
		}
	}
	return j.finish(ctx)
}
