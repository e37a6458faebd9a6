package push

import (
	"crypto/subtle"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hugbucket/internal/object/objecttest"
)

// What a client can do that somebody has broken into: it has a token that is right, and all the time of the world. Each test is one
// thing that it cannot do.

const secret = "the content of a secret file"

// victim is a door with files of the client's own and of others.
func victim(t *testing.T) (r *rig, stored map[string]string) {
	t.Helper()
	r = newRigOver(t, objecttest.NewStore(t), append(buckets(), Bucket{Name: "payroll", Token: "payroll-token-0000009"}))
	for _, token := range []string{nameToken, bareToken, "payroll-token-0000009"} {
		wantAnswer(t, r.push(token, "secret.sql", secret), 200, "secret.sql")
	}
	r.logs.forget()
	return r, r.stored()
}

// forget empties the log.
func (l *logs) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// methods are those that servers of all kinds know, and one that none knows.
var methods = []string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "SEARCH", "LIST",
}

// attempts asks for paths below a token and elsewhere in every way, and yields the answers but for those to honest pushes.
func (r *rig) attempts(token string, yield func(req *http.Request, w *httptest.ResponseRecorder)) {
	r.t.Helper()
	for _, path := range []string{
		"", "/", "/secret.sql", "/secret.sql/", "/secret", "/./secret.sql", "//secret.sql", "/../payroll/secret.sql", "/%2e%2e/payroll/secret.sql",
		"/..%2fpayroll%2fsecret.sql", "/*", "/?list-type=2", "/?prefix=s", "/secret.sql?versionId=null", "/secret.sql?uploads", "/.uploads/", "/.uploads/x",
	} {
		for _, method := range methods {
			req := httptest.NewRequest(method, "/"+token+path, nil)
			for _, h := range []string{"Destination", "Content-Location", "X-Amz-Copy-Source", "X-Original-URL", "X-Rewrite-URL"} {
				req.Header.Set(h, "/"+token+"/secret.sql")
			}
			req.Header.Set("X-HTTP-Method-Override", "GET")
			req.Header.Set("Range", "bytes=0-")
			yield(req, r.do(req))
		}
	}
}

// TestCompromisedClientCannotRead: no answer holds stored content, or tells by a header that there is some.
func TestCompromisedClientCannotRead(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r, _ := victim(t)
		r.attempts(token, func(req *http.Request, w *httptest.ResponseRecorder) {
			what := fmt.Sprintf("%s %s: %d %v %q", req.Method, req.URL, w.Code, w.Header(), w.Body)
			if strings.Contains(w.Body.String(), "content of") || w.Code < 400 && req.Method != "OPTIONS" {
				t.Error(what)
			}
			for _, h := range []string{"ETag", "Last-Modified", "Content-Range", "Accept-Ranges", "Location", "X-Checksum-Sha256"} {
				if w.Header().Get(h) != "" {
					t.Errorf("%s in %s", h, what)
				}
			}
		})
	}
}

// TestCompromisedClientCannotList: no answer names a file that the request did not name, and whether there is a file makes no
// difference to any request but a push of that name.
func TestCompromisedClientCannotList(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r, _ := victim(t)
		empty := newRigOver(t, objecttest.NewStore(t), append(buckets(), Bucket{Name: "payroll", Token: "payroll-token-0000009"}))
		r.attempts(token, func(req *http.Request, w *httptest.ResponseRecorder) {
			if !strings.Contains(req.URL.String(), "secret") && strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), "secret") {
				t.Errorf("%s %s: %q", req.Method, req.URL, w.Body)
			}
			other := empty.do(httptest.NewRequest(req.Method, req.URL.String(), nil))
			if other.Code != w.Code || other.Body.String() != w.Body.String() {
				t.Errorf("%s %s: %d %q with files, %d %q without", req.Method, req.URL, w.Code, w.Body, other.Code, other.Body)
			}
		})
	}
}

// TestCompromisedClientCannotOverwriteOrDelete: whatever it asks for and however it calls a file, those that are there stay as they
// are.
func TestCompromisedClientCannotOverwriteOrDelete(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r, stored := victim(t)
		r.attempts(token, func(*http.Request, *httptest.ResponseRecorder) {})
		for _, name := range []string{
			"secret.sql", "./secret.sql", "../" + token + "/secret.sql", "../payroll/secret.sql", "/secret.sql", `C:\secret.sql`, "secret.sql/", "secret.sql/.",
			"secret.sql\x00", "secret.sql\x00.txt", "", ".", "..", filepath.Join(r.home, bareToken, "secret.sql"),
		} {
			r.push(token, name, "overwritten")
			req := httptest.NewRequest(http.MethodPut, "/"+token+"/x", io.NopCloser(strings.NewReader("overwritten")))
			req.URL.Path, req.URL.RawPath = "/"+token+"/"+name, ""
			req.ContentLength = 11
			r.do(req)
		}
		now := r.stored()
		for name, content := range stored {
			if now[name] != content {
				t.Errorf("%s is now %q", name, now[name])
			}
		}
		maps.DeleteFunc(now, func(name, _ string) bool {
			return stored[name] != "" || strings.HasPrefix(name, map[string]string{nameToken: "db01/", bareToken: bareToken + "/"}[token])
		})
		if len(now) > 0 {
			t.Errorf("elsewhere there is now %q", now)
		}
	}
}

