package disk

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPatience asks how long groups wait, each after one that was committed in 2 ms.
func TestPatience(t *testing.T) {
	const took = 2 * time.Millisecond
	for _, c := range []struct {
		what    string
		last, n int
		passed  time.Duration
		waiting bool
		want    int
		most    time.Duration
	}{
		{"alone", 1, 1, time.Microsecond, false, 1, 0},
		{"the first comes again", 8, 1, 100 * time.Microsecond, false, 8, 900 * time.Microsecond},
		{"as many as before are there", 8, 8, 100 * time.Microsecond, false, 8, 0},
		{"others were waiting", 8, 8, 0, true, 16, time.Millisecond},
		{"another was waiting", 1, 1, 0, true, 2, time.Millisecond},
		{"they come too late", 8, 1, time.Millisecond, false, 1, 0},
		{"nobody was answered", 0, 3, 0, true, 3, 0},
		{"full", 200, groupRequests, 0, true, groupRequests, 0},
		{"nearly full", 200, 100, 0, true, groupRequests, time.Millisecond},
	} {
		p := patience{last: c.last, took: took}
		if want, most := p.wants(c.n, c.passed, c.waiting); want != c.want || most != c.most {
			t.Errorf("%s: waits %v for %d, want %v for %d", c.what, most, want, c.most, c.want)
		}
	}
}

// TestPatienceEnds has groups wait for writers that do not come, and then do again.
func TestPatienceEnds(t *testing.T) {
	const took = 2 * time.Millisecond
	p := patience{last: 8, took: took}
	group := func(come int) (waited bool) {
		_, most := p.wants(8, 0, true)
		if most == 0 {
			come = 0
		}
		p.got(8+come, took)
		p.last = 8
		return most > 0
	}
	var rests []int
	for rest := 0; len(rests) < 9; {
		if group(3) {
			rests, rest = append(rests, rest), 0
		} else {
			rest++
		}
	}
	for i, want := range []int{0, 1, 2, 4, 8, 16, 32, 64, 64} {
		if rests[i] != want {
			t.Fatalf("between those that waited were %v others", rests)
		}
	}
	for !group(4) { // half of them is enough
	}
	for range 3 {
		if !group(8) {
			t.Error("does not wait for those that come")
		}
	}
	group(0)
	group(0)
	if !group(0) {
		t.Error("has not forgotten that they did not come, long ago")
	}
}

// TestAwait has a group wait for a writer, for large requests, and in vain.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &committer{small: make(chan *request), appended: make(chan *group)}
		p := patience{last: 2, took: 8 * time.Millisecond}
		first, second, large := &request{}, &request{}, &group{}
		await := func(small, groups int, took time.Duration) {
			t.Helper()
			begun := time.Now()
			got, g := c.await([]*request{first}, &p, 0, false)
			if len(got) != small || (g != nil) != (groups > 0) || time.Since(begun) != took {
				t.Errorf("%d small, large: %v, after %v; want %d, %d, %v", len(got), g != nil, time.Since(begun), small, groups, took)
			}
		}
		after := func(d time.Duration, f func()) {
			go func() {
				<-time.After(d) // the clock is the bubble's
				f()
			}()
		}
		after(time.Millisecond, func() { c.small <- second })
		await(2, 0, time.Millisecond)
		after(time.Millisecond, func() { c.appended <- large })
		await(1, 1, time.Millisecond)
		await(1, 0, 4*time.Millisecond)
		p.last = 1
		await(1, 0, 0)
		c.syncing.Store(true)
		after(3*time.Millisecond, func() { c.appended <- large })
		after(time.Millisecond, func() { c.small <- second })
		await(2, 1, 3*time.Millisecond)
		await(1, 0, 4*time.Millisecond)
		p.took = 0
		go func() { c.appended <- large }()
		synctest.Wait()
		await(1, 1, 0)
	})
}
