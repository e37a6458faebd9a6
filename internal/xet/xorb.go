package xet

import (
	"encoding/binary"
	"fmt"
)

const (
	// MaxXorbSize bounds the uncompressed bytes of a xorb (Xet specification,
	// xorb limits).
	MaxXorbSize = 64 << 20
	// MaxXorbChunks bounds the chunks of a xorb.
	MaxXorbChunks = 8192
	// MaxXorbBody bounds the records of a xorb that [ScanXorb] takes, in
	// bytes. A writer that compresses only what gets smaller stays below
	// MaxXorbSize and a header for each chunk; this leaves room for others.
	MaxXorbBody = 96 << 20
)

// The footer of a xorb. Version 1, followed by its length as a u32 that does
// not count itself:
//
//	"XETBLOB" u8 1  xorb hash
//	"XBLBHSH" u8 0  u32 n  n × chunk hash
//	"XBLBBND" u8 1  u32 n  n × u32 end of the record in the body
//	                       n × u32 end of the chunk in the uncompressed bytes
//	u32 n
//	u32 distance of the hash section from the end of the footer
//	u32 distance of the boundary section from there
//	16 bytes that readers ignore
//
// The uncompressed ends are missing when the boundary section has version 0.
// Version 0 of the footer knows only the others:
//
//	"XETBLOB" u8 0  xorb hash  u32 n  n × u32 end of the record  n × chunk hash  16 bytes
const (
	xorbIdent       = "XETBLOB"
	xorbHashesIdent = "XBLBHSH"
	xorbEndsIdent   = "XBLBBND"

	xorbIdentSize   = 7 + 1
	xorbSectionSize = xorbIdentSize + 4 // ident, version, count
	xorbPadding     = 16
	xorbTrailerSize = 3*4 + xorbPadding

	xorbFooterV1Base  = xorbIdentSize + HashSize + 2*xorbSectionSize + xorbTrailerSize
	xorbFooterV1Chunk = HashSize + 4 + 4
	xorbFooterV0Base  = xorbIdentSize + HashSize + 4 + xorbPadding
	xorbFooterV0Chunk = HashSize + 4

	xorbLengthSize = 4
	maxXorbFooter  = xorbFooterV1Base + MaxXorbChunks*xorbFooterV1Chunk
)

// XorbInfo says what is in a xorb and where.
type XorbInfo struct {
	Hash   Hash // see XorbHash
	Chunks []XorbChunk
}

// XorbChunk is one chunk of a xorb: its hash, and where its record ends in the
// body and its bytes end in the uncompressed content. Each begins where the
// one before ends. Both are in bytes.
type XorbChunk struct {
	Hash        Hash
	End, RawEnd uint32
}

// Record gives the place of the record of chunk i in the body, in bytes.
func (x *XorbInfo) Record(i int) (start, end uint32) {
	if i > 0 {
		start = x.Chunks[i-1].End
	}
	return start, x.Chunks[i].End
}

// Raw gives the place of chunk i in the uncompressed content, in bytes.
func (x *XorbInfo) Raw(i int) (start, end uint32) {
	if i > 0 {
		start = x.Chunks[i-1].RawEnd
	}
	return start, x.Chunks[i].RawEnd
}

// Chunk gives the hash and uncompressed size of chunk i.
func (x *XorbInfo) Chunk(i int) Chunk {
	start, end := x.Raw(i)
	return Chunk{x.Chunks[i].Hash, end - start}
}

// BodySize gives the size of the body, which is all of the records, in bytes.
func (x *XorbInfo) BodySize() int64 {
	if len(x.Chunks) == 0 {
		return 0
	}
	return int64(x.Chunks[len(x.Chunks)-1].End)
}

// RawSize gives the size of the uncompressed content in bytes.
func (x *XorbInfo) RawSize() int64 {
	if len(x.Chunks) == 0 {
		return 0
	}
	return int64(x.Chunks[len(x.Chunks)-1].RawEnd)
}

// FooterSize gives the number of bytes that [XorbInfo.AppendFooter] appends.
func (x *XorbInfo) FooterSize() int64 {
	return xorbFooterV1Base + int64(len(x.Chunks))*xorbFooterV1Chunk + xorbLengthSize
}

// AppendFooter appends the footer, version 1, and its length to dst, and gives
// the longer slice. Body and footer make a complete xorb.
func (x *XorbInfo) AppendFooter(dst []byte) []byte {
	n := uint32(len(x.Chunks))
	le := binary.LittleEndian
	start := len(dst)
	dst = append(append(dst, xorbIdent...), 1)
	dst = append(dst, x.Hash[:]...)

	hashes := len(dst)
	dst = append(append(dst, xorbHashesIdent...), 0)
	dst = le.AppendUint32(dst, n)
	for i := range x.Chunks {
		dst = append(dst, x.Chunks[i].Hash[:]...)
	}

	ends := len(dst)
	dst = append(append(dst, xorbEndsIdent...), 1)
	dst = le.AppendUint32(dst, n)
	for i := range x.Chunks {
		dst = le.AppendUint32(dst, x.Chunks[i].End)
	}
	for i := range x.Chunks {
		dst = le.AppendUint32(dst, x.Chunks[i].RawEnd)
	}

	end := len(dst) + xorbTrailerSize
	dst = le.AppendUint32(dst, n)
	dst = le.AppendUint32(dst, uint32(end-hashes))
	dst = le.AppendUint32(dst, uint32(end-ends))
	dst = append(dst, make([]byte, xorbPadding)...)
	return le.AppendUint32(dst, uint32(end-start))
}

// verify checks everything that the info alone can prove: that there are
// chunks, of which a footer has no more than MaxXorbChunks, that the sizes of
// records and chunks are within bounds and no more than MaxXorbSize together,
// and the hash.
func (x *XorbInfo) verify() error {
	if len(x.Chunks) == 0 {
		return fmt.Errorf("%w: no chunks", ErrFormat)
	}
	var tree TreeHash
	for i := range x.Chunks {
		start, end := x.Record(i)
		if end <= start || end-start <= RecordHeaderSize || end-start > RecordHeaderSize+MaxRecordPayload {
			return fmt.Errorf("%w: record %d from %d to %d", ErrFormat, i, start, end)
		}
		rawStart, rawEnd := x.Raw(i)
		if rawEnd <= rawStart || rawEnd-rawStart > MaxChunkSize {
			return fmt.Errorf("%w: chunk %d from %d to %d", ErrFormat, i, rawStart, rawEnd)
		}
		tree.Add(x.Chunks[i].Hash, uint64(rawEnd-rawStart))
	}
	if x.RawSize() > MaxXorbSize {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, x.RawSize())
	}
	if root := tree.Root(); root != x.Hash {
		return fmt.Errorf("%w: %v is called %v", ErrHash, root, x.Hash)
	}
	return nil
}
