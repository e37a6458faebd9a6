package ftp

import (
	"sync"
	"time"
)

const (
	// brokenFor is for how long it is remembered that an upload did not come to its end, and maxBroken of how many places.
	brokenFor = 24 * time.Hour
	maxBroken = 10_000
)

// broken are the places whose last whole upload broke off. What was there before is there still, but a client that goes on believes
// that the beginning of what it sent is: resumed, it would be the beginning of the one file with the end of the other.
type broken struct {
	now func() time.Time

	mu    sync.Mutex // guards what follows
	until map[place]time.Time
}

func newBroken(now func() time.Time) *broken {
	return &broken{now: now, until: make(map[place]time.Time)}
}

// add remembers a place. When there are too many, the one that is next to be forgotten goes.
func (b *broken) add(at place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.until[at]; !known && len(b.until) >= maxBroken {
		oldest := at
		for other, until := range b.until {
			if first, ok := b.until[oldest]; !ok || until.Before(first) {
				oldest = other
			}
		}
		delete(b.until, oldest)
	}
	b.until[at] = b.now().Add(brokenFor)
}

// has says whether what is at a place must not be gone on with.
func (b *broken) has(at place) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, ok := b.until[at]
	if ok && !b.now().Before(until) {
		delete(b.until, at)
		ok = false
	}
	return ok
}

// forget is for a place where there is something whole now, or nothing.
func (b *broken) forget(at place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.until, at)
}
