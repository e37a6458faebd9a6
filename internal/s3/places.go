package s3

import "sync"

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
