package push

import (
	"context"
	"fmt"
	"time"
)

const (
	day = 24 * time.Hour
	// dropDays is how long a bucket's quota remembers what was dropped, in days: about as long as the object store keeps it, see gc.
	dropDays = 7
	// leastForgiven is how much a bucket may drop at the least before it counts, however small its quota.
	leastForgiven = 64 << 20
)

// drops are bytes that were stored and are nothing's any more. Up to as many as its quota has, or quotas.least, a bucket is forgiven: a
// client that begins anew now and then must notice nothing. What is more counts against the quota, so that a bucket never takes more than
// its quota and what it is forgiven of the disk. They are kept in memory only: restarts are not in the hands of clients.
type drops struct {
	since time.Time           // when the newest day began; zero before the first look
	days  [dropDays + 1]int64 // bytes by day, the newest first, which is not over
}

// at forgets what is too old. To a clock that was ahead nothing older than the newest day is known: that day begins now.
func (d *drops) at(now time.Time) *drops {
	for n := 0; now.Sub(d.since) >= day && n < len(d.days); n++ {
		copy(d.days[1:], d.days[:])
		d.days[0], d.since = 0, d.since.Add(day)
	}
	if past := now.Sub(d.since); past < 0 || past >= day {
		d.since = now
	}
	return d
}

// excess is how many bytes were dropped beyond those forgiven, and until when there are any.
func (d *drops) excess(now time.Time, forgiven int64) (n int64, until time.Time) {
	left := -forgiven
	for _, bytes := range d.at(now).days {
		left += bytes
	}
	n, until = max(left, 0), d.since
	for i := len(d.days) - 1; left > 0; i-- {
		left -= d.days[i]
		until = d.since.Add(time.Duration(len(d.days)-i) * day)
	}
	return n, until
}

// excess is drops.excess of a bucket with a quota. The caller holds usage.mu.
func (q *quotas) excess(u *usage, quota int64) (n int64, until time.Time) {
	return u.drops.excess(q.now(), max(quota, q.least))
}

// dropped says that n bytes of a bucket, which were stored, are nothing's any more, but remain until gc.
func (q *quotas) dropped(b Bucket, n int64) {
	if b.Quota == 0 || n == 0 {
		return
	}
	u := q.usage(b.key())
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drops.at(q.now()).days[0] += n
}

// droppedError is errQuota of a bucket that would have more room if it had dropped less.
type droppedError struct {
	bytes int64
	until time.Time
}

func (e *droppedError) Error() string { return errQuota.Error() + ": " + e.hint() }

func (e *droppedError) Unwrap() error { return errQuota }

func (e *droppedError) hint() string {
	return fmt.Sprintf("resumable uploads that were dropped take %d bytes of it until %s", e.bytes, e.until.UTC().Format(time.RFC3339))
}

// full is the error of a claim that has no room.
func (c *claim) full() error {
	c.usage.mu.Lock()
	defer c.usage.mu.Unlock()
	if n, until := c.of.excess(c.usage, c.quota); n > 0 {
		return &droppedError{n, until}
	}
	return errQuota
}

// mayDrop returns errQuota when a bucket has dropped so much that it must not store anything, which could be dropped too, whatever it
// replaces.
func (q *quotas) mayDrop(ctx context.Context, b Bucket, p place) error {
	if b.Quota == 0 {
		return nil
	}
	u := q.usage(b.key())
	u.mu.Lock()
	excess, _ := q.excess(u, b.Quota)
	u.mu.Unlock()
	if excess == 0 {
		return nil
	}
	return q.look(ctx, b, p, 0)
}
