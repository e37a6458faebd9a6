package push

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"hugbucket/internal/mounttest"
)

// The bugs that an earlier file-bucket had, each as it was met. Those of its daemon have tests in cmd/file-bucketd.

// TestBugPanicOnCreateOrCopyError: an odd name or a full disk had the connection closed without an answer.
func TestBugPanicOnCreateOrCopyError(t *testing.T) {
	if !mounttest.MayMount(t) {
		return
	}
	r := newRig(t)
	mounttest.Tmpfs(t, r.home, "size=1m")
	r.hooks(&script{pre: ends(hookReplace, "")})
	for name, req := range map[string]*http.Request{
		"300 characters":      post("/"+bareToken, simpleForm(strings.Repeat("n", 300), "content")),
		"dots, overwriting":   post("/"+bareToken, simpleForm("..", "content")),
		"300 characters, PUT": put("/"+bareToken+"/"+strings.Repeat("n", 300), "content", 7),
	} {
		if w := r.do(req); w.Code != 400 || !strings.HasPrefix(w.Body.String(), "invalid file name: ") {
			t.Errorf("%s: answer %d %q", name, w.Code, w.Body)
		}
	}
	wantAnswer(t, r.do(put("/"+bareToken+"/x", strings.Repeat("x", 2<<20), -1)), 507, "no space left\n") // not known before
	if strings.Contains(r.logs.String(), "panic") {
		t.Error(r.logs)
	}
}

// TestBugPartialFileStays: what came before the disk was full, or the client was gone, stayed, and was in the way of the next try.
func TestBugPartialFileStays(t *testing.T) {
	if !mounttest.MayMount(t) {
		return
	}
	for token, place := range map[string]string{bareToken: bareToken + "/x", bareOver: bareOver + "/x"} {
		r := newRig(t)
		mounttest.Tmpfs(t, r.home, "size=1m")
		wantAnswer(t, r.push(token, "x", strings.Repeat("x", 2<<20)), 507, "no space left\n")
		wantAnswer(t, r.do(put("/"+token+"/x", strings.Repeat("x", 2<<20), 2<<20)), 507, "no space left\n")
		wantAnswer(t, r.do(put("/"+token+"/x", strings.Repeat("x", 2<<20), -1)), 507, "no space left\n")
		wantAnswer(t, r.do(put("/"+token+"/x", "cont", 7)), 400, "upload is incomplete\n")
		r.wantNothing()
		wantAnswer(t, r.push(token, "x", strings.Repeat("y", 900<<10)), 200, "x ")
		r.wantStored(map[string]string{place: strings.Repeat("y", 900<<10)})
	}
}

// TestBugNoSync: a file was said to be stored that was not on the disk yet, and might never be.
func TestBugNoSync(t *testing.T) {
	for name, broken := range map[string]func(p *partial) *os.File{
		"file":      func(p *partial) *os.File { return p.file },
		"directory": func(p *partial) *os.File { return p.dir },
	} {
		dir := t.TempDir()
		p, err := newPartial(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := broken(p).Close(); err != nil { // it cannot be synced then
			t.Fatal(err)
		}
		if err := p.publish("x", true); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "x")); name == "file" && err == nil {
			t.Error("the file was visible before it was durable")
		}
		p.close()
	}
}

// onRead calls a function before the first Read.
type onRead struct {
	io.Reader
	do func()
}

func (o *onRead) Read(p []byte) (int, error) {
	if o.do != nil {
		o.do()
		o.do = nil
	}
	return o.Reader.Read(p)
}

// TestBugStatThenCreate: a file that came between the look at the name and the opening of the file was overwritten.
func TestBugStatThenCreate(t *testing.T) {
	for token, place := range tokens {
		r := newRig(t)
		req := put("/"+token+"/x", "", 6)
		req.Body = io.NopCloser(&onRead{strings.NewReader("second"), func() {
			wantAnswer(t, r.push(token, "x", "first"), 200, "x 5")
		}})
		wantAnswer(t, r.do(req), 405, "file exists\n")
		r.wantStored(map[string]string{place: "first"})
	}
}

// TestBugTokenComparedWithEquals: how far tokens were compared told how far they were right.
func TestBugTokenComparedWithEquals(t *testing.T) {
	r := newRig(t)
	for _, token := range []string{badToken, bareToken, bareToken[:31] + "5", bareTiny} {
		compared := 0
		r.door.access.Load().find(token, func(x, y []byte) int {
			compared++
			if len(x) != 32 || len(y) != 32 || strings.Contains(string(x)+string(y), token[:4]) {
				t.Errorf("compared %q with %q", x, y)
			}
			return subtle.ConstantTimeCompare(x, y)
		})
		if compared != len(buckets()) {
			t.Errorf("%s…: %d tokens compared", token[:6], compared)
		}
	}
}

// TestBugBodyBuffered: 32 MiB of an upload were held in memory, and the rest of it was written twice.
func TestBugBodyBuffered(t *testing.T) {
	const size = 64 << 20
	r := newRig(t)
	spool := t.TempDir()
	t.Setenv("TMPDIR", spool)
	form := strings.SplitAfterN(string(simpleForm("form", "")), "\r\n\r\n", 2)
	posted := post("/"+bareToken, nil)
	posted.Body = io.NopCloser(io.MultiReader(strings.NewReader(form[0]), io.LimitReader(zeros{}, size), strings.NewReader(form[1])))
	posted.ContentLength = int64(len(form[0]) + size + len(form[1]))
	whole := put("/"+bareToken+"/put", "", size)
	whole.Body = io.NopCloser(io.LimitReader(zeros{}, size))
	for name, req := range map[string]*http.Request{"form": posted, "put": whole} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		wantAnswer(t, r.do(req), 200, fmt.Sprintf("%s %d ", name, size))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
			t.Errorf("%s: %d KiB of memory for %d", name, took>>10, size>>10)
		}
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("spooled %v, %v", left, err)
	}
}

