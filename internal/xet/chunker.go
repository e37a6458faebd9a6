package xet

import (
	"fmt"
	"io"
)

// chunkerBuffer is the size of the buffer of a Chunker in bytes: several
// chunks, so that moving the rest to the front is rare.
const chunkerBuffer = 4 * MaxChunkSize

// Chunker cuts a stream into chunks. It holds half a MiB.
type Chunker struct {
	r     io.Reader
	split Splitter
	buf   []byte
	start int   // of the chunk at hand in buf
	end   int   // of what was read into buf
	final bool  // r has ended well
	err   error // r has ended otherwise
}

// NewChunker gives a Chunker for the data of r up to its io.EOF.
func NewChunker(r io.Reader) *Chunker {
	return &Chunker{r: r, buf: make([]byte, chunkerBuffer)}
}

// Next gives the next chunk of the stream. The slice is good until the next
// call. At the end of the stream the error is io.EOF; an empty stream has no
// chunks. An error of the reader comes back wrapped and at once: chunks of data
// read before it may be lost. Every call after an error gives that error again.
func (c *Chunker) Next() ([]byte, error) {
	c.fill()
	if c.err != nil {
		return nil, c.err
	}
	n := c.split.Next(c.buf[c.start:c.end], c.final)
	if n == 0 {
		return nil, io.EOF
	}
	chunk := c.buf[c.start : c.start+n : c.start+n]
	c.start += n
	return chunk, nil
}

// fill reads until a chunk of any size is in the buffer, or r has ended.
func (c *Chunker) fill() {
	const patience = 100 // reads without data and without error
	for idle := 0; !c.final && c.err == nil && c.end-c.start < MaxChunkSize; {
		if len(c.buf)-c.start < MaxChunkSize {
			c.end = copy(c.buf, c.buf[c.start:c.end])
			c.start = 0
		}
		n, err := c.r.Read(c.buf[c.end:])
		c.end += n
		switch {
		case err == io.EOF: // itself: a wrapped one is an error
			c.final = true
		case err != nil:
			c.err = fmt.Errorf("read data to be cut: %w", err)
		case n > 0:
			idle = 0
		default:
			if idle++; idle == patience {
				c.err = fmt.Errorf("read data to be cut: %w", io.ErrNoProgress)
			}
		}
	}
}
