package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Server serves a door that does not speak HTTP. It does its own TLS and bounds by itself how many it serves.
type Server interface {
	// Serve serves who comes to a listener, until Shutdown or Close: then it closes the listener and returns nil. Several
	// listeners may be served at a time.
	Serve(l net.Listener) error
	// Shutdown stops accepting and lets what is under way come to its end. When ctx ends first it returns ctx's cause, and
	// what is under way goes on.
	Shutdown(ctx context.Context) error
	// Close cuts what is under way, and stores nothing of it. It returns when none of it uses the store any more.
	Close() error
	// Sessions counts the sessions since the start, those that were refused before they began, and those that are open.
	Sessions() (begun, refused int64, open int)
}

// Means is what a Server has from the daemon.
type Means struct {
	// TLS is nil without a certificate. It is the same for all connections, so that sessions can be resumed, and speaks of no
	// protocol: a client that asks for one of its own, by ALPN, gets in.
	TLS *tls.Config
	// Observe takes an Event for the metrics. It may be called by several at a time.
	Observe func(Event)
}

// Event is something that a client of a Server asked for, when it has ended.
type Event struct {
	Method         string // one of a few, which clients cannot add to
	Outcome        string // as file_bucket_requests_total has it: ok, denied, refused, failed or cut
	Received, Sent int64  // bytes of content
	Hidden         int    // keys that a listing left out, because the protocol cannot name them
	Took           time.Duration
}

// errServerEnded is the failure of a Server that ended by itself and told no reason.
var errServerEnded = errors.New("the server has ended by itself")

// sessions serves a Server on listeners, and drains.
type sessions struct {
	door     Server
	log      zerolog.Logger
	serving  sync.WaitGroup // one for each listener
	draining atomic.Bool
}

func (s *sessions) counts() (begun int64, running int, what string) {
	begun, _, running = s.door.Sessions()
	return begun, running, "sessions"
}

// serve serves each listener in a goroutine. What ends one early goes to the channel, which is never closed.
func (s *sessions) serve(ls []net.Listener) <-chan error {
	failed := make(chan error, len(ls))
	for _, l := range ls {
		s.serving.Go(func() {
			err := s.door.Serve(l)
			if err == nil {
				err = errServerEnded
			}
			if !s.draining.Load() {
				failed <- err
			}
		})
	}
	return failed
}

// drain stops accepting and waits for what is under way, at most for the budget; then it cuts it. When ctx ends first it cuts
// everything at once and returns ctx's cause. Only after nil is the store free to be closed.
func (s *sessions) drain(ctx context.Context) error {
	s.draining.Store(true)
	budget, stop := context.WithTimeout(ctx, drainBudget)
	defer stop()
	err := s.door.Shutdown(budget)
	if err != nil {
		_, _, open := s.door.Sessions()
		s.log.Warn().Err(err).Int("sessions", open).Msg("sessions cut: they did not end in time")
	}
	// After a good end too: what it leaves goes with it.
	closed := make(chan error, 1)
	go func() {
		err := s.door.Close()
		s.serving.Wait()
		closed <- err
	}()
	cut, stopCut := context.WithTimeout(ctx, cutBudget)
	defer stopCut()
	select {
	case err := <-closed:
		if err != nil {
			s.log.Warn().Err(err).Msg("the server did not close as it should")
		}
		if ctx.Err() == nil {
			return nil
		}
	case <-cut.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errNotEnded
}