// TestBugHookGetsNoSize: pre-push.sh was told 0, when all of the file had come already.
func TestBugHookGetsNoSize(t *testing.T) {
	for token := range tokens {
		r := newRig(t)
		body := &counter{Reader: strings.NewReader("content")}
		told, read := "", -1
		r.hooks(&script{pre: func(_ context.Context, call HookCall) (HookResult, error) {
			told, read = call.Args[2], body.n
			return HookResult{}, nil
		}})
		req := put("/"+token+"/x", "", 7)
		req.Body = io.NopCloser(body)
		wantAnswer(t, r.do(req), 200, "x 7")
		if told != "7" || read != 0 {
			t.Errorf("told %s after %d bytes", told, read)
		}
	}
}

// TestBugHookCodesMeanYes: whatever was not 1 or 2 let a push through, even a script that was not run.
func TestBugHookCodesMeanYes(t *testing.T) {
	for name, hook := range map[string]func(context.Context, HookCall) (HookResult, error){
		"3": ends(3, ""), "a signal": ends(128+9, ""), "no interpreter": fails(&fs.PathError{Op: "fork/exec", Path: "/x", Err: syscall.ENOENT}),
	} {
		r := newRig(t)
		r.hooks(&script{pre: hook})
		if w := r.push(bareToken, "x", "content"); w.Code != 409 || !strings.Contains(r.logs.String(), `"event":"failed"`) {
			t.Errorf("%s: answer %d %q", name, w.Code, w.Body)
		}
		r.wantNothing()
	}
	r := newRig(t)
	r.hooks(&script{})
	wantAnswer(t, r.push(bareToken, "x", "content"), 200, "x 7") // no hook is no failure
}

// TestBugPostPushFailsUnseen: the answer was an empty 200, and no line said why.
func TestBugPostPushFailsUnseen(t *testing.T) {
	r := newRig(t)
	r.hooks(&script{post: ends(1, "no room for the site")})
	w := r.push(bareToken, "x", "content")
	if w.Code != 200 || w.Header().Get("X-File-Bucket-Hook") != "failed" || !strings.Contains(r.logs.String(), "no room for the site") {
		t.Errorf("answer %d %q, %v, log %s", w.Code, w.Body, w.Header(), r.logs)
	}
}

// TestBugNoTimeouts: a client that said nothing more held its upload for ever.
func TestBugNoTimeouts(t *testing.T) {
	for _, head := range []string{head(bareToken, 1000, ""), "PUT /" + bareToken + "/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ncon"} {
		r := newRig(t)
		r.door.pace.idle = 50 * time.Millisecond
		w := dial(t, r.serve().Listener.Addr().String())
		w.send(head)
		if got := w.answer(); got != (reply{408, true, "no data for too long\n"}) {
			t.Errorf("%+v", got)
		}
		r.wantNothing()
	}
}

// TestBugEmptySuccess: a path of no token was answered with 200 and nothing, which curl -f takes for a backup.
func TestBugEmptySuccess(t *testing.T) {
	for _, path := range []string{"/", "/short", "//", "/x/" + bareToken, "/" + bareToken[:7]} {
		r := newRig(t)
		wantAnswer(t, r.do(post(path, simpleForm("x", "content"))), 404, "not found\n")
		wantAnswer(t, r.do(put(path+"/x", "content", 7)), 404, "not found\n")
		r.wantNothing()
	}
}

// TestBugDirectoryFailureUnseen: 401 stays, for clients know it, but the log has the cause.
func TestBugDirectoryFailureUnseen(t *testing.T) {
	r := newRig(t)
	if err := os.WriteFile(r.home, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r.push(bareToken, "x", "content"), 401, "cannot create bucket dir or writable\n")
	if line := r.lastLine(); line["event"] != "failed" || !strings.Contains(fmt.Sprint(line["error"]), "not a directory") {
		t.Errorf("line %v", line)
	}
}

// TestBugFileMode: files were for all to read, but for the directory above them.
func TestBugFileMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	r := newRig(t)
	wantAnswer(t, r.push(bareToken, "x", "content"), 200, "x 7")
	for path, want := range map[string]fs.FileMode{"x": 0o600, "": fs.ModeDir | 0o700, "..": fs.ModeDir | 0o700} {
		if info, err := os.Stat(filepath.Join(r.home, bareToken, path)); err != nil || info.Mode() != want {
			t.Errorf("%q: %v, %v", path, info, err)
		}
	}
}

// TestBugNames: names that nobody could handle were taken.
func TestBugNames(t *testing.T) {
	for _, name := range []string{"..", ".", ".hidden", "-rf", "a\tb", "a\x1b[2Jb"} {
		r := newRig(t)
		wantAnswer(t, r.do(put("/"+bareToken+"/"+url.PathEscape(name), "content", 7)), 400, "invalid file name: ")
		if !strings.ContainsAny(name, "\t\x1b") { // no header of a part holds them
			wantAnswer(t, r.push(bareToken, name, "content"), 400, "invalid file name: ")
		}
		r.wantNothing()
	}
}
