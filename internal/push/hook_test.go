package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// script is hooks that a test has written, by name; nil is no such hook.
type script struct {
	pre, post func(ctx context.Context, call HookCall) (HookResult, error)

	mu    sync.Mutex // guards calls
	calls []HookCall
}

func (s *script) of(name string) func(context.Context, HookCall) (HookResult, error) {
	if name == preHook {
		return s.pre
	}
	return s.post
}

func (s *script) Has(name string) bool { return s.of(name) != nil }

func (s *script) Run(ctx context.Context, call HookCall) (HookResult, error) {
	if !s.Has(call.Name) {
		return HookResult{}, ErrNoHook
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	return s.of(call.Name)(ctx, call)
}

func ends(code int, said string) func(context.Context, HookCall) (HookResult, error) {
	return func(context.Context, HookCall) (HookResult, error) {
		return HookResult{Code: code, Output: []byte(said)}, nil
	}
}

func fails(err error) func(context.Context, HookCall) (HookResult, error) {
	return func(context.Context, HookCall) (HookResult, error) { return HookResult{}, err }
}

func (r *rig) hooks(s *script) { r.door.hooks = s }

// tokens are two that differ in where files go.
var tokens = map[string]string{nameToken: "db01/x", bareToken: bareToken + "/x"}

// TestPrePushCodes: what pre-push.sh says is done, and what means nothing is what hooks.failure makes of it.
func TestPrePushCodes(t *testing.T) {
	const aborted = "upload aborted due to pre-push hook\n"
	for name, row := range map[string]struct {
		hook        func(context.Context, HookCall) (HookResult, error)
		fresh, over int // the status for a new name and for one that is taken
		text        string
		failure     bool
	}{
		"none":           {nil, 200, 405, "", false},
		"store":          {ends(0, "not for the client"), 200, 405, "", false},
		"refuse":         {ends(1, "not on\nMondays\n"), 409, 409, aborted + "not on\nMondays\n", false},
		"refuse, silent": {ends(1, ""), 409, 409, aborted, false},
		"replace":        {ends(2, ""), 200, 200, "", false},
		"code 3":         {ends(3, "odd"), 409, 409, aborted, true},
		"signal":         {ends(137, ""), 409, 409, aborted, true},
		"code -1":        {ends(-1, ""), 409, 409, aborted, true},
		"not run":        {fails(errors.New("others may write to it")), 409, 409, aborted, true},
		// What a missing interpreter looks like is not that there is no hook.
		"no interpreter": {fails(&os.PathError{Op: "fork/exec", Path: "/x", Err: syscall.ENOENT}), 409, 409, aborted, true},
		"no right":       {fails(syscall.EACCES), 409, 409, aborted, true},
	} {
		for _, allow := range []bool{false, true} {
			for token, at := range tokens {
				t.Run(fmt.Sprintf("%s/%t/%s", name, allow, token[:6]), func(t *testing.T) {
					fresh, over, text := row.fresh, row.over, row.text
					if row.failure && allow {
						fresh, over, text = 200, 405, ""
					}
					r := newRig(t)
					r.door.allowFailed = allow
					if row.hook != nil {
						r.hooks(&script{pre: row.hook})
					}
					want := map[string]string{}
					w := r.push(token, "x", "first")
					if w.Code != fresh || text != "" && w.Body.String() != text {
						t.Errorf("answer %d %q, want %d %q", w.Code, w.Body, fresh, text)
					}
					if fresh == 200 {
						want[at] = "first"
					}
					r.wantStored(want)
					if strings.Contains(r.logs.String(), "pre-push.sh: ") != row.failure {
						t.Errorf("a failure is in the log, or none that was:\n%s", r.logs)
					}
					wantEvent := "denied"
					if row.failure {
						wantEvent = "failed"
					}
					if got := r.lastLine()["event"]; fresh == 409 && got != wantEvent {
						t.Errorf("event %v", got)
					}

					r.hooks(&script{})
					r.push(token, "x", "first")
					if row.hook != nil {
						r.hooks(&script{pre: row.hook})
					}
					if w = r.push(token, "x", "second"); w.Code != over {
						t.Errorf("a name that is taken: answer %d %q, want %d", w.Code, w.Body, over)
					}
					want[at] = "first"
					if over == 200 {
						want[at] = "second"
					}
					r.wantStored(want)
				})
			}
		}
	}
}

// TestHookArguments: both hooks get what file-bucket promised, a refusal needs no rest of the body, and a name that is no
// good reaches neither.
func TestHookArguments(t *testing.T) {
	for token := range tokens {
		r := newRig(t)
		var seen string
		hooks := &script{pre: ends(0, "")}
		hooks.post = func(_ context.Context, call HookCall) (HookResult, error) {
			data, err := os.ReadFile(call.Args[1])
			seen = string(data)
			return HookResult{Output: []byte("thanks\n")}, err
		}
		r.hooks(hooks)
		req := post("/"+token+"/more", simpleForm("../$(id) ä;'x'.sql", "content"))
		req.RemoteAddr = "[::ffff:192.0.2.7]:4711"
		wantAnswer(t, r.do(req), 200, "thanks\n")
		if seen != "content" {
			t.Errorf("post-push.sh reads %q", seen)
		}
		if len(hooks.calls) != 2 {
			t.Fatalf("calls %q", hooks.calls)
		}
		const name, from = "$(id) ä;'x'.sql", "192.0.2.7:4711"
		pre, after := hooks.calls[0], hooks.calls[1]
		if pre.Name != preHook || !slices.Equal(pre.Args, []string{token, name, "7", from}) {
			t.Errorf("pre-push.sh got %q", pre.Args)
		}
		bucket := map[string]string{nameToken: "db01"}[token]
		env := []string{"FB_BUCKET=" + bucket, "FB_TOKEN=" + token, "FB_FILE=" + name, "FB_SIZE=7", "FB_REMOTE=" + from}
		if !slices.Equal(pre.Env, env) {
			t.Errorf("pre-push.sh has %q", pre.Env)
		}
		path := after.Args[1]
		if after.Name != postHook || after.Args[0] != token || after.Args[2] != from || len(after.Args) != 3 || filepath.Base(path) != name {
			t.Errorf("post-push.sh got %q", after.Args)
		}
		sum := "FB_SHA256=ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
		if !slices.Equal(after.Env, append(env, sum)) {
			t.Errorf("post-push.sh has %q", after.Env)
		}
		if token == bareToken && path != filepath.Join(r.home, token, name) {
			t.Errorf("path %q", path)
		}
		if _, err := os.Stat(path); (err == nil) != (token == bareToken) {
			t.Errorf("%s: when the hook has ended: %v", path, err)
		}
		for _, bad := range []string{"-rf", "..", ".x", "a\xffb"} {
			wantAnswer(t, r.push(token, bad, "content"), 400, "invalid file name")
		}
		wantAnswer(t, r.do(post("/"+badToken, simpleForm("x", "content"))), 403, "token doesn't exist")
		if len(hooks.calls) != 2 {
			t.Errorf("hooks were called for %q", hooks.calls[2:])
		}
	}
}

// TestPostPush: the file stays stored whatever comes of post-push.sh.
func TestPostPush(t *testing.T) {
	for name, row := range map[string]struct {
		hook   func(context.Context, HookCall) (HookResult, error)
		text   string
		failed bool
	}{
		"says":        {ends(0, "thank \xff you"), "thank \xff you", false},
		"silent":      {ends(0, ""), "x 7 sha256:", false},
		"code":        {ends(1, "hidden"), "x 7 sha256:", true},
		"not run":     {fails(errors.New("hidden")), "x 7 sha256:", true},
		"cannot read": {fails(os.ErrNotExist), "x 7 sha256:", true},
		"vanished":    {fails(ErrNoHook), "x 7 sha256:", false},
	} {
		for token, at := range tokens {
			r := newRig(t)
			r.hooks(&script{post: row.hook})
			w := r.push(token, "x", "content")
			if w.Code != 200 || !strings.HasPrefix(w.Body.String(), row.text) {
				t.Errorf("%s: answer %d %q, want %q", name, w.Code, w.Body, row.text)
			}
			if got := w.Header().Get("X-File-Bucket-Hook"); (got == "failed") != row.failed || !row.failed && got != "" {
				t.Errorf("%s: header %q", name, got)
			}
			if strings.Contains(r.logs.String(), `"level":"error"`) != row.failed {
				t.Errorf("%s: the log:\n%s", name, r.logs)
			}
			entries, err := os.ReadDir(r.home)
			if err != nil && token == bareToken {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), copyPrefix) {
					t.Errorf("%s: %s is left", name, e.Name())
				}
			}
			r.wantStored(map[string]string{at: "content"})
		}
	}
}

