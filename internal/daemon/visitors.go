package daemon

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"hugbucket/internal/config"
	"hugbucket/internal/throttle"
)

// visitors counts the connections of each client, so that no one has them all. Proxies that are trusted, and this machine, where others
// may be, stand for many. It is safe for concurrent use.
type visitors struct {
	most    int              // connections of one client
	proxies []config.Network // are set before the first comes

	warn func(from netip.Prefix) // that a client has too many; nil is nobody

	mu   sync.Mutex // guards the following
	open map[netip.Prefix]int
	told map[netip.Prefix]bool // of clients, since they had no connection last
}

func newVisitors(most int) *visitors {
	return &visitors{most: most, open: make(map[netip.Prefix]int), told: make(map[netip.Prefix]bool)}
}

// enter counts a connection, which is to leave when it is closed, or says that its client has too many.
func (v *visitors) enter(c net.Conn) bool {
	from, counts := v.client(c)
	if !counts {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open[from] >= v.most {
		if v.warn != nil && !v.told[from] {
			v.warn(from)
		}
		v.told[from] = true
		return false
	}
	v.open[from]++
	return true
}

func (v *visitors) leave(c net.Conn) {
	from, counts := v.client(c)
	if !counts {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open[from]--; v.open[from] == 0 {
		delete(v.open, from)
		delete(v.told, from)
	}
}

// client is by what a connection's client is counted, if it is.
func (v *visitors) client(c net.Conn) (from netip.Prefix, counts bool) {
	remote := c.RemoteAddr()
	if remote == nil {
		return netip.Prefix{}, false // net/http reckons with that too
	}
	peer, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Prefix{}, false
	}
	a := peer.Addr().Unmap()
	proxy := slices.ContainsFunc(v.proxies, func(n config.Network) bool { return n.Contains(a) })
	return throttle.Network(a), !proxy && !a.IsLoopback()
}
