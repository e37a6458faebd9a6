package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sys/unix"

	"hugbucket/internal/xet"
)

// packScan finds the xorbs of a pack by what is in it. They lie back to back: records, each with a header that says how long
// it is, then the footer, by which the xorb is proved. Where that comes to an end before the pack does, because a bit has
// flipped, an append was torn or zeros follow, it goes on at the next footer, or where an old row says that a xorb begins.
type packScan struct {
	r    io.ReaderAt
	size int64
	// starts returns where xorbs begin by what somebody else knows of the pack, ascending. It is asked where the pack does not
	// say so itself. It may be nil, and may be wrong.
	starts func() []int64
	// each is told each xorb, in the order in which they lie.
	each func(packed) error
	// gap is told what of the pack, from from to to, is no xorb, and why.
	gap func(from, to int64, why error)

	window []byte // what was read last
	at     int64  // where that lies
}

const (
	// footerIdent is how a footer begins: in the place of a record's header. A record begins with 0.
	footerIdent = "XETBLOB"
	// scanWindow is how much of a pack is read at once.
	scanWindow = 16 << 10
	// leastFooter is how much of a footer has to be read to know how many chunks the xorb has, see xet.XorbInfo: ident [8], hash
	// [32], ident [8], u32 n.
	leastFooter = 8 + xet.HashSize + 8 + 4
)

// packed is a xorb in a pack.
type packed struct {
	off, len int64
	info     *xet.XorbInfo
	err      error // what is wrong with its records, when its footer is the only proof
}

// run scans the pack. The errors are those of r and of each, never what the pack holds.
func (s *packScan) run() error {
	for off := int64(0); off < s.size; {
		x, err := s.walk(off)
		if broken(err) {
			why := err
			if x, err = s.resume(off); err != nil {
				return err
			}
			if x.off > off {
				s.gap(off, x.off, why)
			} else if x.err == nil {
				x.err = why
			}
			if x.info == nil {
				return nil
			}
		}
		if err == nil {
			err = s.each(x)
		}
		if err != nil {
			return err
		}
		off = x.off + x.len
	}
	return nil
}

// broken says whether an error is one of what was read, not of reading it.
func broken(err error) bool {
	return errors.Is(err, xet.ErrFormat) || errors.Is(err, xet.ErrHash) || errors.Is(err, xet.ErrTooLarge) ||
		errors.Is(err, xet.ErrVersion) || errors.Is(err, io.ErrUnexpectedEOF) || badSector(err)
}

// badSector says whether an error is that of a sector that cannot be read, or what a file system with checksums says of one.
func badSector(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EBADMSG) || errors.Is(err, unix.EUCLEAN)
}

// walk goes from record to record of the xorb at off to its footer, and reads that.
func (s *packScan) walk(off int64) (packed, error) {
	var ends []uint32
	body := int64(0)
	for {
		header, err := s.read(off+body, xet.RecordHeaderSize)
		if err != nil {
			return packed{}, err
		}
		if bytes.HasPrefix(header, []byte(footerIdent)) {
			break
		}
		h, err := xet.ParseRecordHeader(header)
		if err != nil {
			return packed{}, err
		}
		body += int64(h.Size())
		if len(ends) == xet.MaxXorbChunks || body > xet.MaxXorbBody {
			return packed{}, fmt.Errorf("%w: %d records, %d bytes", xet.ErrTooLarge, len(ends), body)
		}
		ends = append(ends, uint32(body))
	}
	x, err := s.footer(off, body, len(ends))
	if err != nil {
		return packed{}, err
	}
	for i, c := range x.info.Chunks {
		if c.End != ends[i] {
			return packed{}, fmt.Errorf("%w: record %d ends at %d, its footer says %d", xet.ErrFormat, i, ends[i], c.End)
		}
	}
	return x, nil
}

// footer reads the footer of a xorb of n chunks at off whose body has so many bytes.
func (s *packScan) footer(off, body int64, n int) (packed, error) {
	length := body + (&xet.XorbInfo{Chunks: make([]xet.XorbChunk, n)}).FooterSize()
	if length > s.size-off {
		return packed{}, fmt.Errorf("%w: %d bytes are left for a xorb of %d", xet.ErrFormat, s.size-off, length)
	}
	info, err := xet.ReadXorbInfo(io.NewSectionReader(s.r, off, length), length)
	if err == nil && len(info.Chunks) != n {
		err = fmt.Errorf("%w: %d chunks in %d records", xet.ErrFormat, len(info.Chunks), n)
	}
	return packed{off: off, len: length, info: info}, err
}

