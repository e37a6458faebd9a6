package ftp

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// from dials a port from another address of the loopback network.
func from(t *testing.T, addr string, port int) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	conn, err := d.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A data connection from elsewhere gets nothing, however often the client asks, and does not take the place of the right one.
func TestDataConnectionOfAnother(t *testing.T) {
	r := newRig(t)
	r.put("f", "for its owner")
	c := r.login()
	port := c.port()
	thief := from(t, "127.0.0.2", port)
	if got, _ := io.ReadAll(thief); len(got) > 0 {
		t.Errorf("%q", got)
	}
	data := c.openAt(port)
	c.cmd(150, "RETR /bkt/f")
	if got, err := io.ReadAll(data); string(got) != "for its owner" {
		t.Errorf("%q, %v", got, err)
	}
	c.read(226)
}

// Ports that a client asked for and did not use are there again.
func TestPortsComeBack(t *testing.T) {
	r := newRig(t)
	c := r.login()
	for range 50 { // of 20 ports
		c.cmd(229, "EPSV")
		c.cmd(421, "PORT 127,0,0,1,200,1")
		c.cmd(421, "EPRT |1|127.0.0.1|51201|")
		c.cmd(227, "PASV")
		c.open()
		c.cmd(550, "RETR /bkt/none")
	}
	for range 30 {
		one := r.login()
		one.cmd(229, "EPSV")
		one.cmd(221, "QUIT")
		_, _ = one.text.ReadLine()
	}
	c.stor("STOR /bkt/f", "content")
	c.cmd(221, "QUIT")
	r.empty()
}

// Every port of the range serves a transfer, all at once.
func TestWholeRange(t *testing.T) {
	r := newRig(t)
	ports := make(map[int]*client)
	for range 20 {
		c := r.login()
		ports[c.port()] = c
	}
	if len(ports) != 20 {
		t.Fatalf("%d ports", len(ports))
	}
	more := r.login()
	more.cmd(421, "EPSV")
	data := make(map[int]net.Conn)
	for port, c := range ports {
		data[port] = c.openAt(port)
		c.cmd(150, "STOR /bkt/%d", port)
	}
	more.stor("STOR /bkt/more", "content") // a port whose connection has come waits for the next
	for port, c := range ports {
		if _, err := io.WriteString(data[port], "content"); err != nil {
			t.Fatal(err)
		}
		_ = data[port].Close()
		c.read(226)
		if got, _ := r.content(fmt.Sprint(port)); got != "content" {
			t.Errorf("%d: %q", port, got)
		}
	}
}

// ftpserverlib frees a port when its connection has come. The end of that transfer must not end the wait of the next at the port.
func TestPortOfANeighbour(t *testing.T) {
	r := newRig(t, func(c *Config) { c.LastPort = c.FirstPort })
	a, b := r.login(), r.login()
	first := a.begin("STOR /bkt/a")
	port := b.port()
	_ = first.Close()
	a.read(226)
	data := b.openAt(port)
	b.cmd(150, "STOR /bkt/b")
	_ = data.Close()
	b.read(226)
	// Nor does giving up a connection that came and was not used.
	idle := a.open()
	a.cmd(550, "RETR /bkt/none")
	port = b.port()
	a.cmd(221, "QUIT")
	_, _ = io.ReadAll(idle)
	data = b.openAt(port)
	b.cmd(150, "STOR /bkt/b")
	_ = data.Close()
	b.read(226)
}

// A hundred cameras leave nothing behind but their pictures.
func TestCameras(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for n := range 5 {
				c := r.login()
				c.cmd(250, "CWD /bkt")
				c.stor(fmt.Sprintf("STOR %d-%d.tmp", i, n), "picture")
				c.cmd(350, "RNFR %d-%d.tmp", i, n)
				c.cmd(250, "RNTO %d-%d.jpg", i, n)
				_ = c.conn.Close()
			}
		})
	}
	wg.Wait()
	<-r.door.idle()
	c := r.login()
	if got := len(c.retr("NLST /bkt/*.jpg")); got != 50*len("bkt/0-0.jpg\r\n") {
		t.Errorf("%d bytes of names", got)
	}
	c.cmd(221, "QUIT")
	r.empty()
}
