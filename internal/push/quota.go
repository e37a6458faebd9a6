package push

import (
	"context"
	"sync"
	"time"
)

const (
	// countFresh is how old a count may be when a file is refused by it, and countStale when one is let in: other doors and expire
	// change what a bucket holds. A count that took long is good for longer, so that counting takes a small part of the time.
	countFresh = 5 * time.Second
	countStale = 5 * time.Minute
	// freshShare and staleShare are how many times as long as it took a count is good at the least.
	freshShare = 10
	staleShare = 100
	// freeFiles is how many files a bucket has for nothing but their content, and fileCost what each further one takes of its quota in
	// bytes: names and rows take room too, and empty files would fill a disk.
	freeFiles = 1000
	fileCost  = 4 << 10
	// countTries is how often a count is repeated in which files may be counted twice.
	countTries = 3
)

// quotas keep what is pushed into buckets within their quotas.
type quotas struct {
	now   func() time.Time
	least int64 // see drops

	mu sync.Mutex // guards the following
	of map[string]*usage
}

func newQuotas(now func() time.Time) *quotas {
	return &quotas{now: now, least: leastForgiven, of: make(map[string]*usage)}
}

// usage is what a bucket holds, and what pushes that run may add to it. It may be more than there is, when a file was stored while
// the bucket was counted; it is less only by what came through other doors since the last count.
type usage struct {
	turn chan struct{} // holds one value while somebody counts

	mu       sync.Mutex // guards the following, and all claims
	used     int64      // bytes
	reserved int64      // bytes of claims
	targets  map[string]*target
	counted  time.Time // when a count began; zero before the first
	took     time.Duration
	counting bool
	counts   int   // how many have begun
	missed   int64 // bytes stored since the last one began
	added    int   // files stored since then under new names, and instead of empty ones
	unsure   bool  // used may hold something twice
	drops    drops
}

// target is a name under which files are being pushed.
type target struct {
	size   int64  // of the file that is there, as far as it is part of usage.used
	claims int    // that are for it
	shared bool   // there was more than one
	credit *claim // the one that counts with the room of the file that is there
}

// claim is room for one file. The nil claim is of a bucket without a quota.
type claim struct {
	of     *quotas
	usage  *usage
	place  place
	quota  int64
	target *target
	name   string
	n      int64 // bytes that the file may have, or has had so far
	need   int64 // bytes of the quota that this takes
	born   int   // usage.counts then
}

func (q *quotas) usage(key string) *usage {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.of[key]
	if u == nil {
		u = &usage{turn: make(chan struct{}, 1), targets: make(map[string]*target)}
		q.of[key] = u
	}
	return u
}

// overhead is what so many files take of a quota beside their content.
func overhead(files int) int64 { return int64(max(files-freeFiles, 0)) * fileCost }

// look returns errQuota when a file of n bytes has no room in a bucket now, as long as it replaces nothing.
func (q *quotas) look(ctx context.Context, b Bucket, p place, n int64) error {
	if b.Quota == 0 {
		return nil
	}
	c := &claim{of: q, usage: q.usage(b.key()), place: p, quota: b.Quota}
	return c.try(ctx, func() bool { return c.hasRoom(n) })
}

// want is a file for which room is claimed.
type want struct {
	name string
	size int64 // in bytes; -1 is unknown, for which no room is reserved yet
	// beside says that an upload of that name is under way, which has the room of the file that is there.
	beside bool
}

