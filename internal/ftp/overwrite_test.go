package ftp

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
)

// cut breaks an upload off by a reset of its data connection.
func (c *client) cut(command, content string) {
	c.t.Helper()
	data := c.begin("%s", command)
	if _, err := data.Write([]byte(content)); err != nil {
		c.t.Fatal(err)
	}
	c.reset(data)
}

// reset ends a data connection, and the upload over it.
func (c *client) reset(data net.Conn) {
	c.t.Helper()
	if err := data.(*net.TCPConn).SetLinger(0); err != nil { //nolint:errcheck,forcetypeassert // a test's
		c.t.Fatal(err)
	}
	_ = data.Close()
	c.read(550)
}

// second is another door on the same store, as one that is started anew.
func (r *rig) second() *rig {
	r.t.Helper()
	door, err := New(testConfig(r.t), r.store, zerolog.New(r.logs))
	if err != nil {
		r.t.Fatal(err)
	}
	two := &rig{t: r.t, store: r.store, door: door, logs: r.logs}
	two.addr = two.listen("127.0.0.1:0").Addr().String()
	return two
}

// records is how many uploads in parts there are in the bucket.
func (r *rig) records() int {
	r.t.Helper()
	page, _, err := r.store.ListUploads(r.t.Context(), "bkt", object.UploadPage{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	return len(page)
}

// isUnended checks that nobody goes on with a file: neither one that asks for its size first, nor one that does not.
func (r *rig) isUnended(path string) {
	r.t.Helper()
	c := r.login()
	text := c.cmd(550, "SIZE %s", path)
	for _, command := range []string{"STOR " + path, "APPE " + path} {
		c.open()
		if strings.HasPrefix(command, "STOR") {
			c.cmd(350, "REST 3")
		}
		text += c.cmd(550, "%s", command)
	}
	if strings.Count(text, errUnended.Error()) != 3 {
		r.t.Error(text)
	}
}

// isWhole checks that a file can be gone on with.
func (r *rig) isWhole(path, size string) {
	r.t.Helper()
	c := r.login()
	if got := c.cmd(213, "SIZE %s", path); got != size {
		r.t.Errorf("%s has %s", path, got)
	}
	c.stor("APPE "+path, "") // which leaves it as it is
}

// A client whose upload broke off goes on behind what it is told that there is. What was there before must not be taken for it, whether
// the door has noticed yet, was stopped or was killed.
func TestUnendedOverwriteIsNotGoneOnWith(t *testing.T) {
	for name, end := range map[string]func(r *rig, c *client, data net.Conn) *rig{
		"not noticed": func(r *rig, _ *client, _ net.Conn) *rig { return r },
		"killed":      func(r *rig, _ *client, _ net.Conn) *rig { return r.second() }, // the first has no more to say to the store
		"stopped": func(r *rig, _ *client, _ net.Conn) *rig {
			if err := r.door.Close(); err != nil {
				r.t.Error(err)
			}
			return r.second()
		},
		"broken": func(r *rig, c *client, data net.Conn) *rig { c.reset(data); return r },
		"broken, started anew": func(r *rig, c *client, data net.Conn) *rig {
			c.reset(data)
			return r.second()
		},
	} {
		r := newRig(t)
		r.put("f", "old content")
		c := r.login()
		data := c.begin("STOR /bkt/f")
		after := end(r, c, data)
		after.isUnended("/bkt/f")
		if got := after.login().retr("RETR /bkt/f"); got != "old content" {
			t.Errorf("%s: %q", name, got)
		}
		if n := r.records(); n != 1 {
			t.Errorf("%s: %d records", name, n)
		}
	}
}

// What makes a file whole again, and what does not.
func TestUnendedOverwriteEnds(t *testing.T) {
	r := newRig(t)
	c := r.login()
	for name, mend := range map[string]func(){
		"stored whole":    func() { c.stor("STOR /bkt/f", "new content") },
		"the same":        func() { c.stor("STOR /bkt/f", "old content") },
		"deleted":         func() { c.cmd(250, "DELE /bkt/f"); r.put("f", "old content") },
		"renamed onto":    func() { c.stor("STOR /bkt/tmp", "new content"); c.cmd(350, "RNFR /bkt/tmp"); c.cmd(250, "RNTO /bkt/f") },
		"by another door": func() { r.put("f", "new content") },
		"too long ago": func() {
			if n, err := r.store.ExpireUploads(t.Context(), -time.Hour); n != 1 || err != nil {
				t.Error(n, err)
			}
		},
	} {
		r.put("f", "old content")
		c.stor("STOR /bkt/f", "old content")
		c.cut("STOR /bkt/f", "new")
		r.isUnended("/bkt/f")
		c.cmd(350, "RNFR /bkt/f")
		c.cmd(250, "RNTO /bkt/f")
		c.cmd(350, "RNFR /bkt/f")
		c.cmd(250, "RNTO /bkt/g")
		r.isWhole("/bkt/g", "11")
		c.cmd(350, "RNFR /bkt/g")
		c.cmd(250, "RNTO /bkt/f")
		c.cmd(213, "MFMT 20200101000000 /bkt/f")
		r.isUnended("/bkt/f")
		mend()
		if t.Failed() {
			t.Fatal(name)
		}
		r.isWhole("/bkt/f", "11")
		r.second().isWhole("/bkt/f", "11")
	}
	c.stor("STOR /bkt/f", "new content")
	if n := r.records(); n != 0 {
		t.Errorf("%d records", n)
	}
	// What breaks off while it is gone on with leaves what it went on with.
	c.cmd(350, "REST 3")
	c.cut("STOR /bkt/f", "x")
	r.isWhole("/bkt/f", "11")
}

// Where nothing was there is nothing to be mixed with, until another door has put something there.
func TestUnendedUploadOfANewName(t *testing.T) {
	r := newRig(t)
	c := r.login()
	c.cut("STOR /bkt/new", "new")
	if n := r.records(); n != 0 {
		t.Errorf("%d records", n)
	}
	c.stor("APPE /bkt/new", "content")
	r.isWhole("/bkt/new", "7")
	data := c.begin("STOR /bkt/two")
	r.put("two", "of another door")
	r.isUnended("/bkt/two")
	c.reset(data)
	r.isUnended("/bkt/two")
	r.second().isUnended("/bkt/two")
	// The client's end does not keep the door from noting it.
	_ = c.begin("STOR /bkt/three")
	r.put("three", "of another door")
	_ = c.conn.Close()
	for r.door.overwrites.underWay(place{"bkt", "three"}) {
		runtime.Gosched()
	}
	r.second().isUnended("/bkt/three")
}

// An upload that never had a data connection has sent nothing.
func TestUploadWithoutDataIsForgotten(t *testing.T) {
	r := newRig(t)
	two := r.second()
	two.door.connect = time.Millisecond
	unsent := func() {
		t.Helper()
		c := two.login()
		c.cmd(550, "STOR /bkt/f")
		c.port()
		c.cmd(425, "STOR /bkt/f")
		c.cmd(200, "NOOP") // waits for the end of the transfer, which comes after its answer
		if two.door.overwrites.underWay(place{"bkt", "f"}) {
			t.Error("it is still under way")
		}
	}
	r.put("f", "old content")
	unsent()
	r.isWhole("/bkt/f", "11")
	if n := r.records(); n != 0 {
		t.Errorf("%d records", n)
	}
	r.login().cut("STOR /bkt/f", "new")
	unsent() // which does not mend it
	r.isUnended("/bkt/f")
}

// Of two clients that write a file at once, each may be the one that goes on.
func TestTwoOverwritesAtOnce(t *testing.T) {
	r := newRig(t)
	for name, secondEnds := range map[string]bool{"the other broke off": false, "both stored": true} {
		r.put("f", "old content")
		one, two := r.loginFrom("127.0.0.2"), r.login()
		data := one.begin("STOR /bkt/f")
		two.stor("STOR /bkt/f", "second one")
		r.isUnended("/bkt/f")
		r.second().isUnended("/bkt/f")
		if secondEnds {
			_ = data.Close()
			one.read(226)
		} else {
			one.reset(data)
			r.isUnended("/bkt/f")
			r.second().isUnended("/bkt/f")
			if got, _ := r.content("f"); got != "second one" || r.records() != 1 {
				t.Errorf("%s: %q, %d records", name, got, r.records())
			}
			two.stor("STOR /bkt/f", "")
		}
		r.isWhole("/bkt/f", "0")
		data, last := one.begin("STOR /bkt/f"), two.begin("STOR /bkt/f")
		one.reset(data)
		r.isUnended("/bkt/f")
		_ = last.Close()
		two.read(226)
		r.isWhole("/bkt/f", "0")
		if n := r.records(); n != 0 {
			t.Errorf("%s: %d records", name, n)
		}
	}
}

// loginFrom is a client of another address.
func (r *rig) loginFrom(addr string) *client {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	conn, err := d.DialContext(r.t.Context(), "tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c := newClient(r.t, conn)
	c.read(220)
	c.auth()
	return c
}

// A client that has lost its network comes again and sends the whole file before the door has noticed. That is whole then, also when the door
// notices.
func TestWholeUploadAfterALostOne(t *testing.T) {
	for name, old := range map[string]string{"new": "", "old": "old content"} {
		r := newRig(t)
		if old != "" {
			r.put("f", old)
		}
		c := r.login()
		data := c.begin("STOR /bkt/f")
		r.login().stor("STOR /bkt/f", "new content")
		whole := func(when string) {
			t.Helper()
			r.isWhole("/bkt/f", "11")
			r.second().isWhole("/bkt/f", "11")
			if n := r.records(); n != 0 {
				t.Errorf("%s, %s: %d records", name, when, n)
			}
		}
		whole("not noticed")
		c.reset(data)
		whole("noticed")
	}
}

// An upload of which something comes after that was not lost: two programs of one machine, or two machines behind one address, write the
// same name.
func TestWholeUploadBesideALiveOne(t *testing.T) {
	r := newRig(t)
	r.put("f", "old content")
	one, two := r.login(), r.login()
	for _, ends := range []bool{true, false} {
		data := one.begin("STOR /bkt/f")
		two.stor("STOR /bkt/f", "second one")
		r.isWhole("/bkt/f", "10")
		if _, err := data.Write([]byte("first one")); err != nil {
			t.Fatal(err)
		}
		for n := 0; r.records() == 0; n++ {
			if n == 30_000 {
				t.Fatal("what came was not noted")
			}
			<-time.After(time.Millisecond)
		}
		r.isUnended("/bkt/f")
		r.second().isUnended("/bkt/f")
		if ends {
			_ = data.Close()
			one.read(226)
			r.isWhole("/bkt/f", "9")
			continue
		}
		one.reset(data)
		r.isUnended("/bkt/f")
		r.second().isUnended("/bkt/f")
	}
}

// What began later is not settled by what ends first.
func TestWholeUploadThatBeganLater(t *testing.T) {
	r := newRig(t)
	one, two := r.login(), r.login()
	first, second := one.begin("STOR /bkt/f"), two.begin("STOR /bkt/f")
	_ = first.Close()
	one.read(226)
	r.isUnended("/bkt/f")
	r.put("f", "of another door")
	two.reset(second)
	r.isUnended("/bkt/f")
	r.second().isUnended("/bkt/f")
}

// curl asks for a passive port, for the size and for the file, and gives up when the size is refused; lftp, which wants to go on with an upload, asks
// for the size first.
func TestSizeOfAnUnendedOverwrite(t *testing.T) {
	r := newRig(t)
	r.put("f", "old content")
	c := r.login()
	c.cut("STOR /bkt/f", "new")
	for _, ask := range []string{"EPSV", "PASV"} {
		for _, between := range []string{"TYPE I", "REST 0", "MDTM /bkt/f", "SIZE /bkt/f"} {
			c.send("%s", ask)
			if _, _, err := c.text.ReadResponse(0); err != nil {
				t.Fatal(err)
			}
			c.send("%s", between)
			if _, _, err := c.text.ReadResponse(0); err != nil {
				t.Fatal(err)
			}
			if got := c.cmd(213, "SIZE /bkt/f"); got != "11" {
				t.Error(got)
			}
		}
		c.cmd(250, "CWD /bkt")
		c.cmd(550, "SIZE /bkt/f")
	}
	if got := c.retr("RETR /bkt/f"); got != "old content" {
		t.Errorf("%q", got)
	}
	c.cmd(550, "SIZE /bkt/f") // the port was used
	c.cmd(550, "SIZE /bkt")
	c.cmd(550, "SIZE /")
}
