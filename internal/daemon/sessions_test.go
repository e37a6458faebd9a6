package daemon

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
)

// lineServer says back each line that it is told. After "TLS" the client begins a handshake.
type lineServer struct {
	means  Means
	begun  atomic.Int64
	ended  sync.WaitGroup // one for each session
	mu     sync.Mutex     // guards the following
	ls     []net.Listener
	conns  map[net.Conn]bool
	closed bool
}

func (s *lineServer) Serve(l net.Listener) error {
	s.mu.Lock()
	s.ls = append(s.ls, l)
	s.mu.Unlock()
	for {
		conn, err := l.Accept()
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil
		}
		if err == nil {
			s.conns[conn] = true
			s.begun.Add(1)
			s.ended.Go(func() { s.session(conn) })
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (s *lineServer) session(conn net.Conn) {
	start := time.Now()
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		_ = conn.Close()
	}()
	var c io.ReadWriter = conn
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		// Before the answer, so that who has it finds it counted.
		s.means.Observe(Event{
			Method: "ECHO", Outcome: "ok", Received: int64(len(line)), Sent: 1, Hidden: 2, Took: time.Since(start),
		})
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
		if line == "TLS\n" {
			c = tls.Server(conn, s.means.TLS)
			r = bufio.NewReader(c)
		}
	}
}

func (s *lineServer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.ls {
		_ = l.Close()
	}
}

func (s *lineServer) Shutdown(ctx context.Context) error {
	s.stop()
	ended := make(chan struct{})
	go func() { s.ended.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *lineServer) Close() error {
	s.stop()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.ended.Wait()
	return nil
}

func (s *lineServer) Sessions() (begun, refused int64, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun.Load(), 7, len(s.conns)
}

// lineProgram is testProgram, but for what it speaks.
func lineProgram() Program {
	p := testProgram(nil)
	p.Open = func(*config.Config, *object.Store, zerolog.Logger) (*Door, error) {
		return &Door{Status: "tested", Server: func(m Means) (Server, error) {
			return &lineServer{means: m, conns: make(map[net.Conn]bool)}, nil
		}}, nil
	}
	return p
}

// say sends a line and wants it back.
func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text+"\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != text+"\n" {
		t.Fatalf("%q, %v", line, err)
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestServerDoor(t *testing.T) {
	port := freePorts(t)
	p := lineProgram()
	p.Name = "hugbucket-ftpd"
	i := start(t, p, fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "metrics": {"port": %d}}`, port), nil)
	url := fmt.Sprintf("http://127.0.0.1:%d", port+2)
	if got := i.line("serving metrics")["address"]; "http://"+fmt.Sprint(got) != url {
		t.Errorf("metrics on %v, want %s", got, url)
	}
	addr := i.address()
	i.state("READY=1\nSTATUS=serving on " + addr + "; tested")
	conn := dial(t, addr)
	say(t, conn, "hello")
	i.signals <- syscall.SIGUSR2
	<-i.states // reloading
	i.state("READY=1\nSTATUS=serving on " + addr + "; tested; 1 sessions since the start, 1 running")
	_, got, _ := fetch(t, "GET", url+"/metrics", "localhost")
	has(t, got, `file_bucket_requests_total{code="",daemon="hugbucket-ftpd",method="ECHO",outcome="ok"} 1`,
		`file_bucket_request_duration_seconds_count{daemon="hugbucket-ftpd",method="ECHO"} 1`,
		`file_bucket_received_bytes_total{daemon="hugbucket-ftpd"} 6`, `file_bucket_sent_bytes_total{daemon="hugbucket-ftpd"} 1`,
		`file_bucket_hidden_keys_total{daemon="hugbucket-ftpd"} 2`,
		`file_bucket_sessions_total{daemon="hugbucket-ftpd"} 1`, `file_bucket_sessions_refused_total{daemon="hugbucket-ftpd"} 7`,
		`file_bucket_sessions_open{daemon="hugbucket-ftpd"} 1`)
	i.signals <- syscall.SIGTERM
	i.state("STOPPING=1\nSTATUS=draining")
	// What is under way comes to its end.
	say(t, conn, "still here")
	_ = conn.Close()
	i.endsWith(nil)
	if !i.store.closed.Load() {
		t.Error("the store was not closed")
	}
	if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it still listens: %v", err)
	}
}

func TestServerDoorIsCutByASecondSignal(t *testing.T) {
	i := start(t, lineProgram(), anyPort, nil)
	conn := dial(t, i.address())
	say(t, conn, "hello")
	i.signals <- syscall.SIGTERM
	i.line("draining")
	i.signals <- syscall.SIGINT
	i.endsWith(errForced)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the session goes on")
	}
}

func TestServerDoorThatFails(t *testing.T) {
	broken := errors.New("broken")
	breaks := func(e *surroundings) {
		e.listeners = func() (map[string][]net.Listener, error) {
			return map[string][]net.Listener{"test": {failingListener{newPipeListener(), broken}}}, nil
		}
	}
	start(t, lineProgram(), anyPort, breaks).endsWith(broken)
	p := lineProgram()
	p.Open = func(*config.Config, *object.Store, zerolog.Logger) (*Door, error) {
		return &Door{Server: func(Means) (Server, error) { return nil, broken }}, nil
	}
	start(t, p, anyPort, nil).endsWith(broken)
	p.Open = func(*config.Config, *object.Store, zerolog.Logger) (*Door, error) {
		return &Door{Server: func(Means) (Server, error) { return &lineServer{closed: true}, nil }}, nil
	}
	start(t, p, anyPort, breaks).endsWith(errServerEnded)
}

// TestServerDoorTLS: sessions are resumed on other connections, a protocol of the client's own does not keep it out, and new files
// are taken.
func TestServerDoorTLS(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	put := func(name string) {
		cert, key := pemPair(t, name)
		replace(t, path("crt"), cert)
		replace(t, path("key"), key)
	}
	put("one")
	i := start(t, lineProgram(), fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "tls": {"cert": %q, "key": %q}}`, path("crt"), path("key")), nil)
	addr := i.address()
	<-i.states // ready
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "x", ClientSessionCache: tls.NewLRUClientSessionCache(1), NextProtos: []string{"ftp"}}
	shake := func() tls.ConnectionState {
		t.Helper()
		conn := dial(t, addr)
		say(t, conn, "TLS")
		c := tls.Client(conn, client)
		say(t, c, "hello") // reads the ticket too
		return c.ConnectionState()
	}
	if s := shake(); s.DidResume || s.PeerCertificates[0].Subject.CommonName != "one" {
		t.Errorf("%+v", s)
	}
	if !shake().DidResume {
		t.Error("the second connection does not resume the session of the first")
	}
	put("two")
	i.signals <- syscall.SIGUSR2
	i.line("certificate replaced")
	client.ClientSessionCache = nil
	if got := shake().PeerCertificates[0].Subject.CommonName; got != "two" {
		t.Errorf("the certificate is that of %s", got)
	}
	i.signals <- syscall.SIGTERM
	i.line("draining")
	i.signals <- syscall.SIGINT
	i.endsWith(errForced)
}

