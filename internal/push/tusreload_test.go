package push

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object/objecttest"
)

// patching sends a PATCH whose body comes as the test writes it; end returns its answer.
func (r tusRig) patching(url string, length int) (body *io.PipeWriter, end func() *httptest.ResponseRecorder) {
	r.t.Helper()
	pr, pw := io.Pipe()
	req := httptest.NewRequest(http.MethodPatch, url, pr)
	req.ContentLength = int64(length)
	req.Header = http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {"0"}, "Content-Type": {tusContent}}
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		r.door.ServeHTTP(w, req)
	}()
	return pw, func() *httptest.ResponseRecorder {
		_ = pw.Close() // always succeeds
		<-done
		return w
	}
}

// TestReloadWhileItComes: what a bucket allows is what it allows when an upload is whole, also when that was one request of hours.
func TestReloadWhileItComes(t *testing.T) {
	for token, place := range map[string]string{overToken: "over/x", bareOver: bareOver + "/x"} {
		bucket := Bucket{Token: token, Overwrite: true}
		if token == overToken {
			bucket.Name = "over"
		}
		for name, row := range map[string]struct {
			change func(b Bucket) []Bucket
			status int
			last   string
		}{
			"nothing":         {func(b Bucket) []Bucket { return []Bucket{b} }, 204, "contents"},
			"overwrite taken": {func(b Bucket) []Bucket { b.Overwrite = false; return []Bucket{b} }, 405, "old"},
			"stamped":         {func(b Bucket) []Bucket { b.Stamp = true; return []Bucket{b} }, 405, "old"},
			"smaller":         {func(b Bucket) []Bucket { b.MaxSize = 7; return []Bucket{b} }, 413, "old"},
			"token revoked":   {func(Bucket) []Bucket { return nil }, 403, "old"},
			"token of another": {func(b Bucket) []Bucket {
				return []Bucket{{Name: "another", Token: b.Token, Overwrite: true}}
			}, 403, "old"},
		} {
			r := newTusRig(t)
			wantAnswer(t, r.push(token, "x", "old"), 200, "")
			url := r.begin(token, 8)
			body, end := r.patching(url, 8)
			_, _ = io.WriteString(body, "cont") // it was read when this returns
			if err := r.door.SetBuckets(row.change(bucket)); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(body, "ents")
			wantAnswer(t, end(), row.status, "")
			r.wantFiles(map[string]string{place: row.last})
			if row.status != 413 && row.status != 403 {
				continue
			}
			// What has come is not lost by a slip in the configuration.
			if err := r.door.SetBuckets([]Bucket{bucket}); err != nil {
				t.Fatal(err)
			}
			r.wantOffset(url, 8, 8)
			r.wantFiles(map[string]string{place: "contents"})
			if t.Failed() {
				t.Fatal(name)
			}
		}
	}
}

// TestTusClientGone: one that closes its half of the connection, as nc does, looks as if it were gone, and is answered; also when it
// has to wait.
func TestTusClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, err := New(objecttest.NewStore(t), Config{Buckets: buckets()[1:2]}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		r := tusRig{&rig{t: t, door: door, logs: &logs{}}}
		r.hooks(&script{pre: func(ctx context.Context, _ HookCall) (HookResult, error) { return HookResult{}, ctx.Err() }})
		gone, leave := context.WithCancel(t.Context())
		leave()
		asks := func(method, target string, l *locks, key string, more ...string) *httptest.ResponseRecorder {
			t.Helper()
			release, err := l.take(t.Context(), key, func(error) {})
			if err != nil {
				t.Fatal(err)
			}
			req := httptest.NewRequest(method, target, nil).WithContext(gone)
			req.Header.Set("Tus-Resumable", "1.0.0")
			for i := 0; i < len(more); i += 2 {
				req.Header.Set(more[i], more[i+1])
			}
			answer := make(chan *httptest.ResponseRecorder)
			go func() { answer <- r.do(req) }()
			synctest.Wait()
			time.AfterFunc(takeOver/2, release) // the clock is the bubble's
			return <-answer
		}
		w := asks("POST", "/"+nameToken, &door.begins, "db01", "Upload-Length", strconv.Itoa(8), "Upload-Metadata", metaOf("x"))
		wantAnswer(t, w, 201, "")
		url := w.Header().Get("Location")
		wantAnswer(t, asks("HEAD", url, &door.locks, "db01/"+idOf(url)), 200, "")
		if strings.Contains(r.logs.String(), "cancel") {
			t.Error(r.logs)
		}
	})
}
