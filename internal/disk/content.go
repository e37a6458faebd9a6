package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"
	"sync"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// readAhead is how much of a xorb is read at once, in bytes as stored.
const readAhead = 256 << 10

var readBuffers = sync.Pool{New: func() any { b := make([]byte, 0, readAhead+xet.MaxChunkSize); return &b }}

// content is an open file.
type content struct {
	d    *Driver
	pin  *pin
	file xet.Reconstruction
	ends []int64 // where term i ends in the file

	xorb *xorbRef // the last used
	// window holds the records of chunks from (inclusive) to to (exclusive) of the xorb winXorb.
	window   *[]byte
	winXorb  xet.Hash
	from, to int
	raw      []byte // scratch for one decoded chunk
}

var _ object.Content = (*content)(nil)

func newContent(d *Driver, n *pin, file xet.Reconstruction) *content {
	c := &content{d: d, pin: n, file: file, ends: make([]int64, len(file.Terms))}
	var end int64
	for i, t := range file.Terms {
		end += int64(t.Bytes)
		c.ends[i] = end
	}
	return c
}

func (c *content) Size() int64 { return int64(c.file.Size) }

func (c *content) Terms() []xet.Term { return c.file.Terms }

// Close implements object.Content. It may be called more than once.
func (c *content) Close() error {
	c.pin.release()
	if c.window != nil {
		readBuffers.Put(c.window)
		c.window = nil
	}
	return nil
}

// spot is where a byte of the file lies.
type spot struct {
	term  int
	xorb  *xorbRef
	chunk int   // in the xorb
	start int64 // of the chunk in the file
}

// find returns the spot of the byte at off, which must be below the size.
func (c *content) find(ctx context.Context, off int64) (spot, error) {
	i := sort.Search(len(c.ends), func(i int) bool { return c.ends[i] > off })
	t := c.file.Terms[i]
	ref, err := c.ref(ctx, t)
	if err != nil {
		return spot{}, err
	}
	first, _ := ref.info.Raw(int(t.Range.Start))
	start := c.ends[i] - int64(t.Bytes)
	in := uint32(off-start) + first // of the xorb's uncompressed bytes
	n := int(t.Range.Start) + sort.Search(int(t.Range.End-t.Range.Start), func(k int) bool {
		return ref.info.Chunks[int(t.Range.Start)+k].RawEnd > in
	})
	chunkStart, _ := ref.info.Raw(n)
	return spot{term: i, xorb: ref, chunk: n, start: start + int64(chunkStart-first)}, nil
}

// ref returns the xorb of a term, and checks the term against it.
func (c *content) ref(ctx context.Context, t xet.Term) (*xorbRef, error) {
	ref := c.xorb
	if ref == nil || ref.info.Hash != t.Xorb {
		var err error
		if ref, err = c.d.xorb(ctx, t.Xorb); err != nil {
			return nil, err
		}
		c.xorb = ref
	}
	if err := fits(t, ref.info); err != nil {
		return nil, fmt.Errorf("%w: file %s: %w", object.ErrCorrupt, c.file.Hash, err)
	}
	return ref, nil
}

// fits returns an error unless a term names chunks that the xorb has, and as many bytes as they are long.
func fits(t xet.Term, x *xet.XorbInfo) error {
	if t.Range.Start >= t.Range.End || int64(t.Range.End) > int64(len(x.Chunks)) {
		return fmt.Errorf("chunks %d to %d of xorb %s, which has %d", t.Range.Start, t.Range.End, t.Xorb, len(x.Chunks))
	}
	start, _ := x.Raw(int(t.Range.Start))
	_, end := x.Raw(int(t.Range.End) - 1)
	if end-start != t.Bytes {
		return fmt.Errorf("chunks %d to %d of xorb %s have %d bytes, not %d", t.Range.Start, t.Range.End, t.Xorb, end-start, t.Bytes)
	}
	return nil
}

