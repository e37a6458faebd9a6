package ftp

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

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
		if err := u.ended(nil); !errors.Is(err, want) {
			t.Errorf("%s: %v", command, err)
		}
		_, _ = near.Close(), far.Close()
	}
}

// sentAll is a data connection that its client has ended.
type sentAll struct{ net.Conn }

func (sentAll) Read([]byte) (int, error) { return 0, io.EOF }

// ftpserverlib says that ABOR came before it answers it, which it does as a transfer's only when the transfer has not ended before.
func TestAbortIsAnsweredFirst(t *testing.T) {
	for want, end := range map[error]func(*dataConn, *session){
		errAborted: func(c *dataConn, _ *session) { _ = c.Close() },
		errClosing: func(_ *dataConn, x *session) { x.stop(errClosing) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Server{cfg: Config{StallTimeout: time.Minute}}
			control, _ := net.Pipe()
			here, _ := net.Pipe()
			data, x := newDataConn(s, sentAll{here}), newSession(s, control)
			content := &source{u: &upload{operation: &operation{session: x}, cc: said{command: "ABOR"}}, r: data}
			ended := make(chan error, 1)
			go func() {
				_, err := content.Read(make([]byte, 1))
				ended <- err
			}()
			<-time.After(time.Hour)
			if len(ended) > 0 {
				t.Error("the transfer ended by itself")
			}
			end(data, x)
			if err := <-ended; !errors.Is(err, want) {
				t.Error(err)
			}
		})
	}
}

// What was aborted is not stored, and QUIT is answered then, whatever command comes while the upload waits for its turn.
func TestAbortBeforeTheTurn(t *testing.T) {
	r := newRig(t)
	for range cap(r.door.small.all) {
		r.door.small.all <- struct{}{}
	}
	for _, next := range []struct {
		command string
		code    int
	}{{"STAT", 211}, {"XYZ", 500}, {"QUIT", 221}} {
		c := r.login()
		data := c.begin("STOR /bkt/f")
		_, _ = io.WriteString(data, "half")
		_ = data.Close()
		r.until("it waits", func() bool { return len(r.door.small.of.Users()) == 1 })
		c.cmd(426, "ABOR")
		c.read(226)
		c.send("%s", next.command)
		r.heard(next.command)
		<-r.door.small.all
		c.read(next.code)
		r.until("it has ended", func() bool { return len(r.door.small.of.Users()) == 0 })
		_ = c.conn.Close()
		<-r.door.idle()
		if got := r.keys(); got != "" {
			t.Errorf("%q is stored", got)
		}
		r.door.small.all <- struct{}{}
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
