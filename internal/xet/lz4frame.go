package xet

import (
	"encoding/binary"
	"fmt"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame format, as far as it occurs in xorbs:
//
//	u32 magic
//	u8  FLG   01 version, then one bit each: independent blocks, block
//	          checksums, content size, content checksum, reserved, dictionary
//	u8  BD    bits 4-6: 4..7 for blocks of up to 64 KiB, 256 KiB, 1 MiB, 4 MiB
//	u64 content size, when FLG says so
//	u8  second byte of the xxh32 of FLG to content size
//	blocks: u32 size (bit 31: not compressed), data, u32 xxh32 of the data when FLG says so
//	u32 0, the end mark, which may be missing
//	u32 xxh32 of the content, when FLG says so
const (
	lz4Magic      = 0x184d2204
	lz4HeaderSize = 7 // without content size

	lz4Version         = 0x40
	lz4VersionMask     = 0xc0
	lz4Independent     = 0x20
	lz4BlockChecksum   = 0x10
	lz4ContentSize     = 0x08
	lz4ContentChecksum = 0x04
	lz4ReservedFLG     = 0x02
	lz4Dictionary      = 0x01
	lz4Uncompressed    = 1 << 31
	lz4Window          = 64 << 10 // how far back a linked block may refer
	lz4BlockSize64K    = 4
	lz4BlockSize256K   = 5
	lz4Overhead        = lz4HeaderSize + 4 + 4 // bytes of a frame with one block besides the block
)

// blockCompressor is a level of LZ4.
type blockCompressor interface {
	CompressBlock(src, dst []byte) (int, error)
}

// lz4Compress appends to dst an LZ4 frame of raw in one independent block, if
// one of fewer than len(raw) bytes is found. dst must have len(raw) bytes to
// spare. raw has at most MaxChunkSize bytes.
func lz4Compress(dst, raw []byte, c blockCompressor) ([]byte, bool) {
	room := len(raw) - 1 - lz4Overhead
	if room <= 0 {
		return dst, false
	}
	head := len(dst)
	block := head + lz4HeaderSize + 4
	// With less room than the worst case needs, the compressor gives up early.
	n, err := c.CompressBlock(raw, dst[block:block+room])
	if err != nil || n == 0 {
		return dst, false
	}
	var size byte = lz4BlockSize64K
	if len(raw) > 64<<10 {
		size = lz4BlockSize256K
	}
	dst = binary.LittleEndian.AppendUint32(dst, lz4Magic)
	dst = append(dst, lz4Version|lz4Independent, size<<4)
	dst = append(dst, byte(xxh32(dst[head+4:])>>8))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	dst = dst[:block+n]
	return binary.LittleEndian.AppendUint32(dst, 0), true
}

// lz4Header is what the header of a frame says of the rest.
type lz4Header struct {
	linked          bool // blocks refer to the blocks before them
	blockChecksum   bool
	contentChecksum bool
	blockSize       int // bytes of content in a block at most
}

// lz4Decode decodes an LZ4 frame that holds exactly len(dst) bytes, and that
// nothing follows, into dst. It never decodes more, whatever the frame claims.
// The error is ErrFormat, or ErrVersion for an unknown version of the frame
// format.
//
// The end mark, and the checksum after it, may be missing: readers of the
// format have been lenient, so writers may have been.
func lz4Decode(dst, frame []byte) error {
	h, rest, err := parseLZ4Header(frame, len(dst))
	if err != nil {
		return err
	}
	done := 0
	for len(rest) > 0 {
		var size uint32
		if size, rest, err = lz4Word(rest, "block size"); err != nil {
			return err
		}
		if size == 0 {
			if rest, err = h.end(dst[:done], rest); err != nil {
				return err
			}
			if len(rest) > 0 {
				return fmt.Errorf("lz4 frame: %w: %d bytes after its end", ErrFormat, len(rest))
			}
			break
		}
		n := int(size &^ lz4Uncompressed)
		if n > h.blockSize || n > len(rest) {
			return fmt.Errorf("lz4 frame: %w: block of %d bytes, %d left", ErrFormat, n, len(rest))
		}
		block := rest[:n]
		rest = rest[n:]
		if h.blockChecksum {
			var sum uint32
			if sum, rest, err = lz4Word(rest, "block checksum"); err != nil {
				return err
			}
			if sum != xxh32(block) {
				return fmt.Errorf("lz4 frame: %w: block checksum", ErrFormat)
			}
		}
		if n, err = h.decode(dst, done, block, size&lz4Uncompressed != 0); err != nil {
			return err
		}
		done += n
	}
	if done != len(dst) {
		return fmt.Errorf("lz4 frame: %w: content of %d bytes instead of %d", ErrFormat, done, len(dst))
	}
	return nil
}

// parseLZ4Header reads the header of a frame with a content of size bytes, and
// gives what follows it.
func parseLZ4Header(frame []byte, size int) (h lz4Header, rest []byte, err error) {
	if len(frame) < lz4HeaderSize || binary.LittleEndian.Uint32(frame) != lz4Magic {
		return h, nil, fmt.Errorf("lz4 frame: %w: no header", ErrFormat)
	}
	flags, bd := frame[4], frame[5]
	n := lz4HeaderSize
	if flags&lz4ContentSize != 0 {
		n += 8
	}
	switch {
	case flags&lz4VersionMask != lz4Version:
		return h, nil, fmt.Errorf("lz4 frame: %w %d", ErrVersion, flags>>6)
	case flags&(lz4ReservedFLG|lz4Dictionary) != 0:
		return h, nil, fmt.Errorf("lz4 frame: %w: flags %#02x", ErrFormat, flags)
	case bd&0x8f != 0 || bd>>4 < lz4BlockSize64K:
		return h, nil, fmt.Errorf("lz4 frame: %w: block size %#02x", ErrFormat, bd)
	case len(frame) < n:
		return h, nil, fmt.Errorf("lz4 frame: %w: header cut short", ErrFormat)
	case frame[n-1] != byte(xxh32(frame[4:n-1])>>8):
		return h, nil, fmt.Errorf("lz4 frame: %w: header checksum", ErrFormat)
	case flags&lz4ContentSize != 0 && binary.LittleEndian.Uint64(frame[6:]) != uint64(size):
		return h, nil, fmt.Errorf("lz4 frame: %w: content size", ErrFormat)
	}
	return lz4Header{
		linked:          flags&lz4Independent == 0,
		blockChecksum:   flags&lz4BlockChecksum != 0,
		contentChecksum: flags&lz4ContentChecksum != 0,
		blockSize:       64 << 10 << (2 * (bd>>4 - lz4BlockSize64K)),
	}, frame[n:], nil
}

// decode decodes one block to dst[done:] and gives the size of its content.
func (h lz4Header) decode(dst []byte, done int, block []byte, plain bool) (int, error) {
	out := dst[done:]
	out = out[:min(len(out), h.blockSize)]
	if plain {
		if len(block) > len(out) {
			return 0, fmt.Errorf("lz4 frame: %w: content of more than %d bytes", ErrFormat, len(dst))
		}
		return copy(out, block), nil
	}
	var window []byte
	if h.linked {
		window = dst[max(0, done-lz4Window):done]
	}
	n, err := lz4.UncompressBlockWithDict(block, out, window)
	if err != nil {
		return 0, fmt.Errorf("lz4 frame: %w: block: %w", ErrFormat, err)
	}
	return n, nil
}

// end checks what comes after the end mark and gives what follows that.
func (h lz4Header) end(content, rest []byte) ([]byte, error) {
	if !h.contentChecksum {
		return rest, nil
	}
	sum, rest, err := lz4Word(rest, "content checksum")
	if err != nil {
		return nil, err
	}
	if sum != xxh32(content) {
		return nil, fmt.Errorf("lz4 frame: %w: content checksum", ErrFormat)
	}
	return rest, nil
}

// lz4Word reads the u32 that what names, and gives what follows it.
func lz4Word(b []byte, what string) (uint32, []byte, error) {
	if len(b) < 4 {
		return 0, nil, fmt.Errorf("lz4 frame: %w: %s cut short", ErrFormat, what)
	}
	return binary.LittleEndian.Uint32(b), b[4:], nil
}
