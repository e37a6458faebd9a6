package push

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestAnnouncedDigest compares the whole with what was announced when it began: what has another is not stored.
func TestAnnouncedDigest(t *testing.T) {
	for token, place := range places() {
		r := newTusRig(t)
		hex := fmt.Sprintf("%x", sha256.Sum256([]byte("contents")))
		for _, head := range [][]string{
			{"X-Checksum-Sha256", hex},
			{"Upload-Metadata", metaOf("x") + ",sha256 " + base64.StdEncoding.EncodeToString([]byte(hex))},
		} {
			url := r.begin(token, 8, head...)
			r.patch(url, 0, "con")
			w := r.patch(url, 3, "tentX")
			wantAnswer(t, w, 422, "digest")
			if h := w.Header(); h.Get("Upload-Offset") != "" || h.Get("Upload-Expires") != "" {
				t.Errorf("of an upload that is gone: %v", h)
			}
			wantAnswer(t, r.ask("HEAD", url, nil), 404, "")
			r.wantNothing()
		}
		url := r.begin(token, 8, "X-Checksum-Sha256", hex)
		if w := r.patch(url, 0, "contents"); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		r.wantFiles(map[string]string{place: "contents"})
	}
}

// TestUploadOfTakenName looks whether there is such a file when an upload begins and when it is whole.
func TestUploadOfTakenName(t *testing.T) {
	for token, place := range places() {
		r := newTusRig(t)
		first, second := r.begin(token, 5), r.begin(token, 6)
		if w := r.patch(second, 0, "second"); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		wantAnswer(t, r.patch(first, 0, "first"), 405, "file exists")
		wantAnswer(t, r.ask("HEAD", first, nil), 404, "")
		wantAnswer(t, r.ask("POST", "/"+token, nil, "Upload-Length", "1", "Upload-Metadata", metaOf("x")), 405, "file exists")
		r.wantFiles(map[string]string{place: "second"})
	}
	for token, place := range map[string]string{overToken: "over/x", bareOver: bareOver + "/x"} {
		r := newTusRig(t)
		wantAnswer(t, r.push(token, "x", "old"), 200, "")
		if w := r.patch(r.begin(token, 5), 0, "first"); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		r.wantFiles(map[string]string{place: "first"})
	}
}

// TestUploadAfterReload: what a bucket allows is what it allows when an upload is whole, unless pre-push.sh has allowed more for it.
func TestUploadAfterReload(t *testing.T) {
	const named, bare = "db01/x", bareToken + "/x"
	for token, place := range map[string]string{nameToken: named, bareToken: bare} {
		for name, row := range map[string]struct {
			before, after Bucket
			grant         bool
			status        int
			last          string
		}{
			"overwrite taken":         {Bucket{Overwrite: true}, Bucket{}, false, 405, "old"},
			"overwrite given":         {Bucket{Overwrite: true}, Bucket{Overwrite: true}, false, 204, "second"},
			"stamped since":           {Bucket{Overwrite: true}, Bucket{Overwrite: true, Stamp: true}, false, 405, "old"},
			"replace, says the hook":  {Bucket{}, Bucket{}, true, 204, "second"},
			"smaller than it is":      {Bucket{Overwrite: true}, Bucket{Overwrite: true, MaxSize: 5}, false, 413, "old"},
			"as small as it is":       {Bucket{Overwrite: true}, Bucket{Overwrite: true, MaxSize: 6}, false, 204, "second"},
			"grant, smaller than all": {Bucket{}, Bucket{MaxSize: 5}, true, 413, "old"},
		} {
			reload := func(r tusRig, b Bucket) {
				if b.Token = token; token == nameToken {
					b.Name = "db01"
				}
				if err := r.door.SetBuckets([]Bucket{b}); err != nil {
					t.Fatal(err)
				}
			}
			r := newTusRig(t)
			wantAnswer(t, r.push(token, "x", "old"), 200, "")
			reload(r, row.before)
			if row.grant {
				r.hooks(&script{pre: ends(hookReplace, "")})
			}
			url := r.begin(token, 6)
			if w := r.patch(url, 0, "sec"); w.Code != 204 {
				t.Fatalf("%s: %d %q", name, w.Code, w.Body)
			}
			reload(r, row.after)
			if w := r.patch(url, 3, "ond"); w.Code != row.status {
				t.Errorf("%s: %d %q", name, w.Code, w.Body)
			}
			r.wantFiles(map[string]string{place: row.last})
			if w := r.ask("HEAD", url, nil); (w.Code == 200) != (row.status == 204) {
				t.Errorf("%s: afterwards %d", name, w.Code)
			}
			if row.status != 413 {
				continue
			}
			// A slip is repaired, and nothing is lost.
			reload(r, row.before)
			r.wantOffset(url, 3, 6)
			if w := r.patch(url, 3, "ond"); w.Code != 204 {
				t.Errorf("%s: %d %q", name, w.Code, w.Body)
			}
			r.wantFiles(map[string]string{place: "second"})
		}
	}
}

