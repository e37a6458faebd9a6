package xet

import (
	"fmt"
	"slices"
	"sync"

	"github.com/pierrec/lz4/v4"
)

const (
	// RecordHeaderSize is the size of the header of a record in bytes.
	RecordHeaderSize = 8
	// MaxRecordPayload bounds the payload of a record in bytes: twice a chunk,
	// as the reference reader has it.
	MaxRecordPayload = 2 * MaxChunkSize
	// recordVersion is the only version of the record format.
	recordVersion = 0
)

// RecordHeader is the header of a record, the form of a chunk in a xorb (Xet
// xorb format, chunk header):
//
//	u8  version, 0
//	u24 payload bytes
//	u8  scheme
//	u24 bytes of the chunk
//
// The payload follows.
type RecordHeader struct {
	Scheme Scheme
	Stored uint32 // payload bytes, 1 to MaxRecordPayload
	Raw    uint32 // bytes of the chunk, 1 to MaxChunkSize
}

// ParseRecordHeader reads the header at the beginning of b. The error is
// ErrFormat (too short, a size out of bounds, unknown scheme, or a chunk that
// is not compressed but has two sizes), ErrTooLarge or ErrVersion.
func ParseRecordHeader(b []byte) (RecordHeader, error) {
	if len(b) < RecordHeaderSize {
		return RecordHeader{}, fmt.Errorf("record header: %w: %d bytes", ErrFormat, len(b))
	}
	h := RecordHeader{Scheme: Scheme(b[4]), Stored: getU24(b[1:4]), Raw: getU24(b[5:8])}
	switch {
	case b[0] != recordVersion:
		return RecordHeader{}, fmt.Errorf("record header: %w %d", ErrVersion, b[0])
	case h.Scheme > SchemeBG4LZ4:
		return RecordHeader{}, fmt.Errorf("record header: %w: %v", ErrFormat, h.Scheme)
	case h.Stored > MaxRecordPayload:
		return RecordHeader{}, fmt.Errorf("record header: %w: payload of %d bytes", ErrTooLarge, h.Stored)
	case h.Raw > MaxChunkSize:
		return RecordHeader{}, fmt.Errorf("record header: %w: chunk of %d bytes", ErrTooLarge, h.Raw)
	case h.Raw == 0 || h.Stored == 0:
		return RecordHeader{}, fmt.Errorf("record header: %w: empty chunk or payload", ErrFormat)
	case h.Scheme == SchemeNone && h.Stored != h.Raw:
		return RecordHeader{}, fmt.Errorf("record header: %w: %d bytes stored as %d without compression",
			ErrFormat, h.Raw, h.Stored)
	}
	return h, nil
}

// Size gives the size of the whole record in bytes.
func (h RecordHeader) Size() int { return RecordHeaderSize + int(h.Stored) }

func (h RecordHeader) put(b []byte) {
	b[0] = recordVersion
	putU24(b[1:4], h.Stored)
	b[4] = byte(h.Scheme)
	putU24(b[5:8], h.Raw)
}

func getU24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

func putU24(b []byte, v uint32) { b[0], b[1], b[2] = byte(v), byte(v>>8), byte(v>>16) }

// recordScratch is what compressing or decompressing one chunk needs.
type recordScratch struct {
	lz4     lz4.Compressor
	grouped [MaxChunkSize]byte
}

var recordScratches = sync.Pool{New: func() any { return new(recordScratch) }}

// smallScratch is a recordScratch for AppendSmallRecord. Its tables are large.
type smallScratch struct {
	lz4             lz4.CompressorHC
	grouped, record [MaxChunkSize]byte
}

var smallScratches = sync.Pool{New: func() any {
	return &smallScratch{lz4: lz4.CompressorHC{Level: lz4.Level9}}
}}

func getScratch() *recordScratch {
	s, ok := recordScratches.Get().(*recordScratch)
	if !ok {
		panic("xet: the pool of scratches holds something else")
	}
	return s
}

