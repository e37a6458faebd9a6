package push

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object/objecttest"
)

// tusRig is a rig and what clients of tus do.
type tusRig struct{ *rig }

func newTusRig(t *testing.T) tusRig {
	t.Helper()
	return tusRig{newRig(t)}
}

// places are the tokens, and where a file of theirs that is called x is found.
func places() map[string]string {
	return map[string]string{nameToken: "db01/x", bareToken: bareToken + "/x"}
}

// ask sends a request of tus; more are pairs of a header and its value.
func (r tusRig) ask(method, target string, body io.Reader, more ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequest(method, target, body)
	req.Header.Set("Tus-Resumable", "1.0.0")
	if body != nil {
		req.Header.Set("Content-Type", "application/offset+octet-stream")
	}
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	w := r.do(req)
	if got := w.Header().Get("Tus-Resumable"); got != "1.0.0" && w.Code != 403 && w.Code != 404 {
		r.t.Errorf("%s: answer %d with Tus-Resumable %q", method, w.Code, got)
	}
	return w
}

func metaOf(name string) string { return "filename " + base64.StdEncoding.EncodeToString([]byte(name)) }

// begin begins an upload of a file x and returns its URL.
func (r tusRig) begin(token string, length int, more ...string) string {
	r.t.Helper()
	w := r.ask("POST", "/"+token, nil, append([]string{"Upload-Length", strconv.Itoa(length), "Upload-Metadata", metaOf("x")}, more...)...)
	url := w.Header().Get("Location")
	if w.Code != 201 || !strings.HasPrefix(url, "/"+token+"/.uploads/") {
		r.t.Fatalf("begun: %d %q at %q", w.Code, w.Body, url)
	}
	return url
}

// uploads are those of a token.
func (r tusRig) uploads(token string) uploads {
	r.t.Helper()
	b, ok := r.door.access.Load().find(token, subtle.ConstantTimeCompare)
	if !ok {
		r.t.Fatalf("no bucket has the token %s", token)
	}
	return r.door.uploads(b)
}

// patch sends content for an upload.
func (r tusRig) patch(url string, offset int, content string, more ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.ask("PATCH", url, strings.NewReader(content), append([]string{"Upload-Offset", strconv.Itoa(offset)}, more...)...)
}

// wantOffset sees how far an upload has come.
func (r tusRig) wantOffset(url string, offset, length int) {
	r.t.Helper()
	w := r.ask("HEAD", url, nil)
	if w.Code != 200 || w.Header().Get("Upload-Offset") != strconv.Itoa(offset) || w.Header().Get("Upload-Length") != strconv.Itoa(length) ||
		w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Upload-Metadata") != metaOf("x") || w.Body.Len() > 0 {
		r.t.Errorf("HEAD: %d %v %q, want offset %d of %d", w.Code, w.Header(), w.Body, offset, length)
	}
}

// wantFiles is wantStored without the files of uploads.
func (r tusRig) wantFiles(want map[string]string) {
	r.t.Helper()
	got := r.stored()
	for name := range got {
		if strings.Contains(name, "/"+uploadPrefix) {
			continue
		}
		if got[name] != want[name] {
			r.t.Errorf("%s: %d bytes are stored, want %d", name, len(got[name]), len(want[name]))
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			r.t.Errorf("%s is not stored", name)
		}
	}
}

// again replaces the door by one of the next process.
func (r tusRig) again() {
	r.t.Helper()
	door, err := New(r.store, Config{Home: r.home, Buckets: buckets(), UploadExpiry: time.Hour}, r.door.log)
	if err != nil {
		r.t.Fatal(err)
	}
	r.door = door
}

func text(n int) string {
	rng := rand.NewChaCha8([32]byte{9})
	b := make([]byte, n)
	_, _ = rng.Read(b)
	return string(b)
}

