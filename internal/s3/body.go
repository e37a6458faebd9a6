package s3

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// minPace is how many bytes a second a body has to bring, on average of the time that we wait for it, once it has kept us
	// waiting for as long as a client may stall.
	minPace = 1 << 10

	// firstBytes is how much of a body has to be there before it takes one of the places for uploads: who sends next to nothing
	// must not keep others out. Until then a body takes no more memory than its bytes, doubled.
	firstBytes = 64 << 10

	// sharedPace is how many bytes a second a large document has to bring while others wait for its place.
	sharedPace = 64 << 10
)

// bodyReader reads the body of a request as it comes over the wire. It gives the client a new deadline while bytes arrive,
// and turns what goes wrong there into an answer, so that it cannot be taken for a failure of the store or for an end.
type bodyReader struct {
	q     *request
	armed time.Time

	ahead []byte // what arrive has read
	err   error  // that came behind ahead

	waited time.Duration // for the client, and
	got    int64         // bytes meanwhile

	came  atomic.Int64 // bytes in all
	letGo atomic.Bool  // no more are waited for
}

var _ io.Reader = (*bodyReader)(nil)

// arrive waits for the first bytes of the body, or its end.
func (b *bodyReader) arrive() error {
	buf := make([]byte, 0, 4<<10)
	for b.err == nil && len(buf) < firstBytes {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(2*cap(buf), firstBytes)), buf...)
		}
		var n int
		n, b.err = b.read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
	}
	b.ahead = buf
	if b.err != nil && !errors.Is(b.err, io.EOF) {
		return b.err
	}
	return nil
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.read(p)
}

func (b *bodyReader) read(p []byte) (int, error) {
	now := time.Now()
	if now.Sub(b.armed) > b.q.s.stall/8 {
		b.armed = now
		_ = b.q.w.rc.SetReadDeadline(now.Add(b.q.s.stall)) // a writer that knows no deadlines goes without
		b.q.w.arm()                                        // the first read makes net/http write "100 Continue"
	}
	if b.letGo.Load() { // after the deadline was set: the one that letGo came with may have been before it
		return 0, slowDown.err().because(errTooSlow)
	}
	b.q.begun = true
	n, err := b.q.r.Body.Read(p)
	b.came.Add(int64(n))
	b.waited += time.Since(now)
	b.got += int64(n)
	switch {
	case err == nil:
		err = b.checkPace()
	case errors.Is(err, io.EOF):
		// The connection is watched from now on for the client's leaving, which is not a read that may stall.
		_ = b.q.w.rc.SetReadDeadline(time.Time{})
		err = io.EOF
	case isTimeout(err):
		err = requestTimeout.err().because(err)
	default:
		err = incompleteBody.err().because(err)
	}
	return n, err
}

// checkPace lets a client go that sends a little again and again, and never stalls.
func (b *bodyReader) checkPace() error {
	if b.waited < b.q.s.stall {
		return nil
	}
	if float64(b.got) < minPace*b.waited.Seconds() {
		return requestTimeout.err().because(errTooSlow)
	}
	b.waited, b.got = 0, 0
	return nil
}

// whileOthersWait does read, which reads this body into memory of which there is little. Who brings it slowly is let go, to come
// again, when another waits for that memory.
func (b *bodyReader) whileOthersWait(read func() error) error {
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		turn := b.q.s.stall / 12
		tick := time.NewTicker(turn)
		defer tick.Stop()
		for last := b.came.Load(); ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			n := b.came.Load()
			if b.q.largeIsWanted() && float64(n-last) < sharedPace*turn.Seconds() {
				b.letGo.Store(true)
				_ = b.q.w.rc.SetReadDeadline(time.Now())
				return
			}
			last = n
		}
	})
	err := read()
	close(done)
	watch.Wait()
	if b.letGo.Load() { // also when it ended just then: its connection may have been taken for broken
		return slowDown.err().because(errTooSlow)
	}
	return err
}

// errTooSlow is for the log.
var errTooSlow = errors.New("the body came too slowly")

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
