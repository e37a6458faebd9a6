package s3

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
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

// quietWorld is a door without keys in a bubble of synctest, and a connection to it.
func quietWorld(t *testing.T) (mem *objecttest.Memory, client net.Conn) {
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
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		s.ServeHTTP(w, r)
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	client, far := net.Pipe()
	l.conns <- far
	t.Cleanup(func() {
		_ = client.Close()
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
	return mem, client
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
					_, client := quietWorld(t)
					const size = 400 << 10
					method, headers := http.MethodPut, ""
					if target != "/bkt/k" {
						method, headers = http.MethodPost, "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
					}
					status := make(chan int, 1)
					go func() {
						resp, err := http.ReadResponse(bufio.NewReader(client), nil)
						if err != nil {
							status <- 0
							return
						}
						_ = resp.Body.Close()
						status <- resp.StatusCode
					}()
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
					got := <-status
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

// TestSlowReader: who does not read is let go; who takes each 256 KiB within a minute gets everything.
func TestSlowReader(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		whole bool
	}{{"slow", 10 * time.Second, true}, {"not at all", 10 * time.Minute, false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, client := quietWorld(t)
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
