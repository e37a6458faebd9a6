package throttle

import (
	"context"
	"sync"
)

// Shares are places, of which each key has a number for itself, so that one whose users are slow leaves others theirs. Keys without users
// are forgotten. It is safe for concurrent use.
type Shares[K comparable] struct {
	each int // places of a key

	mu sync.Mutex // guards the following
	of map[K]*share
}

type share struct {
	places chan struct{} // holds an element for each that is taken
	users  int           // that have one or wait for it
}

// NewShares returns shares of so many places each.
func NewShares[K comparable](each int) *Shares[K] {
	return &Shares[K]{each: each, of: make(map[K]*share)}
}

// Take waits for a place of a key, until ctx ends; then it returns the cause. Otherwise give must be called, once.
func (s *Shares[K]) Take(ctx context.Context, key K) (give func(), err error) {
	own := s.enter(key)
	select {
	case own.places <- struct{}{}:
		return func() {
			<-own.places
			s.leave(key, own)
		}, nil
	case <-ctx.Done():
		s.leave(key, own)
		return nil, context.Cause(ctx)
	}
}

// Users is how many have a place or wait for one, by key.
func (s *Shares[K]) Users() map[K]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := make(map[K]int, len(s.of))
	for key, own := range s.of {
		users[key] = own.users
	}
	return users
}

func (s *Shares[K]) enter(key K) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[key]
	if own == nil {
		own = &share{places: make(chan struct{}, s.each)}
		s.of[key] = own
	}
	own.users++
	return own
}

func (s *Shares[K]) leave(key K, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(s.of, key)
	}
}
