package daemon

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"
)

// fromConn is a connection that comes from an address.
type fromConn struct {
	net.Conn
	from string
}

func (c fromConn) RemoteAddr() net.Addr { return fromAddr(c.from) }

type fromAddr string

func (fromAddr) Network() string  { return "tcp" }
func (a fromAddr) String() string { return string(a) }

// TestConnectionsOfOneClient: one that has as many as it may gets no more, until one of its own is closed; others go on.
func TestConnectionsOfOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t.Context(), hello, nil, zerolog.Nop())
		if s.visitors.most != 512 {
			t.Errorf("%d connections", s.visitors.most)
		}
		s.visitors = newVisitors(2)
		s.visitors.proxies = networks(t, "192.0.2.80/32")
		var warned []string
		s.visitors.warn = func(from netip.Prefix) { warned = append(warned, from.String()) }
		l := newPipeListener()
		s.serve([]net.Listener{l})
		connect := func(from string) (client net.Conn, served bool) {
			t.Helper()
			client, srv := net.Pipe()
			l.conns <- fromConn{srv, from}
			if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return client, false
			}
			resp, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
			return client, resp.Body.Close() == nil
		}
		want := func(from string, want bool) net.Conn {
			t.Helper()
			client, served := connect(from)
			if served != want {
				t.Errorf("%s: served %v, want %v", from, served, want)
			}
			return client
		}
		var open []net.Conn
		for _, from := range []string{
			"192.0.2.1:1", "192.0.2.1:2", "[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.2:1", "@", "@", "@",
			"192.0.2.80:1", "192.0.2.80:2", "192.0.2.80:3", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "[::1]:1", "[::1]:2", "[::1]:3",
		} {
			open = append(open, want(from, true))
		}
		want("192.0.2.1:3", false)
		want("[::ffff:192.0.2.1]:3", false)
		want("[2001:db8::3]:1", false)
		want("192.0.2.2:2", true)
		if n := len(s.conns); n != len(open)+2 { // that one, and room for the next
			t.Errorf("%d connections are open", n)
		}
		if err := open[0].Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		want("192.0.2.1:4", true)
		want("192.0.2.1:5", false)
		if err := s.drain(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := strings.Join(warned, " "); got != "192.0.2.1/32 2001:db8::/64" {
			t.Errorf("warned of %s", got)
		}
		if n := len(s.visitors.open) + len(s.visitors.told); n != 0 || len(s.conns) != 0 {
			t.Errorf("%d clients and %d connections are left", n, len(s.conns))
		}
	})
}