// stubborn is a Server with a session that does not end; with release, it does not even when it is cut.
type stubborn struct {
	release chan struct{}
	calls   []string
}

func (s *stubborn) Serve(net.Listener) error { return nil }

func (s *stubborn) Shutdown(ctx context.Context) error {
	s.calls = append(s.calls, "shutdown")
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *stubborn) Close() error {
	s.calls = append(s.calls, "close")
	if s.release != nil {
		<-s.release
	}
	return nil
}

func (s *stubborn) Sessions() (begun, refused int64, open int) { return 1, 0, 1 }

func TestDrainOfSessions(t *testing.T) {
	for _, c := range []struct {
		name  string
		stuck bool
		force bool
		want  error
		took  time.Duration
	}{
		{"cut at the deadline", false, false, nil, drainBudget},
		{"not even ended by the cut", true, false, errNotEnded, drainBudget + cutBudget},
		{"second signal", true, true, errForced, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &stubborn{}
			if c.stuck {
				s.release = make(chan struct{})
				defer close(s.release)
			}
			ctx, force := context.WithCancelCause(t.Context())
			defer force(nil)
			drained := make(chan error, 1)
			start := time.Now()
			go func() { drained <- (&sessions{door: s, log: zerolog.Nop()}).drain(ctx) }()
			synctest.Wait()
			if c.force {
				force(errForced)
			}
			if err := <-drained; !errors.Is(err, c.want) {
				t.Errorf("%s: got %v", c.name, err)
			}
			if took := time.Since(start); took != c.took {
				t.Errorf("%s: took %v", c.name, took)
			}
			synctest.Wait()
			if !slices.Equal(s.calls, []string{"shutdown", "close"}) {
				t.Errorf("%s: %q", c.name, s.calls)
			}
		})
	}
}
