package push

import "sync"

// endings are the uploads to named buckets that this process has completed and that are remembered, for clients that have not heard of it.
// A client can complete any number that take nothing of its quota, and each is a row with what it has sent of metadata: so only the newest
// of a bucket are kept.
type endings struct {
	mu sync.Mutex          // guards of
	of map[string][]string // ids by bucket, the newest last
}

// add notes an upload that is done, and returns those to be forgotten: many at once, which is one commit.
func (e *endings) add(bucket, id string) (old []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = make(map[string][]string)
	}
	ids := append(e.of[bucket], id)
	if len(ids) >= 2*maxDone {
		old, ids = ids[:maxDone:maxDone], append([]string(nil), ids[maxDone:]...)
	}
	e.of[bucket] = ids
	return old
}