func TestHookAnswersAsJSON(t *testing.T) {
	r := newRig(t)
	var failed bool
	ask := func() (status int, hook string) {
		t.Helper()
		req := post("/"+nameToken, simpleForm("x", "content"))
		req.Header.Set("Accept", "application/json")
		w := r.do(req)
		var got struct {
			Hook   string
			Failed bool `json:"hook_failed"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Errorf("%q: %v", w.Body, err)
		}
		failed = got.Failed
		return w.Code, got.Hook
	}
	r.hooks(&script{pre: ends(1, "no <b>\n")})
	if status, hook := ask(); status != 409 || hook != "no <b>\n" {
		t.Errorf("answer %d %q", status, hook)
	}
	r.hooks(&script{post: ends(0, "yes\n")})
	if status, hook := ask(); status != 200 || hook != "yes\n" || failed {
		t.Errorf("answer %d %q, failed %t", status, hook, failed)
	}
	r = newRig(t)
	r.hooks(&script{post: ends(1, "")})
	if status, hook := ask(); status != 200 || hook != "" || !failed {
		t.Errorf("answer %d %q, failed %t", status, hook, failed)
	}
}

// TestHookSaysTheToken: rig looks for tokens in the log.
func TestHookSaysTheToken(t *testing.T) {
	r := newRig(t)
	for _, code := range []int{1, 3} {
		r.hooks(&script{pre: ends(code, "no "+nameToken), post: ends(code, "no "+nameToken)})
		r.push(nameToken, "x", "content")
	}
	r.hooks(&script{post: ends(3, "no "+nameToken)})
	r.push(nameToken, "x", "content")
	if n := strings.Count(r.logs.String(), shown(nameToken)+"…"); n != 3 {
		t.Errorf("said %d times:\n%s", n, r.logs)
	}
}

// TestHookSaysWhyItFailed: what it wrote to stderr is with the failure in the log, without the token.
func TestHookSaysWhyItFailed(t *testing.T) {
	fail := func(context.Context, HookCall) (HookResult, error) {
		return HookResult{Code: 127, Stderr: "mail for " + nameToken + ": not found"}, nil
	}
	for _, s := range []*script{{pre: fail}, {post: fail}} {
		r := newRig(t)
		r.hooks(s)
		r.push(nameToken, "x", "content")
		if want := `exit code 127: \"\", and on stderr \"mail for ` + shown(nameToken) + `…: not found\"`; !strings.Contains(r.logs.String(), want) {
			t.Errorf("want %s in:\n%s", want, r.logs)
		}
	}
}

