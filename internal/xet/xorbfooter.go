package xet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// xorbTail is how much of the end of a xorb ReadXorbInfo reads first: the
// footer of a xorb with 1600 chunks of the usual size.
const xorbTail = 64 << 10

// ReadXorbInfo reads the footer of a complete xorb of size bytes, body, footer
// and footer length, and proves it: the sections are where they should be, the
// records fill the body one after the other, sizes are within bounds, and the
// hash over the chunk hashes and sizes is that of the footer. It does not look at
// the chunks, and no hash covers where one record ends and the next begins: that
// shows when a record is decoded. Footers of version 0, and those without
// uncompressed ends, are completed from the record headers.
//
// Nearly always that is a single read of up to 64 KiB. The errors are
// ErrFormat, ErrVersion, ErrTooLarge, ErrHash and those of r.
func ReadXorbInfo(r io.ReaderAt, size int64) (*XorbInfo, error) {
	x, err := readXorbInfo(r, size)
	if err != nil {
		return nil, fmt.Errorf("xorb footer: %w", err)
	}
	return x, nil
}

func readXorbInfo(r io.ReaderAt, size int64) (*XorbInfo, error) {
	if size < xorbFooterV0Base+xorbLengthSize {
		return nil, fmt.Errorf("%w: xorb of %d bytes", ErrFormat, size)
	}
	tail := make([]byte, min(size, xorbTail))
	if err := readFullAt(r, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(tail[len(tail)-xorbLengthSize:]))
	if length > maxXorbFooter {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, length)
	}
	bodySize := size - xorbLengthSize - length
	if bodySize < 0 {
		return nil, fmt.Errorf("%w: %d bytes in a xorb of %d", ErrFormat, length, size)
	}
	var footer []byte
	if have := int64(len(tail)) - xorbLengthSize; length <= have {
		footer = tail[have-length : have]
	} else {
		footer = make([]byte, length)
		if err := readFullAt(r, footer, bodySize); err != nil {
			return nil, err
		}
	}
	x, complete, err := parseXorbFooter(footer, bodySize)
	if err != nil {
		return nil, err
	}
	if !complete {
		if err := x.readRawEnds(r); err != nil {
			return nil, err
		}
	}
	if err := x.verify(); err != nil {
		return nil, err
	}
	return x, nil
}

// ParseXorbInfo is [ReadXorbInfo] for a footer alone, without the length that
// follows it, of a xorb with a body of bodySize bytes. A footer that only the
// record headers can complete is ErrVersion.
func ParseXorbInfo(footer []byte, bodySize int64) (*XorbInfo, error) {
	x, complete, err := parseXorbFooter(footer, bodySize)
	if err == nil && !complete {
		err = fmt.Errorf("%w: no uncompressed sizes", ErrVersion)
	}
	if err == nil {
		err = x.verify()
	}
	if err != nil {
		return nil, fmt.Errorf("xorb footer: %w", err)
	}
	return x, nil
}

// readFullAt fills b from r at off. A source that ends before that is
// ErrFormat.
func readFullAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: ends at byte %d: %w", ErrFormat, off+int64(n), io.ErrUnexpectedEOF)
	}
	return err
}

// readRawEnds fills in the uncompressed ends from the headers of the records,
// whose ends are known.
func (x *XorbInfo) readRawEnds(r io.ReaderAt) error {
	var header [RecordHeaderSize]byte
	var rawEnd uint32
	for i := range x.Chunks {
		start, end := x.Record(i)
		if end < start || end-start <= RecordHeaderSize {
			return fmt.Errorf("%w: record %d from %d to %d", ErrFormat, i, start, end)
		}
		if err := readFullAt(r, header[:], int64(start)); err != nil {
			return err
		}
		h, err := ParseRecordHeader(header[:])
		if err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
		if h.Size() != int(end-start) {
			return fmt.Errorf("%w: record %d of %d bytes from %d to %d", ErrFormat, i, h.Size(), start, end)
		}
		rawEnd += h.Raw // at most MaxXorbChunks*MaxChunkSize
		x.Chunks[i].RawEnd = rawEnd
	}
	return nil
}

