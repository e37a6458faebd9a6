package daemon

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hugbucket/internal/config"

	"github.com/rs/zerolog"
)

// client is a connection to a server in a bubble of synctest.
func client(t *testing.T, h http.Handler, tlsConfig *tls.Config) net.Conn {
	t.Helper()
	s := newServer(t.Context(), h, tlsConfig, zerolog.Nop())
	l := newPipeListener()
	s.serve([]net.Listener{l})
	near, far := net.Pipe()
	l.conns <- far
	t.Cleanup(func() {
		_ = near.Close()
		if err := s.drain(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return near
}

// closedAfter reads until the other side closes, and says how long that took.
func closedAfter(conn net.Conn) (text string, took time.Duration) {
	start := time.Now()
	b, _ := io.ReadAll(conn)
	return string(b), time.Since(start)
}

// TestSlowHeaders: a header that does not end, however steadily it comes, a connection without a word and a handshake that does not
// go on are let go after readHeaderTimeout.
func TestSlowHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		begin, piece string
		tls          *tls.Config
	}{
		"silence":          {"", "", nil},
		"half a line":      {"GET / HT", "", nil},
		"half of it":       {"GET / HTTP/1.1\r\nHost: x\r\n", "", nil},
		"drop by drop":     {"GET / HTTP/1.1\r\nHost: x\r\n", "A: b\r\n", nil},
		"silence over TLS": {"", "", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}},
		"half a handshake": {"\x16\x03\x01\x02\x00\x01", "", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := client(t, hello, c.tls)
				written := make(chan struct{})
				go func() {
					defer close(written)
					_, err := io.WriteString(conn, c.begin)
					for c.piece != "" && err == nil {
						<-time.After(time.Second)
						_, err = io.WriteString(conn, c.piece)
					}
				}()
				// net/http lets a client that has sent something read its answer for half a second.
				if text, took := closedAfter(conn); took < readHeaderTimeout || took > readHeaderTimeout+time.Second || strings.Contains(text, "hello") {
					t.Errorf("after %v: %q", took, text)
				}
				_ = conn.Close()
				<-written
			})
		})
	}
}

// TestIdleConnection: a connection that was used is kept for idleTimeout, and no longer.
func TestIdleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := client(t, hello, nil)
		const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
		for range 3 {
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			<-time.After(idleTimeout - time.Second)
		}
		if text, took := closedAfter(conn); took != time.Second {
			t.Errorf("after %v: %q", took, text)
		}
	})
}

// TestNoDeadlineForTheWhole: the server itself cuts no transfer that goes on; how slow one may be is the door's to say.
func TestNoDeadlineForTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(w, r.Body)
			if err != nil || n != 100 {
				t.Errorf("%d bytes, %v", n, err)
			}
		}), nil)
		go func() {
			_, err := io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
			for range 100 {
				<-time.After(time.Hour)
				if err == nil {
					_, err = io.WriteString(conn, "x")
				}
			}
			if err != nil {
				t.Error(err)
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != strings.Repeat("x", 100) {
			t.Errorf("%q, %v", body, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestNoHTTP2: neither with prior knowledge, nor by upgrade, nor over TLS.
func TestNoHTTP2(t *testing.T) {
	for name, text := range map[string]string{
		"prior knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"upgrade":         "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			conn := client(t, hello, nil)
			go func() { _, _ = io.WriteString(conn, text) }()
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "HTTP/1.1 ") || strings.Contains(line, "101") {
				t.Errorf("%s: %q, %v", name, line, err)
			}
		})
	}
	dir := t.TempDir()
	cert, key := pemPair(t, "localhost")
	replace(t, dir+"/cert", cert)
	replace(t, dir+"/key", key)
	c, err := loadCertificate(config.TLS{Cert: dir + "/cert", Key: dir + "/key"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		conn := tls.Client(client(t, hello, newCertificates(c).config()), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}) //nolint:gosec // a test's
		if err := conn.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
			t.Errorf("%q was agreed on", p)
		}
		_ = conn.Close()
	})
}
