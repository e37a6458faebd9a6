package ftp

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// rig is a door on a store on disk, with a bucket "bkt".
type rig struct {
	t      testing.TB
	store  *object.Store
	door   *Server
	addr   string
	logs   *logs
	mu     sync.Mutex // guards events
	events []Event
}

// logs is a log that may be read while it is written.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func testConfig(tb testing.TB) Config {
	tb.Helper()
	first := freePorts(tb, 20)
	return Config{Username: "user", Password: "secret", FirstPort: first, LastPort: first + 19, LoginDelay: time.Millisecond}
}

// freePorts returns the first of so many ports that are free side by side, and not those of a door as it is installed.
func freePorts(tb testing.TB, n int) int {
	tb.Helper()
search:
	for range 1000 {
		first := 12_000 + rand.IntN(8_000-n)
		for port := first; port < first+n; port++ {
			l, err := net.Listen("tcp", fmt.Sprint(":", port))
			if err != nil {
				continue search
			}
			_ = l.Close()
		}
		return first
	}
	tb.Fatal("no free ports")
	return 0
}

func newRig(tb testing.TB, change ...func(*Config)) *rig {
	tb.Helper()
	d, err := disk.Open(tb.Context(), tb.TempDir(), disk.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return newRigOver(tb, d, change...)
}

func newRigOver(tb testing.TB, d object.Driver, change ...func(*Config)) *rig {
	tb.Helper()
	store := object.New(d, object.Config{})
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := store.CreateBucket(tb.Context(), "bkt", ""); err != nil {
		tb.Fatal(err)
	}
	r := &rig{t: tb, store: store, logs: &logs{}}
	cfg := testConfig(tb)
	cfg.Observe = func(e Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	}
	for _, c := range change {
		c(&cfg)
	}
	door, err := New(cfg, store, zerolog.New(r.logs))
	if err != nil {
		tb.Fatal(err)
	}
	r.door = door
	l := r.listen("127.0.0.1:0")
	r.addr = l.Addr().String()
	tb.Cleanup(func() {
		if err := r.door.Close(); err != nil {
			tb.Error(err)
		}
		if strings.Contains(r.logs.String(), "secret") {
			tb.Error("a log line holds the password")
		}
	})
	return r
}

// listen has the door serve one more address.
func (r *rig) listen(addr string) net.Listener {
	r.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.door.Serve(l) }()
	r.t.Cleanup(func() {
		if err := r.door.Close(); err != nil {
			r.t.Error(err)
		}
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
	return l
}

// put stores an object by another door.
func (r *rig) put(key, content string) {
	r.t.Helper()
	if _, err := r.store.Put(context.Background(), "bkt", key, strings.NewReader(content), object.PutOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// content is what an object holds; false when it is not there.
func (r *rig) content(key string) (string, bool) {
	r.t.Helper()
	f, err := r.store.Open(context.Background(), "bkt", key)
	if err != nil {
		return "", false
	}
	defer f.Close() //nolint:errcheck // it was read
	data, err := io.ReadAll(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data), true
}

func (r *rig) keys() string {
	r.t.Helper()
	l, err := r.store.List(context.Background(), "bkt", object.ListOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	var keys []string
	for _, o := range l.Objects {
		keys = append(keys, o.Key)
	}
	return strings.Join(keys, " ")
}

// last returns the last event of a verb.
func (r *rig) last(verb string) Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range slices.Backward(r.events) {
		if e.Verb == verb {
			return e
		}
	}
	return Event{}
}

// client is a control connection, seen from the client.
type client struct {
	t    testing.TB
	conn net.Conn
	text *textproto.Conn
	tls  *tls.Config // of data connections; nil for clear ones
}

// dial connects and reads the welcome.
func (r *rig) dial() *client {
	r.t.Helper()
	c := r.connect(r.addr)
	c.read(220)
	return c
}

func (r *rig) connect(addr string) *client {
	r.t.Helper()
	return connect(r.t, addr)
}

func connect(tb testing.TB, addr string) *client {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	return newClient(tb, conn)
}

func newClient(tb testing.TB, conn net.Conn) *client {
	tb.Helper()
	c := &client{t: tb, conn: conn, text: textproto.NewConn(conn)}
	tb.Cleanup(func() { _ = c.conn.Close() })
	return c
}

func (r *rig) login() *client {
	r.t.Helper()
	c := r.dial()
	c.auth()
	return c
}

func (c *client) auth() {
	c.t.Helper()
	c.cmd(331, "USER user")
	c.cmd(230, "PASS secret")
}

// send writes a command and does not wait for its answer.
func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if err := c.text.PrintfLine(format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the text of the next answer, which must have the code.
func (c *client) read(code int) string {
	c.t.Helper()
	got, text, err := c.text.ReadResponse(0)
	if got != code {
		c.t.Fatalf("answer %d %q (%v), want %d", got, text, err, code)
	}
	return text
}

// cmd sends a command whose answer must have the code.
func (c *client) cmd(code int, format string, args ...any) string {
	c.t.Helper()
	c.send(format, args...)
	got, text, err := c.text.ReadResponse(0)
	if got != code {
		c.t.Fatalf("%s: answer %d %q (%v), want %d", fmt.Sprintf(format, args...), got, text, err, code)
	}
	return text
}

var (
	epsvPort = regexp.MustCompile(`\(\|\|\|(\d+)\|\)`)
	pasvPort = regexp.MustCompile(`\((\d+,\d+,\d+,\d+),(\d+),(\d+)\)`)
)

// port asks for a passive port.
func (c *client) port() int {
	c.t.Helper()
	m := epsvPort.FindStringSubmatch(c.cmd(229, "EPSV"))
	if m == nil {
		c.t.Fatal("no port in the answer")
	}
	port, err := strconv.Atoi(m[1])
	if err != nil {
		c.t.Fatal(err)
	}
	return port
}

// open makes a data connection.
func (c *client) open() net.Conn {
	c.t.Helper()
	return c.openAt(c.port())
}

func (c *client) openAt(port int) net.Conn {
	c.t.Helper()
	host, _, err := net.SplitHostPort(c.conn.RemoteAddr().String())
	if err != nil {
		c.t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: addrOf(c.conn.LocalAddr()).AsSlice()}}
	conn, err := d.DialContext(c.t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.tls != nil {
		conn = tls.Client(conn, c.tls)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// begin sends a command with a data connection, which it returns when the transfer has begun.
func (c *client) begin(format string, args ...any) net.Conn {
	c.t.Helper()
	data := c.open()
	c.cmd(150, format, args...)
	return data
}

// stor uploads.
func (c *client) stor(command, content string) {
	c.t.Helper()
	data := c.begin("%s", command)
	if _, err := io.WriteString(data, content); err != nil {
		c.t.Fatal(err)
	}
	if err := data.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.read(226)
}

// retr downloads, or lists.
func (c *client) retr(command string) string {
	c.t.Helper()
	data := c.begin("%s", command)
	content, err := io.ReadAll(data)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = data.Close()
	c.read(226)
	return string(content)
}

// names are those of a listing, as NLST has them.
func (c *client) names(command string) string {
	c.t.Helper()
	return strings.Join(strings.Fields(c.retr(command)), " ")
}

// noise is content that does not compress.
func noise(n int) string {
	src := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), 7})
	out := make([]byte, n)
	_, _ = src.Read(out)
	return string(out)
}

// empty waits until no passive port is leased and no data connection is open. ftpserverlib lets go of them after the session.
func (r *rig) empty() {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 30_000 {
		if r.door.leases.len()+r.door.dataConns.len() == 0 {
			return
		}
		<-tick.C
	}
	r.t.Fatalf("%d ports, %d connections are left", r.door.leases.len(), r.door.dataConns.len())
}
