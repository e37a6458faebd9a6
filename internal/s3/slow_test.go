package s3

import (
	"bufio"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
)

// gatedDriver has commits wait for a gate, and fail with what comes out of it.
type gatedDriver struct {
	object.Driver
	gate chan error
}

func (d *gatedDriver) Begin(ctx context.Context) (object.Session, error) {
	s, err := d.Driver.Begin(ctx)
	return &gatedSession{s, d}, err
}

type gatedSession struct {
	object.Session
	d *gatedDriver
}

func (s *gatedSession) Commit(ctx context.Context, changes []object.Change) error {
	select {
	case err := <-s.d.gate:
		if err != nil {
			return err
		}
		return s.Session.Commit(ctx, changes)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TestSlowComplete: an answer that takes long begins before its end is known, and tells a failure in its body.
func TestSlowComplete(t *testing.T) {
	for name, c := range map[string]struct {
		fails  error
		spaces int // that come while the work waits
		root   string
		holds  string
		log    string
	}{
		"success":   {nil, 0, "CompleteMultipartUploadResult", "<ETag>&quot;" + etagOf("part") + "&quot;</ETag>", `"status":200`},
		"failure":   {errBroken, 3, "Error", "<Code>InternalError</Code>", errBroken.Error()},
		"condition": {object.ErrPrecondition, 3, "Error", "<Code>PreconditionFailed</Code>", "PreconditionFailed"},
	} {
		w := newWorld(t, Config{})
		w.want(200, "", http.MethodPut, "/bkt", "")
		up := w.begin("/bkt/k")
		body := completed("1", w.part("/bkt/k", up, 1, "part"))
		gate := make(chan error)
		w.calls.Driver = &gatedDriver{w.mem, gate}
		w.server.patience, w.server.heartbeat = time.Nanosecond, time.Hour
		if c.spaces > 0 {
			w.server.heartbeat = time.Millisecond
		}
		r := w.raw(http.MethodPost, "/bkt/k?"+up, []byte(body))
		w.signer.sign(r, testHash(body))
		resp, err := w.http.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/xml" || resp.Header.Get("X-Amz-Request-Id") == "" {
			t.Errorf("%s: %s %v", name, resp.Status, resp.Header)
		}
		in := bufio.NewReader(resp.Body)
		begun, _ := in.ReadString('\n')
		spaces := make([]byte, c.spaces)
		if _, err := io.ReadFull(in, spaces); err != nil || begun != "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" || strings.Trim(string(spaces), " ") != "" {
			t.Errorf("%s: %q %q %v", name, begun, spaces, err)
		}
		gate <- c.fails
		rest, err := io.ReadAll(in)
		_ = resp.Body.Close()
		var root struct{ XMLName xml.Name }
		if xerr := xml.Unmarshal([]byte(begun+string(spaces)+string(rest)), &root); err != nil || xerr != nil || root.XMLName.Local != c.root || !strings.Contains(string(rest), c.holds) || strings.Contains(string(rest), "<?xml") {
			t.Errorf("%s: %v %v %s", name, err, xerr, rest)
		}
		if w.exists("bkt", "k") != (c.fails == nil) {
			t.Errorf("%s: there is an object: %v", name, w.exists("bkt", "k"))
		}
		w.http.Close() // the line is written behind the answer
		if !strings.Contains(w.logs.String(), c.log) {
			t.Errorf("%s: the log does not say %s", name, c.log)
		}
	}
}

// TestSlowerThanStalls: the work may take longer than the connection may stall.
func TestSlowerThanStalls(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/k")
	body := completed("1", w.part("/bkt/k", up, 1, "part"))
	gate := make(chan error)
	w.calls.Driver = &gatedDriver{w.mem, gate}
	w.server.stall, w.server.patience, w.server.heartbeat = time.Second, time.Nanosecond, 10*time.Millisecond
	r := w.raw(http.MethodPost, "/bkt/k?"+up, []byte(body))
	w.signer.sign(r, testHash(body))
	resp, err := w.http.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	in := bufio.NewReader(resp.Body)
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	beats := int(3 * w.server.stall / w.server.heartbeat)
	if _, err := io.CopyN(io.Discard, in, int64(beats)); err != nil {
		t.Fatal(err)
	}
	gate <- nil // it is waited for still
	rest, err := io.ReadAll(in)
	if err != nil || !strings.Contains(string(rest), "CompleteMultipartUploadResult") || !w.exists("bkt", "k") {
		t.Errorf("%s %v", rest, err)
	}
}

// TestFastFailure: what is wrong with a request has its status, however short the patience.
func TestFastFailure(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/k")
	small := w.part("/bkt/k", up, 1, "part")
	w.part("/bkt/k", up, 2, "part")
	w.server.patience, w.server.heartbeat = time.Nanosecond, time.Millisecond
	w.want(400, "EntityTooSmall", http.MethodPost, "/bkt/k?"+up, completed("1", small, "2", small))
	w.want(400, "InvalidPart", http.MethodPost, "/bkt/k?"+up, completed("3", small))
}

// TestPartsReadOnce: what is compared with the request are the parts that become the object, read once.
func TestPartsReadOnce(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/k")
	body := completed("7", w.part("/bkt/k", up, 7, "part"))
	var asked []string
	w.calls.before = func(op string) {
		if op == "Begin" || op == "Parts" {
			asked = append(asked, op)
		}
	}
	w.want(200, "", http.MethodPost, "/bkt/k?"+up, body)
	w.calls.before = nil
	if got := strings.Join(asked, " "); got != "Begin Parts" {
		t.Errorf("the driver was asked %s", got)
	}
}

// TestSlowPanic: a panic of the work is answered, and the process stays up.
func TestSlowPanic(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/k")
	body := completed("1", w.part("/bkt/k", up, 1, "part"))
	w.calls.before = func(op string) {
		if op == "Begin" {
			panic("on purpose")
		}
	}
	w.want(500, "InternalError", http.MethodPost, "/bkt/k?"+up, body)
	w.calls.before = nil
	w.want(200, "", http.MethodPost, "/bkt/k?"+up, body)
}
