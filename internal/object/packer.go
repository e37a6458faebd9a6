package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"hugbucket/internal/xet"
)

// schemeTrust is for how many chunks a choice of compression stands, as in the Xet reference: choosing costs as much as
// hashing.
const schemeTrust = 32

// packer turns the chunks of one file into terms: chunks that are stored are referred to, new ones go into xorbs.
type packer struct {
	sess  Session
	split xet.Splitter
	carry []byte // the beginning of a chunk that the last batch did not end
	tree  xet.TreeHash
	size  uint64
	fresh int64 // of size, what goes into xorbs

	xorb    Xorb                // the open one, or nil
	inXorb  map[xet.Hash]uint32 // chunks of the open xorb: where
	xorbLen uint32              // chunks in the open xorb

	scheme xet.Scheme // of new chunks, for the next trust of them
	trust  int

	terms   []xet.Term // a zero Xorb stands for the open one
	pending int        // the first term that may have one
	rng     xet.RangeHash
	frag    fragments

	// Scratch of one batch.
	raws    [][]byte
	hashes  []xet.Hash
	places  []Place
	records [][]byte
	decoded [][]byte
}

func newPacker(sess Session) *packer { return &packer{sess: sess} }

// batch handles the chunks that end in b and carries the rest over.
func (p *packer) batch(ctx context.Context, b *batch) error {
	data := b.buf[headroom-len(p.carry) : headroom+b.n]
	copy(data, p.carry)
	p.raws = p.raws[:0]
	for {
		n := p.split.Next(data, b.final)
		if n == 0 {
			break
		}
		p.raws = append(p.raws, data[:n])
		data = data[n:]
	}
	if err := p.chunks(ctx); err != nil {
		return err
	}
	p.carry = append(p.carry[:0], data...)
	return nil
}

