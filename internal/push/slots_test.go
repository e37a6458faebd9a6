package push

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// held starts an upload that waits in the middle of its file. end lets it end and returns the answer.
func (r *rig) held(token, name string) (end func() *httptest.ResponseRecorder) {
	r.t.Helper()
	pr, pw := io.Pipe()
	form := string(simpleForm(name, "content"))
	at := strings.Index(form, "ent\r\n--b")
	req := post("/"+token, nil)
	req.Body, req.ContentLength = pr, -1
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		r.door.ServeHTTP(w, req)
	}()
	if _, err := io.WriteString(pw, form[:at]); err != nil { // returns when all of it was read
		r.t.Fatal(err)
	}
	return func() *httptest.ResponseRecorder {
		_, _ = io.WriteString(pw, form[at:]) // what comes of it is in the answer
		_ = pw.Close()
		<-done
		return w
	}
}

// TestTooMany sees that an upload too many is refused before its body is read, and that one which ends makes room.
func TestTooMany(t *testing.T) {
	r := newRig(t)
	if s := r.door.slots; s.each != 32 || s.all != 100 {
		t.Errorf("limits %d and %d", s.each, s.all)
	}
	r.door.slots = newSlots(2, 3)
	refused := func(token string, status int, text string) {
		t.Helper()
		body := &counter{Reader: zeros{}}
		req := post("/"+token, nil)
		req.Body, req.ContentLength = io.NopCloser(body), 1<<20
		req.Header.Set("Expect", "100-continue")
		w := r.do(req)
		wantAnswer(t, w, status, text)
		if body.n != 0 || w.Header().Get("Retry-After") != "5" {
			t.Errorf("%d bytes read, retry after %q", body.n, w.Header().Get("Retry-After"))
		}
	}
	ends := []func() *httptest.ResponseRecorder{r.held(nameToken, "a"), r.held(nameToken, "b")}
	refused(nameToken, http.StatusTooManyRequests, "too many uploads at once with this token\n")
	// A new list of buckets does not forget what runs.
	if err := r.door.SetBuckets(buckets()); err != nil {
		t.Fatal(err)
	}
	refused(nameToken, http.StatusTooManyRequests, "too many uploads at once with this token\n")
	ends = append(ends, r.held(bareToken, "c"))
	refused(bareToken, http.StatusServiceUnavailable, "too many uploads at once\n")
	refused(overToken, http.StatusServiceUnavailable, "too many uploads at once\n")
	for _, end := range ends {
		wantAnswer(t, end(), http.StatusOK, " 7 sha256:")
	}
	wantAnswer(t, r.push(nameToken, "d", "content"), http.StatusOK, "d 7 ")
	if s := r.door.slots; s.n != 0 || len(s.of) != 0 {
		t.Errorf("%d uploads are still counted, %v", s.n, s.of)
	}
}

// drip yields some bytes every second.
type drip struct {
	r    io.Reader
	size int
}

func (d drip) Read(p []byte) (int, error) {
	<-time.After(time.Second)
	return d.r.Read(p[:min(len(p), d.size)])
}

// TestSlow has clients that are never silent, but slow.
func TestSlow(t *testing.T) {
	for name, row := range map[string]struct {
		size, status int
		text         string
		took         time.Duration // 0 is any
	}{
		"trickle":    {1, http.StatusRequestTimeout, "upload is too slow\n", time.Minute},
		"too slow":   {1023, http.StatusRequestTimeout, "upload is too slow\n", time.Minute},
		"just right": {1100, http.StatusOK, "x 300000 ", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			req := post("/"+nameToken, nil)
			req.Body = io.NopCloser(drip{strings.NewReader(string(simpleForm("x", strings.Repeat("c", 300_000)))), row.size})
			req.ContentLength = -1
			start := time.Now()
			w := r.do(req)
			if w.Code != row.status || !strings.HasPrefix(w.Body.String(), row.text) {
				t.Errorf("%s: answer %d %q", name, w.Code, w.Body)
			}
			// The linger reads on, without a limit of its own where there is no connection.
			if r.lastLine()["ms"] != float64(row.took.Milliseconds()) && row.took != 0 {
				t.Errorf("%s: took %v, %v", name, r.lastLine()["ms"], time.Since(start))
			}
		})
	}
}

// TestSlowStore has a store take longer than a client might: that is not the client's fault.
func TestSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		form := string(simpleForm("x", "content"))
		req := post("/"+nameToken, raw(form))
		b := newBody(httptest.NewRecorder(), req, defaultPace)
		for i := 0; i < len(form); i++ {
			if _, err := b.Read(make([]byte, 1)); err != nil && i < len(form)-1 {
				t.Fatalf("byte %d: %v", i, err)
			}
			<-time.After(time.Minute)
		}
	})
}
