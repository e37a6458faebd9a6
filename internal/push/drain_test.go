package push

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// watched is a body that tells when so many bytes of it were read.
type watched struct {
	io.ReadCloser
	left int
	come chan struct{} // closed then
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if w.left > 0 && w.left <= n {
		close(w.come)
	}
	w.left -= n
	return n, err
}

// serveWatched is serve with a channel that is closed when n bytes of the next request's body were read.
func (r *rig) serveWatched(n int) (addr string, come chan struct{}) {
	r.t.Helper()
	come = make(chan struct{})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Body = &watched{req.Body, n, come}
		r.door.ServeHTTP(w, req)
	}))
	r.t.Cleanup(ts.Close)
	return ts.Listener.Addr().String(), come
}

// TestDrainedPatch has the daemon end while an upload comes: all that has come is stored, and the client goes on there with the next one.
func TestDrainedPatch(t *testing.T) {
	content := text(300_000)
	const sent = 100_000
	for token, place := range places() {
		r := newTusRig(t)
		url := r.begin(token, len(content))
		addr, come := r.serveWatched(sent)
		w := dial(t, addr)
		w.send(patchHead(url, 0, len(content), "") + content[:sent])
		<-come
		r.door.Drain()
		got, err := http.ReadResponse(w.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close() // it was not read
		if got.StatusCode != 503 || !got.Close || got.Header.Get("Retry-After") == "" || got.Header.Get("Upload-Offset") != "100000" {
			t.Errorf("%+v", got)
		}
		r.logs.await(t, `"status":503`)
		if line := r.lastLine(); line["level"] != "warn" || line["event"] != "failed" || line["status"] != 503.0 {
			t.Errorf("line %v", line)
		}
		// Who comes after that is told so too.
		later := dial(t, r.serve().Listener.Addr().String())
		later.send(patchHead(url, sent, len(content)-sent, ""))
		if got := later.answer(); got.status != 503 {
			t.Errorf("%+v", got)
		}
		r.again()
		r.wantOffset(url, sent, len(content))
		if w := r.patch(url, sent, content[sent:]); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		r.wantFiles(map[string]string{place: content})
	}
}

// TestDrainWaitsForWhatCannotGoOn: of a creation nobody has the address yet, and of a body with a checksum all is kept or nothing.
func TestDrainWaitsForWhatCannotGoOn(t *testing.T) {
	content := text(300_000)
	const sent = 100_000
	for token, place := range places() {
		for _, creation := range []bool{false, true} {
			r := newTusRig(t)
			addr, come := r.serveWatched(sent)
			w, status := dial(t, addr), 201
			if creation {
				w.send("POST /" + token + " HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 300000\r\nUpload-Metadata: " + metaOf("x") +
					"\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 300000\r\n\r\n" + content[:sent])
			} else {
				status = 204
				w.send(patchHead(r.begin(token, len(content)), 0, len(content), "Upload-Checksum: sha256 "+sum64(content)+"\r\n") + content[:sent])
			}
			<-come
			r.door.Drain()
			w.send(content[sent:])
			if got := w.answer(); got.status != status {
				t.Errorf("creation %t: %+v", creation, got)
			}
			r.wantFiles(map[string]string{place: content})
		}
	}
}

// TestCutOfPostPush: the end that the daemon puts to requests ends post-push.sh, of a file that is stored.
func TestCutOfPostPush(t *testing.T) {
	for token, name := range tokens {
		for _, resumable := range []bool{false, true} {
			r := newTusRig(t)
			ctx, cut := context.WithCancel(t.Context())
			r.door.outlast = func(of context.Context) context.Context {
				if of == ctx {
					return context.WithoutCancel(ctx) // as the daemon's does that is asked a second time
				}
				return ctx
			}
			r.hooks(&script{post: func(ctx context.Context, _ HookCall) (HookResult, error) {
				cut()
				return HookResult{}, ctx.Err()
			}})
			var w *httptest.ResponseRecorder
			if resumable {
				w = r.patch(r.begin(token, 7), 0, "content")
			} else {
				w = r.push(token, "x", "content")
			}
			if w.Header().Get("X-File-Bucket-Hook") != "failed" {
				t.Errorf("resumable %t: the hook went on", resumable)
			}
			if got := r.stored()[name]; got != "content" {
				t.Errorf("stored %q", got)
			}
		}
	}
}
