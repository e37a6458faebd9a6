package daemon

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
)

// limitListener accepts a connection only when there is room for it, and closes it when its client has too many. It hands out the
// connections as they are: net/http looks for methods that a wrapper would hide, and says itself when one is closed.
type limitListener struct {
	net.Listener
	slots    chan struct{} // one for each open connection
	visitors *visitors     // nil when one client may have them all
	closed   chan struct{}
	once     sync.Once
}

func limit(l net.Listener, slots chan struct{}) *limitListener {
	return &limitListener{Listener: l, slots: slots, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err == nil && (l.visitors == nil || l.visitors.enter(conn)) {
			return conn, nil
		}
		<-l.slots
		if err != nil {
			return nil, err
		}
		_ = conn.Close() // nothing was sent
	}
}

// Close implements net.Listener.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// connState gives a connection's room back. Both states are the last that the
// server tells of.
func (s *server) connState(c net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		s.visitors.leave(c)
		<-s.conns
	}
}

// panicHandler makes errors of the panics that net/http reports. All else that
// it has to say is about clients that misbehave.
type panicHandler struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h panicHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h panicHandler) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "http: panic serving") {
		r.Level = slog.LevelError
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
