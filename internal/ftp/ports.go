package ftp

import (
	"math/rand/v2"
	"sync/atomic"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

// ports hands out the passive ports in turn, from one that nobody can know. ftpserverlib's own range draws them by lot, and may miss the
// last one that is free.
type ports struct {
	first, count int
	begin        uint64 // port of the first round
	next         atomic.Uint64
}

var _ ftpserver.PasvPortGetter = (*ports)(nil)

// shift is how many ports later each round begins: sessions that take turns asking would otherwise see the same part of the range
// again and again.
const shift = 37

func newPorts(first, last int) *ports {
	count := last - first + 1
	return &ports{first: first, count: count, begin: uint64(rand.IntN(count))}
}

// FetchNext implements ftpserver.PasvPortGetter.
func (p *ports) FetchNext() (exposed, listened int, ok bool) {
	n, count := p.next.Add(1)-1, uint64(p.count)
	port := p.first + int((p.begin+n+n/count*shift)%count)
	return port, port, true
}

// NumberAttempts implements ftpserver.PasvPortGetter.
func (p *ports) NumberAttempts() int { return p.count }