// TestNameFails has the last step of an upload fail: it is not taken for done, and the next request tries again, unless nobody can
// tell what has become of the file.
func TestNameFails(t *testing.T) {
	for token, status := range map[string]int{bareToken: 200, bareOver: 404} {
		r := newTusRig(t)
		url := r.begin(token, 8)
		u, err := r.uploads(token).resume(t.Context(), url[strings.LastIndex(url, "/")+1:])
		if err != nil {
			t.Fatal(err)
		}
		if err := u.write(t.Context(), strings.NewReader("contents")); err != nil {
			t.Fatal(err)
		}
		plain, ok := u.(*plainUpload)
		if !ok {
			t.Fatalf("%T", u)
		}
		if err := plain.part.dir.Close(); err != nil { // renames by it, or syncs it
			t.Fatal(err)
		}
		if _, err := u.complete(t.Context(), token == bareOver); err == nil {
			t.Error("it succeeded")
		}
		u.close()
		if w := r.ask("HEAD", url, nil); w.Code != status {
			t.Errorf("%s…: %d %v", token[:4], w.Code, w.Header())
		}
		r.wantFiles(map[string]string{token + "/x": "contents"})
	}
}

// TestUploadsWithinQuota has what uploads announce count as used from their beginning to their end, through a restart too.
func TestUploadsWithinQuota(t *testing.T) {
	list := []Bucket{{Name: "db01", Token: nameToken, Quota: 10}, {Token: bareToken, Quota: 10}}
	for _, token := range []string{nameToken, bareToken} {
		clock := time.Now()
		now := func() time.Time { return clock }
		r := tusRig{newRigOver(t, object.New(objecttest.NewMemory(), object.Config{Now: now}), list)}
		again := func() {
			door, err := New(r.store, Config{Home: r.home, Buckets: list, UploadExpiry: time.Hour, Now: now}, r.door.log)
			if err != nil {
				t.Fatal(err)
			}
			r.door = door
		}
		again()
		full := func(what string) {
			t.Helper()
			w := r.ask("POST", "/"+token, nil, "Upload-Length", "6", "Upload-Metadata", metaOf("z"))
			if w.Code != 507 {
				t.Errorf("%s: an upload is answered %d %q", what, w.Code, w.Body)
			}
			if w := r.push(token, "y", "123456"); w.Code != 507 {
				t.Errorf("%s: a push is answered %d %q", what, w.Code, w.Body)
			}
		}
		url := r.begin(token, 6)
		full("begun")
		r.patch(url, 0, "123")
		full("half of it")
		again()
		full("half of it, after a restart")
		wantAnswer(t, r.push(token, "small", "4444"), 200, "")
		if w := r.ask("DELETE", url, nil); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		url = r.begin(token, 6) // that was room at once
		clock = clock.Add(time.Hour + time.Minute)
		if n, err := r.door.Expire(t.Context()); n != 1 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		wantAnswer(t, r.ask("HEAD", url, nil), 404, "")
		if w := r.patch(r.begin(token, 6), 0, "123456"); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		full("stored")
		again()
		full("stored, after a restart")
	}
}

