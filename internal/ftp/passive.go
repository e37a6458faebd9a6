package ftp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// connectTime is how long a data connection may take to come.
const connectTime = 30 * time.Second

// lease is a passive port that waits for its data connection: what ftpserverlib reserved, behind a listener of ours. It takes the
// connection as soon as it is there, for ftpserverlib v0.32.3 frees the port for the next session then, and when it gives up the
// reservation later, it gives up that session's in place of this one's. So a reservation that was used must not be closed.
type lease struct {
	s     *Server
	inner net.Listener
	got   chan net.Conn // holds the connection until it is asked for
	done  chan struct{} // closed when the lease is

	mu     sync.Mutex // guards the following
	taken  bool       // the connection has come
	closed bool
	expiry *time.Timer
}

var _ net.Listener = (*lease)(nil)

// newLease waits at a reservation. A lease that no transfer asks for ends after a time: ftpserverlib loses sight of some.
func newLease(s *Server, inner net.Listener, keep time.Duration) *lease {
	p := &lease{s: s, inner: inner, got: make(chan net.Conn, 1), done: make(chan struct{})}
	p.mu.Lock()
	p.expiry = time.AfterFunc(keep, func() { _ = p.Close() })
	p.mu.Unlock()
	s.leases.add(p)
	go p.wait()
	return p
}

// wait ends with the connection, or when the lease is closed.
func (p *lease) wait() {
	conn, err := p.inner.Accept()
	if err != nil {
		_ = p.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = true
	if p.closed {
		_ = conn.Close()
		return
	}
	data := newDataConn(p.s, conn)
	p.s.dataConns.add(data)
	p.got <- data
}

// Accept implements net.Listener.
func (p *lease) Accept() (net.Conn, error) {
	timer := time.NewTimer(p.s.connect)
	defer timer.Stop()
	select {
	case conn := <-p.got:
		p.expiry.Stop()
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-timer.C:
		return nil, errors.New("no data connection came")
	}
}

// Close implements net.Listener.
func (p *lease) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.done)
	p.expiry.Stop()
	p.s.leases.remove(p)
	if !p.taken {
		return p.inner.Close()
	}
	select {
	case conn := <-p.got:
		return conn.Close()
	default:
		return nil
	}
}

// Addr implements net.Listener.
func (p *lease) Addr() net.Addr { return p.inner.Addr() }

// dataConn is a data connection. It has a deadline for each time that something moves.
type dataConn struct {
	net.Conn
	s *Server
	// refused says that the client sends more than is read. Set before Close.
	refused bool
	ended   bool          // Read said that nothing more comes; for who reads
	closed  chan struct{} // closed by the first Close
	once    sync.Once
}

func newDataConn(s *Server, conn net.Conn) *dataConn {
	return &dataConn{Conn: conn, s: s, closed: make(chan struct{})}
}

// refusedTime is for how long what a client still sends of a refused upload is taken and dropped.
const refusedTime = 10 * time.Second

// Read implements net.Conn.
func (c *dataConn) Read(b []byte) (n int, err error) {
	if err = c.SetReadDeadline(time.Now().Add(c.s.cfg.StallTimeout)); err == nil {
		n, err = c.Conn.Read(b)
	}
	c.ended = c.ended || errors.Is(err, io.EOF)
	if err != nil && !errors.Is(err, io.EOF) {
		err = dataError(err) // ftpserverlib tells clients of some: the addresses are nothing to them
	}
	return n, err
}

// stallLooks is how often a write that waits looks in a stall timeout whether anything moves.
const stallLooks = 4

// Write implements net.Conn. A client that takes long for all of it, but takes some in time, is slow and has not stalled. The kernel
// has room for more only when much has been taken, so it is asked for what has arrived.
func (c *dataConn) Write(b []byte) (int, error) {
	n, err := c.write(b)
	if err != nil {
		err = dataError(err)
	}
	return n, err
}

func (c *dataConn) write(b []byte) (int, error) {
	done, moved, arrived := 0, time.Now(), c.arrived()
	for {
		if err := c.SetWriteDeadline(time.Now().Add(c.s.cfg.StallTimeout / stallLooks)); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(b[done:])
		done += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return done, err
		}
		if now := c.arrived(); n > 0 || now != arrived {
			moved, arrived = time.Now(), now
		} else if time.Since(moved) >= c.s.cfg.StallTimeout {
			return done, err
		}
	}
}

// arrived is how many bytes the client's side has acknowledged; 0 when it is not known.
func (c *dataConn) arrived() uint64 { return tcpInfo(c.Conn).Bytes_acked }

// Close implements net.Conn. To a client that still sends it would be a reset, and many take that for a bad network and begin anew, for
// ever, instead of reading the answer. So what comes is dropped for a while.
func (c *dataConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	if c.refused {
		c.refused = false
		if c.SetReadDeadline(time.Now().Add(refusedTime)) == nil {
			go func() {
				_, _ = io.Copy(io.Discard, c.Conn)
				_ = c.Close()
			}()
			return nil
		}
	}
	c.s.dataConns.remove(c)
	return c.Conn.Close()
}

// isClosed says whether Close was called.
func (c *dataConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// closers are things to be closed when the server is.
type closers[T interface {
	comparable
	Close() error
}] struct {
	mu     sync.Mutex // guards the following
	all    map[T]struct{}
	closed bool
}

// add closes it at once when the others were.
func (c *closers[T]) add(one T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		go one.Close() //nolint:errcheck // nobody waits for it
		return
	}
	if c.all == nil {
		c.all = make(map[T]struct{})
	}
	c.all[one] = struct{}{}
}

func (c *closers[T]) remove(one T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, one)
}

func (c *closers[T]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// closeAll closes them, and those that come later.
func (c *closers[T]) closeAll() {
	c.mu.Lock()
	all := c.all
	c.all, c.closed = nil, true
	c.mu.Unlock()
	for one := range all {
		_ = one.Close()
	}
}
