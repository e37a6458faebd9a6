package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"hugbucket/internal/xet"
)

// piece is a part of stored content: its bytes in [from, to).
type piece struct {
	content  Content
	from, to int64
}

// block is Content.Block within the piece, before whose end the content must not end.
func (x piece) block(ctx context.Context, at, want int64) ([]byte, error) {
	b, err := x.content.Block(ctx, at, want)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("read what is joined: %w", err)
	}
	return b[:min(int64(len(b)), x.to-at)], nil
}

// joiner makes one file of pieces of stored files, as if their bytes came in one stream: its chunks are those that the stream
// would be cut into. A chunk that ends where the stream would end it, too, is referred to. The others are read: where a piece
// begins, from there to where the cuts fall on ends of chunks that the piece has already, because from there on they are the
// same; and where it ends, the chunk that its end has cut.
type joiner struct {
	p     *packer
	split xet.Splitter
	carry []byte // a chunk that has begun and not ended
}

func newJoiner(sess Session) *joiner { return &joiner{p: newPacker(sess)} }

// add joins a piece to what came before; last says that nothing follows.
func (j *joiner) add(ctx context.Context, x piece, last bool) error {
	if x.from >= x.to {
		return nil
	}
	chunks := walk(ctx, x.content, x.from)
	defer chunks.stop()
	if chunks.err != nil {
		return chunks.err
	}
	if len(j.carry) > 0 || chunks.start != x.from {
		if met, err := j.meet(ctx, x, chunks); !met || err != nil {
			return err
		}
	}
	for chunks.start < x.to {
		if chunks.end > x.to || chunks.end == x.content.Size() && !last {
			return j.tail(ctx, x, chunks)
		}
		j.p.refer1(chunks.chunk, chunks.place)
		if err := checkFile(j.p.size, len(j.p.terms)); err != nil {
			return err
		}
		if !chunks.next() {
			break
		}
	}
	return chunks.err
}

// meet cuts the bytes of a piece until a cut falls on the beginning of a chunk, to which it brings chunks. It returns false when
// the piece ended before; what has begun is carried over.
func (j *joiner) meet(ctx context.Context, x piece, chunks *walker) (bool, error) {
	for at := x.from; at < x.to; {
		b, err := x.block(ctx, at, min(xet.TargetChunkSize, x.to-at))
		if err != nil {
			return false, err
		}
		j.carry = append(j.carry, b...)
		at += int64(len(b))
		for {
			n := j.split.Next(j.carry, false)
			if n == 0 {
				break
			}
			if err := j.store(ctx, n); err != nil {
				return false, err
			}
			cut := at - int64(len(j.carry))
			for chunks.start < cut && chunks.next() {
			}
			if chunks.err != nil {
				return false, chunks.err
			}
			if cut >= x.from && chunks.start == cut {
				j.carry = j.carry[:0]
				return true, nil
			}
		}
	}
	return false, nil
}

// tail handles the last chunk of a piece, which what follows may make longer.
func (j *joiner) tail(ctx context.Context, x piece, chunks *walker) error {
	end := min(chunks.end, x.to)
	for at := chunks.start; at < end; {
		b, err := x.block(ctx, at, end-at)
		if err != nil {
			return err
		}
		j.carry = append(j.carry, b...)
		at += int64(len(b))
	}
	if n := j.split.Next(j.carry, false); n != 0 { // it ends here whatever follows
		return j.store(ctx, n)
	}
	return nil
}

// store adds the first n bytes of what is carried as a chunk.
func (j *joiner) store(ctx context.Context, n int) error {
	j.p.raws = append(j.p.raws[:0], j.carry[:n])
	err := j.p.chunks(ctx)
	j.carry = append(j.carry[:0], j.carry[n:]...)
	return err
}

// finish ends the stream and returns the file.
func (j *joiner) finish(ctx context.Context) (xet.Reconstruction, error) {
	for len(j.carry) > 0 {
		if err := j.store(ctx, j.split.Next(j.carry, true)); err != nil {
			return xet.Reconstruction{}, err
		}
	}
	return j.p.finish(ctx)
}

// refer1 adds a chunk that is stored.
func (p *packer) refer1(c xet.Chunk, at Place) {
	p.tree.Add(c.Hash, uint64(c.Size))
	p.size += uint64(c.Size)
	p.term(c, at)
}

// walker goes through the chunks of a content.
type walker struct {
	terms []xet.Term
	pull  func() (xet.Chunk, error, bool)
	stop  func()
	err   error

	chunk      xet.Chunk
	place      Place
	start, end int64 // of the chunk in the content; both are its size behind the last one
}

// walk begins at the chunk that holds the byte at off, which must be below the size.
func walk(ctx context.Context, c Content, off int64) *walker {
	w := &walker{terms: c.Terms()}
	for len(w.terms) > 1 && w.end+int64(w.terms[0].Bytes) <= off {
		w.end += int64(w.terms[0].Bytes)
		w.terms = w.terms[1:]
	}
	w.pull, w.stop = iter.Pull2(c.Chunks(ctx, w.end))
	for w.next() && w.end <= off {
	}
	return w
}

// next goes to the next chunk; false when there is none, or on an error.
func (w *walker) next() bool {
	c, err, ok := w.pull()
	w.start = w.end
	if !ok || err != nil {
		w.err = err
		return false
	}
	if w.place.Xorb.IsZero() || w.place.Index+1 == w.terms[0].Range.End {
		if !w.place.Xorb.IsZero() {
			w.terms = w.terms[1:]
		}
		w.place = Place{Xorb: w.terms[0].Xorb, Index: w.terms[0].Range.Start}
	} else {
		w.place.Index++
	}
	w.chunk = c
	w.end += int64(c.Size)
	return true
}
