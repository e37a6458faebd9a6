package xet

import (
	"errors"
	"fmt"
	"io"
)

// XorbWriter writes a xorb record by record. It keeps the chunk list in
// memory and nothing else. It is for one goroutine.
type XorbWriter struct {
	w    io.Writer
	info XorbInfo
	tree TreeHash
	err  error // sticky, once part of a record may have been written
}

var errXorbClosed = errors.New("xorb is closed")

// NewXorbWriter gives a writer of a xorb to w. w sees one Write for each
// record, and one for the footer.
func NewXorbWriter(w io.Writer) *XorbWriter { return &XorbWriter{w: w} }

// Fits tells whether a chunk of rawBytes uncompressed bytes may be added: the
// xorb then has no more than MaxXorbChunks chunks and MaxXorbSize bytes.
func (x *XorbWriter) Fits(rawBytes int) bool {
	return len(x.info.Chunks) < MaxXorbChunks && x.RawBytes()+int64(rawBytes) <= MaxXorbSize
}

// Add writes the record of chunk c, as [AppendRecord] makes it. The header of
// the record must agree with its length and with c.Size, else the error is
// ErrFormat; that the hash is right is the caller's word. A chunk that does
// not fit is ErrTooLarge. After these errors the xorb is as it was; after an
// error of the writer it is useless, and every call gives that error.
func (x *XorbWriter) Add(c Chunk, record []byte) error {
	if x.err != nil {
		return x.err
	}
	h, err := ParseRecordHeader(record)
	if err != nil {
		return fmt.Errorf("add to xorb: %w", err)
	}
	if h.Size() != len(record) || h.Raw != c.Size {
		return fmt.Errorf("add to xorb: %w: record of %d bytes for a chunk of %d is %d bytes for one of %d",
			ErrFormat, h.Size(), h.Raw, len(record), c.Size)
	}
	if !x.Fits(int(c.Size)) {
		return fmt.Errorf("add to xorb: %w: %d chunks, %d bytes, and %d more", ErrTooLarge, x.Len(), x.RawBytes(), c.Size)
	}
	if _, err := x.w.Write(record); err != nil {
		x.err = fmt.Errorf("write record: %w", err)
		return x.err
	}
	x.info.Chunks = append(x.info.Chunks, XorbChunk{
		Hash:   c.Hash,
		End:    uint32(x.BodyBytes()) + uint32(len(record)), // fits: MaxXorbChunks of the largest records are 2 GiB
		RawEnd: uint32(x.RawBytes()) + c.Size,
	})
	x.tree.Add(c.Hash, uint64(c.Size))
	return nil
}

// Len gives the number of chunks so far.
func (x *XorbWriter) Len() int { return len(x.info.Chunks) }

// RawBytes gives the number of uncompressed bytes so far.
func (x *XorbWriter) RawBytes() int64 { return x.info.RawSize() }

// BodyBytes gives the number of bytes written so far.
func (x *XorbWriter) BodyBytes() int64 { return x.info.BodySize() }

// Chunk gives chunk i of those added.
func (x *XorbWriter) Chunk(i int) Chunk { return x.info.Chunk(i) }

// Close writes the footer, version 1, and its length, and gives what
// [ReadXorbInfo] would. It does not close the writer beneath. A xorb has at
// least one chunk: closing without is ErrFormat, and writes nothing.
func (x *XorbWriter) Close() (*XorbInfo, error) {
	if x.err != nil {
		return nil, x.err
	}
	if len(x.info.Chunks) == 0 {
		return nil, fmt.Errorf("close xorb: %w: no chunks", ErrFormat)
	}
	x.info.Hash = x.tree.Root()
	if _, err := x.w.Write(x.info.AppendFooter(make([]byte, 0, x.info.FooterSize()))); err != nil {
		x.err = fmt.Errorf("write xorb footer: %w", err)
		return nil, x.err
	}
	x.err = errXorbClosed
	info := x.info
	return &info, nil
}
