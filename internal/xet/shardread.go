package xet

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// ReadShard reads a shard in any of its forms: as clients upload it, with or
// without a footer, as servers answer a question about a chunk, and as clients
// keep it, with lookup tables. The sections are followed entry by entry; what
// the footer says of places and the lookup tables are not used, and nothing
// after the sections is looked at in a shard whose header announces no footer.
//
// What is checked: tag and versions, the bookends, that each file has terms
// unless its hash is zero, that terms and chunks have sizes and ranges within
// the limits of a xorb, and that chunks lie one after the other. What is not:
// hashes, see [ShardXorb.Verify], and whether the terms of files agree with
// their xorbs, most of which are elsewhere. Hash, order and duplicates are as
// they come.
//
// The errors are ErrFormat, ErrVersion, ErrTooLarge beyond MaxShardSize, and
// those of r. Memory grows with what was read, not with what it claims.
func ReadShard(r io.Reader) (*Shard, error) {
	limited := &io.LimitedReader{R: r, N: MaxShardSize + 1}
	s := shardReader{r: bufio.NewReaderSize(limited, 64<<10)}
	shard, err := s.read()
	if limited.N == 0 {
		return nil, fmt.Errorf("shard: %w: more than %d bytes", ErrTooLarge, MaxShardSize)
	}
	if err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	return shard, nil
}

// ParseShard is [ReadShard] from memory. The shard keeps nothing of data.
func ParseShard(data []byte) (*Shard, error) { return ReadShard(bytes.NewReader(data)) }

// shardReader reads a shard entry by entry.
type shardReader struct {
	r     *bufio.Reader
	entry [shardEntrySize]byte
}

// next reads an entry. The cursor is good until the next call.
func (s *shardReader) next() (cursor, error) {
	if _, err := io.ReadFull(s.r, s.entry[:]); err != nil {
		return cursor{}, cutShort(err)
	}
	return cursor{rest: s.entry[:]}, nil
}

func (s *shardReader) read() (*Shard, error) {
	c, err := s.next()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if string(c.bytes(len(shardTag))) != shardTag {
		return nil, fmt.Errorf("header: %w: not the tag of a shard", ErrFormat)
	}
	if v := c.u64(); v != shardVersion {
		return nil, fmt.Errorf("header: %w %d", ErrVersion, v)
	}
	footerSize := c.u64()

	shard := new(Shard)
	for {
		f, err := s.file()
		if err != nil {
			return nil, fmt.Errorf("file %d: %w", len(shard.Files), err)
		}
		if f == nil {
			break
		}
		shard.Files = append(shard.Files, *f)
	}
	for {
		x, err := s.xorb()
		if err != nil {
			return nil, fmt.Errorf("xorb %d: %w", len(shard.Xorbs), err)
		}
		if x == nil {
			break
		}
		shard.Xorbs = append(shard.Xorbs, *x)
	}

	switch footerSize {
	case 0:
	case shardFooterSize:
		err = s.footer(shard)
	default:
		err = fmt.Errorf("%w: %d bytes", ErrVersion, footerSize)
	}
	if err != nil {
		return nil, fmt.Errorf("footer: %w", err)
	}
	return shard, nil
}

// file reads a file, or the bookend, for which it gives nil.
func (s *shardReader) file() (*ShardFile, error) {
	c, err := s.next()
	if err != nil {
		return nil, err
	}
	f := new(ShardFile)
	f.Hash = c.hash()
	if f.Hash == shardBookend {
		return nil, nil
	}
	flags, n := c.u32(), c.u32()
	if (n == 0) != f.Hash.IsZero() {
		return nil, fmt.Errorf("%w: %v has %d terms", ErrFormat, f.Hash, n)
	}
	for range n {
		t, err := s.term()
		if err != nil {
			return nil, fmt.Errorf("term %d: %w", len(f.Terms), err)
		}
		f.Terms = append(f.Terms, t)
		f.Size += uint64(t.Bytes)
	}
	if flags&shardFlagVerified != 0 {
		for i := range f.Terms {
			c, err := s.next()
			if err != nil {
				return nil, fmt.Errorf("verification %d: %w", i, err)
			}
			f.Terms[i].Verification = c.hash()
		}
	}
	if flags&shardFlagMetadata != 0 {
		c, err := s.next()
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		sum := swapWords(c.hash())
		f.SHA256 = &sum
	}
	return f, nil
}

func (s *shardReader) term() (Term, error) {
	c, err := s.next()
	if err != nil {
		return Term{}, err
	}
	t := Term{Xorb: c.hash()}
	c.u32() // flags, unused
	t.Bytes = c.u32()
	t.Range = Range{Start: c.u32(), End: c.u32()}
	n := uint64(t.Range.Len())
	if n == 0 || t.Range.End > MaxXorbChunks {
		return Term{}, fmt.Errorf("%w: chunks %d to %d", ErrFormat, t.Range.Start, t.Range.End)
	}
	if uint64(t.Bytes) < n || uint64(t.Bytes) > min(n*MaxChunkSize, MaxXorbSize) {
		return Term{}, fmt.Errorf("%w: %d bytes in %d chunks", ErrFormat, t.Bytes, n)
	}
	return t, nil
}

// xorb reads a xorb, or the bookend, for which it gives nil.
func (s *shardReader) xorb() (*ShardXorb, error) {
	c, err := s.next()
	if err != nil {
		return nil, err
	}
	x := &ShardXorb{Hash: c.hash()}
	if x.Hash == shardBookend {
		return nil, nil
	}
	c.u32() // flags, unused
	n := c.u32()
	x.RawBytes, x.DiskBytes = c.u32(), c.u32()
	if n == 0 || n > MaxXorbChunks || x.RawBytes > MaxXorbSize {
		return nil, fmt.Errorf("%w: %d chunks, %d bytes", ErrFormat, n, x.RawBytes)
	}
	var sum uint32
	for i := range n {
		c, err := s.next()
		if err != nil {
			return nil, fmt.Errorf("chunk %d: %w", i, err)
		}
		h := c.hash()
		start, size, flags := c.u32(), c.u32(), c.u32()
		if start != sum || size == 0 || size > MaxChunkSize {
			return nil, fmt.Errorf("chunk %d: %w: %d bytes from %d", i, ErrFormat, size, start)
		}
		sum += size // at most MaxXorbChunks*MaxChunkSize
		x.Chunks = append(x.Chunks, Chunk{h, size})
		if flags != 0 && x.Flags == nil {
			x.Flags = make([]uint32, i, n) // n is at most MaxXorbChunks
		}
		if x.Flags != nil {
			x.Flags = append(x.Flags, flags)
		}
	}
	if sum != x.RawBytes {
		return nil, fmt.Errorf("%w: %d bytes in chunks of %d", ErrFormat, x.RawBytes, sum)
	}
	return x, nil
}

// footer reads to the end, of which the last bytes are the footer, and takes
// from it what is not a place.
func (s *shardReader) footer(shard *Shard) error {
	var tail []byte
	for buf := make([]byte, 4<<10); ; {
		n, err := s.r.Read(buf)
		tail = append(tail, buf[:n]...)
		tail = append(tail[:0], tail[max(0, len(tail)-shardFooterSize):]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if len(tail) < shardFooterSize {
		return cutShort(io.ErrUnexpectedEOF)
	}
	c := cursor{rest: tail}
	if v := c.u64(); v != shardFooterVersion {
		return fmt.Errorf("%w %d", ErrVersion, v)
	}
	c.bytes(8 * 8) // offsets and counts
	shard.HMACKey = c.hash()
	shard.Created, shard.Expiry = c.u64(), c.u64()
	return nil
}