// parseXorbFooter reads a footer and checks its layout, and that the records
// end with the body. complete says that it has the uncompressed ends.
func parseXorbFooter(footer []byte, bodySize int64) (x *XorbInfo, complete bool, err error) {
	c := cursor{rest: footer}
	version := c.ident(xorbIdent)
	x = new(XorbInfo)
	x.Hash = c.hash()
	if c.failed {
		return nil, false, fmt.Errorf("%w: no %s", ErrFormat, xorbIdent)
	}
	switch version {
	case 0:
		err = x.parseV0(&c)
	case 1:
		complete, err = x.parseV1(&c, len(footer))
	default:
		err = fmt.Errorf("%w %d", ErrVersion, version)
	}
	if err != nil {
		return nil, false, err
	}
	if x.BodySize() != bodySize {
		return nil, false, fmt.Errorf("%w: records end at %d in a body of %d bytes", ErrFormat, x.BodySize(), bodySize)
	}
	return x, complete, nil
}

func (x *XorbInfo) parseV0(c *cursor) error {
	n := c.count()
	if c.failed || len(c.rest) != n*xorbFooterV0Chunk+xorbPadding {
		return fmt.Errorf("%w: version 0 with %d bytes for %d chunks", ErrFormat, len(c.rest), n)
	}
	x.Chunks = make([]XorbChunk, n)
	for i := range x.Chunks {
		x.Chunks[i].End = c.u32()
	}
	for i := range x.Chunks {
		x.Chunks[i].Hash = c.hash()
	}
	return nil
}

// parseV1 reads version 1 of length bytes from after the xorb hash.
func (x *XorbInfo) parseV1(c *cursor, length int) (complete bool, err error) {
	hashes := length - len(c.rest)
	version := c.ident(xorbHashesIdent)
	n := c.count()
	if c.failed || version != 0 || len(c.rest) < n*HashSize {
		return false, fmt.Errorf("%w: hash section version %d with %d chunks", ErrFormat, version, n)
	}
	x.Chunks = make([]XorbChunk, n)
	for i := range x.Chunks {
		x.Chunks[i].Hash = c.hash()
	}

	ends := length - len(c.rest)
	version = c.ident(xorbEndsIdent)
	m := c.count()
	per := 4
	if version > 0 {
		per = 8
	}
	if c.failed || version > 1 || m != n || len(c.rest) != n*per+xorbTrailerSize {
		return false, fmt.Errorf("%w: boundary section version %d with %d of %d chunks", ErrFormat, version, m, n)
	}
	for i := range x.Chunks {
		x.Chunks[i].End = c.u32()
	}
	if version > 0 {
		for i := range x.Chunks {
			x.Chunks[i].RawEnd = c.u32()
		}
	}

	if n2, h, e := c.count(), c.u32(), c.u32(); n2 != n || int64(h) != int64(length-hashes) || int64(e) != int64(length-ends) {
		return false, fmt.Errorf("%w: trailer says %d chunks, sections at -%d and -%d", ErrFormat, n2, h, e)
	}
	return version > 0, nil
}

// cursor reads fields from the front of rest. After reading past the end it
// gives zeros and is failed.
type cursor struct {
	rest   []byte
	failed bool
}

func (c *cursor) bytes(n int) []byte {
	if len(c.rest) < n {
		c.failed = true
		return make([]byte, n) // n is a constant of the format
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) u32() uint32 { return binary.LittleEndian.Uint32(c.bytes(4)) }

func (c *cursor) u64() uint64 { return binary.LittleEndian.Uint64(c.bytes(8)) }

func (c *cursor) hash() Hash { return Hash(c.bytes(HashSize)) }

// count reads a number of chunks, which fails beyond MaxXorbChunks.
func (c *cursor) count() int {
	n := c.u32()
	if n > MaxXorbChunks {
		c.failed = true
		return 0
	}
	return int(n)
}

// ident reads the name of a section, which fails for another name, and gives
// its version.
func (c *cursor) ident(name string) byte {
	b := c.bytes(xorbIdentSize)
	if string(b[:len(name)]) != name {
		c.failed = true
	}
	return b[len(name)]
}
