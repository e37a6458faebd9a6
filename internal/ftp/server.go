package ftp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/throttle"
)

const (
	// maxUploads is how many uploads take data at once; others wait for their turn. Each holds some 3 MiB however slowly it comes in.
	maxUploads = 100
	// maxSmall is how many are stored at once that had come whole before their turn. It takes as long as a commit, and less memory.
	maxSmall = 100
	// acceptPause is how long the door waits when there are no descriptors left for new connections.
	acceptPause = 50 * time.Millisecond
)

// Server is the FTP door. It is safe for concurrent use.
type Server struct {
	cfg        Config
	store      *object.Store
	log        zerolog.Logger
	ftp        *ftpserver.FtpServer
	gate       *gate
	throttle   *throttle.Throttle
	uploads    *turns
	small      *turns // of uploads that have come whole
	overwrites *overwrites
	connect    time.Duration // how long a data connection may take to come
	listed     atomic.Int64  // bytes that listings hold

	leases    closers[*lease]
	dataConns closers[*dataConn]

	mu        sync.Mutex // guards the following
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	of        map[netip.Prefix]int // sessions of a network
	begun     int64                // sessions, ever
	refused   int64                // with 421, ever
	busy      int                  // sessions and operations that are open
	quiet     chan struct{}        // closed when busy is 0; nil when nobody waits
	closing   bool
	serving   sync.WaitGroup // the loop of ftp, and what runs as long
	started   bool
}

// New returns a door on a store. Shutdown or Close must be called once Serve was.
func New(cfg Config, store *object.Store, log zerolog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("ftp: %w", err)
	}
	if store == nil {
		return nil, errors.New("ftp: no store")
	}
	s := &Server{
		cfg: cfg.withDefaults(), store: store, log: log, gate: newGate(), throttle: throttle.New(time.Now), overwrites: newOverwrites(store), connect: connectTime,
		uploads: newTurns(maxUploads), small: newTurns(maxSmall), listeners: make(map[net.Listener]struct{}),
		sessions: make(map[*session]struct{}), of: make(map[netip.Prefix]int),
	}
	s.ftp = ftpserver.NewFtpServer(callbacks{s})
	s.ftp.Logger = slog.New(bridge{log: log})
	if err := s.ftp.Listen(); err != nil {
		return nil, fmt.Errorf("ftp: %w", err)
	}
	return s, nil
}

// Serve takes connections from a listener until the server is shut down or closed; then it returns nil. It closes the listener. It
// may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close() //nolint:errcheck // whoever closed it first has the error
	if !s.begin(l) {
		return nil
	}
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			s.admit(conn)
		case s.isClosing():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		default: // no descriptors, or a client that was gone at once
			s.log.Warn().Err(err).Msg("could not accept a connection")
			<-time.After(acceptPause)
		}
	}
}

// begin notes a listener; false when the server is closing.
func (s *Server) begin(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	if !s.started {
		s.started = true
		ctx, cancel := context.WithCancel(context.Background())
		s.serving.Go(func() { s.overwrites.tend(ctx, s.log) })
		s.serving.Go(func() {
			defer cancel()
			if err := s.ftp.Serve(); err != nil {
				s.log.Error().Err(err).Msg("the FTP server ended")
			}
		})
	}
	return true
}

// admit takes a connection in, or refuses it with 421: ftpserverlib could only say 500.
func (s *Server) admit(conn net.Conn) {
	inlineUrgent(conn)
	x := newSession(s, conn)
	if refusal := s.enter(x); refusal != "" {
		s.log.Warn().Str("remote", x.remote.String()).Str("event", "denied").Msg("refused a session: " + refusal)
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = fmt.Fprintf(conn, "421 %s\r\n", refusal)
		_ = conn.Close()
		return
	}
	if !s.gate.pass(x.conn) {
		_ = x.conn.Close()
	}
}

// enter counts a session until leave is called, or says why not and counts that.
func (s *Server) enter(x *session) (refusal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal = s.refusal(x); refusal != "" {
		s.refused++
		return refusal
	}
	s.sessions[x] = struct{}{}
	s.of[throttle.Network(x.remote)]++
	s.begun++
	s.busy++
	return ""
}

// refusal says why a session may not begin; empty when it may. It is called with mu held.
func (s *Server) refusal(x *session) string {
	switch {
	case s.closing:
		return "Server is going down."
	case len(s.sessions) >= s.cfg.MaxSessions:
		return "Too many connections, try again later."
	case s.of[throttle.Network(x.remote)] >= s.cfg.MaxPerAddress:
		return "Too many connections from your address, try again later."
	case s.throttle.Blocks(x.remote) > 0:
		return "Too many wrong logins, try again later."
	}
	return ""
}

func (s *Server) leave(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.over {
		return
	}
	x.over = true
	delete(s.sessions, x)
	from := throttle.Network(x.remote)
	if s.of[from]--; s.of[from] == 0 {
		delete(s.of, from)
	}
	s.free()
}

// occupy counts an operation until release is called; false when the session is over.
func (s *Server) occupy(x *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.over {
		return false
	}
	s.busy++
	x.ops++
	return true
}

func (s *Server) release(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.ops--
	x.lastOp = time.Now()
	s.free()
}

// free is called with mu held.
func (s *Server) free() {
	if s.busy--; s.busy == 0 && s.quiet != nil {
		close(s.quiet)
		s.quiet = nil
	}
}

// idle is closed when no session and no operation is open.
func (s *Server) idle() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if s.quiet == nil {
		s.quiet = make(chan struct{})
	}
	return s.quiet
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// stopAccepting closes the listeners and returns the sessions that there are. No more come.
func (s *Server) stopAccepting() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for l := range s.listeners {
		_ = l.Close()
	}
	clear(s.listeners)
	all := make([]*session, 0, len(s.sessions))
	for x := range s.sessions {
		all = append(all, x)
	}
	return all
}

// finish ends what runs beside the sessions: the loop of ftp and the passive ports.
func (s *Server) finish() {
	_ = s.ftp.Stop() // it was stopped before
	s.gate.close()
	s.serving.Wait()
	s.leases.closeAll()
}

// Shutdown stops accepting, ends sessions that are idle with 421, and lets transfers that run come to their end. It returns nil when
// all have, or the cause of ctx's end; then Close ends the others.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, x := range s.stopAccepting() {
		x.conn.drain()
	}
	select {
	case <-s.idle():
		s.finish()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close stops accepting and ends all sessions. Uploads that run are not stored. It returns when nothing uses the store any more.
func (s *Server) Close() error {
	all := s.stopAccepting()
	for _, x := range all {
		x.stop(errClosing)
	}
	s.leases.closeAll()
	s.dataConns.closeAll()
	for _, x := range all {
		_ = x.conn.Close()
	}
	<-s.idle()
	s.finish()
	return nil
}

// Sessions returns how many sessions there have been, how many connections were refused, and how many sessions are open.
func (s *Server) Sessions() (begun, refused int64, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun, s.refused, len(s.sessions)
}

// Anonymous says whether any login will do, so that everybody may do everything.
func (s *Server) Anonymous() bool { return s.cfg.anonymous() }