// TestResumable sends a file in many pieces, with a new process between any two: it appears only when it is whole, under its name, as one
// that came at once.
func TestResumable(t *testing.T) {
	content := text(700_000)
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	for token, place := range places() {
		r := newTusRig(t)
		url := r.begin(token, len(content))
		for at := 0; at < len(content); {
			r.wantOffset(url, at, len(content))
			r.wantFiles(nil)
			n := min(len(content)-at, 1+rand.IntN(100_000))
			w := r.patch(url, at, content[at:at+n])
			at += n
			if w.Code != 204 || w.Body.Len() > 0 || w.Header().Get("Upload-Offset") != strconv.Itoa(at) {
				t.Fatalf("PATCH to %d: %d %q %v", at, w.Code, w.Body, w.Header())
			}
			if got := w.Header().Get("X-Checksum-Sha256"); (got == sum) != (at == len(content)) {
				t.Errorf("at %d: SHA-256 %q, want %s at the end", at, got, sum)
			}
			r.again()
		}
		r.wantFiles(map[string]string{place: content})
		if !strings.Contains(r.logs.String(), fmt.Sprintf(`"bytes":%d,`, len(content))) || strings.Count(r.logs.String(), `"sha256":"`+sum+`"`) != 1 {
			t.Errorf("the log does not say what was stored:\n%s", r.logs)
		}
		// Who has not heard the answer asks how far he is.
		r.wantOffset(url, len(content), len(content))
		if got := r.ask("HEAD", url, nil).Header().Get("X-Checksum-Sha256"); got != sum {
			t.Errorf("afterwards: SHA-256 %q, want %s", got, sum)
		}
		wantAnswer(t, r.ask("DELETE", url, nil), 403, "finished")
		if w := r.patch(url, len(content), ""); w.Code != 204 {
			t.Errorf("nothing more: %d %q", w.Code, w.Body)
		}
		wantAnswer(t, r.patch(url, 0, content), 409, "Upload-Offset")
		wantAnswer(t, r.patch(url, len(content), "more"), 413, "more content")
		r.wantFiles(map[string]string{place: content})
		if token == nameToken {
			info, err := r.store.Stat(t.Context(), "db01", "x")
			if err != nil || fmt.Sprintf("%x", info.Digests.SHA256) != sum {
				t.Errorf("SHA-256 %x in the store, %v", info.Digests.SHA256, err)
			}
			other := newRig(t)
			wantAnswer(t, other.push(nameToken, "x", content), 200, "")
			if same, err := other.store.Stat(t.Context(), "db01", "x"); err != nil || same.File != info.File {
				t.Errorf("file %v, and %v in one piece; %v", info.File, same.File, err)
			}
		}
		if line := r.lastLine(); line["event"] != "denied" || line["file"] != "x" {
			t.Errorf("line %v", line)
		}
	}
}

// TestCreationWithUpload has content come with the creation, also all of it, also none of a file without any.
func TestCreationWithUpload(t *testing.T) {
	for token, place := range places() {
		for content, sent := range map[string]int{"": 0, "content": 7, "contents": 3} {
			r := newTusRig(t)
			w := r.ask("POST", "/"+token, strings.NewReader(content[:sent]), "Upload-Length", strconv.Itoa(len(content)), "Upload-Metadata", metaOf("x"))
			if w.Code != 201 || w.Header().Get("Upload-Offset") != strconv.Itoa(sent) {
				t.Fatalf("%q: %d %q %v", content, w.Code, w.Body, w.Header())
			}
			if sent < len(content) {
				r.wantFiles(nil)
				if w.Header().Get("Upload-Expires") == "" && r.door.expiry > 0 {
					t.Error("it does not say when it expires")
				}
				w = r.patch(w.Header().Get("Location"), sent, content[sent:])
				if w.Code != 204 {
					t.Errorf("%q: %d %q", content, w.Code, w.Body)
				}
			} else {
				wantAnswer(t, w, 201, fmt.Sprintf("x %d sha256:%x\n", sent, sha256.Sum256([]byte(content))))
			}
			r.wantFiles(map[string]string{place: content})
			if line := r.lastLine(); line["event"] != "stored" || line["file"] != "x" {
				t.Errorf("line %v", line)
			}
		}
	}
}

// TestCreationWithBrokenUpload: nobody hears the address of an upload whose creation fails, so nothing of it stays.
func TestCreationWithBrokenUpload(t *testing.T) {
	for token := range places() {
		r := newTusRig(t)
		for _, head := range [][]string{{"Upload-Checksum", "sha256 " + sum64("other")}, {"Content-Type", "text/plain"}, {"Upload-Length", "2"}} {
			head = append([]string{"Upload-Length", "8", "Upload-Metadata", metaOf("x")}, head...)
			w := r.ask("POST", "/"+token, strings.NewReader("content"), head...)
			if w.Code < 400 || w.Header().Get("Location") != "" {
				t.Errorf("%v: %d %v", head, w.Code, w.Header())
			}
			r.wantNothing()
			if list, err := r.uploads(token).unfinished(t.Context()); err != nil || len(list) > 0 {
				t.Errorf("%v: %v, %v", head, list, err)
			}
		}
	}
}

