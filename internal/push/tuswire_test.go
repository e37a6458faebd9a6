package push

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// patchHead is the head of a PATCH as it is sent. size < 0 is chunked.
func patchHead(url string, offset, size int, more string) string {
	length := "Transfer-Encoding: chunked"
	if size >= 0 {
		length = fmt.Sprintf("Content-Length: %d", size)
	}
	return "PATCH " + url + " HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: " + strconv.Itoa(offset) +
		"\r\nContent-Type: application/offset+octet-stream\r\n" + length + "\r\n" + more + "\r\n"
}

// TestBrokenPatch has requests break off in every way there is: what came before is kept, and where that ends the client goes on.
func TestBrokenPatch(t *testing.T) {
	content := text(900_000)
	const half = 450_000
	for name, row := range map[string]struct {
		sent string
		kept int
	}{
		"half":               {patchHead("%s", 0, len(content), "") + content[:half], half},
		"all but a byte":     {patchHead("%s", 0, len(content), "") + content[:len(content)-1], len(content) - 1},
		"half, chunked":      {patchHead("%s", 0, -1, "") + chunk(content[:half]), half},
		"in a chunk":         {patchHead("%s", 0, -1, "") + fmt.Sprintf("%x\r\n", half) + content[:1000], 1000},
		"nothing":            {patchHead("%s", 0, len(content), ""), 0},
		"half of a checksum": {patchHead("%s", 0, len(content), "Upload-Checksum: sha256 "+sum64(content)+"\r\n") + content[:half], 0},
		"whole, no end":      {patchHead("%s", 0, -1, "") + fmt.Sprintf("%x\r\n", len(content)) + content, len(content)},
	} {
		for token, place := range places() {
			r := newTusRig(t)
			r.door.step = 200_000 // some steps in each
			url := r.begin(token, len(content))
			w := dial(t, r.serve().Listener.Addr().String())
			w.send(strings.Replace(row.sent, "%s", url, 1))
			if err := w.conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := w.answer(); (got.status == 204) != (row.kept == len(content)) {
				t.Errorf("%s: %+v", name, got)
			}
			if row.kept < len(content) {
				r.wantFiles(nil)
			}
			r.again()
			r.wantOffset(url, row.kept, len(content))
			if row.kept < len(content) {
				if w := r.patch(url, row.kept, content[row.kept:]); w.Code != 204 {
					t.Errorf("%s: %d %q", name, w.Code, w.Body)
				}
			}
			r.wantFiles(map[string]string{place: content})
		}
	}
}

// TestTakeOver has a client go on whose connection died without a word: its new request ends the old one, of which nothing is lost.
func TestTakeOver(t *testing.T) {
	content := text(300_000)
	for token, place := range places() {
		for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
			r := newTusRig(t)
			url := r.begin(token, len(content))
			w := dial(t, r.serve().Listener.Addr().String())
			w.send(patchHead(url, 0, len(content), "") + content[:100_000])
			for r.door.locks.count() == 0 {
				runtime.Gosched()
			}
			got := r.ask(method, url, strings.NewReader(content), "Upload-Offset", "0")
			if old := w.answer(); old.status != 423 || !old.closes {
				t.Errorf("%s: the old request got %+v", method, old)
			}
			switch method {
			case "HEAD":
				at, err := strconv.Atoi(got.Header().Get("Upload-Offset"))
				if err != nil || at > 100_000 {
					t.Fatalf("offset %d, %v", at, err)
				}
				if w := r.patch(url, at, content[at:]); w.Code != 204 {
					t.Errorf("%d %q", w.Code, w.Body)
				}
				r.wantFiles(map[string]string{place: content})
			case "PATCH":
				if at := got.Header().Get("Upload-Offset"); (got.Code == 204) != (at == strconv.Itoa(len(content))) || got.Code != 204 && got.Code != 409 {
					t.Errorf("PATCH: %d at %s %q", got.Code, at, got.Body)
				}
			case "DELETE":
				if got.Code != 204 {
					t.Errorf("DELETE: %d %q", got.Code, got.Body)
				}
				r.wantNothing()
			}
		}
	}
}

