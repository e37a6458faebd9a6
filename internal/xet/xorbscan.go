package xet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ScanXorb reads the body of a xorb as clients upload it: records to the end
// of r, or to a footer, of which nothing is believed and that is not read to
// its end. It decodes and hashes every chunk and gives what the footer should
// say; the caller compares the hash with the one it was promised.
//
// r may be read beyond the body. each, unless nil, is told the index and bytes
// of every chunk as it passes; the bytes are good until it returns, and an
// error of it ends the scan and comes back as it is.
//
// The errors are those of [DecodeRecord], ErrFormat for a body that is cut
// short or has no chunks, ErrTooLarge for more than MaxXorbChunks chunks or
// MaxXorbSize or
// MaxXorbBody bytes, and those of r. Memory is that of the chunk list and of
// one record.
func ScanXorb(r io.Reader, each func(i int, raw []byte) error) (*XorbInfo, error) {
	s := xorbScanner{r: bufio.NewReaderSize(r, 64<<10)}
	x := new(XorbInfo)
	var tree TreeHash
	for {
		raw, size, err := s.next()
		if errors.Is(err, errXorbEnd) {
			break
		}
		i := len(x.Chunks)
		if err == nil && (i == MaxXorbChunks || x.RawSize()+int64(len(raw)) > MaxXorbSize ||
			x.BodySize()+int64(size) > MaxXorbBody) {
			err = fmt.Errorf("%w: %d bytes, %d uncompressed, before it", ErrTooLarge, x.BodySize(), x.RawSize())
		}
		if err != nil {
			return nil, fmt.Errorf("xorb record %d: %w", i, err)
		}
		if each != nil {
			if err := each(i, raw); err != nil {
				return nil, err
			}
		}
		h := ChunkHash(raw)
		tree.Add(h, uint64(len(raw)))
		x.Chunks = append(x.Chunks, XorbChunk{
			Hash:   h,
			End:    uint32(x.BodySize()) + uint32(size),
			RawEnd: uint32(x.RawSize()) + uint32(len(raw)),
		})
	}
	if len(x.Chunks) == 0 {
		return nil, fmt.Errorf("xorb: %w: no chunks", ErrFormat)
	}
	x.Hash = tree.Root()
	return x, nil
}

// errXorbEnd is what ends a scan well.
var errXorbEnd = errors.New("end of the records")

// xorbScanner reads one record after the other.
type xorbScanner struct {
	r      *bufio.Reader
	record []byte
	raw    []byte
}

// next gives the next chunk and the size of its record, or errXorbEnd.
func (s *xorbScanner) next() (raw []byte, size int, err error) {
	s.record = append(s.record[:0], make([]byte, RecordHeaderSize)...)
	switch _, err := io.ReadFull(s.r, s.record); {
	case err == io.EOF: // not one byte
		return nil, 0, errXorbEnd
	case err != nil:
		return nil, 0, cutShort(err)
	case string(s.record[:len(xorbIdent)]) == xorbIdent:
		return nil, 0, errXorbEnd
	}
	h, err := ParseRecordHeader(s.record)
	if err != nil {
		return nil, 0, err
	}
	s.record = append(s.record, make([]byte, h.Stored)...)
	if _, err := io.ReadFull(s.r, s.record[RecordHeaderSize:]); err != nil {
		return nil, 0, cutShort(err)
	}
	raw, size, err = DecodeRecord(s.raw, s.record)
	if err == nil && h.Scheme != SchemeNone {
		s.raw = raw // for reuse
	}
	return raw, size, err
}

// cutShort makes the end of a source in the middle of something ErrFormat, and
// leaves other errors alone.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	return err
}
