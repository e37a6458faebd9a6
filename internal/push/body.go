package push

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	// lingerTime and lingerBytes bound how much of a refused upload is still taken off the wire, so that a client which
	// reads only when it has sent everything finds the answer and not a reset connection. What the kernels of both ends
	// hold of a connection may be 10 MiB by default (tcp_rmem, tcp_wmem), so one that stops at once finds it too.
	lingerTime  = 2 * time.Second
	lingerBytes = 16 << 20
)

// pace is how slow a client may be. There is no limit on the time of an upload as a whole.
type pace struct {
	idle   time.Duration // without a byte
	window time.Duration // in which least bytes come at the least
	least  int
}

// defaultPace is 1 KiB/s: a byte now and then must not hold an upload's memory for ever.
var defaultPace = pace{idle: 60 * time.Second, window: 60 * time.Second, least: 60 << 10}

// body is the body of a request: it gives up on a client that is silent or too slow, and knows how far it was read. Its
// errors are io.EOF after a whole body, errIdle, errSlow, errCut, that of behind, and what it was stopped for.
type body struct {
	r       io.Reader
	conn    *http.ResponseController
	pace    pace
	waited  time.Duration // for the client, in the window that runs
	got     int           // bytes, then
	sum     hash.Hash     // of them; nil when nobody asks
	behind  func() error  // is called when all has come, trailers too, and may refuse it; nil when nobody asks
	closes  bool          // an answer before the end of the body closes the connection: HTTP/1
	awaits  bool          // the client holds the body back until the first Read lets the server ask for it
	touched bool
	ended   bool // nothing is left to read
	err     error

	mu      sync.Mutex // guards the following, and deadlines
	stopped error      // why it was stopped; nil when it was not
}

func newBody(w http.ResponseWriter, r *http.Request, p pace) *body {
	return &body{
		r:      r.Body,
		conn:   http.NewResponseController(w),
		pace:   p,
		closes: r.ProtoMajor < 2,
		// A proxy may pass the header on, and send the body all the same.
		awaits: r.Header.Get("Expect") != "" && r.Header.Get("X-Forwarded-For") == "",
		ended:  r.ContentLength == 0,
	}
}

func (b *body) Read(p []byte) (int, error) {
	b.touched = true
	if b.err != nil {
		return 0, b.err
	}
	start := time.Now()
	b.deadline(start.Add(b.pace.idle))
	n, err := b.r.Read(p)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	switch {
	case err == nil && b.tooSlow(time.Since(start), n):
		b.err = errSlow
	case err == nil:
		return n, nil
	case err == io.EOF:
		// The server goes on watching the connection; a deadline left behind would look like a client that hung up.
		b.deadline(time.Time{})
		b.ended = true
		if b.behind != nil {
			b.err = b.behind()
		}
		if b.err == nil {
			return n, io.EOF
		}
	case errors.Is(err, os.ErrDeadlineExceeded) && b.stopCause() != nil:
		b.err = b.stopCause()
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = errIdle
	default:
		b.err = fmt.Errorf("%w: %v", errCut, err) //nolint:errorlint // see form.broken
	}
	return n, b.err
}

// tooSlow counts one Read. Time that a slow store takes is not the client's, so only the waiting counts.
func (b *body) tooSlow(waited time.Duration, n int) bool {
	b.waited += waited
	b.got += n
	if b.waited < b.pace.window {
		return false
	}
	slow := b.got < b.pace.least
	b.waited, b.got = 0, 0
	return slow
}

// unread says whether the connection cannot serve another request, because part of this one is still coming.
func (b *body) unread() bool { return b.closes && !b.ended }

// linger takes a little of what is still coming, after the answer was sent.
func (b *body) linger() {
	if !b.unread() {
		return
	}
	b.mu.Lock()
	b.stopped = nil // what it was stopped for has been said, and the rest is taken off the wire like any other
	b.mu.Unlock()
	// The server also looks for the end of the body on its own; the deadline holds for that, too.
	b.deadline(time.Now().Add(min(lingerTime, b.pace.idle)))
	if b.awaits && !b.touched {
		return // the client will not send it
	}
	_, _ = io.CopyN(io.Discard, b.r, lingerBytes) // whatever comes of it, the connection is closed
}

// stop makes a Read that waits for the client, and the next one, end with cause. It may be called beside a Read.
func (b *body) stop(cause error) {
	b.mu.Lock()
	if b.stopped == nil {
		b.stopped = cause
	}
	b.mu.Unlock()
	b.deadline(time.Time{})
}

func (b *body) stopCause() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped
}

// deadline is not supported by every ResponseWriter, and where it is not there is no connection to wait for.
func (b *body) deadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped != nil {
		t = time.Unix(1, 0) // long ago
	}
	_ = b.conn.SetReadDeadline(t)
}
