package ftp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"

	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// listings returns a rig with a directory d, and what is told of each listing when it is made and not sent yet.
func listings(t *testing.T) (*rig, <-chan Event) {
	t.Helper()
	made := make(chan Event, 100)
	r := newRig(t, func(c *Config) {
		told := c.Observe
		c.Observe = func(e Event) {
			told(e)
			if e.Verb == "MLSD" {
				made <- e
			}
		}
	})
	for i := range 20 {
		r.put(fmt.Sprint("d/", i), "")
	}
	return r, made
}

// All listings together have so much memory. It is there again when one was sent, however it ended.
func TestListingsTogether(t *testing.T) {
	r, made := listings(t)
	const one = 20 * (entryBytes + 2)
	r.door.listed.Store(maxListed - one - one/2)
	free := func(when string) {
		t.Helper()
		if got := r.door.listed.Load(); got != maxListed-one-one/2 {
			t.Errorf("%s: %d bytes are held", when, got-maxListed+one+one/2)
		}
	}
	a, b := r.login(), r.login()
	port := a.port()
	a.send("MLSD /bkt/d") // no data connection comes
	<-made
	if got := r.door.listed.Load(); got < maxListed-one {
		t.Errorf("%d bytes are held", got)
	}
	b.open()
	if text := b.cmd(550, "MLSD /bkt/d"); !strings.HasSuffix(text, "too many listings at once") {
		t.Error(text)
	}
	if e := r.last("MLSD"); e.Outcome != Refused {
		t.Errorf("%+v", e)
	}
	data := a.openAt(port)
	a.read(150)
	if out, _ := io.ReadAll(data); strings.Count(string(out), "\n") != 20 {
		t.Errorf("%q", out)
	}
	a.read(226)
	free("sent")
	b.retr("MLSD /bkt/d")
	free("sent")
	<-made // b's, that was refused
	<-made
	a.port()
	a.send("MLSD /bkt/d")
	<-made
	if err := r.door.Close(); err != nil {
		t.Error(err)
	}
	free("the session is over")
}

// ftpserverlib keeps a listing for which no data connection comes, also when its client is gone: it counts until the session is over.
func TestListingOfAClientThatIsGone(t *testing.T) {
	r := newRig(t)
	here, _ := net.Pipe()
	x := newSession(r.door, here)
	if refusal := r.door.enter(x); refusal != "" || !x.borrow(5) {
		t.Fatal(refusal)
	}
	x.stop(errGone)
	if got := r.door.listed.Load(); got != 5 {
		t.Errorf("%d bytes are held", got)
	}
	x.leave()
	if got := r.door.listed.Load(); got != 0 {
		t.Errorf("%d bytes are held", got)
	}
}

