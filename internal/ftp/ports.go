package ftp

import (
	"sync/atomic"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

// ports hands out the passive ports in turn. ftpserverlib's own range draws them by lot, and may miss the last one that is free.
type ports struct {
	first, count int
	next         atomic.Uint64
}

var _ ftpserver.PasvPortGetter = (*ports)(nil)

// shift is how many ports later each round begins: sessions that take turns asking would otherwise see the same part of the range
// again and again.
const shift = 37

// FetchNext implements ftpserver.PasvPortGetter.
func (p *ports) FetchNext() (exposed, listened int, ok bool) {
	n, count := p.next.Add(1)-1, uint64(p.count)
	port := p.first + int((n+n/count*shift)%count)
	return port, port, true
}

// NumberAttempts implements ftpserver.PasvPortGetter.
func (p *ports) NumberAttempts() int { return p.count }
