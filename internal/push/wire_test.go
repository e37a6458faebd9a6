package push

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// wire is a connection to a door, by hand.
type wire struct {
	t    *testing.T
	conn *net.TCPConn
	in   *bufio.Reader
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // most tests have closed it
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", conn)
	}
	return &wire{t: t, conn: tcp, in: bufio.NewReader(conn)}
}

func (w *wire) send(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, s); err != nil {
		w.t.Fatal(err)
	}
}

// reply is a final answer: closes says that the door closes the connection behind it.
type reply struct {
	status int
	closes bool
	body   string
}

// answer reads one answer.
func (w *wire) answer() reply {
	w.t.Helper()
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Close, string(body)}
}

// head is the head of a push. size < 0 is chunked.
func head(token string, size int, more string) string {
	length := "Transfer-Encoding: chunked"
	if size >= 0 {
		length = fmt.Sprintf("Content-Length: %d", size)
	}
	return "POST /" + token + " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n" + length + "\r\n" + more + "\r\n"
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// TestTorn has bodies end too early in every way there is, with the client waiting for an answer.
func TestTorn(t *testing.T) {
	form := string(simpleForm("x", strings.Repeat("content ", 100_000)))
	half := form[:len(form)/2]
	for name, sent := range map[string]func(token string) string{
		"half":               func(token string) string { return head(token, len(form), "") + half },
		"all but a byte":     func(token string) string { return head(token, len(form), "") + form[:len(form)-1] },
		"whole form, longer": func(token string) string { return head(token, len(form)+10, "") + form },
		"half, chunked":      func(token string) string { return head(token, -1, "") + chunk(half) },
		"no last chunk":      func(token string) string { return head(token, -1, "") + chunk(form) },
		"in a chunk":         func(token string) string { return head(token, -1, "") + chunk(form)[:len(half)] },
		"odd chunk":          func(token string) string { return head(token, -1, "") + chunk(half) + "zz\r\n" },
		"nothing":            func(token string) string { return head(token, len(form), "") },
	} {
		for _, token := range []string{nameToken, bareToken} {
			r := newRig(t)
			w := dial(t, r.serve().Listener.Addr().String())
			w.send(sent(token))
			if err := w.conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := w.answer(); got != (reply{400, true, "upload is incomplete\n"}) {
				t.Errorf("%s (%s…): %+v", name, token[:6], got)
			}
			r.wantNothing()
		}
	}
}

// TestVanish has clients that go away without a word.
func TestVanish(t *testing.T) {
	form := string(simpleForm("x", strings.Repeat("content ", 200_000)))
	for _, token := range []string{nameToken, bareToken} {
		r := newRig(t)
		w := dial(t, r.serve().Listener.Addr().String())
		w.send(head(token, len(form), "") + form[:len(form)-3])
		if err := w.conn.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		if err := w.conn.Close(); err != nil {
			t.Fatal(err)
		}
		r.logs.await(t, `"event":"failed"`)
		if line := r.lastLine(); line["status"] != 400.0 || line["file"] != "x" {
			t.Errorf("line %v", line)
		}
		r.wantNothing()
	}
}

// TestIdle has a client that stops sending.
func TestIdle(t *testing.T) {
	form := string(simpleForm("x", "content"))
	for _, upTo := range []int{0, 10, len(form) - 12, len(form) - 3} {
		for _, token := range []string{nameToken, bareToken} {
			r := newRig(t)
			r.door.pace.idle = 50 * time.Millisecond
			w := dial(t, r.serve().Listener.Addr().String())
			w.send(head(token, len(form), "") + form[:upTo])
			if got := w.answer(); got != (reply{408, true, "no data for too long\n"}) {
				t.Errorf("after %d bytes: %+v", upTo, got)
			}
			r.wantNothing()
		}
	}
}

// TestKeepAlive pushes again on a connection, longer after the first push than a client may be silent within one.
func TestKeepAlive(t *testing.T) {
	r := newRig(t)
	r.door.pace.idle = time.Millisecond
	w := dial(t, r.serve().Listener.Addr().String())
	want := map[string]string{}
	for i := range 5 {
		name := fmt.Sprint("x", i)
		form := string(simpleForm(name, "content"))
		w.send(head(nameToken, len(form), "") + form)
		if got := w.answer(); got.status != 200 || got.closes {
			t.Fatalf("push %d: %+v", i, got)
		}
		want["db01/"+name] = "content"
		w.send("GET /" + nameToken + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := w.answer(); got.status != 412 || got.closes {
			t.Fatalf("get %d: %+v", i, got)
		}
	}
	r.wantStored(want)
}

// TestExpect sees that a client that asks first is told before it has sent anything, and otherwise told to go on.
func TestExpect(t *testing.T) {
	r := newRig(t)
	addr := r.serve().Listener.Addr().String()
	for token, status := range map[string]int{badToken: 403, tinyToken: 413, bareTiny: 413} {
		for _, size := range []int{1 << 30, -1, 100 << 10} {
			if size < 0 && status == 413 {
				continue // nobody can know
			}
			w := dial(t, addr)
			w.send(head(token, size, "Expect: 100-continue\r\n"))
			if got := w.answer(); got.status != status || !got.closes {
				t.Errorf("%s…, %d bytes: %+v", token[:6], size, got)
			}
			if err := w.conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(w.in); err != nil || len(rest) > 0 {
				t.Errorf("after the answer: %q, %v", rest, err)
			}
		}
	}
	r.wantNothing()
	form := string(simpleForm("x", "content"))
	w := dial(t, addr)
	w.send(head(nameToken, len(form), "Expect: 100-continue\r\n"))
	line, err := w.in.ReadString('\n')
	if err != nil || !strings.Contains(line, " 100 ") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := w.in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	w.send(form)
	if got := w.answer(); got.status != 200 {
		t.Errorf("%+v", got)
	}
	r.wantStored(map[string]string{"db01/x": "content"})
}

// TestDeaf has clients that send all of a refused upload before they read: they find the answer, not a reset connection.
func TestDeaf(t *testing.T) {
	r := newRig(t)
	addr := r.serve().Listener.Addr().String()
	form := string(simpleForm("x", strings.Repeat("c", lingerBytes-1000)))
	wantAnswer(t, r.push(nameToken, "x", "content"), 200, "x")
	before := r.stored()
	for token, status := range map[string]int{badToken: 403, tinyToken: 413, nameToken: 405} {
		for _, chunked := range []bool{false, true} {
			w := dial(t, addr)
			if chunked {
				w.send(head(token, -1, "") + chunk(form) + "0\r\n\r\n")
			} else {
				w.send(head(token, len(form), "") + form)
			}
			if got := w.answer(); got.status != status {
				t.Errorf("%s…: %+v", token[:6], got)
			}
		}
	}
	r.wantStored(before)
}

// TestDeafProxy has a proxy that passes on that its client waits, and does not wait itself.
func TestDeafProxy(t *testing.T) {
	r := newRig(t)
	addr := r.serve().Listener.Addr().String()
	form := string(simpleForm("x", strings.Repeat("c", lingerBytes-1000)))
	for token, status := range map[string]int{badToken: 403, tinyToken: 413} {
		w := dial(t, addr)
		w.send(head(token, len(form), "Expect: 100-continue\r\nX-Forwarded-For: 192.0.2.1\r\n") + form)
		if got := w.answer(); got.status != status || !got.closes {
			t.Errorf("%s…: %+v", token[:6], got)
		}
	}
	r.wantNothing()
}
