package disk

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// process is what the catalog knows of this process: its id, which its files carry, and how far collection may go.
type process struct {
	id   int64
	lock *os.File // procs/<id>, locked as long as the process lives
	seq  atomic.Int64

	mu    sync.Mutex
	epoch int64         // the catalog's, as last read; what new pins note
	pins  map[int64]int // how many pins noted which epoch
}

// pin keeps what is stored now from being deleted until it is released.
type pin struct {
	p     *process
	epoch int64
}

func (p *process) pin() *pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pins[p.epoch]++
	return &pin{p, p.epoch}
}

// release may be called more than once.
func (n *pin) release() {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	if n.epoch == 0 {
		return
	}
	if n.p.pins[n.epoch]--; n.p.pins[n.epoch] == 0 {
		delete(n.p.pins, n.epoch)
	}
	n.epoch = 0
}

// past takes note of the catalog's epoch, read in the transaction under way, and returns what procs.epoch may be set to
// in the same transaction: the oldest epoch that is pinned, or epoch. Pins made from now on note epoch, so what they see
// doomed at their first look, they see as doomed.
func (p *process) past(epoch int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch = max(p.epoch, epoch)
	oldest := p.epoch
	for e := range p.pins {
		oldest = min(oldest, e)
	}
	return oldest
}

// name returns a name in dir that was never used: prefix, process and number.
func (p *process) name(prefix string) string {
	return fmt.Sprintf("%s%d.%d", prefix, p.id, p.seq.Add(1))
}