// resume finds the next xorb from off on, where one should begin and does not. It is the end of the pack, without info, when
// there is none. One whose footer was found is taken when it is whole, or begins just where one is known to.
func (s *packScan) resume(off int64) (packed, error) {
	var starts []int64
	if s.starts != nil {
		starts = s.starts()
	}
	for from := off; ; {
		ident, err := s.search(from)
		if err != nil {
			return packed{}, err
		}
		for _, start := range starts { // an old row is nearer
			if start <= off || start >= ident || start < from {
				continue
			}
			if x, err := s.walk(start); !broken(err) {
				return x, err
			}
		}
		if ident == s.size {
			return packed{off: s.size}, nil
		}
		x, err := s.behind(off, ident)
		if err == nil && x.off > off {
			if x, err = s.proved(x, starts); err == nil {
				x, err = s.outermost(off, x, starts)
			}
		}
		if !broken(err) {
			return x, err
		}
		from = ident + 1
	}
}

// outermost returns the xorb that another one, which may be content of a file that was stored, lies in; or that one.
func (s *packScan) outermost(off int64, x packed, starts []int64) (packed, error) {
	end := min(s.size, x.off+2*packLimit)
	for from := x.off + x.len; from < end; {
		ident, err := s.search(from)
		if err != nil || ident >= end {
			return x, err
		}
		outer, err := s.behind(off, ident)
		if err == nil && outer.off > off && outer.off <= x.off {
			outer, err = s.proved(outer, starts)
		}
		switch {
		case err == nil && outer.off <= x.off:
			x = outer
		case err != nil && !broken(err):
			return x, err
		}
		from = ident + 1
	}
	return x, nil
}

// proved returns an error unless all chunks of a xorb are what its footer says, or somebody knows that one begins there.
func (s *packScan) proved(x packed, starts []int64) (packed, error) {
	err := hasChunks(io.NewSectionReader(s.r, x.off, x.info.BodySize()), x.info)
	if broken(err) && slices.Contains(starts, x.off) {
		x.err, err = err, nil
	}
	return x, err
}

// search returns where the next footer may begin, from from on; the end of the pack when there is none.
func (s *packScan) search(from int64) (int64, error) {
	for from < s.size {
		b, err := s.read(from, min(scanWindow, s.size-from))
		if badSector(err) {
			from += pageSize
			continue
		}
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, []byte(footerIdent)); i >= 0 {
			return from + int64(i), nil
		}
		if from+int64(len(b)) == s.size {
			break
		}
		from += int64(len(b) - len(footerIdent) + 1)
	}
	return s.size, nil
}

// behind reads the xorb whose footer begins at ident, and which begins at off at the earliest.
func (s *packScan) behind(off, ident int64) (packed, error) {
	head, err := s.read(ident, leastFooter)
	if err != nil {
		return packed{}, err
	}
	n := int64(binary.LittleEndian.Uint32(head[leastFooter-4:]))
	if n == 0 || n > xet.MaxXorbChunks {
		return packed{}, fmt.Errorf("%w: %d chunks", xet.ErrTooLarge, n)
	}
	// Behind the hashes: ident [8], u32 n, n × u32 end of a record, of which the last is that of the body.
	last, err := s.read(ident+leastFooter+n*xet.HashSize+8+4+(n-1)*4, 4)
	if err != nil {
		return packed{}, err
	}
	body := int64(binary.LittleEndian.Uint32(last))
	if ident-body < off || body > xet.MaxXorbBody {
		return packed{}, fmt.Errorf("%w: a body of %d bytes", xet.ErrFormat, body)
	}
	return s.footer(ident-body, body, int(n))
}

// read returns n bytes at off, which are valid until the next call. What goes past the end is an io.ErrUnexpectedEOF.
func (s *packScan) read(off, n int64) ([]byte, error) {
	if off < 0 || n > s.size-off {
		return nil, io.ErrUnexpectedEOF
	}
	if off < s.at || off+n > s.at+int64(len(s.window)) {
		if s.window == nil {
			s.window = make([]byte, scanWindow)
		}
		s.window = s.window[:min(scanWindow, s.size-off)]
		s.at = off
		if got, err := s.r.ReadAt(s.window, off); got < len(s.window) {
			s.window = s.window[:0]
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return s.window[off-s.at : off-s.at+n], nil
}
