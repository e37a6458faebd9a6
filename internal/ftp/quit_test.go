package ftp

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

// A client that says QUIT before it was answered does not know whether its file is stored, nor care: Python's ftplib does so when it could
// not read its source. Its session ends without an answer, which would hide that error.
func TestQuitBeforeTheAnswer(t *testing.T) {
	server, cfg := serverTLS(t)
	r := newRig(t, func(c *Config) { c.TLS = server })
	r.put("kept", "as it was")
	r.put("log", "as it was")
	for way, login := range map[string]func() *client{"clear": r.login, "TLS": func() *client {
		c := r.dial()
		c.encrypt(cfg)
		c.auth()
		c.cmd(200, "PROT P")
		return c
	}} {
		for _, command := range []string{"STOR /bkt/kept", "APPE /bkt/log"} {
			c := login()
			data := c.begin("%s", command)
			if _, err := io.WriteString(data, "half"); err != nil {
				t.Fatal(err)
			}
			c.send("QUIT")
			r.heard("QUIT")
			_ = data.Close()
			if line, err := c.text.ReadLine(); !errors.Is(err, io.EOF) {
				t.Errorf("%s, %s: %q, %v", way, command, line, err)
			}
			<-r.door.idle()
			for _, key := range []string{"kept", "log"} {
				if got, _ := r.content(key); got != "as it was" {
					t.Errorf("%s, %s: %q is stored", way, command, got)
				}
			}
			if e := r.last(command[:4]); e.Outcome != Aborted {
				t.Errorf("%s: %+v", way, e)
			}
		}
		// Other commands may come before the answer, and QUIT behind them.
		c := login()
		data := c.begin("STOR /bkt/new")
		_, _ = io.WriteString(data, "whole")
		c.cmd(211, "STAT")
		c.send("SIZE /bkt/new\r\nQUIT")
		_ = data.Close()
		for _, code := range []int{226, 213, 221} {
			c.read(code)
		}
		if got, _ := r.content("new"); got != "whole" {
			t.Errorf("%s: %q", way, got)
		}
		<-r.door.idle()
	}
	r.logged("the client said QUIT before it was answered")
}

// saying is a session that ends when it is closed.
type saying struct {
	ftpserver.ClientContext
	command atomic.Value
	closed  bool
}

func (s *saying) GetLastCommand() string { return s.command.Load().(string) } //nolint:errcheck,forcetypeassert // it is one

func (s *saying) Close() error {
	s.closed = true
	return nil
}

// QUIT may come a moment after the data.
func TestQuitBehindTheData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, _ := net.Pipe()
		cc := &saying{}
		cc.command.Store("STOR")
		u := &upload{operation: &operation{session: &session{conn: &controlConn{Conn: here}, ctx: t.Context()}}, cc: cc}
		time.AfterFunc(settleTime/2, func() { cc.command.Store("QUIT") })
		if err := u.ended(nil); !errors.Is(err, errQuit) || !cc.closed {
			t.Error(err, cc.closed)
		}
	})
}

// QUIT is heard while a small file waits for its turn.
func TestQuitBeforeTheTurn(t *testing.T) {
	r := newRig(t)
	for range cap(r.door.small.all) {
		r.door.small.all <- struct{}{}
	}
	c := r.login()
	data := c.begin("STOR /bkt/f")
	_, _ = io.WriteString(data, "half")
	_ = data.Close()
	r.until("it waits", func() bool { return len(r.door.small.of.Users()) == 1 })
	c.send("QUIT")
	r.heard("QUIT")
	<-r.door.small.all
	<-r.door.idle()
	if got := r.keys(); got != "" {
		t.Errorf("%q is stored", got)
	}
}

// heard waits until a session has got a command.
func (r *rig) heard(command string) {
	r.t.Helper()
	r.until(command+" has come", func() bool {
		r.door.mu.Lock()
		defer r.door.mu.Unlock()
		for x := range r.door.sessions {
			if x.cc.GetLastCommand() == command {
				return true
			}
		}
		return false
	})
}

// until waits for what happens by itself.
func (r *rig) until(what string, happened func() bool) {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 30_000 {
		if happened() {
			return
		}
		<-tick.C
	}
	r.t.Fatal("in vain: " + what)
}
