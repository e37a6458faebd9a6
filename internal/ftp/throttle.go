package ftp

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxStrikes wrong logins within strikeTime of each other shut an address out, until strikeTime after the last.
	maxStrikes = 10
	strikeTime = 10 * time.Minute
	// maxStruck bounds how many addresses are remembered.
	maxStruck = 10_000
)

// throttle counts wrong logins by address; of IPv6, by the network that one client has to itself.
type throttle struct {
	now func() time.Time

	mu sync.Mutex // guards the following
	of map[netip.Prefix]strikes
}

type strikes struct {
	n    int
	last time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, of: make(map[netip.Prefix]strikes)}
}

func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Addr has the zero Prefix
	return p
}

// blocks says whether an address has to wait.
func (t *throttle) blocks(a netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.of[network(a)]
	return st.n >= maxStrikes && t.now().Sub(st.last) < strikeTime
}

// wrong counts a wrong login.
func (t *throttle) wrong(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if len(t.of) >= maxStruck {
		t.sweep(now)
	}
	st := t.of[network(a)]
	if now.Sub(st.last) >= strikeTime {
		st.n = 0
	}
	t.of[network(a)] = strikes{st.n + 1, now}
}

// sweep forgets what is over, and everything when that is not enough: so many addresses are somebody's who has them to spare.
func (t *throttle) sweep(now time.Time) {
	for a, st := range t.of {
		if now.Sub(st.last) >= strikeTime {
			delete(t.of, a)
		}
	}
	if len(t.of) >= maxStruck {
		clear(t.of)
	}
}

// right forgets the wrong logins of an address that has the password.
func (t *throttle) right(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, network(a))
}
