package s3

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// pipes is a listener in memory, through which synctest sees.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// quietWorld is a door without keys in a bubble of synctest; dial connects to it.
func quietWorld(t *testing.T) (mem *objecttest.Memory, dial func() net.Conn) {
	t.Helper()
	mem = objecttest.NewMemory()
	s, err := New(object.New(mem, object.Config{}), Config{}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if err := mem.CreateBucket(t.Context(), object.Bucket{Name: "bkt"}); err != nil {
		t.Fatal(err)
	}
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	var running sync.WaitGroup
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: s, ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			running.Add(1)
		case http.StateClosed:
			running.Done()
		default:
		}
	}}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	var clients []net.Conn
	t.Cleanup(func() {
		for _, c := range clients {
			_ = c.Close()
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		running.Wait()
		if err := errors.Join(mem.Close(), mem.Check()); err != nil {
			t.Error(err)
		}
	})
	return mem, func() net.Conn {
		client, far := net.Pipe()
		clients = append(clients, client)
		l.conns <- far
		return client
	}
}

// answers sends the one answer that comes on a connection; an empty one when none does.
func answers(client net.Conn) <-chan *reply {
	got := make(chan *reply, 1)
	go func() {
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			got <- &reply{err: err}
			return
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		got <- &reply{resp.StatusCode, resp.Header, string(body), err}
	}()
	return got
}

// TestSlowBody: a body that comes at the pace of a very bad line is stored, however long that takes; one that only keeps the
// connection from stalling is not.
func TestSlowBody(t *testing.T) {
	for _, target := range []string{"/bkt/k", "/bkt?delete"} {
		for _, c := range []struct {
			name     string
			piece    int
			every    time.Duration
			accepted bool
		}{
			{"a byte now and then", 1, 50 * time.Second, false},
			{"less than the pace", minPace / 2, time.Second, false},
			{"a little more than the pace", minPace + minPace/8, time.Second, true},
			{"bursts", 100 * minPace, 59 * time.Second, true},
			{"one stall", 100 * minPace, 61 * time.Second, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, dial := quietWorld(t)
					client := dial()
					const size = 400 << 10
					method, headers := http.MethodPut, ""
					if target != "/bkt/k" {
						method, headers = http.MethodPost, "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
					}
					answer := answers(client)
					if _, err := io.WriteString(client, method+" "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 409600\r\n"+headers+"\r\n"); err != nil {
						t.Fatal(err)
					}
					start := time.Now()
					for sent := 0; sent < size; sent += c.piece {
						<-time.After(c.every)
						if _, err := io.WriteString(client, strings.Repeat(" ", min(c.piece, size-sent))); err != nil {
							break // it was let go
						}
					}
					got := (<-answer).status
					if c.accepted != (got == 200 || target != "/bkt/k" && got == 400 && time.Since(start) > 3*time.Minute) {
						t.Errorf("%s: %d after %v", target, got, time.Since(start))
					}
					if !c.accepted && time.Since(start) > 3*time.Minute {
						t.Errorf("%s: it was held for %v", target, time.Since(start))
					}
				})
			})
		}
	}
}

// TestSlowDocuments: large documents that come slowly do not keep other large ones out, however they come; those that bring
// enough stay, and all do when nobody waits.
func TestSlowDocuments(t *testing.T) {
	const size = largeXML + 2<<20
	for _, c := range []struct {
		name   string
		piece  int // that comes every second behind the first largeXML+1 bytes
		others bool
		code   string
	}{
		{"not at all", 0, true, "SlowDown"},
		{"a byte now and then", 1, true, "SlowDown"},
		{"less than the pace", sharedPace * 5 / 8, true, "SlowDown"},
		{"more than the pace", sharedPace * 11 / 8, true, "BadDigest"}, // and the wait is longer than that takes
		{"alone", sharedPace / 8, false, "BadDigest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, dial := quietWorld(t)
				const head = "POST /bkt?delete HTTP/1.1\r\nHost: x\r\nContent-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: %d\r\n\r\n"
				begin := func() (net.Conn, <-chan *reply) {
					client := dial()
					answer := answers(client)
					if _, err := fmt.Fprintf(client, head+"%s", size, strings.Repeat(" ", largeXML+1)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait() // it has a place, or waits for one
					return client, answer
				}
				var sending sync.WaitGroup
				defer sending.Wait()
				var slow []<-chan *reply
				for range largeOfKey {
					client, answer := begin()
					slow = append(slow, answer)
					sending.Go(func() {
						for sent := largeXML + 1; c.piece > 0 && sent < size; sent += c.piece {
							<-time.After(time.Second)
							if _, err := io.WriteString(client, strings.Repeat(" ", min(c.piece, size-sent))); err != nil {
								return // it was let go
							}
						}
					})
				}
				if c.others {
					client, answer := begin()
					if _, err := io.WriteString(client, strings.Repeat(" ", size-largeXML-1)); err != nil {
						t.Fatal(err)
					}
					if got := <-answer; got.code() != "BadDigest" { // it was read to its end
						t.Errorf("another document: %d %s", got.status, got.code())
					}
				}
				var codes []string
				for _, answer := range slow {
					codes = append(codes, (<-answer).code())
				}
				// Who is let go makes room for one, and the next may stay.
				if c.code == "SlowDown" && !slices.Contains(codes, c.code) || c.code != "SlowDown" && !slices.Equal(codes, []string{c.code, c.code}) {
					t.Errorf("slow documents: %s, want %s", codes, c.code)
				}
			})
		})
	}
}

// TestSlowReader: who does not read is let go; who takes each 256 KiB within a minute gets everything.
func TestSlowReader(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		whole bool
	}{{"slow", 10 * time.Second, true}, {"not at all", 10 * time.Minute, false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, dial := quietWorld(t)
				client := dial()
				const size = 4 << 20
				if _, err := object.New(mem, object.Config{}).Put(t.Context(), "bkt", "k", strings.NewReader(noise(1, size)), object.PutOptions{}); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(client, "GET /bkt/k HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				n := 0
				var err error
				for err == nil && n < size {
					<-time.After(c.every)
					var got int
					got, err = io.ReadFull(client, make([]byte, 64<<10))
					n += got
				}
				if c.whole != (n >= size) {
					t.Errorf("%d bytes, %v", n, err)
				}
			})
		})
	}
}