// Block implements object.Content.
func (c *content) Block(ctx context.Context, off, want int64) ([]byte, error) {
	if off < 0 {
		return nil, &object.InvalidError{Field: "offset", Rule: "it is before the start of the object"}
	}
	if off >= c.Size() {
		return nil, io.EOF
	}
	if err := live(ctx); err != nil {
		return nil, err
	}
	for moved := false; ; moved = true {
		at, err := c.find(ctx, off)
		if err != nil {
			return nil, err
		}
		b, err := c.block(at, off, want)
		if errors.Is(err, object.ErrCorrupt) && !moved {
			// The xorb may have moved since its place was cached: its row says where to.
			c.d.xorbs.drop(at.xorb.info.Hash)
			c.xorb, c.to = nil, 0
			continue
		}
		if err != nil {
			c.d.noteDamage(ctx, at.xorb.info.Hash, err)
		}
		return b, err
	}
}

// block reads and verifies the chunk at a spot, and returns what of it is at off and behind.
func (c *content) block(at spot, off, want int64) ([]byte, error) {
	if at.xorb.info.Hash != c.winXorb || at.chunk < c.from || at.chunk >= c.to {
		if err := c.fill(at, off-at.start+want); err != nil {
			return nil, err
		}
	}
	info := at.xorb.info
	first, _ := info.Record(c.from)
	start, end := info.Record(at.chunk)
	raw, _, err := xet.DecodeRecord(c.raw, (*c.window)[start-first:end-first])
	if err != nil {
		return nil, damaged(info.Hash, at.xorb.place, fmt.Errorf("chunk %d: %w", at.chunk, err))
	}
	if cap(raw) > cap(c.raw) && end-start < uint32(len(raw)) {
		c.raw = raw // DecodeRecord had to make a larger one
	}
	if xet.ChunkHash(raw) != info.Chunks[at.chunk].Hash {
		return nil, damaged(info.Hash, at.xorb.place, fmt.Errorf("chunk %d: %w", at.chunk, xet.ErrHash))
	}
	return raw[off-at.start:], nil
}

// fill reads records into the window: from the chunk at the spot on to the one that holds the want-th byte behind its
// start, but not past the term nor past readAhead.
func (c *content) fill(at spot, want int64) error {
	info := at.xorb.info
	start, end := info.Record(at.chunk)
	rawStart, rawEnd := info.Raw(at.chunk)
	last := at.chunk + 1
	for last < int(c.file.Terms[at.term].Range.End) && int64(rawEnd-rawStart) < want {
		_, e := info.Record(last)
		if e-start > readAhead {
			break
		}
		end = e
		_, rawEnd = info.Raw(last)
		last++
	}
	if c.window == nil {
		c.window = readBuffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	}
	n := int(end - start)
	if cap(*c.window) < n {
		*c.window = make([]byte, n)
	}
	*c.window = (*c.window)[:n]
	c.winXorb, c.from, c.to = info.Hash, 0, 0
	if err := c.read(at.xorb, *c.window, int64(start)); err != nil {
		return err
	}
	c.from, c.to = at.chunk, last
	return nil
}

// read reads bytes of a xorb.
func (c *content) read(ref *xorbRef, p []byte, off int64) error {
	f, err := c.d.files.open(ref.place.file)
	if err != nil {
		return damaged(ref.info.Hash, ref.place, err)
	}
	defer f.release()
	_, err = f.ReadAt(p, ref.place.off+off)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file is shorter than its row says; nobody may take that for the end of the object
	}
	if err != nil {
		return damaged(ref.info.Hash, ref.place, err)
	}
	return nil
}

// Chunks implements object.Content.
func (c *content) Chunks(ctx context.Context, off int64) iter.Seq2[xet.Chunk, error] {
	return func(yield func(xet.Chunk, error) bool) {
		if off >= c.Size() {
			return
		}
		if err := live(ctx); err != nil {
			yield(xet.Chunk{}, err)
			return
		}
		at, err := c.find(ctx, max(off, 0))
		if err != nil {
			yield(xet.Chunk{}, err)
			return
		}
		n := at.chunk
		for _, t := range c.file.Terms[at.term:] {
			ref, err := c.ref(ctx, t)
			if err == nil {
				err = live(ctx)
			}
			if err != nil {
				yield(xet.Chunk{}, err)
				return
			}
			for n = max(n, int(t.Range.Start)); n < int(t.Range.End); n++ {
				start, end := ref.info.Raw(n)
				if !yield(xet.Chunk{Hash: ref.info.Chunks[n].Hash, Size: end - start}, nil) {
					return
				}
			}
			n = 0
		}
	}
}
