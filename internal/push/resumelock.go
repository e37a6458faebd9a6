package push

import (
	"context"
	"sync"
	"time"
)

// takeOver is how long a request waits for another one of the same upload to end when it was told to: the step that is being
// stored comes to its end before.
const takeOver = 20 * time.Second

// locks are the uploads that requests work on, each of them one at a time. A request takes an upload over from another, since it is mostly
// one whose connection is dead, which nobody but its client can know so soon.
type locks struct {
	mu     sync.Mutex // guards the following
	held   map[string]*hold
	ending bool // see end
}

type hold struct {
	stop func(cause error) // tells its request to end
	free chan struct{}     // closed when it has
}

// take returns when the caller alone has an upload, until release is called. stop is called with errTakenOver when another request wants it,
// and with errEnding when the daemon ends, and never after release; it must not wait. Errors: errLocked, and ctx's.
func (l *locks) take(ctx context.Context, upload string, stop func(cause error)) (release func(), err error) {
	timer := time.NewTimer(takeOver)
	defer timer.Stop()
	for {
		other := l.enter(upload, &hold{stop: stop, free: make(chan struct{})})
		if other == nil {
			return sync.OnceFunc(func() { l.leave(upload) }), nil
		}
		select {
		case <-other.free:
		case <-timer.C:
			return nil, errLocked
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// enter notes a hold, or returns the one that there is, whose request it tells to end: under the lock, for a request that has ended
// may have left its connection to another.
func (l *locks) enter(upload string, h *hold) (other *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.held[upload]; other != nil {
		other.stop(errTakenOver)
		return other
	}
	if l.held == nil {
		l.held = make(map[string]*hold)
	}
	l.held[upload] = h
	if l.ending {
		h.stop(errEnding)
	}
	return nil
}

// end tells all requests, also those that are to come, that the daemon ends.
func (l *locks) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	for _, h := range l.held {
		h.stop(errEnding)
	}
}

func (l *locks) leave(upload string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[upload].free)
	delete(l.held, upload)
}