// TestErrorOfAHookHasTheToken: rig looks for tokens in the log, where they must not be.
func TestErrorOfAHookHasTheToken(t *testing.T) {
	for token := range tokens {
		cause := errors.New("/etc/pre-push.sh: 3: cannot create /srv/missing/" + token + "/log: Directory nonexistent")
		for _, s := range []*script{{pre: fails(cause)}, {post: fails(cause)}} {
			for _, allow := range []bool{false, true} {
				r := newRig(t)
				r.door.allowFailed = allow
				r.hooks(s)
				r.push(token, "x", "content")
				if want := "cannot create /srv/missing/" + shown(token) + "…/log: Directory nonexistent"; !strings.Contains(r.logs.String(), want) {
					t.Errorf("want %s in:\n%s", want, r.logs)
				}
			}
		}
	}
}

// TestSizeBeforeTheBody: pre-push.sh is told the size before the file has come.
func TestSizeBeforeTheBody(t *testing.T) {
	const content = "0123456789"
	field := "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n"
	plain := string(simpleForm("x", content))
	std, stdType := stdForm(t, func(w *multipart.Writer) error {
		part, err := w.CreateFormFile("file", "x")
		_, writeErr := io.WriteString(part, content)
		return errors.Join(err, writeErr)
	})
	for name, row := range map[string]struct {
		form, contentType string
		want              string
	}{
		"plain":            {plain, "", "10"},
		"empty":            {string(simpleForm("x", "")), "", "0"},
		"large":            {string(simpleForm("x", strings.Repeat(content, 50_000))), "", "500000"},
		"fields before":    {field + field + plain, "", "10"},
		"preamble":         {"hello\r\n\r\n" + plain, "", "10"},
		"quoted boundary":  {strings.ReplaceAll(plain, "--b", "--b c"), `multipart/form-data; boundary="b c"`, "10"},
		"standard library": {std.String(), stdType, "10"},
		"more headers":     {strings.Replace(plain, "\r\n\r\n", "\r\nX-More: "+strings.Repeat("y", 5000)+"\r\n folded\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1), "", "10"},
		// More than there is, never less by more than the ends of lines that are missing.
		"field behind": {strings.TrimSuffix(plain, "--b--\r\n") + field + "--b--\r\n", "", fmt.Sprint(10 + len(field))},
		"no last line": {strings.TrimSuffix(plain, "\r\n"), "", "8"},
		"chunked":      {plain, "", "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			hooks := &script{pre: ends(0, "")}
			r.hooks(hooks)
			req := post("/"+nameToken, raw(row.form))
			if row.contentType != "" {
				req.Header.Set("Content-Type", row.contentType)
			}
			if name == "chunked" {
				req.ContentLength = -1
			}
			wantAnswer(t, r.do(req), 200, "x ")
			if got := hooks.calls[0].Args[2]; got != row.want {
				t.Errorf("size %s, want %s", got, row.want)
			}
		})
	}
}

// TestRefusedBeforeTheBody: what pre-push.sh refuses is not sent in vain.
func TestRefusedBeforeTheBody(t *testing.T) {
	r := newRig(t)
	r.hooks(&script{pre: func(_ context.Context, call HookCall) (HookResult, error) {
		return HookResult{Code: 1, Output: []byte(call.Args[2])}, nil
	}})
	form := string(simpleForm("x", strings.Repeat("0123456789", 1<<20)))
	w := dial(t, r.serve().Listener.Addr().String())
	w.send(head(nameToken, len(form), "") + form[:200])
	if got := w.answer(); got.status != 409 || !got.closes || !strings.HasSuffix(got.body, fmt.Sprint("hook\n", 10<<20)) {
		t.Errorf("got %+v", got)
	}
	r.wantNothing()
}

// TestClientGone: hooks and the push that they decide on go on without a client that has sent everything. It may still listen:
// whoever closes only its own half of the connection looks the same.
func TestClientGone(t *testing.T) {
	for token, name := range tokens {
		r := newRig(t)
		ctx, leave := context.WithCancel(t.Context())
		r.hooks(&script{
			pre: func(ctx context.Context, _ HookCall) (HookResult, error) {
				leave()
				return HookResult{}, ctx.Err()
			},
			post: func(ctx context.Context, _ HookCall) (HookResult, error) {
				return HookResult{Code: 0, Output: []byte("done")}, ctx.Err()
			},
		})
		wantAnswer(t, r.do(post("/"+token, simpleForm("x", "content")).WithContext(ctx)), http.StatusOK, "done")
		r.wantStored(map[string]string{name: "content"})
	}
}

// TestHalfClosed: a client that closes its half of the connection behind the body, as nc does, is answered.
func TestHalfClosed(t *testing.T) {
	for token, name := range tokens {
		r := newRig(t)
		gone := make(chan struct{})
		r.hooks(&script{pre: func(context.Context, HookCall) (HookResult, error) {
			<-gone
			return HookResult{}, nil
		}})
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			context.AfterFunc(req.Context(), func() { close(gone) })
			r.door.ServeHTTP(w, req)
		}))
		t.Cleanup(ts.Close)
		w := dial(t, ts.Listener.Addr().String())
		form := string(simpleForm("x", "content"))
		w.send(head(token, len(form), "") + form)
		if err := w.conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := w.answer(); got.status != http.StatusOK {
			t.Errorf("got %+v", got)
		}
		r.wantStored(map[string]string{name: "content"})
	}
}

// TestCut: the end that the daemon puts to requests ends pre-push.sh, and the push that it decides on is stored by nobody.
func TestCut(t *testing.T) {
	for _, allow := range []bool{false, true} {
		r := newRig(t)
		r.door.allowFailed = allow
		ctx, cut := context.WithCancel(t.Context())
		r.door.outlast = func(context.Context) context.Context { return ctx }
		r.hooks(&script{pre: func(ctx context.Context, _ HookCall) (HookResult, error) {
			cut()
			<-ctx.Done()
			return HookResult{}, ctx.Err()
		}})
		wantAnswer(t, r.do(post("/"+nameToken, simpleForm("x", "content"))), 503, "interrupted")
		r.wantNothing()
	}
}

func TestPeer(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:1":          "192.0.2.7:1",
		"[::ffff:192.0.2.7]:1": "192.0.2.7:1",
		"[2001:db8::1]:65535":  "[2001:db8::1]:65535",
		"[fe80::1%eth0]:1":     "[fe80::1]:1",
		"@":                    "@",
	} {
		if got := peerOf(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
