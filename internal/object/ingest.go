package object

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"hugbucket/internal/xet"
)

const (
	// batchData is how much of a stream is handled at once. Buffers are this plus headroom; batchesInFlight of them are
	// all the memory that the length of an upload can claim.
	batchData       = 384 << 10
	batchesInFlight = 3
	// moreBatches is how many batches beyond the first of each upload all uploads together may have: more would not make any
	// of them faster, only take memory.
	moreBatches = 32
	// headroom in front of a batch takes the beginning of a chunk that the batch before did not end.
	headroom = xet.MaxChunkSize
	// maxEmptyReads is how often a reader may return nothing and no error before it counts as broken.
	maxEmptyReads = 100
)

// ingested is what a stream turned out to be.
type ingested struct {
	file    xet.Reconstruction
	digests Digests // of what came
	came    int64   // bytes
	fresh   int64   // of those, about, in chunks that were not stored before
}

// batch is a piece of the stream: buf[headroom:headroom+n].
type batch struct {
	buf   []byte
	n     int
	final bool         // the stream ends with it
	users atomic.Int32 // stages that still read it
}

func (b *batch) data() []byte { return b.buf[headroom : headroom+b.n] }

// fill reads until the batch is full or the stream ends, which makes it final. Only a bare io.EOF is the end: a body that
// was cut short is an io.ErrUnexpectedEOF, which io.ReadFull would not tell from a short batch.
func (b *batch) fill(r io.Reader) error {
	b.n, b.final = 0, false
	for empty := 0; b.n < batchData; {
		n, err := r.Read(b.buf[headroom+b.n : headroom+batchData])
		b.n += n
		if err == io.EOF {
			b.final = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the content: %w", err)
		}
		if empty++; n > 0 {
			empty = 0
		} else if empty == maxEmptyReads {
			return fmt.Errorf("read the content: %w", io.ErrNoProgress)
		}
	}
	return nil
}

// more holds a token for each batch beyond the first of an upload.
var more = make(chan struct{}, moreBatches)

var batches = sync.Pool{New: func() any { return &batch{buf: make([]byte, headroom+batchData)} }}

func getBatch() *batch { return batches.Get().(*batch) } //nolint:errcheck,forcetypeassert // the pool holds nothing else

// ingest reads r to its end and stages its content, behind what the packer has already. Reading, the digests of the whole and the work on
// chunks run beside each other; what fits one batch is done without starting anything.
func ingest(ctx context.Context, p *packer, r io.Reader, wantSHA256 bool) (ingested, error) {
	d := newDigester(wantSHA256)
	defer d.close()
	had := p.size + uint64(len(p.carry))
	first := getBatch()
	if err := first.fill(r); err != nil {
		batches.Put(first)
		return ingested{}, err
	}
	if first.final {
		d.write(first.data())
		err := p.batch(ctx, first)
		batches.Put(first)
		if err != nil {
			return ingested{}, err
		}
	} else if err := pipeline(ctx, r, first, d, p); err != nil {
		return ingested{}, err
	}
	file, err := p.finish(ctx)
	if err != nil {
		return ingested{}, err
	}
	got := ingested{file: file, digests: d.sum(), came: int64(file.Size - had)}
	got.fresh = min(p.fresh, got.came) // a chunk that began before may be stored anew
	return got, nil
}

// pipeline feeds first and the rest of r to the digester and the packer, each in a goroutine of its own.
func pipeline(ctx context.Context, r io.Reader, first *batch, d *digester, p *packer) error {
	defer d.amongMany()()
	g, gctx := errgroup.WithContext(ctx)
	free := make(chan *batch, batchesInFlight)
	toDigest, toPack := make(chan *batch, batchesInFlight), make(chan *batch, batchesInFlight)
	done := func(b *batch) {
		if b.users.Add(-1) == 0 {
			free <- b // never blocks: there are no more batches than places
		}
	}
	g.Go(func() error {
		for b := range toDigest {
			d.write(b.data())
			done(b)
		}
		return nil
	})
	g.Go(func() error {
		var err error
		for b := range toPack {
			if err == nil {
				err = p.batch(gctx, b)
			}
			done(b)
			if err != nil {
				return err // cancels gctx, which ends feeding
			}
		}
		return nil
	})
	made := 1
	rerr := feed(gctx, r, first, free, &made, func(b *batch) {
		b.users.Store(2)
		toDigest <- b
		toPack <- b
	})
	close(toDigest)
	close(toPack)
	err := g.Wait()
	for len(free) > 0 {
		batches.Put(<-free)
	}
	for range made - 1 {
		<-more
	}
	// What the packer met comes first: the reader's error is then only gctx's.
	if err != nil {
		return err
	}
	return rerr
}

// feed reads r into batches and sends them on until the final one is sent. It makes at most batchesInFlight of them, and
// counts them.
func feed(ctx context.Context, r io.Reader, first *batch, free chan *batch, made *int, send func(*batch)) error { //nolint:revive // six things belong to it
	send(first)
	for {
		b, err := nextBatch(ctx, free, made)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			free <- b
			return context.Cause(ctx)
		}
		if err := b.fill(r); err != nil {
			free <- b
			return err
		}
		final := b.final
		send(b)
		if final {
			return nil
		}
	}
}

// nextBatch returns a batch that is free, or another one if that may be made.
func nextBatch(ctx context.Context, free <-chan *batch, made *int) (*batch, error) {
	if *made < batchesInFlight && len(free) == 0 {
		select {
		case more <- struct{}{}:
			*made++
			return getBatch(), nil
		default: // many uploads are under way
		}
	}
	select {
	case b := <-free:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