// claim reserves room for a file. Errors: errQuota, and the place's.
func (q *quotas) claim(ctx context.Context, b Bucket, p place, w want) (*claim, error) {
	if b.Quota == 0 {
		return nil, nil //nolint:nilnil // see claim
	}
	if err := q.mayDrop(ctx, b, p); err != nil {
		return nil, err
	}
	c := &claim{of: q, usage: q.usage(b.key()), place: p, quota: b.Quota, name: w.name}
	if err := c.enter(ctx, !w.beside); err != nil {
		return nil, err
	}
	if err := c.grow(ctx, max(w.size, 0)); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

// enter makes the claim known. The room of the file that is there is one claim's only: of two pushes of the same name, the later
// replaces what the earlier has made of it. replaces says whether this may be the one.
func (c *claim) enter(ctx context.Context, replaces bool) error {
	u := c.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	c.target = u.targets[c.name]
	if c.target == nil {
		there, err := c.place.size(ctx, c.name) // under the lock, or it might be of a file that was replaced meanwhile
		if err != nil {
			return err
		}
		c.target = &target{size: there}
		u.targets[c.name] = c.target
	}
	c.target.claims++
	c.target.shared = c.target.shared || c.target.claims > 1
	if c.target.credit == nil && replaces {
		c.target.credit = c
	}
	if c.born = u.counts; u.counting {
		c.born-- // that count may see the file
	}
	return nil
}

// grow makes the claim one for n bytes, if it is not for as many. Error: errQuota, and the place's.
func (c *claim) grow(ctx context.Context, n int64) error {
	if c == nil {
		return nil
	}
	return c.try(ctx, func() bool {
		before := c.n
		c.n = max(c.n, n)
		more := c.cost() - c.need
		isNew := c.need == 0 && c.target.size == 0 // even what is empty does not fit into a bucket that is full
		if (more > 0 || isNew) && !c.hasRoom(max(more, 1)) {
			c.n = before
			return false
		}
		c.settle()
		return true
	})
}

// hasRoom says whether n more bytes fit into the quota.
func (c *claim) hasRoom(n int64) bool {
	dropped, _ := c.of.excess(c.usage, c.quota)
	return c.usage.used+c.usage.reserved+dropped+n <= c.quota
}

// cost is what the claim's bytes take of the quota.
func (c *claim) cost() int64 {
	if c.target.credit == c {
		return max(c.n-c.target.size, 0)
	}
	return c.n
}

// settle reserves what the claim costs.
func (c *claim) settle() {
	c.usage.reserved -= c.need
	c.need = c.cost()
	c.usage.reserved += c.need
}

// stored makes the claim's bytes part of what the bucket holds: the file was stored, with n bytes. ctx must outlast the client.
func (c *claim) stored(ctx context.Context, n int64) {
	if c == nil {
		return
	}
	u := c.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.target.shared {
		// Which of several was the last to replace the file is not known, so look. Those that replace it from now on come here, too.
		if there, err := c.place.size(ctx, c.name); err == nil {
			n = there
		} else {
			n, u.unsure = max(n, c.target.size), true
		}
	}
	more := n - c.target.size
	if c.target.size == 0 {
		u.added++
	}
	if c.born != u.counts {
		u.unsure = true // a count may have seen the file already
	}
	if more < 0 {
		// An upload that is going to replace the file has had its room so far, and takes as much more now: see begun.
		more, u.unsure = 0, true
	}
	u.used += more
	u.missed += more
	c.target.size, c.n = n, 0
	c.settle()
	if other := c.target.credit; other != nil && other != c {
		other.settle() // what it replaces is another file now
	}
}

// release gives back what the claim has reserved. It may be called again.
func (c *claim) release() {
	if c == nil {
		return
	}
	u := c.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.target == nil {
		return
	}
	u.reserved -= c.need
	c.need = 0
	if c.target.credit == c {
		c.target.credit = nil
	}
	if c.target.claims--; c.target.claims == 0 {
		delete(u.targets, c.name)
	}
	c.target = nil
}

// try asks fits, under the lock, and counts the bucket anew when that may change the answer. Errors: errQuota, and the place's.
func (c *claim) try(ctx context.Context, fits func() bool) error {
	u := c.usage
	for range countTries + 1 {
		u.mu.Lock()
		now := c.of.now()
		age, counts := now.Sub(u.counted), u.counts
		stale := u.counted.IsZero() || c.need == 0 && age > max(countStale, staleShare*u.took) ||
			u.added >= freeFiles && age > freshShare*u.took // what they take beside their content is not known
		fit := !stale && fits()
		fresh := !u.unsure && age <= max(countFresh, freshShare*u.took)
		u.mu.Unlock()
		switch {
		case fit:
			return nil
		case !stale && fresh:
			return c.full()
		}
		if err := c.count(ctx, counts); err != nil {
			return err
		}
	}
	return c.full()
}

// count counts what the bucket holds, unless somebody has begun to after the count of that number.
func (c *claim) count(ctx context.Context, last int) error {
	u := c.usage
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	u.mu.Lock()
	begun := u.counts != last
	if !begun {
		u.counts++
		u.missed, u.added, u.unsure, u.counting = 0, 0, false, true
	}
	u.mu.Unlock()
	if begun {
		return nil
	}
	start := c.of.now()
	n, err := c.place.used(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.counting = false
	if err != nil {
		u.unsure = true // as it may have been before
		return err
	}
	u.used, u.counted, u.took = n+u.missed, start, c.of.now().Sub(start)
	return u.shrink(ctx, c.place)
}

// shrink sees to it that no target is larger than what a count may have seen of it: what is less than the target counts as gone when
// the push tells that it was stored, and what a claim costs is that much less.
func (u *usage) shrink(ctx context.Context, p place) error {
	for name, t := range u.targets {
		n, err := p.size(ctx, name)
		if err != nil {
			return err
		}
		if t.size = min(t.size, n); t.credit != nil {
			t.credit.settle()
		}
	}
	return nil
}
