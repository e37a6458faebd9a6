package s3

import (
	"context"
	"sync"
	"sync/atomic"
)

const (
	// maxUploads is how many objects and parts may be under way whose first bytes have come. Each holds some 3 MiB.
	maxUploads = 100
	// shareOfPlaces is the part of the places, one of so many, that are kept for keys which hold no more than that: one key,
	// of a machine that was broken into, must not keep all others out.
	shareOfPlaces = 4
)

// holders counts the places for uploads that each key holds; nil is the key of a door without keys.
type holders struct {
	mu sync.Mutex
	of map[*Key]int
}

// fits says whether a key may have one more place. The caller has locked.
func (h *holders) fits(key *Key, taken, places int) bool {
	share := places / shareOfPlaces
	return taken < places && (taken < places-share || h.of[key] < share)
}

// roomForUpload refuses an upload that would find no place now, before its body is asked for.
func (q *request) roomForUpload() error {
	h := &q.s.holders
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fits(q.id.key, len(q.s.uploads), cap(q.s.uploads)) {
		return tooManyUploads()
	}
	return nil
}

func tooManyUploads() error { return slowDown.err().with("Retry-After", "1") }

// takeUploadFor is takeUpload for a body, once it arrives.
func (q *request) takeUploadFor(p *payload) (give func(), err error) {
	if err := p.body.arrive(); err != nil {
		return nil, err
	}
	return q.takeUpload()
}

// takeUpload takes one of the places for uploads under way; give must be called, unless there is an error.
func (q *request) takeUpload() (give func(), err error) {
	h, key := &q.s.holders, q.id.key
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fits(key, len(q.s.uploads), cap(q.s.uploads)) {
		return nil, tooManyUploads()
	}
	select {
	case q.s.uploads <- struct{}{}:
	default:
		return nil, tooManyUploads()
	}
	h.of[key]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		<-q.s.uploads
		if h.of[key]--; h.of[key] == 0 {
			delete(h.of, key)
		}
	}, nil
}

// queue is a number of places that requests wait for, in the order in which they come.
type queue struct {
	taken  chan struct{} // holds an element for each place that is taken
	wanted atomic.Int32  // how many wait
}

func newQueue(places int) *queue { return &queue{taken: make(chan struct{}, places)} }

func (u *queue) take(ctx context.Context) error {
	u.wanted.Add(1)
	defer u.wanted.Add(-1)
	select {
	case u.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return slowDown.err().because(ctx.Err())
	}
}

func (u *queue) give() { <-u.taken }

// takeLarge waits until one more large document may be held, of this key, and then of all; give must be called, unless there is
// an error. Those that are held get through it soon, see whileOthersWait, but many may wait, so there is an end to it.
func (q *request) takeLarge() (give func(), err error) {
	ctx, cancel := context.WithTimeout(q.r.Context(), q.s.stall)
	defer cancel()
	own, all := q.s.largeOf[q.id.key], q.s.large
	if err := own.take(ctx); err != nil {
		return nil, err
	}
	if err := all.take(ctx); err != nil {
		own.give()
		return nil, err
	}
	return func() { all.give(); own.give() }, nil
}

// largeIsWanted says whether somebody waits for the place of a large document that this request holds.
func (q *request) largeIsWanted() bool {
	return q.s.large.wanted.Load() > 0 || q.s.largeOf[q.id.key].wanted.Load() > 0
}