// TestCompromisedClientCannotLearnTokens: every token that does not exist has the same answer, be it half of one that does, or all of it but
// for the case; and the look-up does the same for each.
func TestCompromisedClientCannotLearnTokens(t *testing.T) {
	wrong := []string{
		badToken, "payroll-token-0000008", "payroll-token-000000", "payroll-token-00000090", "PAYROLL-TOKEN-0000009", "payroll0", "db01db01", "secret-sql",
		nameToken[:31], nameToken + "0", bareToken[:16], strings.ToUpper(nameToken),
	}
	want := make(map[string]string) // by path
	for _, token := range wrong {
		r, _ := victim(t) // with whom the address has not guessed before
		for path, form := range map[string]raw{"/": simpleForm("secret.sql", secret), "/secret.sql": nil, "/other": simpleForm("x", "")} {
			w := r.do(post("/"+token+path, form))
			if got := fmt.Sprint(w.Code, w.Header(), w.Body); want[path] == "" {
				want[path] = got
			} else if got != want[path] {
				t.Errorf("%s: %s, others %s", token, got, want[path])
			}
		}
		compared := 0
		r.door.access.Load().find(token, func(x, y []byte) int {
			compared++
			return subtle.ConstantTimeCompare(x, y)
		})
		if compared != len(*r.door.access.Load()) {
			t.Errorf("%s was compared with %d", token, compared)
		}
	}
}

// TestCompromisedClientCannotLearnBuckets: no answer to a bare token holds a bucket's name, and none to any token another's.
func TestCompromisedClientCannotLearnBuckets(t *testing.T) {
	for _, token := range []string{nameToken, bareToken, badToken} {
		r, _ := victim(t)
		check := func(w *httptest.ResponseRecorder) {
			t.Helper()
			text := w.Body.String() + fmt.Sprint(w.Header())
			for _, b := range append(buckets(), Bucket{Name: "payroll", Token: "payroll-token-0000009"}) {
				if b.Name != "" && b.Token != token && strings.Contains(text, b.Name) || b.Token != token && strings.Contains(text, b.Token[:8]) {
					t.Errorf("%s…: %q tells of %s", token[:6], text, b.label())
				}
			}
		}
		r.attempts(token, func(req *http.Request, w *httptest.ResponseRecorder) {
			if !strings.Contains(req.URL.String(), "payroll") {
				check(w)
			}
		})
		for _, name := range []string{"x", "secret.sql", "-rf", "../db01/x"} {
			req := post("/"+token, simpleForm(name, "content"))
			req.Header.Set("Accept", "application/json")
			check(r.do(req))
			check(r.push(token, name, "content"))
		}
	}
}

// TestCompromisedClientCannotFillTheDisk: with all the pushes at once that it may have, of files without end, it gets to its quota and
// not beyond; and nothing is left of what was not stored.
func TestCompromisedClientCannotFillTheDisk(t *testing.T) {
	const quota = 1 << 20
	for _, token := range []string{nameToken, bareToken} {
		r := newRigOver(t, objecttest.NewStore(t), []Bucket{{Name: "db01", Token: nameToken, Quota: quota}, {Token: bareToken, Quota: quota}})
		var work sync.WaitGroup
		for i := range 2 * tokenUploads {
			work.Go(func() {
				endless := put(fmt.Sprintf("/%s/endless%d", token, i), "", -1)
				endless.Body = io.NopCloser(io.LimitReader(zeros{}, 64<<20))
				if w := r.do(endless); w.Code != 507 && w.Code != 429 {
					t.Errorf("answer %d %q", w.Code, w.Body)
				}
				r.do(put(fmt.Sprintf("/%s/small%d", token, i), bytesOf(60<<10), 60<<10))
			})
		}
		work.Wait()
		total := 0
		for name, content := range r.stored() {
			if total += len(content); !strings.Contains(name, "/small") {
				t.Errorf("%s is stored", name)
			}
		}
		if total == 0 || total > quota {
			t.Errorf("%d bytes are stored", total)
		}
		entries, err := os.ReadDir(filepath.Join(r.home, token))
		if err != nil && token == bareToken {
			t.Error(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				t.Errorf("%s is left", e.Name())
			}
		}
	}
}
