package ftp

import (
	"context"
	"net/netip"

	"hugbucket/internal/throttle"
)

// turns are how many uploads take data at once. Clients that send slowly keep theirs for long, so a network has half of them at most:
// one that means harm, or hangs, does not keep the others out.
type turns struct {
	all chan struct{} // holds an element for each that is taken
	of  *throttle.Shares[netip.Prefix]
}

func newTurns(n int) *turns {
	return &turns{all: make(chan struct{}, n), of: throttle.NewShares[netip.Prefix](max(1, n/2))}
}

// take waits for a turn, until ctx ends; then it returns the cause. Otherwise give must be called.
func (t *turns) take(ctx context.Context, from netip.Prefix) (give func(), err error) {
	leave, err := t.of.Take(ctx, from)
	if err != nil {
		return nil, err
	}
	select {
	case t.all <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
	return func() {
		<-t.all
		leave()
	}, nil
}