// count is how many uploads are worked on.
func (l *locks) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// TestLocked has a request that does not end, since its store does not: others wait for a while, and are told so.
func TestLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l locks
		told := 0
		free, err := l.take(t.Context(), "a", func(error) { told++ })
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.take(t.Context(), "b", nil)
		if err != nil {
			t.Fatal(err)
		}
		other()
		start := time.Now()
		if _, err := l.take(t.Context(), "a", nil); !errors.Is(err, errLocked) || time.Since(start) != takeOver || told != 1 {
			t.Errorf("%v after %v, told %d times", err, time.Since(start), told)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.take(ctx, "a", nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		done := make(chan error)
		go func() {
			free, err := l.take(t.Context(), "a", nil)
			if err == nil {
				free()
			}
			done <- err
		}()
		synctest.Wait()
		free()
		free() // once is enough
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := l.count(); n > 0 {
			t.Errorf("%d are held", n)
		}
	})
}

// TestCrashBeforeTheName has a process end when all has come and nothing has its name yet: who asks finds it done.
func TestCrashBeforeTheName(t *testing.T) {
	for token, place := range places() {
		r := newTusRig(t)
		hooks := &fakeHooks{}
		url := r.begin(token, 8)
		id := url[strings.LastIndex(url, "/")+1:]
		u, err := r.uploads(token).resume(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.write(t.Context(), strings.NewReader("contents")); err != nil {
			t.Fatal(err)
		}
		if p := u.progress(); p.done || p.offset != 8 {
			t.Errorf("%+v", p)
		}
		u.close()
		r.again()
		r.door.hooks = hooks
		r.wantFiles(nil)
		r.wantOffset(url, 8, 8)
		r.wantFiles(map[string]string{place: "contents"})
		r.wantOffset(url, 8, 8)
		if n := hooks.count(postHook); n != 1 {
			t.Errorf("post-push.sh ran %d times", n)
		}
	}
}

// TestCrashInAStep has a process end in the middle of a step: what is behind the last one that is durable counts for nothing.
func TestCrashInAStep(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	r.patch(url, 0, "con")
	path := filepath.Join(r.home, bareToken, uploadPrefix+url[strings.LastIndex(url, "/")+1:])
	if err := os.WriteFile(path, []byte("conXXXXXXXX"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.again()
	r.wantOffset(url, 3, 8)
	if w := r.patch(url, 3, "tents"); w.Code != 204 || w.Header().Get("X-Checksum-Sha256") != fmt.Sprintf("%x", sha256.Sum256([]byte("contents"))) {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	r.wantFiles(map[string]string{bareToken + "/x": "contents"})
}

// TestStrangeParts has somebody else store parts of an upload: it goes as far as its own parts fit together, and its content is
// never a mixture.
func TestStrangeParts(t *testing.T) {
	content := text(500_000)
	r := newTusRig(t)
	r.door.step = 100_000
	url := r.begin(nameToken, len(content))
	r.patch(url, 0, content[:350_000])
	name := object.UploadName{Bucket: "db01", Key: "x", ID: url[strings.LastIndex(url, "/")+1:]}
	parts, _, err := r.store.Parts(t.Context(), name, 0, 10)
	if err != nil || len(parts) != 4 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	// As another process would that was about to end: the second part anew, with a note of its own.
	note := string(marshal(link{End: 150_000, Before: parts[0].ETag(), Steps: 2}))
	_, err = r.store.PutPart(t.Context(), name, 2, strings.NewReader(content[100_000:150_000]), object.PartOptions{Note: func() string { return note }})
	if err != nil {
		t.Fatal(err)
	}
	r.wantOffset(url, 150_000, len(content))
	for note, want := range map[string]int{
		string(marshal(link{End: 200_000, Before: parts[0].ETag()})): 200_000, // but what follows is behind another
		string(marshal(link{End: 200_001, Before: parts[0].ETag()})): 100_000,
		string(marshal(link{End: 200_000, Before: parts[1].ETag()})): 100_000,
		`{"sum":"sha256"}`: 100_000,
	} {
		_, err = r.store.PutPart(t.Context(), name, 2, strings.NewReader(content[:100_000]), object.PartOptions{Note: func() string { return note }})
		if err != nil {
			t.Fatal(err)
		}
		r.wantOffset(url, want, len(content))
	}
	if _, err := r.store.PutPart(t.Context(), name, 2, strings.NewReader("by S3"), object.PartOptions{}); err != nil {
		t.Fatal(err)
	}
	r.wantOffset(url, 100_000, len(content))
	if w := r.patch(url, 100_000, content[100_000:]); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	r.wantFiles(map[string]string{"db01/x": content})
	for _, note := range []string{"", `{"sum":"sha256"}`, `{"push":2,"name":"y","length":5}`, `{"push":1,"name":"x","length":5}`} {
		u, err := r.store.CreateUpload(t.Context(), "db01", "y", object.UploadOptions{Note: note})
		if err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, r.ask("HEAD", "/"+nameToken+"/.uploads/"+u.ID, nil), 404, "no such upload")
	}
}

// TestUploadHooks runs pre-push.sh once, when an upload begins, with its exact size, and post-push.sh once, when it is stored.
func TestUploadHooks(t *testing.T) {
	for token := range places() {
		r := newTusRig(t)
		hooks := &fakeHooks{code: hookReplace}
		r.door.hooks = hooks
		wantAnswer(t, r.push(token, "x", "old"), 200, "")
		hooks.calls = nil
		url := r.begin(token, 8)
		r.again() // what the hook has allowed must outlast the process
		r.door.hooks = hooks
		r.patch(url, 0, "con")
		if n := hooks.count(postHook); n != 0 {
			t.Errorf("post-push.sh ran %d times before all was there", n)
		}
		if w := r.patch(url, 3, "tents"); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		r.wantOffset(url, 8, 8)
		if len(hooks.calls) != 2 || hooks.calls[0].Name != preHook || hooks.calls[0].Args[2] != "8" || hooks.calls[1].Name != postHook {
			t.Errorf("%+v", hooks.calls)
		}
		hooks.code = hookRefuse
		wantAnswer(t, r.ask("POST", "/"+token, nil, "Upload-Length", "1", "Upload-Metadata", metaOf("y")), 409, "pre-push")
		if list, err := r.uploads(token).unfinished(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("%v, %v", list, err)
		}
	}
}

// TestHookIsDueAfterADeath: what post-push.sh has not come to the end of, the next process has it do once, when the client asks what has
// become of its upload. Nobody has it run beside the one that runs.
func TestHookIsDueAfterADeath(t *testing.T) {
	for token, place := range places() {
		for _, failed := range []bool{false, true} {
			r := newTusRig(t)
			url := r.begin(token, 8)
			ctx, cut := context.WithCancel(t.Context())
			r.door.outlast = func(context.Context) context.Context { return ctx }
			dying := &script{}
			dying.post = func(ctx context.Context, _ HookCall) (HookResult, error) {
				r.wantOffset(url, 8, 8)
				other := tusRig{&rig{t: t, store: r.store, home: r.home, logs: r.logs, door: r.door}}
				other.again()
				other.hooks(dying)
				other.wantOffset(url, 8, 8)
				cut()
				return HookResult{}, ctx.Err()
			}
			r.hooks(dying)
			r.patch(url, 0, "contents")
			if len(dying.calls) != 1 {
				t.Errorf("before its end: %d calls", len(dying.calls))
			}
			r.again()
			code := 0
			if failed {
				code = 1
			}
			next := &script{post: ends(code, "")}
			r.hooks(next)
			w := r.ask("HEAD", url, nil)
			if got := w.Header().Get("X-File-Bucket-Hook"); w.Code != 200 || w.Header().Get("Upload-Offset") != "8" || (got == "failed") != failed {
				t.Errorf("HEAD: %d %v", w.Code, w.Header())
			}
			r.wantOffset(url, 8, 8)
			if len(next.calls) != 1 || fmt.Sprint(next.calls[0].Env) != fmt.Sprint(dying.calls[0].Env) {
				t.Errorf("called with %q, and before with %q", next.calls, dying.calls)
			}
			r.wantFiles(map[string]string{place: "contents"})
		}
	}
}

// TestHookOfAPatchFails: a client of tus hears of it as others do.
func TestHookOfAPatchFails(t *testing.T) {
	for token := range places() {
		r := newTusRig(t)
		r.hooks(&script{post: ends(1, "")})
		if w := r.patch(r.begin(token, 8), 0, "contents"); w.Code != 204 || w.Header().Get("X-File-Bucket-Hook") != "failed" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
}

// TestHookThatNobodyCameFor: a note of it is kept as long as an upload, and the log tells of it.
func TestHookThatNobodyCameFor(t *testing.T) {
	r := newTusRig(t)
	r.again()
	r.hooks(&script{post: ends(0, "")})
	b := Bucket{Name: "db01", Token: nameToken}
	r.door.noteDue(b, "one", "x").leave()
	held := r.door.noteDue(b, "two", "y")
	defer held.leave()
	for _, row := range []struct{ minutes, left int }{{59, 2}, {61, 1}} {
		clock := time.Now().Add(time.Duration(row.minutes) * time.Minute)
		r.door.now = func() time.Time { return clock }
		if _, err := r.door.Expire(t.Context()); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(filepath.Join(r.home, dueDir))
		if err != nil || len(left) != row.left {
			t.Errorf("%d minutes later: %v, %v", row.minutes, left, err)
		}
	}
	if line := r.lastLine(); line["file"] != "x" || line["bucket"] != "db01" || line["level"] != "error" {
		t.Errorf("line %v", line)
	}
}

// fakeHooks note their calls; pre-push.sh ends with code.
type fakeHooks struct {
	code  int
	calls []HookCall
}

func (f *fakeHooks) Has(string) bool { return true }

func (f *fakeHooks) Run(_ context.Context, call HookCall) (HookResult, error) {
	f.calls = append(f.calls, call)
	if call.Name == preHook {
		return HookResult{Code: f.code}, nil
	}
	return HookResult{}, nil
}

func (f *fakeHooks) count(name string) (n int) {
	for _, c := range f.calls {
		if c.Name == name {
			n++
		}
	}
	return n
}

// TestUploadsExpire drops what nothing has happened to for long, and what a process that died has left; nothing else.
func TestUploadsExpire(t *testing.T) {
	clock := time.Now()
	now := func() time.Time { return clock }
	store := object.New(objecttest.NewMemory(), object.Config{Now: now})
	r := tusRig{newRigOver(t, store, buckets())}
	r.door.now, r.door.expiry = now, time.Hour
	urls := make(map[string]string)
	for token := range places() {
		w := r.patch(r.begin(token, 4), 0, "done")
		if w.Code != 204 {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
		urls[token] = r.begin(token, 4, "Upload-Metadata", metaOf("y"))
		if w := r.patch(urls[token], 0, "y"); w.Header().Get("Upload-Expires") != clock.Add(time.Hour).UTC().Format(http.TimeFormat) && token == nameToken {
			t.Errorf("%v", w.Header())
		}
	}
	dir := filepath.Join(r.home, bareToken)
	garbage, theirs := filepath.Join(dir, uploadPrefix+strings.Repeat("a", 26)), filepath.Join(dir, uploadPrefix+"x")
	for _, path := range []string{garbage, garbage + stateSuffix + newSuffix, theirs} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.again()
	r.door.now, r.door.expiry = now, time.Hour
	if n, err := r.door.Expire(t.Context()); n != 0 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	for token, url := range urls {
		if w := r.ask("HEAD", url, nil); w.Code != 200 || w.Header().Get("Upload-Offset") != "1" {
			t.Errorf("%s…: %d %v", token[:4], w.Code, w.Header())
		}
	}
	clock = clock.Add(time.Hour + time.Minute)
	if n, err := r.door.Expire(t.Context()); n != 2 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	for _, url := range urls {
		wantAnswer(t, r.ask("HEAD", url, nil), 404, "")
	}
	r.wantStored(map[string]string{"db01/x": "done", bareToken + "/x": "done", bareToken + "/" + uploadPrefix + "x": "x"})
}

// TestUploadWithoutRoom has the store fail in the middle: the client hears it, and goes on behind the last step when there is room again.
func TestUploadWithoutRoom(t *testing.T) {
	content := text(500_000)
	steps := 0
	f := &faulty{Driver: objecttest.NewMemory()}
	store := object.New(f, object.Config{})
	r := tusRig{newRigOver(t, store, buckets())}
	r.door.step = 100_000
	url := r.begin(nameToken, len(content))
	f.begin = func() error {
		if steps++; steps > 3 {
			return object.ErrNoSpace
		}
		return nil
	}
	wantAnswer(t, r.patch(url, 0, content), 507, "no space")
	f.begin = nil
	r.wantOffset(url, 300_000, len(content))
	if w := r.patch(url, 300_000, content[300_000:]); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	r.wantFiles(map[string]string{"db01/x": content})
}
