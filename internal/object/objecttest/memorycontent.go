package objecttest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sort"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// xorb is a complete xorb, with its footer, as a disk would have it.
type xorb struct {
	info *xet.XorbInfo
	data []byte
}

// chunk gives the bytes of a chunk, verified. It decodes into dst if it needs room.
func (x *xorb) chunk(dst []byte, i uint32) ([]byte, error) {
	start, end := x.info.Record(int(i))
	raw, _, err := xet.DecodeRecord(dst, x.data[start:end])
	if err == nil && xet.ChunkHash(raw) != x.info.Chunks[i].Hash {
		err = xet.ErrHash
	}
	if err != nil {
		return nil, fmt.Errorf("%w: xorb %v, chunk %d: %w", object.ErrCorrupt, x.info.Hash, i, err)
	}
	return raw, nil
}

// content is an open file. It holds the xorbs themselves.
type content struct {
	m      *Memory
	file   xet.Reconstruction
	xorbs  []*xorb // of each term
	starts []int64 // where each term begins in the file
	buf    []byte  // the chunk decoded last
	raw    []byte  // its bytes, in buf or in the xorb
	at     int64   // where it begins in the file; -1 before there is one
	closed bool
}

var _ object.Content = (*content)(nil)

// open opens a file. The caller holds the lock.
func (m *Memory) open(file xet.Hash) (*content, error) {
	f, ok := m.files[file]
	if !ok {
		return nil, fmt.Errorf("file %v: %w", file, fs.ErrNotExist)
	}
	c := &content{m: m, file: f, at: -1}
	var start int64
	for _, term := range f.Terms {
		c.xorbs = append(c.xorbs, m.xorbs[term.Xorb])
		c.starts = append(c.starts, start)
		start += int64(term.Bytes)
	}
	m.users++
	return c, nil
}

// Size implements object.Content.
func (c *content) Size() int64 { return int64(c.file.Size) }

// Terms implements object.Content.
func (c *content) Terms() []xet.Term { return c.file.Terms }

// place is where a byte of a file lies: in chunk index of the xorb of a term. The chunk begins at start in the file.
type place struct {
	term  int
	index uint32
	start int64
}

// find gives the place of the byte at off, which must be in the file.
func (c *content) find(off int64) place {
	t := sort.Search(len(c.starts), func(i int) bool { return c.starts[i] > off }) - 1
	r, info := c.file.Terms[t].Range, c.xorbs[t].info
	termRaw, _ := info.Raw(int(r.Start))
	rel := uint32(off-c.starts[t]) + termRaw // in the uncompressed content of the xorb
	n := sort.Search(r.Len(), func(i int) bool { return info.Chunks[int(r.Start)+i].RawEnd > rel })
	index := r.Start + uint32(n)
	start, _ := info.Raw(int(index))
	return place{t, index, c.starts[t] + int64(start-termRaw)}
}

// usable says what keeps c from being read.
func (c *content) usable(ctx context.Context, off int64) error {
	if c.closed {
		return fmt.Errorf("content of %v: %w", c.file.Hash, fs.ErrClosed)
	}
	if off < 0 {
		return &object.InvalidError{Field: "offset", Rule: "it is before the start of the content"}
	}
	return ctx.Err()
}

// Chunks implements object.Content.
func (c *content) Chunks(ctx context.Context, off int64) iter.Seq2[xet.Chunk, error] {
	return func(yield func(xet.Chunk, error) bool) {
		if err := c.usable(ctx, off); err != nil {
			yield(xet.Chunk{}, err)
			return
		}
		if off >= c.Size() {
			return
		}
		from := c.find(off)
		for t := from.term; t < len(c.file.Terms); t++ {
			r := c.file.Terms[t].Range
			if t == from.term {
				r.Start = from.index
			}
			for i := r.Start; i < r.End; i++ {
				if err := ctx.Err(); err != nil {
					yield(xet.Chunk{}, err)
					return
				}
				if !yield(c.xorbs[t].info.Chunk(int(i)), nil) {
					return
				}
			}
		}
	}
}

// Block implements object.Content.
func (c *content) Block(ctx context.Context, off, _ int64) ([]byte, error) {
	if err := c.usable(ctx, off); err != nil {
		return nil, err
	}
	if off >= c.Size() {
		return nil, io.EOF
	}
	if c.at < 0 || off < c.at || off >= c.at+int64(len(c.raw)) {
		p := c.find(off)
		if c.buf == nil {
			c.buf = make([]byte, xet.MaxChunkSize)
		}
		raw, err := c.xorbs[p.term].chunk(c.buf, p.index)
		if err != nil {
			c.at = -1
			return nil, err
		}
		c.raw, c.at = raw, p.start
	}
	return c.raw[off-c.at:], nil
}

// Close implements object.Content.
func (c *content) Close() error {
	if !c.closed {
		c.closed = true
		c.m.leave()
	}
	return nil
}
