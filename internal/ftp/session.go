package ftp

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

// session is one control connection.
type session struct {
	s      *Server
	conn   *controlConn
	id     string     // for the log
	remote netip.Addr // of the client, without port and zone
	begun  time.Time

	//nolint:containedctx // the methods of afero.Fs take none; it ends with the session
	ctx    context.Context
	cancel context.CancelCauseFunc

	cc      ftpserver.ClientContext // nil before the welcome
	restart restart
	port    port
	listed  atomic.Int64 // bytes of the last listing, until it was sent

	// The following are guarded by Server.mu.
	over   bool      // no operation begins any more
	ops    int       // operations that are open
	lastOp time.Time // when one ended last
}

func newSession(s *Server, conn net.Conn) *session {
	ctx, cancel := context.WithCancelCause(context.Background())
	x := &session{s: s, id: strings.ToLower(rand.Text()[:12]), remote: addrOf(conn.RemoteAddr()), begun: time.Now(), ctx: ctx, cancel: cancel}
	x.conn = &controlConn{Conn: conn, session: x, loginBy: x.begun.Add(loginTime)}
	return x
}

// sessionOf returns the session of a callback; nil when the connection did not come in through the gate.
func sessionOf(cc ftpserver.ClientContext) *session {
	if a, ok := cc.RemoteAddr().(sessionAddr); ok {
		return a.session
	}
	return nil
}

// addrOf is the address of a peer without port and zone; the zero Addr when it is none.
func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// stop tells everything that the session does to stop, and what for.
func (x *session) stop(cause error) { x.cancel(cause) }

// borrow counts bytes of a listing until repay is called; false when all listings together would hold too many.
func (x *session) borrow(bytes int64) bool {
	if x.s.listed.Add(bytes) > maxListed {
		x.s.listed.Add(-bytes)
		return false
	}
	x.listed.Add(bytes)
	return true
}

// repay is for when the last listing was sent, or will not be.
func (x *session) repay() { x.s.listed.Add(-x.listed.Swap(0)) }

// settle repays the last listing when the last command shows that ftpserverlib has let go of it, as it does before it runs these. A client
// whose listing found no data connection may keep its session alive with them for ever. Of what is not known, or ends a transfer, the
// library hears while a listing goes on, and what uses the store repays when it begins.
func (x *session) settle(lastCommand string) {
	switch lastCommand {
	case "NOOP", "TYPE", "MODE", "STRU", "PASV", "EPSV", "PORT", "EPRT", "PROT", "PBSZ", "REST", "ALLO", "PWD", "XPWD", "SYST", "FEAT", "OPTS", "CLNT", "HELP":
		x.repay()
	}
}

// working says whether an operation is open, or was a moment ago.
func (x *session) working() bool {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	return x.ops > 0 || time.Since(x.lastOp) < drainTick
}

// leave gives the session's place back, when its connection is about to be closed. ftpserverlib is done with the last listing then: one that waits for
// a data connection outlives its client by far.
func (x *session) leave() {
	x.repay() // whoever makes one yet was told to stop before, and repays it
	x.s.leave(x)
	x.s.log.Debug().Str("remote", x.remote.String()).Str("session", x.id).Dur("ms", time.Since(x.begun)).Msg("session ended")
}