// TestUploadOfAnotherProcess has a process that is about to end still work on a plain file: the next one keeps its hands off.
func TestUploadOfAnotherProcess(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	u, err := r.uploads(bareToken).resume(t.Context(), url[strings.LastIndex(url, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	r.again()
	r.door.expiry = time.Nanosecond
	wantAnswer(t, r.patch(url, 0, "XXX"), 423, "another request")
	if n, err := r.door.Expire(t.Context()); n != 0 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	if err := u.write(t.Context(), strings.NewReader("con")); err != nil {
		t.Fatal(err)
	}
	u.close()
	r.wantOffset(url, 3, 8)
	if w := r.patch(url, 3, "tents"); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	r.wantFiles(map[string]string{bareToken + "/x": "contents"})
}

// TestUploadBesideAForkThatHoldsIt has a child that is being started hold a copy of the file for longer than the request: the lock ends
// with the request.
func TestUploadBesideAForkThatHoldsIt(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	u, err := r.uploads(bareToken).resume(t.Context(), url[strings.LastIndex(url, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	plain, ok := u.(*plainUpload)
	if !ok {
		t.Fatalf("%T", u)
	}
	fork, err := unix.Dup(int(plain.part.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fork) //nolint:errcheck // a test's
	u.close()
	if w := r.patch(url, 0, "contents"); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

// TestUploadsOfARevokedTokenExpire: its files stay, and what was never whole goes.
func TestUploadsOfARevokedTokenExpire(t *testing.T) {
	r := newTusRig(t)
	r.again()
	wantAnswer(t, r.push(bareToken, "y", "content"), 200, "")
	r.patch(r.begin(bareToken, 8), 0, "con")
	if err := r.door.SetBuckets(nil); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(2 * time.Hour)
	r.door.now = func() time.Time { return later }
	if n, err := r.door.Expire(t.Context()); n != 1 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	r.wantStored(map[string]string{bareToken + "/y": "content"})
}

// TestHugePieceWithChecksum is refused before any of it has come.
func TestHugePieceWithChecksum(t *testing.T) {
	for token := range places() {
		r := newTusRig(t)
		const size = object.MaxPartSize + 1
		unread := &counter{Reader: zeros{}}
		req := httptest.NewRequest("PATCH", r.begin(token, size), unread)
		req.ContentLength = size
		req.Header = http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {"0"}, "Content-Type": {"application/offset+octet-stream"}, "Expect": {"100-continue"}}
		req.Header.Set("Upload-Checksum", "sha256 "+sum64(""))
		wantAnswer(t, r.do(req), 413, "too large")
		if unread.n > 0 {
			t.Errorf("%d bytes were read", unread.n)
		}
	}
}

// TestOnlyLivingRequestsAreStopped: who has an upload cannot end before it was told to.
func TestOnlyLivingRequestsAreStopped(t *testing.T) {
	var l locks
	told := false
	ctx, cancel := context.WithCancel(t.Context())
	release, err := l.take(ctx, "x", func(error) {
		told = true
		if l.mu.TryLock() {
			t.Error("it might have ended meanwhile")
			l.mu.Unlock()
		}
		cancel()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := l.take(ctx, "x", func(error) {}); !errors.Is(err, context.Canceled) || !told {
		t.Errorf("%v, told %t", err, told)
	}
}

// TestTypeOfUpload keeps what the client says of the content, as clients name it.
func TestTypeOfUpload(t *testing.T) {
	sql := base64.StdEncoding.EncodeToString([]byte("application/sql"))
	for _, key := range []string{"filetype", "type"} {
		r := newTusRig(t)
		if w := r.patch(r.begin(nameToken, 1, "Upload-Metadata", metaOf("x")+", "+key+" "+sql+",note"), 0, "x"); w.Code != 204 {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
		info, err := r.store.Stat(t.Context(), "db01", "x")
		if got := info.Attrs.Headers["content-type"]; err != nil || got != "application/sql" {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
}

// TestExpire: uploads are dropped when they expire, and a failure is not the end of it.
func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &failing{Driver: objecttest.NewMemory()}
		logs := &logs{}
		door, err := New(object.New(d, object.Config{}), Config{Buckets: buckets()[1:2], UploadExpiry: 24 * time.Hour}, zerolog.New(logs))
		if err != nil {
			t.Fatal(err)
		}
		r := tusRig{&rig{t: t, door: door, logs: logs}}
		url := r.begin(nameToken, 8)
		drops := func(want, status int) {
			t.Helper()
			n, err := door.Expire(t.Context())
			if n != want || (err != nil) != d.fails.Load() {
				t.Errorf("dropped %d, %v, want %d", n, err, want)
			}
			if w := r.ask("HEAD", url, nil); w.Code != status {
				t.Errorf("status %d, want %d", w.Code, status)
			}
		}
		<-time.After(23 * time.Hour) // the clock is the bubble's
		drops(0, 200)
		<-time.After(2 * time.Hour)
		d.fails.Store(true)
		drops(0, 200)
		d.fails.Store(false)
		drops(1, 404)
		url = r.begin(nameToken, 8)
		door.expiry = 0
		<-time.After(100 * time.Hour)
		drops(0, 200)
	})
}

// failing fails to expire uploads for a while.
type failing struct {
	object.Driver
	fails atomic.Bool
}

func (d *failing) ExpireUploads(ctx context.Context, before time.Time) (int, error) {
	if d.fails.Load() {
		return 0, errors.New("cause")
	}
	return d.Driver.ExpireUploads(ctx, before)
}
