package daemon

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestTrafficByOutcome has a handler answer in every way there is.
func TestTrafficByOutcome(t *testing.T) {
	tr := newTraffic(time.Now())
	h := tr.count(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		if got := tr.running.count(); got != 1 {
			t.Errorf("%d requests run", got)
		}
		switch r.URL.Path {
		case "/silent":
		case "/plain":
			_, _ = io.WriteString(w, "hello")
		case "/early":
			w.WriteHeader(http.StatusContinue)
			w.WriteHeader(http.StatusForbidden)
		case "/refused":
			w.WriteHeader(http.StatusMethodNotAllowed)
		case "/unknown":
			w.WriteHeader(http.StatusNotImplemented)
		case "/failed":
			w.WriteHeader(http.StatusInsufficientStorage)
		case "/cut":
			_, _ = io.WriteString(w, "hel")
			panic(http.ErrAbortHandler)
		}
	}))
	send := func(method, path, body string) {
		defer func() { _ = recover() }() // as the server does
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body)))
	}
	send("GET", "/silent", "")
	send("POST", "/plain", "12345678")
	send("PUT", "/early", "")
	send("DELETE", "/refused", "")
	send("PUT", "/refused", "")
	send("PUT", "/refused", "")
	send("OPTIONS", "/unknown", "")
	send("PUT", "/failed", "1234")
	send("HEAD", "/cut", "")
	send("BREW", "/plain", "")
	for _, want := range []struct {
		method, code, outcome string
		n                     float64
	}{
		{"GET", "200", "ok", 1},
		{"POST", "200", "ok", 1},
		{"PUT", "403", "denied", 1},
		{"DELETE", "405", "refused", 1},
		{"PUT", "405", "refused", 2},
		{"OPTIONS", "501", "refused", 1},
		{"PUT", "507", "failed", 1},
		{"HEAD", "cut", "cut", 1},
		{"other", "200", "ok", 1},
	} {
		if got := testutil.ToFloat64(tr.requests.WithLabelValues(want.method, want.code, want.outcome)); got != want.n {
			t.Errorf("%+v: got %v", want, got)
		}
	}
	if n := testutil.CollectAndCount(tr.requests); n != 9 {
		t.Errorf("%d kinds of requests", n)
	}
	if tr.all.Load() != 10 || tr.failed.Load() != 1 || tr.received.Load() != 12 || tr.sent.Load() != 13 {
		t.Errorf("%d requests, %d failed, %d bytes received, %d sent", tr.all.Load(), tr.failed.Load(), tr.received.Load(), tr.sent.Load())
	}
	if got := tr.running.count(); got != 0 {
		t.Errorf("%d requests run", got)
	}
}

// TestTrafficKeepsTheConnection uses what doors use of a connection through the counting.
func TestTrafficKeepsTheConnection(t *testing.T) {
	tr := newTraffic(time.Now())
	srv := httptest.NewServer(tr.count(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if err := rc.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if r.Header.Get("Expect") != "" {
			w.WriteHeader(http.StatusForbidden) // without asking for the body, which the client then keeps
			return
		}
		if err := rc.Flush(); err != nil {
			t.Error(err)
		}
	})))
	defer srv.Close()
	for _, expect := range []string{"", "100-continue"} {
		req, err := http.NewRequest(http.MethodPut, srv.URL, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if expect != "" {
			req.Header.Set("Expect", expect)
		}
		resp, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if closes := resp.Close; closes != (expect != "") {
			t.Errorf("Expect %q: connection closes %v", expect, closes)
		}
		_ = resp.Body.Close()
	}
	if n := tr.received.Load(); n != 0 {
		t.Errorf("%d bytes received", n)
	}
}