// TestTusRefuses walks through what is refused, and sees that nothing is begun.
func TestTusRefuses(t *testing.T) {
	type h = []string
	file := metaOf("x")
	for name, row := range map[string]struct {
		head   []string
		status int
		text   string
	}{
		"version":            {h{"Tus-Resumable", "0.2.2", "Upload-Length", "5", "Upload-Metadata", file}, 412, "1.0.0"},
		"no length":          {h{"Upload-Metadata", file}, 400, "Upload-Length"},
		"negative length":    {h{"Upload-Length", "-1", "Upload-Metadata", file}, 400, "Upload-Length"},
		"overflow":           {h{"Upload-Length", "9223372036854775808", "Upload-Metadata", file}, 400, "Upload-Length"},
		"too large for any":  {h{"Upload-Length", "9223372036854775807", "Upload-Metadata", file}, 413, "too large"},
		"a fragment":         {h{"Upload-Concat", "partial", "Upload-Length", "5", "Upload-Metadata", file}, 400, "Upload-Concat"},
		"fragments":          {h{"Upload-Concat", "final;/a /b", "Upload-Metadata", file}, 400, "Upload-Concat"},
		"length later":       {h{"Upload-Defer-Length", "1", "Upload-Metadata", file}, 400, "Upload-Length"},
		"no name":            {h{"Upload-Length", "5"}, 400, "filename"},
		"no base64":          {h{"Upload-Length", "5", "Upload-Metadata", "filename x.sql"}, 400, "base64"},
		"a key twice":        {h{"Upload-Length", "5", "Upload-Metadata", file + "," + file}, 400, "twice"},
		"an empty key":       {h{"Upload-Length", "5", "Upload-Metadata", file + ","}, 400, "empty"},
		"a strange key":      {h{"Upload-Length", "5", "Upload-Metadata", file + ",<b> AAAA"}, 400, "A-Z"},
		"much":               {h{"Upload-Length", "5", "Upload-Metadata", file + ",y " + strings.Repeat("AAAA", 2000)}, 400, "4 KiB"},
		"bad digest":         {h{"Upload-Length", "5", "Upload-Metadata", file, "X-Checksum-Sha256", "abc"}, 400, "SHA-256"},
		"bad digest as meta": {h{"Upload-Length", "5", "Upload-Metadata", file + ",sha256 AAAA"}, 400, "SHA-256"},
		"hidden name":        {h{"Upload-Length", "5", "Upload-Metadata", metaOf(".x")}, 400, "dot"},
		"an override":        {h{"Upload-Length", "5", "Upload-Metadata", file, "X-HTTP-Method-Override", "GET"}, 405, "method"},
	} {
		for _, token := range []string{nameToken, bareToken} {
			r := newTusRig(t)
			w := r.ask("POST", "/"+token, nil, row.head...)
			if w.Code != row.status || !strings.Contains(w.Body.String(), row.text) || w.Header().Get("Location") != "" {
				t.Errorf("%s: %d %q, want %d %q", name, w.Code, w.Body, row.status, row.text)
			}
			r.wantNothing()
		}
	}
	for token := range map[string]bool{tinyToken: true, bareTiny: true} {
		r := newTusRig(t)
		wantAnswer(t, r.ask("POST", "/"+token, nil, "Upload-Length", "101", "Upload-Metadata", file), 413, "too large")
		r.begin(token, 100)
		wantAnswer(t, r.ask("POST", "/"+badToken, nil, "Upload-Length", "5", "Upload-Metadata", file), 403, "token")
	}
}

