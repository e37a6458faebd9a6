package ftp

import (
	"net"
	"sync"
)

// gate is the one listener that ftpserverlib knows: connections come into it from all listeners of the server.
type gate struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

var _ net.Listener = (*gate)(nil)

func newGate() *gate { return &gate{conns: make(chan net.Conn), done: make(chan struct{})} }

// pass hands a connection on; false when the gate is closed.
func (g *gate) pass(conn net.Conn) bool {
	select {
	case g.conns <- conn:
		return true
	case <-g.done:
		return false
	}
}

// Accept implements net.Listener. The error is the one that ftpserverlib takes for a clean end.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case conn := <-g.conns:
		return conn, nil
	case <-g.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
}

func (g *gate) close() { g.once.Do(func() { close(g.done) }) }

// Close implements net.Listener.
func (g *gate) Close() error {
	g.close()
	return nil
}

// Addr implements net.Listener. The gate has no address of its own.
func (g *gate) Addr() net.Addr { return &net.TCPAddr{} }
