package ftp

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// loginTime is how long a client may take to log in.
	loginTime = time.Minute
	// drainTick is how often an idle session is looked for when the server goes down, and how long after its last operation a session
	// is idle.
	drainTick = 100 * time.Millisecond
)

// controlConn is a control connection as ftpserverlib sees it, below TLS.
type controlConn struct {
	net.Conn
	session *session
	ended   atomic.Bool // a Read said that nothing more will come
	once    sync.Once

	mu       sync.Mutex // guards the following
	draining bool
	loginBy  time.Time // zero once the client has logged in
}

// sessionAddr is the remote address of a control connection, by which callbacks find its session.
type sessionAddr struct {
	net.Addr
	session *session
}

// RemoteAddr implements net.Conn.
func (c *controlConn) RemoteAddr() net.Addr { return sessionAddr{c.Conn.RemoteAddr(), c.session} }

// Read implements net.Conn. A deadline does not pass while an operation runs and its answer is on the way: ftpserverlib v0.32.3
// would write that and its 421 at the same time, when the transfer has no data connection yet.
func (c *controlConn) Read(b []byte) (int, error) {
	if cc := c.session.cc; cc != nil {
		last := cc.GetLastCommand()
		c.session.restart.follow(last)
		c.session.settle(last)
		c.session.port.follow(last)
	}
	for {
		n, err := c.Conn.Read(b)
		switch {
		case err == nil:
			return n, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			c.ended.Store(true)
			return n, err
		case n > 0 || !c.session.working():
			return n, err
		}
		if err := c.SetReadDeadline(time.Now().Add(drainTick)); err != nil {
			return 0, err
		}
	}
}

// Write implements net.Conn. It has a time of its own: an operation may take longer than a session may be idle.
func (c *controlConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.session.s.cfg.StallTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// SetDeadline implements net.Conn, for Read. ftpserverlib sets it before each command, and when it passes it goes on if a transfer is
// under way, and answers 421 and ends the session if not: an early deadline ends a session that is idle, and no other.
func (c *controlConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loginBy.IsZero() && c.loginBy.Before(t) {
		t = c.loginBy
	}
	if c.draining {
		if soon := time.Now().Add(drainTick); soon.Before(t) {
			t = soon
		}
	}
	return c.SetReadDeadline(t)
}

// drain ends the session with 421 when it is idle. A command that is on its way is not too late.
func (c *controlConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	_ = c.SetReadDeadline(time.Now().Add(drainTick)) // when it fails there is nobody to read
}

func (c *controlConn) loggedIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loginBy = time.Time{}
}

// inlineUrgent leaves urgent data in the stream. Clients send ABOR so (RFC 959 section 4.1.3), some the end of its line too, which would be
// lost otherwise.
func inlineUrgent(conn net.Conn) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_OOBINLINE, 1) })
}

// gone says whether the client has ended the connection. ftpserverlib does not read while a command waits for a transfer to end, so
// it is the kernel that is asked.
func (c *controlConn) gone() bool {
	if c.ended.Load() {
		return true
	}
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	const over = unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR | unix.POLLNVAL
	fds := []unix.PollFd{{Events: unix.POLLRDHUP}}
	if cerr := raw.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		for {
			if _, err = unix.Poll(fds, 0); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}); cerr != nil || err != nil {
		return true
	}
	return fds[0].Revents&over != 0
}

// roundTrip is what the kernel has measured of the way to the client and back; 0 when it is not known.
func (c *controlConn) roundTrip() time.Duration {
	return time.Duration(tcpInfo(c.Conn).Rtt) * time.Microsecond
}

// tcpInfo is what the kernel tells of a connection; nothing when it is closed.
func tcpInfo(conn net.Conn) (info unix.TCPInfo) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return info
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return info
	}
	_ = raw.Control(func(fd uintptr) {
		if i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			info = *i
		}
	})
	return info
}

// Close implements net.Conn. The session's place is free before the client sees the end: it may come back at once.
func (c *controlConn) Close() error {
	c.once.Do(c.session.leave)
	return c.Conn.Close()
}
