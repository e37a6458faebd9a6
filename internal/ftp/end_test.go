package ftp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A client of which nothing comes loses its upload, and one that takes nothing its download; the session stays.
func TestStall(t *testing.T) {
	r := newRig(t, func(c *Config) { c.StallTimeout = 50 * time.Millisecond })
	c := r.login()
	data := c.begin("STOR /bkt/cut")
	if _, err := io.WriteString(data, "half"); err != nil {
		t.Fatal(err)
	}
	if text := c.read(550); !strings.Contains(text, "no data for too long") {
		t.Error(text)
	}
	if _, ok := r.content("cut"); ok {
		t.Error("half a file is stored")
	}
	r.put("large", noise(32<<20))
	c.begin("RETR /bkt/large")
	if text := c.read(550); !strings.Contains(text, "no data for too long") {
		t.Error(text)
	}
	if e := r.last("RETR"); e.Outcome != Aborted || e.BytesOut == 0 {
		t.Errorf("%+v", e)
	}
	c.cmd(200, "NOOP")
	r.logged("no data for too long: i/o timeout")
}

// The log says in one line what became of a data connection, and names the client only where it always does.
func TestLogOfALostDataConnection(t *testing.T) {
	r := newRig(t)
	c := r.login()
	data := c.begin("STOR /bkt/cut")
	tcp, ok := data.(*net.TCPConn)
	if !ok || tcp.SetLinger(0) != nil || tcp.Close() != nil {
		t.Fatal("cannot break it off")
	}
	c.read(550)
	r.logged("the data connection was lost: read: connection reset by peer")
	r.door.connect = time.Millisecond
	c.port()
	c.cmd(425, "STOR /bkt/cut")
	c.cmd(200, "NOOP")
	r.logged("transfer aborted: network error: Unable to open transfer: failed to accept passive transfer connection: no data connection came")
}

// logged wants an error in the log, as it is.
func (r *rig) logged(text string) {
	r.t.Helper()
	if all := r.logs.String(); !strings.Contains(all, `"error":"`+text+`"`) {
		r.t.Errorf("no error %q in %s", text, all)
	}
}

// A slow reader takes longer than the stall timeout for what is written at once, and has not stalled.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{cfg: Config{StallTimeout: time.Minute}}
		here, there := net.Pipe()
		c := newDataConn(s, here)
		got := make(chan int)
		go func() {
			n, buf := 0, make([]byte, 10)
			for {
				m, err := there.Read(buf)
				if n += m; err != nil {
					got <- n
					return
				}
				<-time.After(s.cfg.StallTimeout / 4)
			}
		}()
		if n, err := c.Write(make([]byte, 200)); n != 200 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		_ = c.Close()
		if n := <-got; n != 200 {
			t.Errorf("%d bytes came", n)
		}
	})
}

// Who takes something and stops has stalled when the time is up since then, or at the next look.
func TestStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{cfg: Config{StallTimeout: time.Minute}}
		here, there := net.Pipe()
		c := newDataConn(s, here)
		go func() {
			for range 3 {
				<-time.After(50 * time.Second)
				_, _ = there.Read(make([]byte, 10))
			}
		}()
		begun := time.Now()
		n, err := c.Write(make([]byte, 200))
		took := time.Since(begun)
		if n != 30 || !errors.Is(err, os.ErrDeadlineExceeded) || took < 210*time.Second || took > 225*time.Second {
			t.Errorf("%d bytes in %v, %v", n, took, err)
		}
	})
}

// What arrives is known before there is room for more.
func TestArrived(t *testing.T) {
	r := newRig(t)
	c := r.login()
	data := c.open()
	c.cmd(200, "NOOP") // the connection has been taken
	var conn *dataConn
	for conn == nil {
		r.door.dataConns.mu.Lock()
		for conn = range r.door.dataConns.all {
		}
		r.door.dataConns.mu.Unlock()
	}
	was := conn.arrived()
	if _, err := conn.Write([]byte("some")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(data, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	for range 30_000 {
		if conn.arrived() == was+4 {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Errorf("%d bytes have arrived, want %d", conn.arrived(), was+4)
}

func TestIdle(t *testing.T) {
	r := newRig(t, func(c *Config) { c.IdleTimeout = time.Second })
	busy, late := r.login(), r.login()
	data := busy.begin("STOR /bkt/f")
	port := late.port()
	late.send("STOR /bkt/late")
	c := r.login()
	c.read(421)
	waiting := late.openAt(port)
	late.read(150)
	_ = waiting.Close()
	late.read(226)
	if _, err := io.WriteString(data, "content"); err != nil {
		t.Fatal(err)
	}
	_ = data.Close()
	busy.read(226)
}

// Who does not log in does not hold a session for long.
func TestLoginTime(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	c.cmd(200, "NOOP") // the door waits for a command now
	r.door.mu.Lock()
	for x := range r.door.sessions {
		x.conn.mu.Lock()
		x.conn.loginBy = time.Now().Add(time.Second)
		x.conn.mu.Unlock()
	}
	r.door.mu.Unlock()
	c.cmd(200, "NOOP")
	c.read(421)
}

func TestShutdown(t *testing.T) {
	r := newRig(t)
	r.put("old", "content")
	idle, busy, late := r.login(), r.login(), r.login()
	up := busy.begin("STOR /bkt/f")
	down := late.begin("STOR /bkt/g")
	_, _ = up.Write([]byte("half "))
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.door.Shutdown(ctx) }()
	idle.read(421)
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("connections are still accepted")
	}
	_, _ = up.Write([]byte("whole"))
	_ = up.Close()
	busy.read(226)
	busy.read(421)
	if got, _ := r.content("f"); got != "half whole" {
		t.Errorf("%q", got)
	}
	select {
	case err := <-ended:
		t.Fatal("a transfer runs, and it says that none does", err)
	default:
	}
	late.send("RETR /bkt/old") // waits for the end of the other
	_ = down.Close()
	late.read(226)
	if line, err := late.text.ReadLine(); err == nil {
		t.Errorf("a transfer that comes too late is answered %q", line)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// When the time is up, Shutdown says so.
	r = newRig(t)
	c := r.login()
	c.begin("STOR /bkt/f")
	why := errors.New("time is up")
	cancel(why)
	if err := r.door.Shutdown(ctx); !errors.Is(err, why) {
		t.Error(err)
	}
}

// Close leaves nothing of the transfers that run.
func TestClose(t *testing.T) {
	r := newRig(t)
	r.put("large", noise(32<<20))
	sending, complete, waiting, reading := r.login(), r.login(), r.login(), r.login()
	_, _ = sending.begin("STOR /bkt/sending").Write([]byte("half"))
	data := complete.begin("STOR /bkt/complete")
	_, _ = data.Write([]byte("all of it"))
	waiting.port()
	waiting.send("STOR /bkt/waiting")
	reading.begin("RETR /bkt/large")
	if err := r.door.Close(); err != nil {
		t.Error(err)
	}
	if r.door.occupy(&session{over: true}) {
		t.Error("an operation may still begin")
	}
	if got := r.keys(); got != "large" {
		t.Errorf("%q", got)
	}
	for _, verb := range []string{"STOR", "RETR"} {
		if e := r.last(verb); e.Outcome != Aborted {
			t.Errorf("%+v", e)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.door.Serve(l); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is open")
	}
	r.empty()
}

// A passive port that no transfer asks for is given back after a time.
func TestLeaseEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newLease(&Server{}, l, time.Nanosecond)
	<-p.done
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