// chunks hashes p.raws, asks which are known, and adds all to the file.
func (p *packer) chunks(ctx context.Context) error {
	n := len(p.raws)
	if n == 0 {
		return nil
	}
	p.hashes, p.places = resize(p.hashes, n), resize(p.places, n)
	clear(p.places)
	parallel(n, func(i int) { p.hashes[i] = xet.ChunkHash(p.raws[i]) })
	if err := p.sess.Known(ctx, p.hashes, p.places); err != nil {
		return fmt.Errorf("look up chunks: %w", err)
	}
	for i, raw := range p.raws {
		p.tree.Add(p.hashes[i], uint64(len(raw)))
		p.size += uint64(len(raw))
	}
	if err := checkFile(p.size, len(p.terms)); err != nil {
		return err
	}
	// New chunks are encoded a few at a time, as many as there are processors, and then added in order.
	width := runtime.GOMAXPROCS(0)
	for i := 0; i < n; {
		if p.refer(i) {
			i++
			continue
		}
		j := i + 1
		for j < n && j-i < width && p.places[j].Xorb.IsZero() {
			j++
		}
		if err := p.store(ctx, i, j); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// refer adds chunk i by reference if it is stored and referring to it does not fragment the file; false if it is to be
// stored.
func (p *packer) refer(i int) bool {
	chunk := xet.Chunk{Hash: p.hashes[i], Size: uint32(len(p.raws[i]))}
	if at, ok := p.inXorb[chunk.Hash]; ok && p.places[i].Xorb.IsZero() {
		p.places[i] = Place{Index: at} // a zero Xorb with a term of its own: the open one
		return p.accept(chunk, p.places[i], 1)
	}
	if p.places[i].Xorb.IsZero() {
		return false
	}
	return p.accept(chunk, p.places[i], p.run(i))
}

// run counts how many chunks from i on lie one behind the other; a run that reaches the end of the batch may go on, and
// counts as long.
func (p *packer) run(i int) int {
	at := p.places[i]
	for n := 1; ; n++ {
		if i+n == len(p.places) {
			return fragmentWindow
		}
		next := p.places[i+n]
		if next.Xorb != at.Xorb || next.Index != at.Index+uint32(n) {
			return n
		}
	}
}

func (p *packer) accept(c xet.Chunk, at Place, run int) bool {
	if !p.continues(at) && !p.frag.allow(run) {
		return false
	}
	p.term(c, at)
	return true
}

// continues says whether a chunk at this place extends the last term.
func (p *packer) continues(at Place) bool {
	if len(p.terms) == 0 {
		return false
	}
	last := &p.terms[len(p.terms)-1]
	// A term's length is 32 bits on the wire; a term is never longer than a xorb, so the sum cannot pass it.
	return last.Xorb == at.Xorb && last.Range.End == at.Index
}

// term adds a chunk to the file's terms.
func (p *packer) term(c xet.Chunk, at Place) {
	if p.continues(at) {
		p.frag.extend()
	} else {
		p.endTerm()
		p.terms = append(p.terms, xet.Term{Xorb: at.Xorb, Range: xet.Range{Start: at.Index, End: at.Index}})
		p.frag.begin()
	}
	last := &p.terms[len(p.terms)-1]
	last.Range.End++
	last.Bytes += c.Size
	p.rng.Add(c.Hash)
}

func (p *packer) endTerm() {
	if len(p.terms) > 0 {
		p.terms[len(p.terms)-1].Verification = p.rng.Sum()
		p.rng.Reset()
	}
}

// store adds chunks i to j-1 to the open xorb. One that turns up twice among them is referred to the second time.
func (p *packer) store(ctx context.Context, i, j int) error {
	if p.trust <= 0 {
		p.scheme, p.trust = xet.ChooseScheme(p.raws[i]), schemeTrust
	}
	p.trust -= j - i
	p.records, p.decoded = resize(p.records, j-i), resize(p.decoded, j-i)
	parallel(j-i, func(k int) { p.records[k] = xet.AppendRecord(p.records[k][:0], p.raws[i+k], p.scheme) })
	// What was encoded is decoded before it is stored: a restore is too late to learn of a faulty encoder or memory.
	var wrong atomic.Bool
	parallel(j-i, func(k int) {
		raw, _, err := xet.DecodeRecord(p.decoded[k], p.records[k])
		if err != nil || !bytes.Equal(raw, p.raws[i+k]) {
			wrong.Store(true)
		}
		if len(p.records[k]) < len(raw) {
			p.decoded[k] = raw // it was compressed: the bytes are ours to use again
		}
	})
	if wrong.Load() {
		return errors.New("a chunk does not decode to what was encoded: the memory of this machine may be faulty")
	}
	for k := i; k < j; k++ {
		if k > i && p.refer(k) {
			continue
		}
		if err := p.add(ctx, xet.Chunk{Hash: p.hashes[k], Size: uint32(len(p.raws[k]))}, p.records[k-i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) add(ctx context.Context, c xet.Chunk, record []byte) error {
	if p.xorb != nil && !p.xorb.Fits(int(c.Size)) {
		if err := p.closeXorb(ctx); err != nil {
			return err
		}
	}
	if p.xorb == nil {
		x, err := p.sess.NewXorb(ctx)
		if err != nil {
			return fmt.Errorf("begin a xorb: %w", err)
		}
		p.xorb, p.xorbLen, p.inXorb = x, 0, make(map[xet.Hash]uint32)
	}
	if err := p.xorb.Add(ctx, c, record); err != nil {
		return fmt.Errorf("store a chunk: %w", err)
	}
	p.fresh += int64(c.Size)
	p.inXorb[c.Hash] = p.xorbLen
	p.term(c, Place{Index: p.xorbLen})
	p.xorbLen++
	return nil
}

// closeXorb stages the open xorb and gives its hash to the terms that wait for it.
func (p *packer) closeXorb(ctx context.Context) error {
	h, err := p.xorb.Close(ctx)
	if err != nil {
		return fmt.Errorf("stage a xorb: %w", err)
	}
	for i := p.pending; i < len(p.terms); i++ {
		if p.terms[i].Xorb.IsZero() {
			p.terms[i].Xorb = h
		}
	}
	p.pending = len(p.terms)
	p.xorb, p.inXorb = nil, nil
	return nil
}

// finish stages the last xorb and returns the file.
func (p *packer) finish(ctx context.Context) (xet.Reconstruction, error) {
	if p.xorb != nil {
		if err := p.closeXorb(ctx); err != nil {
			return xet.Reconstruction{}, err
		}
	}
	p.endTerm()
	return xet.Reconstruction{Hash: p.tree.FileHash(), Size: p.size, Terms: p.terms}, nil
}

// Fragmentation is bounded as the Xet reference does it: deduplication in small pieces saves little and makes reading
// slow.
const (
	fragmentWindow = 128 // ranges that the average is taken over
	fragmentLow    = 4.0 // chunks per range that are enough
	fragmentHigh   = 8.0 // the same after a refusal, so that it does not flip to and fro
)

// fragments keeps the lengths in chunks of the last ranges of a file. The zero value is an empty window.
type fragments struct {
	ring   [fragmentWindow]uint32
	ranges int // ever begun
	sum    int // chunks in the ring
	high   bool
}

func (f *fragments) begin() {
	at := &f.ring[f.ranges%fragmentWindow]
	f.sum += 1 - int(*at)
	*at = 1
	f.ranges++
}

func (f *fragments) extend() {
	f.sum++
	f.ring[(f.ranges-1)%fragmentWindow]++
}

// allow says whether a new range of run chunks is worth referring to.
func (f *fragments) allow(run int) bool {
	if f.ranges < fragmentWindow {
		return true
	}
	target := fragmentLow
	if f.high {
		target = fragmentHigh
	}
	avg := float64(f.sum) / fragmentWindow
	if avg >= target {
		f.high = false
		return true
	}
	if float64(run) >= avg {
		return true
	}
	f.high = true
	return false
}

// parallel calls f for 0 … n-1, on as many goroutines as there are processors when there is more than one call to make.
func parallel(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	for i := 0; i < n; i += max(workers, 1) {
		f(i)
	}
	wg.Wait()
}

// resize returns s with length n; old elements are kept for their capacity.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		s = append(s[:cap(s)], make([]T, n-cap(s))...)
	}
	return s[:n]
}