// AppendRecord appends the record of a chunk, compressed by s or not at all
// when that is not smaller, and gives the longer slice. raw has 1 to
// MaxChunkSize bytes; anything else is a bug and panics. When dst has
// RecordHeaderSize+len(raw) bytes to spare, which a record never exceeds,
// nothing is allocated.
func AppendRecord(dst, raw []byte, s Scheme) []byte {
	if len(raw) == 0 || len(raw) > MaxChunkSize {
		panic(fmt.Sprintf("xet: a chunk of %d bytes", len(raw)))
	}
	dst = slices.Grow(dst, RecordHeaderSize+len(raw))
	start := len(dst)
	body := start + RecordHeaderSize
	dst = dst[:body]
	smaller := false
	if s != SchemeNone {
		scratch := getScratch()
		dst, smaller = appendCompressed(dst, raw, s, &scratch.lz4, &scratch.grouped)
		recordScratches.Put(scratch)
	}
	if !smaller {
		dst, s = append(dst[:body], raw...), SchemeNone
	}
	h := RecordHeader{Scheme: s, Stored: uint32(len(dst) - body), Raw: uint32(len(raw))}
	h.put(dst[start:body])
	return dst
}

// AppendSmallRecord is [AppendRecord] for who has time: it tries all schemes
// at the slowest level of LZ4, and takes the smallest record. That costs ten
// times as much and more; reading costs no more than ever.
func AppendSmallRecord(dst, raw []byte) []byte {
	start := len(dst)
	dst = AppendRecord(dst, raw, SchemeNone)
	scratch, ok := smallScratches.Get().(*smallScratch)
	if !ok {
		panic("xet: the pool of scratches holds something else")
	}
	defer smallScratches.Put(scratch)
	for _, s := range []Scheme{SchemeLZ4, SchemeBG4LZ4} {
		body, smaller := appendCompressed(scratch.record[:0], raw, s, &scratch.lz4, &scratch.grouped)
		if !smaller || RecordHeaderSize+len(body) >= len(dst)-start {
			continue
		}
		dst = append(dst[:start+RecordHeaderSize], body...)
		h := RecordHeader{Scheme: s, Stored: uint32(len(body)), Raw: uint32(len(raw))}
		h.put(dst[start : start+RecordHeaderSize])
	}
	return dst
}

// appendCompressed appends the payload for raw to dst, which has len(raw)
// bytes to spare, and tells whether it is smaller than raw.
func appendCompressed(dst, raw []byte, s Scheme, c blockCompressor, scratch *[MaxChunkSize]byte) ([]byte, bool) {
	switch s {
	case SchemeLZ4:
	case SchemeBG4LZ4:
		grouped := scratch[:len(raw)]
		bg4Split(grouped, raw)
		raw = grouped
	default:
		panic("xet: writing with " + s.String())
	}
	return lz4Compress(dst, raw, c)
}

// DecodeRecord gives the chunk in the record at the beginning of rec, and the
// number of bytes of rec that the record takes. Bytes after it are ignored.
// The chunk is not compared with any hash.
//
// When the record is not compressed, raw is a part of rec. Otherwise raw
// begins where dst does if dst has the capacity, which MaxChunkSize always is,
// and is allocated if not; it never keeps what dst held.
//
// The errors are those of [ParseRecordHeader], and ErrFormat for a record that
// is cut short and for a payload that does not decode to exactly the size in
// the header. No more than MaxChunkSize bytes are ever decoded.
func DecodeRecord(dst, rec []byte) (raw []byte, n int, err error) {
	h, err := ParseRecordHeader(rec)
	if err != nil {
		return nil, 0, err
	}
	n = h.Size()
	if len(rec) < n {
		return nil, 0, fmt.Errorf("record: %w: cut short to %d of %d bytes", ErrFormat, len(rec), n)
	}
	payload := rec[RecordHeaderSize:n:n]
	if h.Scheme == SchemeNone {
		return payload, n, nil
	}
	raw = slices.Grow(dst[:0], int(h.Raw))[:h.Raw]
	if h.Scheme == SchemeLZ4 {
		err = lz4Decode(raw, payload)
	} else {
		err = decodeGrouped(raw, payload)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("record payload: %w", err)
	}
	return raw, n, nil
}

func decodeGrouped(raw, payload []byte) error {
	scratch := getScratch()
	defer recordScratches.Put(scratch)
	grouped := scratch.grouped[:len(raw)]
	if err := lz4Decode(grouped, payload); err != nil {
		return err
	}
	bg4Join(raw, grouped)
	return nil
}
