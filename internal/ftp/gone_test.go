package ftp

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

// A client that goes a moment after the end of its data did not end it.
func TestEndOfTheDataComesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		gone bool
		want error
	}{"goes": {true, errGone}, "stays": {false, io.EOF}} {
		synctest.Test(t, func(t *testing.T) {
			here, _ := net.Pipe()
			conn := &controlConn{Conn: here}
			u := &upload{operation: &operation{session: &session{conn: conn, ctx: t.Context()}}, cc: stubContext{}}
			time.AfterFunc(time.Millisecond, func() { conn.ended.Store(c.gone) })
			if err := u.ended(nil); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// Nobody hashes for a client that is gone.
func TestHashForNobody(t *testing.T) {
	r := newRig(t)
	r.put("f", "content")
	conn := &controlConn{}
	d := &driver{session: &session{s: r.door, conn: conn, ctx: context.Background()}, cc: stubContext{}}
	sum := sha1.Sum([]byte("content"))
	if got, err := d.ComputeHash("/bkt/f", ftpserver.HASHAlgoSHA1, 0, 7); got != hex.EncodeToString(sum[:]) || err != nil {
		t.Error(got, err)
	}
	conn.ended.Store(true)
	if got, err := d.ComputeHash("/bkt/f", ftpserver.HASHAlgoSHA1, 0, 7); got != "" || err == nil || err.Error() != errGone.Error() {
		t.Error(got, err)
	}
}

// A transfer whose data connection does not come was no transfer, and is not counted as one.
func TestTransferWithoutConnection(t *testing.T) {
	r := newRig(t)
	r.door.connect = time.Millisecond
	r.put("f", "content")
	c := r.login()
	for _, verb := range []string{"APPE", "RETR", "STOR"} {
		c.port()
		c.cmd(425, "%s /bkt/f", verb)
		c.cmd(200, "TYPE I") // waits for the end of the transfer
		if e := r.last(verb); e.Outcome != Aborted {
			t.Errorf("%+v", e)
		}
	}
	if got, _ := r.content("f"); got != "content" {
		t.Errorf("%q", got)
	}
}

// A client has so long to log in, and as long as it likes after that.
func TestLoginTimeIsForLogins(t *testing.T) {
	r := newRig(t)
	in, out := r.dial(), r.dial()
	in.cmd(200, "NOOP") // the door waits for a command of both now
	out.cmd(200, "NOOP")
	r.door.mu.Lock()
	for x := range r.door.sessions {
		x.conn.mu.Lock()
		if by := x.conn.loginBy; !by.Equal(x.begun.Add(loginTime)) {
			t.Errorf("begun %v, has to log in by %v", x.begun, by)
		}
		x.conn.loginBy = time.Now().Add(2 * time.Second)
		x.conn.mu.Unlock()
	}
	r.door.mu.Unlock()
	in.auth()
	out.cmd(200, "NOOP")
	out.read(421)
	in.cmd(200, "NOOP")
}
