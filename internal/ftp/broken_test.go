package ftp

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

// cut breaks an upload off by a reset of its data connection.
func (c *client) cut(command, content string) {
	c.t.Helper()
	data := c.begin("%s", command)
	if _, err := data.Write([]byte(content)); err != nil {
		c.t.Fatal(err)
	}
	if err := data.(*net.TCPConn).SetLinger(0); err != nil { //nolint:errcheck,forcetypeassert // a test's
		c.t.Fatal(err)
	}
	_ = data.Close()
	c.read(550)
}

// A client whose upload broke off asks how much there is and goes on behind that. What was there before must not be taken for it.
func TestBrokenOverwriteIsNotResumed(t *testing.T) {
	r := newRig(t)
	c := r.login()
	for name, mend := range map[string]func(){
		"stored whole": func() { c.stor("STOR /bkt/f", "new content") },
		"deleted":      func() { c.cmd(250, "DELE /bkt/f"); r.put("f", "new content") },
		"renamed onto": func() { c.stor("STOR /bkt/tmp", "new content"); c.cmd(350, "RNFR /bkt/tmp"); c.cmd(250, "RNTO /bkt/f") },
		"a day later":  func() { r.door.broken.now = func() time.Time { return time.Now().Add(brokenFor) } },
	} {
		r.door.broken.now = time.Now
		r.put("f", "old content")
		c.cmd(213, "SIZE /bkt/f")
		c.cut("STOR /bkt/f", "new")
		other := r.login()
		other.cmd(550, "SIZE /bkt/f")
		for _, command := range []string{"REST 3", "APPE /bkt/f"} {
			if strings.HasPrefix(command, "REST") {
				other.cmd(350, "%s", command)
				command = "STOR /bkt/f"
			}
			other.open()
			other.cmd(550, "%s", command)
		}
		if got := other.retr("RETR /bkt/f"); got != "old content" {
			t.Errorf("%s: %q", name, got)
		}
		mend()
		if got := other.cmd(213, "SIZE /bkt/f"); got != "11" {
			t.Errorf("%s: %s", name, got)
		}
		other.stor("APPE /bkt/f", " and more")
		if got, _ := r.content("f"); !strings.HasSuffix(got, " content and more") {
			t.Errorf("%s: %q", name, got)
		}
	}
	// What breaks off while it is resumed leaves what it went on with.
	c.cmd(350, "REST 3")
	c.cut("STOR /bkt/f", "x")
	c.cmd(213, "SIZE /bkt/f")
}

func TestBrokenIsBounded(t *testing.T) {
	now := time.Now()
	b := newBroken(func() time.Time { return now })
	at := func(n int) place { return place{bucket: "bkt", key: strings.Repeat("k", n+1)} }
	for n := range maxBroken/100 + 1 {
		b.add(at(n))
	}
	b.until[place{bucket: "first"}] = now
	for n := range maxBroken {
		b.until[place{bucket: "more", key: string(rune(n + 1))}] = now.Add(time.Hour)
		if len(b.until) == maxBroken {
			break
		}
	}
	b.add(at(5000))
	if len(b.until) != maxBroken || b.has(place{bucket: "first"}) || !b.has(at(0)) || !b.has(at(5000)) {
		t.Errorf("%d places", len(b.until))
	}
}

// ABOR is heard until the upload is stored, also when all data has come.
func TestAbortBehindTheData(t *testing.T) {
	r := newRig(t)
	r.put("kept", "as it was")
	c := r.login()
	data := c.begin("STOR /bkt/kept")
	if _, err := data.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	_ = data.Close()
	c.send("ABOR")
	c.read(426)
	c.read(226)
	c.cmd(200, "NOOP") // waits for the end of the transfer
	if got, _ := r.content("kept"); got != "as it was" {
		t.Errorf("%q", got)
	}
}

// said is a session whose last command is this.
type said struct {
	ftpserver.ClientContext
	command string
}

func (s said) GetLastCommand() string { return s.command }

// When all data has come there is no connection left to break off: the upload itself looks for ABOR.
func TestAbortWithoutData(t *testing.T) {
	r := newRig(t)
	for command, want := range map[string]error{"STOR": io.EOF, "ABOR": errAborted} {
		near, far := net.Pipe()
		u := &upload{operation: &operation{session: newSession(r.door, near)}, cc: said{command: command}}
		if err := u.ended(); !errors.Is(err, want) {
			t.Errorf("%s: %v", command, err)
		}
		_, _ = near.Close(), far.Close()
	}
}

// ABOR may come as urgent data, whole or in part, with Telnet's signals before it.
func TestAbortOutOfBand(t *testing.T) {
	r := newRig(t)
	for name, parts := range map[string][2]string{
		"all of it":        {"", "ABOR\r\n"},
		"with the signals": {"\xff\xf4\xff", "\xf2ABOR\r\n"},
	} {
		c := r.login()
		data := c.begin("STOR /bkt/cut")
		if _, err := data.Write([]byte("half")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.conn.Write([]byte(parts[0])); err != nil {
			t.Fatal(err)
		}
		raw, err := c.conn.(*net.TCPConn).SyscallConn() //nolint:errcheck,forcetypeassert // a test's
		if err != nil {
			t.Fatal(err)
		}
		if cerr := raw.Control(func(fd uintptr) { err = syscall.Sendto(int(fd), []byte(parts[1]), syscall.MSG_OOB, nil) }); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		c.read(426)
		c.read(226)
		c.cmd(200, "NOOP")
		if _, ok := r.content("cut"); ok {
			t.Errorf("%s: an aborted upload is stored", name)
		}
	}
}
