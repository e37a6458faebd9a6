package disk

import (
	"context"
	"sync"
	"time"
)

// limiter keeps those who read from reading more than so many bytes a second. Nil does not limit.
type limiter struct {
	rate int64 // bytes a second, more than 0

	mu   sync.Mutex
	next time.Time // when all that was let through is paid for
}

// limitSlack is by how much readers may be ahead, so that nobody waits for each small read.
const limitSlack = 10 * time.Millisecond

// wait returns when n more bytes may be read, or the cause of a ctx that ends before. What was not read in time is not made
// up for later.
func (l *limiter) wait(ctx context.Context, n int) error {
	if l == nil {
		return live(ctx)
	}
	l.mu.Lock()
	now := time.Now()
	if l.next.Before(now) {
		l.next = now
	}
	ahead := l.next.Sub(now)
	l.next = l.next.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	l.mu.Unlock()
	if ahead <= limitSlack {
		return live(ctx)
	}
	t := time.NewTimer(ahead)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
