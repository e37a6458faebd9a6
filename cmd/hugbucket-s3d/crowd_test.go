package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// crowd is a number of connections that are held open.
type crowd struct {
	t     *testing.T
	addr  string
	conns []net.Conn
}

// add connects and writes; what comes back is not read. next, if it is there, is written when the server asked for it.
func (c *crowd) add(n int, text func(i int) string, next string) {
	c.t.Helper()
	for i := range n {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			c.t.Fatal(err)
		}
		c.conns = append(c.conns, conn)
		if _, err := io.WriteString(conn, text(i)); err != nil {
			c.t.Fatal(err)
		}
		if next == "" {
			continue
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			c.t.Fatalf("%q, %v", line, err)
		}
		if _, err := io.WriteString(conn, next); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *crowd) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// TestCrowd: connections that are half open and clients that are slow leave all others unharmed. S3D_CROWD is how many there are
// of each; `make soak` has 500.
func TestCrowd(t *testing.T) {
	n := 20
	if v := os.Getenv("S3D_CROWD"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	text := fmt.Sprintf(`{"storage": {"path": %q}, "s3": {"host": "127.0.0.1", "port": 0}, "metrics": {"port": 0}}`, filepath.Join(dir, "store"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url, _, stop := serve(t, path)
	content := strings.Repeat("content ", 128<<10)
	normal := func(what string) {
		t.Helper()
		for _, c := range []struct {
			method, target, body string
			status               int
			answer               string
		}{
			{"PUT", "/bkt/normal", content, 200, ""},
			{"PUT", "/bkt/small", "x", 200, ""},
			{"GET", "/bkt/normal", "", 200, content},
			{"HEAD", "/bkt/small", "", 200, ""},
			{"GET", "/bkt/small", "", 200, "x"},
			{"DELETE", "/bkt/small", "", 204, ""},
		} {
			if status, body := do(t, c.method, url+c.target, c.body); status != c.status || c.answer != "" && body != c.answer {
				t.Errorf("%s: %s %s: %d, %d bytes", what, c.method, c.target, status, len(body))
			}
		}
	}
	if status, _ := do(t, "PUT", url+"/bkt", ""); status != http.StatusOK {
		t.Fatal(status)
	}
	normal("alone")
	for name, add := range map[string]func(c *crowd){
		"half open and slow uploads": func(c *crowd) {
			c.add(n/2, func(int) string { return "" }, "")
			c.add(n-n/2, func(int) string { return "PUT /bkt/half HTTP/1.1\r\nHost: x\r\nConte" }, "")
			c.add(n/2, func(i int) string {
				return fmt.Sprintf("PUT /bkt/slow%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n", i)
			}, "slow")
			c.add(n-n/2, func(i int) string {
				return fmt.Sprintf("PUT /bkt/slow%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", i)
			}, "4\r\nslow\r\n")
		},
		"slow readers and slow documents": func(c *crowd) {
			c.add(n/2, func(int) string { return "GET /bkt/normal HTTP/1.1\r\nHost: x\r\n\r\n" }, "")
			c.add(n-n/2, func(int) string {
				return "POST /bkt?delete HTTP/1.1\r\nHost: x\r\nContent-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n"
			}, "<Delete>")
			c.add(n, func(int) string { return "GET /bkt/gone HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nslow" }, "")
		},
	} {
		c := &crowd{t: t, addr: strings.TrimPrefix(url, "http://")}
		add(c)
		normal(name)
		c.leave()
	}
	normal("alone again")
	if status, list := do(t, "GET", url+"/bkt", ""); status != http.StatusOK || strings.Contains(list, "slow") || strings.Contains(list, "half") {
		t.Errorf("%d: something of the others is stored: %s", status, list)
	}
	stop()
}
