package disk

import "time"

// patience is how long a group of small requests waits for more. Writers that were just answered often come again at once. Were a group
// only what is there when the one before is done, two groups would take turns: each writer would wait for two syncs, and each sync
// would serve half of them. So a group waits for those, but for no more than half of what a commit takes, and less and less often when they
// do not come. Who writes alone is never waited with.
type patience struct {
	last  int           // requests of the group before
	took  time.Duration // for its commit
	want  int           // what the group under way was to become; 0 when it did not wait
	rest  int           // how many groups more do not wait
	tired int           // how many did not the last time
}

const (
	// mostTired is how many groups do not wait, at most, after one that waited in vain.
	mostTired = 64
	// mostPatience is how long a group waits whatever a commit takes: two syncs of a disk that turns.
	mostPatience = 20 * time.Millisecond
)

// wants says how many requests a group should have of which n are there, and how long it may wait for them. Since the group before was
// answered, so much time has passed; waiting says that the first of the n had been there before.
func (p *patience) wants(n int, passed time.Duration, waiting bool) (want int, most time.Duration) {
	want, most = p.last, p.most(passed)
	if waiting {
		want += n
	}
	if want = min(want, groupRequests); want <= n || most <= 0 {
		return n, 0
	}
	if p.rest > 0 {
		p.rest--
		return n, 0
	}
	p.want = want
	return want, most
}

// most is how long a group may wait when so much time has passed since the one before was answered.
func (p *patience) most(passed time.Duration) time.Duration {
	return min(p.took/2, mostPatience) - passed
}

// got takes note of a group that had n requests, and for how long it was committed.
func (p *patience) got(n int, took time.Duration) {
	if p.want > 0 {
		if came := p.last - (p.want - n); 2*came >= p.last {
			p.tired = 0
		} else {
			p.tired = min(max(1, 2*p.tired), mostTired)
			p.rest = p.tired
		}
	}
	p.last, p.took, p.want = n, took, 0
}
