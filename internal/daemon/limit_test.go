package daemon

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestConnectionLimit sees that one connection too many waits until another is
// closed, and that waiting does not keep the listener from closing.
func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t.Context(), hello, nil, zerolog.Nop())
		if cap(s.conns) != 1024 {
			t.Errorf("%d connections", cap(s.conns))
		}
		s.conns = make(chan struct{}, 1)
		l := newPipeListener()
		s.serve([]net.Listener{l})
		const request = "GET / HTTP/1.1\r\nHost: x\r\n"
		first := l.send(t, request+"\r\n")
		second := make(chan string)
		go func() {
			text, _ := io.ReadAll(l.send(t, request+"Connection: close\r\n\r\n"))
			second <- string(text)
		}()
		resp, err := http.ReadResponse(first, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if text := <-second; !strings.HasSuffix(text, "hello") || time.Since(start) != idleTimeout {
			t.Errorf("after %v: %q", time.Since(start), text)
		}
		l.send(t, request)
		synctest.Wait()
		if err := s.drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSameSignalTwice sees that the kernel's death signal, which may come more
// than once, does not cut the requests off.
func TestSameSignalTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 8)
		c := newControl(t.Context(), signals)
		defer c.end()
		for range 3 {
			signals <- syscall.SIGTERM
		}
		synctest.Wait()
		if c.running.Err() == nil || c.forced.Err() != nil {
			t.Errorf("%v, %v", c.running.Err(), c.forced.Err())
		}
		<-time.After(sameStop)
		signals <- syscall.SIGTERM
		synctest.Wait()
		if c.forced.Err() == nil {
			t.Error("a second signal does not stop")
		}
	})
}

func TestPanicsAreErrors(t *testing.T) {
	var out bytes.Buffer
	log := slog.NewLogLogger(panicHandler{zerolog.NewSlogHandler(zerolog.New(&out).Level(zerolog.InfoLevel))}, slog.LevelDebug)
	log.Print("http: TLS handshake error from 192.0.2.1: EOF")
	log.Print("http: panic serving 192.0.2.1:7: own fault")
	if got := out.String(); strings.Contains(got, "handshake") || !strings.Contains(got, `"level":"error"`) || !strings.Contains(got, "own fault") {
		t.Errorf("logged %s", got)
	}
}