// A listing that is made while its session ends is given back by who makes it.
func TestListingAfterTheEnd(t *testing.T) {
	d, err := disk.Open(t.Context(), t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := &session{}
	x.ctx, x.cancel = context.WithCancelCause(t.Context())
	r := newRigOver(t, ending{d, x})
	x.s = r.door
	r.put("f", "")
	found, err := (&driver{session: x, cc: stubContext{}}).ReadDir("/bkt")
	if err == nil || err.Error() != errGone.Error() || found != nil {
		t.Error(found, err)
	}
	if got := r.door.listed.Load(); got != 0 {
		t.Errorf("%d bytes are held", got)
	}
}

// ending is a store that ends a session when it has listed.
type ending struct {
	object.Driver
	x *session
}

func (e ending) List(ctx context.Context, bucket string, q object.Page) ([]object.Info, bool, error) {
	page, more, err := e.Driver.List(ctx, bucket, q)
	e.x.stop(errGone)
	return page, more, err
}

// A listing for which no data connection came is let go at the next command, also at one that only keeps the session alive.
func TestListingThatWasNotSent(t *testing.T) {
	r, made := listings(t)
	r.door.connect = time.Millisecond
	c := r.login()
	for _, next := range []struct {
		code    int
		command string
	}{{550, "SIZE /bkt/none"}, {200, "NOOP"}, {200, "TYPE I"}, {229, "EPSV"}, {257, "PWD"}} {
		c.port()
		c.cmd(425, "MLSD /bkt/d")
		<-made
		if r.door.listed.Load() == 0 {
			t.Error("the test shows nothing")
		}
		c.cmd(next.code, "%s", next.command)
		c.cmd(500, "XYZ") // it was read, so what came before is done
		if got := r.door.listed.Load(); got != 0 {
			t.Errorf("%s: %d bytes are held", next.command, got)
		}
	}
}

// A listing whose data connection breaks is answered in words of this door, without the addresses of its machine.
func TestListingThatBreaks(t *testing.T) {
	server, cfg := serverTLS(t)
	r := newRig(t, func(c *Config) { c.TLS = server })
	r.put("d/f", "content")
	clear, encrypted := r.login(), r.dial()
	encrypted.encrypt(cfg)
	encrypted.auth()
	encrypted.cmd(200, "PROT P")
	for _, c := range []*client{clear, encrypted} {
		for _, command := range []string{"MLSD", "LIST", "NLST"} {
			data := c.open()
			if c.tls != nil {
				data = data.(*tls.Conn).NetConn() //nolint:errcheck,forcetypeassert // it is one
			}
			if err := data.(*net.TCPConn).SetLinger(0); err != nil { //nolint:errcheck,forcetypeassert // it is one
				t.Fatal(err)
			}
			_ = data.Close()
			c.send("%s /bkt/d", command)
			c.read(150)
			text := c.read(550)
			if !strings.Contains(text, errLost.Error()) || strings.Contains(text, "127.0.0.1") {
				t.Error(text)
			}
		}
		if got := c.names("NLST /bkt/d"); got != "bkt/d/f" {
			t.Error(got)
		}
	}
}

// Commands that ftpserverlib hears of while a listing waits for its data connection do not let go of it.
func TestListingThatWaits(t *testing.T) {
	x := &session{s: &Server{}}
	if !x.borrow(5) {
		t.Fatal("there is no room")
	}
	for _, command := range []string{"MLSD", "LIST", "NLST", "STAT", "ABOR", "QUIT", "XYZ", "NO", ""} {
		if x.settle(command); x.s.listed.Load() != 5 {
			t.Fatalf("%q let go of the listing", command)
		}
	}
	if x.settle("NOOP"); x.s.listed.Load() != 0 {
		t.Error("NOOP let nothing go")
	}
}

// stubContext is a session that was told to list and does no more.
type stubContext struct{ ftpserver.ClientContext }

func (stubContext) Path() string           { return "/" }
func (stubContext) GetLastCommand() string { return "MLSD" }

// A listing that no memory would be enough for is too long at any time.
func TestListingOfTooMuch(t *testing.T) {
	r := newRig(t)
	l := &listing{driver: &driver{session: &session{s: r.door}}, o: &operation{}, bytes: maxListed}
	if err := l.add(&entry{name: "one more"}); !errors.Is(err, errTooMany) {
		t.Error(err)
	}
}

// When ftpserverlib has come to the last entry, the others are let go: a client that stops reading there holds next to nothing.
func TestLastEntry(t *testing.T) {
	r, _ := listings(t)
	r.door.listed.Store(7)
	c := r.login()
	c.retr("MLSD /bkt/d")
	d := &driver{session: &session{s: r.door, ctx: t.Context()}, cc: stubContext{}}
	found, err := d.ReadDir("/bkt/d")
	if err != nil || len(found) != 20 {
		t.Fatal(found, err)
	}
	for i, e := range found {
		if e == nil {
			t.Fatalf("entry %d is gone before its turn", i)
		}
		_ = e.Name()
	}
	if found[0] != os.FileInfo(nil) || found[18] != os.FileInfo(nil) || r.door.listed.Load() != 7 {
		t.Errorf("%v, %d bytes are held", found[:2], r.door.listed.Load()-7)
	}
}
