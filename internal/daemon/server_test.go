package daemon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object/objecttest"
)

// pipeListener is a listener in memory, which synctest can see through.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// send makes a connection and writes a request; the response is the caller's
// to read.
func (l *pipeListener) send(t *testing.T, request string) *bufio.Reader {
	t.Helper()
	client, srv := net.Pipe()
	t.Cleanup(func() { client.Close() }) //nolint:errcheck // a test's
	l.conns <- srv
	if _, err := io.WriteString(client, request); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(client)
}

const upload = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"

func TestDrainDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s := newServer(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			if context.Cause(r.Context()) == nil {
				t.Error("the request was not cancelled")
			}
			ended <- err
		}), nil, zerolog.Nop())
		l := newPipeListener()
		s.serve([]net.Listener{l})
		l.send(t, upload)
		synctest.Wait()
		start := time.Now()
		if err := s.drain(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("the cut upload looks whole")
		}
		if took := time.Since(start); took != drainGrace+drainBudget {
			t.Errorf("drained in %v", took)
		}
	})
}

// TestOutlast: what outlasts the client of a request does not outlast the cut.
func TestOutlast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, stop := context.WithCancel(t.Context())
		outlasting := make(chan context.Context, 1)
		s := newServer(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			outlasting <- Outlast(r.Context())
			<-r.Context().Done()
			stop()
			<-Outlast(r.Context()).Done()
		}), nil, zerolog.Nop())
		l := newPipeListener()
		s.serve([]net.Listener{l})
		conn, srv := net.Pipe()
		l.conns <- srv
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		ctx := <-outlasting
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		<-client.Done()
		if ctx.Err() != nil {
			t.Error("it ended with the client")
		}
		if err := s.drain(t.Context()); err != nil {
			t.Error(err)
		}
		if ctx.Err() == nil {
			t.Error("it goes on after the cut")
		}
	})
}

// TestDrainTellsTheDoor: what can end early need not be waited for.
func TestDrainTellsTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan struct{})
		d := Door{Drain: func() { close(told) }, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-told:
			case <-r.Context().Done():
				t.Error("the door was not told before the cut")
			}
		})}
		srv, err := d.server(t.Context(), testMetrics(t, &roomy{Memory: objecttest.NewMemory()}, nil), nil, nil, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		l := newPipeListener()
		srv.serve([]net.Listener{l})
		l.send(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		if err := srv.drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestDrainStuckRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newServer(t.Context(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), nil, zerolog.Nop())
		l := newPipeListener()
		s.serve([]net.Listener{l})
		l.send(t, upload)
		synctest.Wait()
		start := time.Now()
		if err := s.drain(t.Context()); !errors.Is(err, errNotEnded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != drainGrace+drainBudget+cutBudget {
			t.Errorf("gave up after %v", took)
		}
		close(release)
	})
}

func TestDrainForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newServer(t.Context(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), nil, zerolog.Nop())
		l := newPipeListener()
		s.serve([]net.Listener{l})
		l.send(t, upload)
		synctest.Wait()
		ctx, force := context.WithCancelCause(t.Context())
		drained := make(chan error, 1)
		start := time.Now()
		go func() { drained <- s.drain(ctx) }()
		synctest.Wait()
		force(errForced)
		if err := <-drained; !errors.Is(err, errForced) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		close(release)
	})
}

// A client that keeps its connection busy must be told to leave it, or the
// close of the connection meets its next request.
func TestDrainTellsKeepAliveClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		s := newServer(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { <-proceed; hello(w, nil) }), nil, zerolog.Nop())
		l := newPipeListener()
		s.serve([]net.Listener{l})
		client, srv := net.Pipe()
		defer client.Close() //nolint:errcheck // a test's
		l.conns <- srv
		r := bufio.NewReader(client)
		ask := func(wantClose bool) {
			t.Helper()
			go func() { proceed <- struct{}{} }()
			if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil || resp.Close != wantClose {
				t.Errorf("closes: %v, want %v; %v", resp.Close, wantClose, err)
			}
		}
		ask(false)
		drained := make(chan error, 1)
		go func() { drained <- s.drain(t.Context()) }()
		synctest.Wait() // within the grace
		ask(true)
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	i := start(t, testProgram(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		if r.Context().Err() != nil {
			t.Error("cancelled before the budget was over")
		}
		hello(w, r)
	})), anyPort, nil)
	url := "http://" + i.address() + "/"
	body := make(chan string, 1)
	go func() { body <- get(t, url) }()
	<-arrived
	i.signals <- syscall.SIGTERM
	i.line("draining")
	close(release)
	if got := <-body; got != "hello" {
		t.Errorf("got %q", got)
	}
	i.endsWith(nil)
}

func TestSecondSignal(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	i := start(t, testProgram(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})), anyPort, nil)
	addr := i.address()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's
	if _, err := io.WriteString(conn, upload); err != nil {
		t.Fatal(err)
	}
	<-arrived
	i.signals <- syscall.SIGINT
	i.line("draining")
	i.signals <- syscall.SIGUSR2 // is not a second signal
	i.signals <- syscall.SIGTERM
	i.endsWith(errForced)
}

func TestListenerFails(t *testing.T) {
	broken := errors.New("broken")
	i := start(t, testProgram(hello), anyPort, func(e *surroundings) {
		e.listeners = func() (map[string][]net.Listener, error) {
			return map[string][]net.Listener{"test": {failingListener{newPipeListener(), broken}}}, nil
		}
	})
	i.endsWith(broken)
}

type failingListener struct {
	net.Listener
	err error
}

func (l failingListener) Accept() (net.Conn, error) { return nil, l.err }

func TestHeaderLimit(t *testing.T) {
	i := start(t, testProgram(hello), anyPort, nil)
	addr := i.address()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's
	// A little more than the limit and net/http's own slack, and all of it is read, so that the answer is not reset.
	const over = maxHeaderBytes + 4096
	line := "GET / HTTP/1.1\r\nHost: x\r\nX: "
	if _, err := io.WriteString(conn, line+strings.Repeat("a", over-len(line))); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test's
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s", resp.Status)
	}
	i.stop()
}

// TestOptionsStar: net/http would answer it by itself, without what a door puts into each answer.
func TestOptionsStar(t *testing.T) {
	i := start(t, testProgram(hello), anyPort, nil)
	conn, err := net.Dial("tcp", i.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's
	if _, err := io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(answer), "hello") {
		t.Errorf("got %q, %v", answer, err)
	}
	i.stop()
}

// TestTrailers: a door sees what comes behind a body, announced or not, though its request is a copy of the server's.
func TestTrailers(t *testing.T) {
	got := make(chan string, 1)
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		got <- r.Trailer.Get("X-Sum")
	})
	s := newServer(t.Context(), newTraffic(time.Now()).count(h), nil, zerolog.Nop())
	l := newPipeListener()
	s.serve([]net.Listener{l})
	for _, announced := range []string{"", "Trailer: X-Sum\r\n", "Trailer: X-Other\r\n"} {
		answer := l.send(t, "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"+announced+"\r\n0\r\nX-Sum: 1\r\n\r\n")
		if _, err := io.Copy(io.Discard, answer); err != nil {
			t.Error(err)
		}
		if sum := <-got; sum != "1" {
			t.Errorf("%q: got %q", announced, sum)
		}
	}
	if err := s.drain(t.Context()); err != nil {
		t.Error(err)
	}
}
