package push

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// idleLimit is how long a client may go without sending a byte. There is no limit on an upload as a whole.
	idleLimit = 60 * time.Second
	// lingerTime and lingerBytes bound how much of a refused upload is still taken off the wire, so that a client which
	// reads only when it has sent everything finds the answer and not a reset connection.
	lingerTime  = 2 * time.Second
	lingerBytes = 1 << 20
)

// body is the body of a request: it gives up on a client that is silent, and knows how far it was read. Its errors are
// io.EOF after a whole body, errIdle and errCut.
type body struct {
	r       io.Reader
	conn    *http.ResponseController
	idle    time.Duration
	closes  bool // an answer before the end of the body closes the connection: HTTP/1
	awaits  bool // the client holds the body back until the first Read lets the server ask for it
	touched bool
	ended   bool // nothing is left to read
	err     error
}

func newBody(w http.ResponseWriter, r *http.Request, idle time.Duration) *body {
	return &body{
		r:      r.Body,
		conn:   http.NewResponseController(w),
		idle:   idle,
		closes: r.ProtoMajor < 2,
		awaits: r.Header.Get("Expect") != "",
		ended:  r.ContentLength == 0,
	}
}

func (b *body) Read(p []byte) (int, error) {
	b.touched = true
	b.deadline(time.Now().Add(b.idle))
	n, err := b.r.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		// The server goes on watching the connection; a deadline left behind would look like a client that hung up.
		b.deadline(time.Time{})
		b.ended = true
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = errIdle
	default:
		b.err = fmt.Errorf("%w: %v", errCut, err) //nolint:errorlint // see form.broken
	}
	return n, b.err
}

// unread says whether the connection cannot serve another request, because part of this one is still coming.
func (b *body) unread() bool { return b.closes && !b.ended }

// linger takes a little of what is still coming, after the answer was sent.
func (b *body) linger() {
	if !b.unread() {
		return
	}
	// The server also looks for the end of the body on its own; the deadline holds for that, too.
	b.deadline(time.Now().Add(min(lingerTime, b.idle)))
	if b.awaits && !b.touched {
		return // the client will not send it
	}
	_, _ = io.CopyN(io.Discard, b.r, lingerBytes) // whatever comes of it, the connection is closed
}

// deadline is not supported by every ResponseWriter, and where it is not there is no connection to wait for.
func (b *body) deadline(t time.Time) { _ = b.conn.SetReadDeadline(t) }
