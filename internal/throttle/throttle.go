// Package throttle keeps what one client does from costing others: it counts wrong credentials by the address that they came from, in
// bounded memory, for doors to decide what an address may still do that has brought too many; and it shares places out by key.
//
// Words: a strike is one wrong credential; an address with too many strikes is blocked for a while. What is said of an address
// holds for the network that one client has to itself.
package throttle

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// MaxStrikes wrong credentials, each within Time of the one before, block an address until Time after the last.
	MaxStrikes = 10
	// Time is also how long strikes are remembered.
	Time = 10 * time.Minute
	// maxStruck bounds how many addresses are remembered: 1 MiB or so.
	maxStruck = 10_000
)

// Throttle is safe for concurrent use.
type Throttle struct {
	now func() time.Time

	mu sync.Mutex // guards the following
	of map[netip.Prefix]strikes
}

type strikes struct {
	n    int
	last time.Time
}

// New returns a Throttle that knows of nobody. now is its clock.
func New(now func() time.Time) *Throttle {
	return &Throttle{now: now, of: make(map[netip.Prefix]strikes)}
}

// Network is what one client has to itself, and is counted by: an address; of IPv6 a /64, but of the addresses of a link, which all
// machines on it share, one.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() && !a.IsLinkLocalUnicast() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Addr has the zero Prefix
	return p
}

// Blocks returns how long an address has to wait; 0 is not at all.
func (t *Throttle) Blocks(a netip.Addr) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.of[Network(a)]
	if st.n < MaxStrikes {
		return 0
	}
	return max(Time-t.now().Sub(st.last), 0)
}

// Wrong counts a strike.
func (t *Throttle) Wrong(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if len(t.of) >= maxStruck {
		t.sweep(now)
	}
	st := t.of[Network(a)]
	if now.Sub(st.last) >= Time {
		st.n = 0
	}
	t.of[Network(a)] = strikes{st.n + 1, now}
}

// sweep forgets what is over, and everything when that is not enough: so many addresses are somebody's who has them to spare.
func (t *Throttle) sweep(now time.Time) {
	for a, st := range t.of {
		if now.Sub(st.last) >= Time {
			delete(t.of, a)
		}
	}
	if len(t.of) >= maxStruck {
		clear(t.of)
	}
}

// Right forgets the strikes of an address.
func (t *Throttle) Right(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, Network(a))
}
