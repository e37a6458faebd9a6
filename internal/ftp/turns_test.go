package ftp

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"hugbucket/internal/throttle"
)

// asking is somebody who asks for a turn.
type asking struct {
	give chan func()
	stop context.CancelCauseFunc
}

func ask(t *testing.T, q *turns, addr string) *asking {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	a := &asking{make(chan func(), 1), stop}
	go func() {
		give, err := q.take(ctx, throttle.Network(netip.MustParseAddr(addr)))
		if err != nil && !errors.Is(err, errGone) {
			t.Error(err)
		}
		a.give <- give
	}()
	synctest.Wait()
	return a
}

// waits says whether there was no turn yet.
func (a *asking) waits() bool {
	synctest.Wait()
	return len(a.give) == 0
}

// One network has half of the turns at most, however many of its addresses ask, and who gives up waiting takes nothing along.
func TestTurnsOfOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(4)
		six, more := ask(t, q, "2001:db8::1"), ask(t, q, "2001:db8::2")
		third, one := ask(t, q, "2001:db8::3"), ask(t, q, "192.0.2.1")
		if six.waits() || more.waits() || one.waits() || !third.waits() {
			t.Fatal("the wrong one waits")
		}
		other := ask(t, q, "192.0.2.2")
		second, late := ask(t, q, "192.0.2.1"), ask(t, q, "192.0.2.3")
		if other.waits() || !second.waits() || !late.waits() {
			t.Fatal("the wrong one waits when all are taken")
		}
		second.stop(errGone)
		third.stop(errGone)
		<-second.give
		<-third.give
		(<-six.give)()
		if late.waits() {
			t.Fatal("it waits when a turn is free")
		}
		again := ask(t, q, "192.0.2.1")
		(<-more.give)()
		last := ask(t, q, "192.0.2.1")
		if again.waits() || !last.waits() {
			t.Fatal("who gave up has left a turn taken")
		}
		for _, a := range []*asking{one, other, late, again, last} {
			(<-a.give)()
		}
		if len(q.all) != 0 || len(q.of.Users()) != 0 {
			t.Errorf("%d turns are taken, %d networks are remembered", len(q.all), len(q.of.Users()))
		}
	})
}
