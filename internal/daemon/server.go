package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
)

// How long things may take. The budget and what follows it stay below the
// units' TimeoutStopSec=90s.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10

	drainGrace  = 100 * time.Millisecond // for clients that keep connections to hear that this one closes
	drainBudget = 75 * time.Second       // for requests that run
	cutBudget   = 5 * time.Second        // for requests that were cancelled

	maxConns    = 1024         // open at once; who comes later waits in the kernel's queue
	maxOwnConns = maxConns / 2 // of one client; more are closed
)

var (
	errDrained  = errors.New("the daemon is stopping")
	errNotEnded = errors.New("requests did not end when they were cancelled")
)

// serving is what serves a door.
type serving interface {
	serve(ls []net.Listener) (failed <-chan error)
	drain(ctx context.Context) error
	// counts counts what has begun since the start and what of it runs, and says what that is, for people.
	counts() (begun int64, running int, what string)
}

var (
	_ serving = (*server)(nil)
	_ serving = (*sessions)(nil)
)

// server returns what serves the door. Proxies are those that may say who the client of an HTTP request is.
func (d *Door) server(ctx context.Context, m *metrics, tlsConfig *tls.Config, proxies []config.Network, log zerolog.Logger) (serving, error) {
	m.refusals(d.Refusals)
	if d.Server == nil {
		srv := newServer(ctx, behind(proxies, m.count(d.Handler)), tlsConfig, log)
		srv.visitors.proxies = proxies
		if d.Drain != nil {
			srv.http.RegisterOnShutdown(d.Drain)
		}
		return srv, nil
	}
	srv, err := d.Server(Means{TLS: tlsConfig, Observe: m.observe})
	if err != nil {
		return nil, err
	}
	m.sessions(srv)
	return &sessions{door: srv, log: log}, nil
}

// server serves a handler on listeners, and drains.
type server struct {
	http     *http.Server
	cancel   context.CancelCauseFunc // of all requests
	log      zerolog.Logger
	serving  sync.WaitGroup // one for each listener
	ls       []net.Listener
	conns    chan struct{} // one for each connection that is open
	visitors *visitors

	draining atomic.Bool
	running  inflight
	begun    atomic.Int64 // requests since the start
}

// newServer returns a server whose requests have contexts below ctx. tlsConfig
// may be nil.
func newServer(ctx context.Context, h http.Handler, tlsConfig *tls.Config, log zerolog.Logger) *server {
	s := &server{log: log, conns: make(chan struct{}, maxConns), visitors: newVisitors(maxOwnConns)}
	s.visitors.warn = func(from netip.Prefix) {
		log.Warn().Str("event", "crowded").Stringer("remote", from).Int("connections", maxOwnConns).Msg("a client has too many connections; further ones are closed")
	}
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.http = &http.Server{
		Handler:           s.track(h),
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(base, baseKey{}, base) },
		ConnState:         s.connState,
		Protocols:         new(http.Protocols),
		// "OPTIONS *" is for the door like any other request.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(panicHandler{zerolog.NewSlogHandler(log)}, slog.LevelDebug),
	}
	// HTTP/2 has no deadlines for one request: a slow one would take those beside it along.
	s.http.Protocols.SetHTTP1(true)
	return s
}

// baseKey is under what a request's context knows the one that it is below.
type baseKey struct{}

// Outlast returns the context of a request without the end that its client puts to it: it ends when the daemon cuts requests.
func Outlast(ctx context.Context) context.Context {
	if base, ok := ctx.Value(baseKey{}).(context.Context); ok {
		return base
	}
	return context.WithoutCancel(ctx)
}

// track counts the requests that run, and while draining tells their clients
// to use another connection for the next one. Each has a Trailer that copies of it share, also if its client announced none.
func (s *server) track(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.begun.Add(1)
		s.running.enter()
		defer s.running.leave()
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		if r.Trailer == nil {
			r.Trailer = make(http.Header)
		}
		h.ServeHTTP(w, r)
	})
}

func (s *server) counts() (begun int64, running int, what string) {
	return s.begun.Load(), s.running.count(), "requests"
}

// serve serves each listener in a goroutine. What ends one early goes to the
// channel, which is never closed.
func (s *server) serve(ls []net.Listener) <-chan error {
	failed := make(chan error, len(ls))
	for _, l := range ls {
		limited := limit(l, s.conns)
		limited.visitors = s.visitors
		l = limited
		s.ls = append(s.ls, l)
		s.serving.Go(func() {
			var err error
			if s.http.TLSConfig != nil {
				err = s.http.ServeTLS(l, "", "")
			} else {
				err = s.http.Serve(l)
			}
			if !s.draining.Load() {
				failed <- err
			}
		})
	}
	return failed
}

// drain stops accepting and waits for the requests that run, at most for the
// budget; then it cancels them. When ctx ends first it cuts everything at once
// and returns ctx's cause. Only after nil is the store free to be closed.
func (s *server) drain(ctx context.Context) error {
	s.draining.Store(true)
	// Closing a socket that systemd passed closes our copy only: systemd's stays open and queues clients for the next
	// process. Every connection that was accepted is known to the server when its Serve has returned, not before.
	for _, l := range s.ls {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.log.Warn().Err(err).Msg("listener did not close")
		}
	}
	s.serving.Wait()
	wait(ctx, drainGrace)
	s.http.SetKeepAlivesEnabled(false)

	budget, stop := context.WithTimeout(ctx, drainBudget)
	defer stop()
	err := s.http.Shutdown(budget)
	switch {
	case err == nil:
		s.cancel(errDrained)
		return nil
	case ctx.Err() != nil:
		s.cut()
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		s.log.Warn().Int("requests", s.running.count()).Msg("requests cancelled: they did not end in time")
	default:
		s.log.Error().Err(err).Int("requests", s.running.count()).Msg("requests cancelled: the server did not shut down")
	}
	s.cut()
	cut, stopCut := context.WithTimeout(ctx, cutBudget)
	defer stopCut()
	select {
	case <-s.running.none():
		return nil
	case <-cut.Done():
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errNotEnded
	}
}

// cut cancels the requests that run and closes their connections, so that the
// reading of a body ends too.
func (s *server) cut() {
	s.cancel(errDrained)
	if err := s.http.Close(); err != nil {
		s.log.Debug().Err(err).Msg("connections closed")
	}
}

// wait waits for a time, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// inflight counts what runs.
type inflight struct {
	mu      sync.Mutex // guards the following
	n       int
	waiting []chan struct{}
}

func (f *inflight) enter() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
}

func (f *inflight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.n > 0 {
		return
	}
	for _, c := range f.waiting {
		close(c)
	}
	f.waiting = nil
}

func (f *inflight) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// none returns a channel that is closed once nothing runs.
func (f *inflight) none() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan struct{})
	if f.n == 0 {
		close(c)
	} else {
		f.waiting = append(f.waiting, c)
	}
	return c
}
