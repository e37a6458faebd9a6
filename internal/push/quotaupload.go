package push

import "context"

// heldBy is what uploads take of a quota that have begun and not ended.
type heldBy struct {
	all  int64            // bytes that they have announced
	most map[string]int64 // the most that one of a name has
}

func held(ctx context.Context, u uploads) (h heldBy, err error) {
	list, err := u.unfinished(ctx)
	h.most = make(map[string]int64)
	for _, b := range list {
		h.all += b.plan.Length
		h.most[b.plan.Name] = max(h.most[b.plan.Name], b.plan.Length)
	}
	return h, err
}

// room is how much of a file is the room of an upload that is going to replace it; one upload only, or they would take the room of
// the file once each.
func (h heldBy) room(name string, size int64) int64 { return min(size, h.most[name]) }

// begun makes room for a file that of an upload of n bytes: from now on, until it ends, place.used counts the upload, as heldBy does.
func (c *claim) begun(n int64) {
	if c == nil {
		return
	}
	u := c.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	u.used += c.need
	if c.target.size == 0 {
		u.added++
	}
	u.missed += n // whatever becomes of the file meanwhile
	if c.born != u.counts {
		u.unsure = true // a count may have seen the upload already
	}
	c.n = 0
	c.settle()
	if c.target.credit == c {
		c.target.credit = nil
	}
}

// ended says that uploads of a bucket have ended, whether they were stored or dropped: what it is thought to hold may be more than
// there is, and is counted anew before it refuses anything.
func (q *quotas) ended(b Bucket) {
	if b.Quota == 0 {
		return
	}
	u := q.usage(b.key())
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unsure = true
}
