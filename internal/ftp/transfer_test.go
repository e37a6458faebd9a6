package ftp

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

func TestStoreAndRetrieve(t *testing.T) {
	r := newRig(t)
	c := r.login()
	for name, content := range map[string]string{"empty": "", "small": "line\r\nline\n", "large": noise(3 << 20)} {
		c.stor("STOR /bkt/"+name, content)
		if got, ok := r.content(name); !ok || got != content {
			t.Errorf("%s: stored %t, %d bytes", name, ok, len(got))
		}
		if got := c.retr("RETR /bkt/" + name); got != content {
			t.Errorf("%s: %d bytes came back", name, len(got))
		}
	}
	if e := r.last("RETR"); e.Outcome != OK || e.Bucket != "bkt" {
		t.Errorf("%+v", e)
	}
	c.cmd(221, "QUIT")
}

func TestPassive(t *testing.T) {
	r := newRig(t)
	c := r.login()
	m := pasvPort.FindStringSubmatch(c.cmd(227, "PASV"))
	if m == nil || m[1] != "127,0,0,1" {
		t.Errorf("%q", m)
	}
	six := r.listen("[::1]:0")
	c = r.connect(six.Addr().String())
	c.read(220)
	c.auth()
	c.stor("STOR /bkt/six", "over IPv6")
	if got, _ := r.content("six"); got != "over IPv6" {
		t.Errorf("%q", got)
	}
	// It has no IPv4 address to be told; each port is there again.
	for range 100 {
		c.cmd(227, "PASV")
	}
	c.stor("STOR /bkt/six", "again")
}

func TestPublicHost(t *testing.T) {
	r := newRig(t, func(c *Config) { c.PublicHost = "192.0.2.7" })
	if m := pasvPort.FindStringSubmatch(r.login().cmd(227, "PASV")); m == nil || m[1] != "192,0,2,7" {
		t.Errorf("%q", m)
	}
}

// A client that is killed ends both connections: nothing is stored, whichever end comes first.
func TestKilledClient(t *testing.T) {
	r := newRig(t)
	r.put("kept", "as it was")
	for name, kill := range map[string]func(c *client, data net.Conn){
		"control first": func(c *client, data net.Conn) { _ = c.conn.Close(); _ = data.Close() },
		"data first":    func(c *client, data net.Conn) { _ = data.Close(); _ = c.conn.Close() },
		"with a command waiting": func(c *client, data net.Conn) {
			c.send("NOOP")
			c.send("NOOP")
			_ = data.Close()
			_ = c.conn.Close()
		},
		"control only": func(c *client, _ net.Conn) { _ = c.conn.Close() },
	} {
		c := r.login()
		data := c.begin("STOR /bkt/kept")
		if _, err := data.Write([]byte(strings.Repeat("half", 1000))); err != nil {
			t.Fatal(err)
		}
		kill(c, data)
		<-r.door.idle()
		if got, _ := r.content("kept"); got != "as it was" {
			t.Errorf("%s: %d bytes were stored", name, len(got))
		}
		if e := r.last("STOR"); e.Outcome != Aborted {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestAbort(t *testing.T) {
	r := newRig(t)
	c := r.login()
	data := c.begin("STOR /bkt/cut")
	if _, err := data.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	c.cmd(426, "ABOR")
	c.read(226)
	c.cmd(200, "NOOP") // waits for the end of the transfer
	if _, ok := r.content("cut"); ok {
		t.Error("an aborted upload is stored")
	}
	if e := r.last("STOR"); e.Outcome != Aborted {
		t.Errorf("%+v", e)
	}
	c.stor("STOR /bkt/cut", "whole")
}

// The end of the control connection may come later than that of the data: the longer the way, the more so.
func TestSettleTime(t *testing.T) {
	for rtt, want := range map[time.Duration]time.Duration{
		0: settleTime, 100 * time.Millisecond: settleTime + 200*time.Millisecond, time.Minute: maxSettle,
	} {
		if got := settleFor(rtt); got != want {
			t.Errorf("round trip %v: %v, want %v", rtt, got, want)
		}
	}
	r := newRig(t)
	r.login()
	r.door.mu.Lock()
	defer r.door.mu.Unlock()
	for x := range r.door.sessions {
		if x.conn.roundTrip() <= 0 {
			t.Error("the kernel knows no round trip")
		}
	}
}

// full is a driver without room, once there is a bucket.
type full struct{ object.Driver }

func (full) Begin(context.Context) (object.Session, error) { return nil, object.ErrNoSpace }

// A client that is refused in the middle of what it sends hears why. A reset in place of that looks like a bad network.
func TestRefusedUploadIsTold(t *testing.T) {
	d, err := disk.Open(t.Context(), t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOver(t, full{d})
	c := r.login()
	data := c.begin("STOR /bkt/f")
	if _, err := data.Write([]byte(noise(16 << 20))); err != nil {
		t.Error(err)
	}
	c.read(552)
	_ = data.Close()
	c.cmd(200, "NOOP")
	r.empty()
	// Who goes on sending does not keep the door from closing.
	data = c.begin("STOR /bkt/f")
	if _, err := data.Write([]byte(noise(1 << 20))); err != nil {
		t.Error(err)
	}
	c.read(552)
}

// So many uploads take data at a time. Clients that send next to nothing do not, and small files wait for nobody; who has to wait is
// served in turn.
func TestTurnsOfUploads(t *testing.T) {
	r := newRig(t)
	r.door.uploads = newTurns(1)
	slow, large, next := r.login(), r.login(), r.login()
	first := slow.begin("STOR /bkt/slow")
	if _, err := first.Write([]byte("next to nothing")); err != nil {
		t.Fatal(err)
	}
	large.stor("STOR /bkt/large", noise(1<<20))
	give, err := r.door.uploads.take(t.Context(), netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	next.stor("STOR /bkt/small", noise(firstPart-1))
	data := large.begin("STOR /bkt/large")
	if _, err := data.Write([]byte(noise(firstPart))); err != nil {
		t.Fatal(err)
	}
	_ = data.Close()
	give()
	large.read(226)
	_ = first.Close()
	slow.read(226)
	if got := r.keys(); got != "large slow small" {
		t.Errorf("%q", got)
	}
	// One that waits ends with its session.
	for _, turns := range []*turns{r.door.uploads, r.door.small} {
		for range cap(turns.all) {
			turns.all <- struct{}{}
		}
	}
	for content, c := range map[string]*client{noise(firstPart): next, "small": large} {
		data = c.begin("STOR /bkt/never")
		if _, err := data.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		_ = data.Close()
		_ = c.conn.Close()
	}
	slow.cmd(221, "QUIT")
	<-r.door.idle()
	if _, ok := r.content("never"); ok {
		t.Error("it is stored")
	}
	if n := len(r.door.uploads.of.Users()) + len(r.door.small.of.Users()); n != 0 {
		t.Errorf("%d networks are remembered", n)
	}
}