// TestPatchRefuses walks through what is refused of a PATCH: the upload stays as it was.
func TestPatchRefuses(t *testing.T) {
	type h = []string
	for token, place := range places() {
		r := newTusRig(t)
		url := r.begin(token, 8)
		if w := r.patch(url, 0, "con"); w.Code != 204 {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
		for name, row := range map[string]struct {
			head   []string
			body   string
			status int
			text   string
		}{
			"offset before":    {h{"Upload-Offset", "0"}, "cont", 409, "Upload-Offset"},
			"offset behind":    {h{"Upload-Offset", "4"}, "ents", 409, "Upload-Offset"},
			"no offset":        {h{"Upload-Offset", ""}, "tents", 400, "Upload-Offset"},
			"negative offset":  {h{"Upload-Offset", "-3"}, "tents", 400, "Upload-Offset"},
			"type":             {h{"Content-Type", "text/plain"}, "tents", 415, "Content-Type"},
			"too much":         {h{}, "tentsX", 413, "more content"},
			"checksum":         {h{"Upload-Checksum", "sha256 " + sum64("other")}, "tents", 460, "checksum"},
			"checksum of some": {h{"Upload-Checksum", "sha256 " + sum64("ten")}, "te", 460, "checksum"},
			"algorithm":        {h{"Upload-Checksum", "crc32 AAAA"}, "tents", 400, "sha1,sha256"},
			"no checksum":      {h{"Upload-Checksum", "sha256 AAAA"}, "tents", 400, "Upload-Checksum"},
			"content digest":   {h{"Content-Digest", "sha-256=:" + sum64("other") + ":"}, "tents", 460, "checksum"},
		} {
			w := r.patch(url, 3, row.body, row.head...)
			if w.Code != row.status || !strings.Contains(w.Body.String(), row.text) {
				t.Errorf("%s: %d %q, want %d %q", name, w.Code, w.Body, row.status, row.text)
			}
			r.wantOffset(url, 3, 8)
		}
		req := httptest.NewRequest("PATCH", url, strings.NewReader("tentsX"))
		req.ContentLength = -1
		req.Header = http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {"3"}, "Content-Type": {"application/offset+octet-stream"}}
		wantAnswer(t, r.do(req), 413, "more content")
		r.wantOffset(url, 3, 8)
		unread := &counter{Reader: zeros{}}
		req.Body, req.ContentLength = io.NopCloser(unread), 6
		req.Header.Set("Expect", "100-continue")
		wantAnswer(t, r.do(req), 413, "more content")
		if unread.n > 0 {
			t.Errorf("%d bytes were read of too many", unread.n)
		}
		for _, other := range []string{url + "x", url[:len(url)-1], strings.Replace(url, token, overToken, 1), strings.Replace(url, token, bareOver, 1), "/" + token + "/.uploads/"} {
			for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
				wantAnswer(t, r.ask(method, other, strings.NewReader("tents"), "Upload-Offset", "3"), 404, "no such upload")
			}
		}
		wantAnswer(t, r.ask("PATCH", strings.Replace(url, token, badToken, 1), nil), 403, "token")
		r.wantFiles(nil)
		if w := r.patch(url, 3, "ten", "Upload-Checksum", "sha256 "+sum64("ten")); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		// Some proxies let no PATCH through.
		if w := r.ask("POST", url, strings.NewReader("ts"), "Upload-Offset", "6", "X-HTTP-Method-Override", "PATCH"); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		r.wantFiles(map[string]string{place: "contents"})
	}
}

func sum64(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestTerminate drops an upload: nothing of it stays.
func TestTerminate(t *testing.T) {
	for token := range places() {
		r := newTusRig(t)
		url := r.begin(token, 8)
		r.patch(url, 0, "con")
		if w := r.ask("DELETE", url, nil); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
			wantAnswer(t, r.ask(method, url, strings.NewReader("x"), "Upload-Offset", "3"), 404, "")
		}
		r.wantNothing()
		if list, err := r.uploads(token).unfinished(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("%v, %v", list, err)
		}
	}
}

// TestOptions tells what the door can do, to who has a token.
func TestOptions(t *testing.T) {
	r := newTusRig(t)
	w := r.do(httptest.NewRequest("OPTIONS", "/"+tinyToken, nil))
	h := w.Header()
	if w.Code != 204 || h.Get("Tus-Version") != "1.0.0" || h.Get("Tus-Max-Size") != "100" || h.Get("Tus-Checksum-Algorithm") != "sha1,sha256" ||
		h.Get("Tus-Extension") != "creation,creation-with-upload,expiration,checksum,termination" {
		t.Errorf("%d %v", w.Code, h)
	}
	wantAnswer(t, r.do(httptest.NewRequest("OPTIONS", "/"+badToken, nil)), 403, "token")
}

// TestManyUploads bounds how many uploads may be open, and how often a client may go on.
func TestManyUploads(t *testing.T) {
	for token := range places() {
		r := tusRig{newRigOver(t, objecttest.NewStore(t), buckets())}
		url := r.begin(token, smallSteps+5)
		for i := range smallSteps {
			if w := r.patch(url, i, "x"); w.Code != 204 {
				t.Fatalf("%d: %d %q", i, w.Code, w.Body)
			}
		}
		wantAnswer(t, r.patch(url, smallSteps, "x"), 400, "small pieces")
		for range maxOpen - 1 {
			if _, err := r.uploads(token).begin(t.Context(), plan{Version: planVersion, Name: "y", Length: 1, Step: 1}); err != nil {
				t.Fatal(err)
			}
		}
		w := r.ask("POST", "/"+token, nil, "Upload-Length", "1", "Upload-Metadata", metaOf("x"))
		wantAnswer(t, w, 429, "unfinished")
		if w.Header().Get("Retry-After") == "" {
			t.Error("it does not say when to try again")
		}
	}
}
