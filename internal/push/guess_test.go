package push

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"hugbucket/internal/throttle"
)

// guess tries a token that does not exist from an address.
func (r *rig) guess(addr string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := post("/"+badToken, simpleForm("x", "content"))
	req.RemoteAddr = addr
	return r.do(req)
}

// TestGuessesAreThrottled: from an address with too many wrong tokens, a further one is answered 429, with the time to wait and with
// the line for fail2ban. What comes from elsewhere is not, and it ends.
func TestGuessesAreThrottled(t *testing.T) {
	for addr, row := range map[string]struct{ same, other string }{
		"192.0.2.7:1234":          {"192.0.2.7:4321", "192.0.2.8:1234"},
		"[::ffff:192.0.2.7]:1234": {"192.0.2.7:4321", "192.0.2.8:1234"},
		"[2001:db8::7]:1234":      {"[2001:db8::8]:1234", "[2001:db8:0:1::7]:1234"},
		"[fe80::7%eth0]:1234":     {"[fe80::7%eth0]:4321", "[fe80::8%eth0]:1234"},
	} {
		t.Run(addr, func(t *testing.T) {
			r := newRig(t)
			clock := time.Unix(1_700_000_000, 0)
			r.door.guesses = throttle.New(func() time.Time { return clock })
			for range throttle.MaxStrikes {
				wantAnswer(t, r.guess(addr), http.StatusForbidden, "token doesn't exist")
			}
			clock = clock.Add(time.Minute - time.Millisecond)
			w := r.guess(row.same)
			wantAnswer(t, w, http.StatusTooManyRequests, "too many wrong tokens from your address\n")
			if wait := w.Header().Get("Retry-After"); wait != "541" {
				t.Errorf("to wait: %q", wait)
			}
			line := r.lastLine()
			if line["message"] != fmt.Sprintf("auth failure bucket=? remote=%s token=3f9a1c", line["remote"]) || line["event"] != "auth-failed" || line["status"] != 429.0 {
				t.Errorf("line %v", line)
			}
			wantAnswer(t, r.guess(row.other), http.StatusForbidden, "token doesn't exist")
			clock = clock.Add(throttle.Time)
			wantAnswer(t, r.guess(addr), http.StatusForbidden, "token doesn't exist")
			r.wantNothing()
		})
	}
}

// TestRightTokenPassesThrottle: a machine with an old token does not stop the others behind its router, nor do their pushes make it
// any less throttled.
func TestRightTokenPassesThrottle(t *testing.T) {
	r := newRig(t)
	const router = "192.0.2.7:1234"
	for range throttle.MaxStrikes {
		r.guess(router)
	}
	req := post("/"+nameToken, simpleForm("x", "content"))
	req.RemoteAddr = router
	wantAnswer(t, r.do(req), http.StatusOK, "x 7 ")
	wantAnswer(t, r.guess(router), http.StatusTooManyRequests, "too many wrong tokens")
}

// TestThrottleReadsNothing: nothing is taken of what comes with a wrong token.
func TestThrottleReadsNothing(t *testing.T) {
	r := newRig(t)
	for i := range throttle.MaxStrikes + 1 {
		body := &counter{Reader: zeros{}}
		req := post("/"+badToken, nil)
		req.Body, req.ContentLength = io.NopCloser(body), 1<<30
		req.Header.Set("Expect", "100-continue")
		w := r.do(req)
		if body.n != 0 || w.Header().Get("Connection") != "close" {
			t.Errorf("guess %d: %d bytes read, connection %q", i, body.n, w.Header().Get("Connection"))
		}
	}
}
