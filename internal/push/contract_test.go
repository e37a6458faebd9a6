package push

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestContract walks through the answers of the door, one row each, and sees that a refusal stores nothing.
func TestContract(t *testing.T) {
	const (
		head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
		end  = "\r\n--b--\r\n"
	)
	field := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	rows := []struct {
		name, path string
		form       string
		status     int
		text       string
	}{
		{"unknown token", "/" + badToken, string(simpleForm("x", "1")), 403, "token doesn't exist"},
		{"unknown token, path behind", "/" + badToken + "/" + nameToken, string(simpleForm("x", "1")), 403, "token doesn't exist"},
		{"root", "/", string(simpleForm("x", "1")), 404, "not found"},
		{"too short for a token", "/short", string(simpleForm("x", "1")), 404, "not found"},
		{"token in second place", "/x/" + nameToken, string(simpleForm("x", "1")), 404, "not found"},
		{"double slash", "//" + nameToken, string(simpleForm("x", "1")), 404, "not found"},
		{"no token's characters", "/" + strings.Repeat("%C3%A4", 16), string(simpleForm("x", "1")), 404, "not found"},
		{"too long for a token", "/" + strings.Repeat("a", 129), string(simpleForm("x", "1")), 404, "not found"},
		{"no parts", "/%s", "--b--\r\n", 412, "missed 'file' field in form"},
		{"empty body", "/%s", "", 412, "missed 'file' field in form"},
		{"other field only", "/%s", field("x", "1") + "--b--\r\n", 412, "missed 'file' field in form"},
		{"file in another field", "/%s", strings.Replace(head, `"file"`, `"upload"`, 1) + "1" + end, 412, "missed 'file' field in form"},
		{"large file in another field", "/%s", strings.Replace(head, `"file"`, `"upload"`, 1) + strings.Repeat("1", 40<<10) + end, 412, "missed 'file' field in form"},
		{"file in another field before", "/%s", strings.Replace(head, `"file"`, `"more"`, 1) + "1\r\n" + head + "2" + end, 400, "only one file per push"},
		{"file is a value", "/%s", field("file", "1") + "--b--\r\n", 412, "missed 'file' field in form"},
		{"empty file name", "/%s", string(simpleForm("", "1")), 412, "missed 'file' field in form"},
		{"dots", "/%s", string(simpleForm("..", "1")), 400, "invalid file name: it begins with a dot"},
		{"dash", "/%s", string(simpleForm("-rf", "1")), 400, "invalid file name: it begins with a dash"},
		{"300 bytes", "/%s", string(simpleForm(strings.Repeat("n", 300), "1")), 400, "invalid file name: it is longer than 255 bytes"},
		{"bad UTF-8", "/%s", string(simpleForm("a\xff", "1")), 400, "invalid file name: it is not valid UTF-8"},
		{"control", "/%s", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''a%0Ab\r\n\r\n1" + end, 400, "it has a control character"},
		{"two files", "/%s", head + "1\r\n" + head + "2" + end, 400, "only one file per push"},
		{"file in another field behind", "/%s", head + "1\r\n" + strings.Replace(head, `"file"`, `"more"`, 1) + "2" + end, 400, "only one file per push"},
		{"value of file behind", "/%s", head + "1\r\n" + field("file", "2") + "--b--\r\n", 400, "only one file per push"},
		{"no closing boundary", "/%s", head + "1\r\n", 400, "upload is incomplete"},
		{"ends in the next header", "/%s", head + "1\r\n--b\r\n", 400, ""},
		{"ends in the next header's middle", "/%s", head + "1\r\n--b\r\nContent-Dis", 400, ""},
		{"half a closing boundary", "/%s", head + "1\r\n--b-", 400, "upload is incomplete"},
		{"boundary goes on", "/%s", head + "1\r\n--b--x\r\n", 400, "form is broken"},
		{"no disposition", "/%s", "--b\r\n\r\n1" + end, 400, "form is broken"},
		{"odd disposition", "/%s", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\r\n\r\n1" + end, 400, "form is broken"},
		{"odd disposition behind", "/%s", head + "1\r\n--b\r\nContent-Disposition: form-data; a b\r\n\r\n1" + end, 400, "form is broken"},
		{"fields too large", "/%s", field("x", strings.Repeat("v", 20<<10)) + head + "1" + end, 400, "16 KiB"},
		{"fields behind too large", "/%s", head + "1\r\n" + field("x", strings.Repeat("v", 40<<10)) + "--b--\r\n", 400, "16 KiB"},
		{"part header too large", "/%s", strings.Replace(head, "\r\n\r\n", "\r\nX: "+strings.Repeat("v", 40<<10)+"\r\n\r\n", 1) + "1" + end, 400, "16 KiB"},
		{"boundary in the file", "/%s", head + "1" + end + "2" + end, 400, "form is broken"},
		{"boundary ends the file", "/%s", head + "1" + end + "--b--\r\n", 400, "form is broken"},
		{"boundary is the file", "/%s", head + "--b--\r\n--b--", 400, "form is broken"},
		{"boundary in the file, line feeds", "/%s", strings.ReplaceAll(head, "\r", "") + "1\n--b--\n--b--", 400, "form is broken"},
		{"boundary in the file, far", "/%s", head + strings.Repeat("1", 100<<10) + end + strings.Repeat("2\n", 7000) + end, 400, "form is broken"},
		{"form in the file", "/%s", head + "1\r\n" + field("x", "2") + "--b--\r\n3" + end, 400, "form is broken"},
		{"long form in the file", "/%s", head + "1\r\n" + field("x", strings.Repeat("2", 8<<10)) + "--b--\r\n" + strings.Repeat("3", 8<<10) + end, 400, "form is broken"},
		{"boundary in the file, a field behind", "/%s", head + "1" + end + "2\r\n" + field("x", "3") + "--b--\r\n", 400, "form is broken"},
		{"epilogue too large", "/%s", head + "1" + end + strings.Repeat("e", 300<<10), 400, "16 KiB"},
		{"preamble too large", "/%s", strings.Repeat("preamble\r\n", 4000) + head + "1" + end, 400, "16 KiB"},
		{"line too long", "/%s", strings.Repeat("x", 5000), 400, "form is broken"},
	}
	for _, row := range rows {
		for _, token := range []string{nameToken, bareToken} {
			r := newRig(t)
			for _, declared := range []bool{true, false} {
				req := post(strings.Replace(row.path, "%s", token, 1), raw(row.form))
				if !declared && req.ContentLength > 0 {
					req.ContentLength = -1
				}
				w := r.do(req)
				if w.Code != row.status || !strings.Contains(w.Body.String(), row.text) {
					t.Errorf("%s (%s…, %t): answer %d %q, want %d %q", row.name, token[:6], declared, w.Code, w.Body, row.status, row.text)
				}
				r.wantNothing()
			}
			if !strings.Contains(row.path, "%s") {
				break
			}
		}
	}
}

func TestStores(t *testing.T) {
	body := func(extraBefore, extraAfter string) raw {
		f := string(simpleForm("x", "content"))
		f = strings.TrimSuffix(f, "--b--\r\n")
		return raw(extraBefore + f + extraAfter + "--b--")
	}
	fieldOf := "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n"
	rows := map[string]struct {
		path string
		form raw
	}{
		"plain":          {"/%s", simpleForm("x", "content")},
		"path behind":    {"/%s/any/thing?q=1", simpleForm("x", "content")},
		"no line break":  {"/%s", body("", "")},
		"fields around":  {"/%s", body(fieldOf, fieldOf)},
		"preamble":       {"/%s", body("this is a form\r\n", "")},
		"line feeds":     {"/%s", raw("--b\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\n\ncontent\n--b--\n")},
		"base name":      {"/%s", simpleForm("../../x", "content")},
		"windows":        {"/%s", simpleForm(`C:\dumps\x`, "content")},
		"extended":       {"/%s", raw("--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''a%2Fx\r\n\r\ncontent\r\n--b--\r\n")},
		"boundary alike": {"/%s", simpleForm("x", "content")},
		"line break":     {"/%s", append(simpleForm("x", "content"), "\r\n"...)}, // axios, got, Ruby's multipart-post
		"line feed":      {"/%s", append(simpleForm("x", "content"), '\n')},
		"padding":        {"/%s", raw(strings.TrimSuffix(string(body("", "")), "\r\n") + " \t \r\n")},
		"epilogue":       {"/%s", append(simpleForm("x", "content"), "and more\r\n-b--\r\n --b--"...)},
		"long epilogue":  {"/%s", append(simpleForm("x", "content"), strings.Repeat("e", frameLimit-50)...)},
	}
	for name, row := range rows {
		for token, place := range map[string]string{nameToken: "db01/x", bareToken: bareToken + "/x"} {
			for i := range 3 {
				r := newRig(t)
				req := post(strings.Replace(row.path, "%s", token, 1), row.form)
				switch i {
				case 1:
					req.ContentLength = -1
				case 2:
					req.Method = http.MethodPut
				}
				w := r.do(req)
				want := fmt.Sprintf("x 7 sha256:%x\n", sha256.Sum256([]byte("content")))
				if w.Code != 200 || w.Body.String() != want {
					t.Errorf("%s (%s…, %d): answer %d %q, want %q", name, token[:6], i, w.Code, w.Body, want)
				}
				r.wantStored(map[string]string{place: "content"})
			}
		}
	}
}

// TestRaw sees that a file is stored as it was sent, whatever its part says of an encoding.
func TestRaw(t *testing.T) {
	r := newRig(t)
	form := strings.Replace(string(simpleForm("x", "a=3Db=\r\nc")), "\r\n\r\n", "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", 1)
	wantAnswer(t, r.do(post("/"+nameToken, raw(form))), 200, "x 9 ")
	r.wantStored(map[string]string{"db01/x": "a=3Db=\r\nc"})
}

func TestContentOfAllShapes(t *testing.T) {
	big := strings.Repeat("0123456789abcdef\r\n--bb\r--a-\n", 60_000)
	for _, content := range []string{"", "\r\n", "--", "\r\n--", "--bb", "\r\n--bb\r\n", "\n--b", "\n--b--\n", "\x00\xff", big} {
		r := newRig(t)
		for _, token := range []string{nameToken, bareToken} {
			if w := r.push(token, "x", content); w.Code != 200 {
				t.Errorf("%.20q: answer %d %q", content, w.Code, w.Body)
			}
		}
		r.wantStored(map[string]string{"db01/x": content, bareToken + "/x": content})
	}
}

// TestBoundaryInFilesOfAllSizes: wherever what the multipart reader has read ahead ends, the second closing boundary is seen.
func TestBoundaryInFilesOfAllSizes(t *testing.T) {
	r := newRig(t)
	for size := 4*peeked - 100; size < 5*peeked+100; size += 3 {
		content := strings.Repeat("s", size)
		wantAnswer(t, r.push(overToken, "x", content), 200, fmt.Sprintf("x %d ", size))
		wantAnswer(t, r.push(overToken, "y", content+"\r\n--b--\r\n"), 400, "form is broken")
	}
}

// TestEveryPrefix cuts a form off at every byte: nothing is stored before the closing boundary is whole.
func TestEveryPrefix(t *testing.T) {
	fields := "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n"
	whole := raw(fields + strings.TrimSuffix(string(simpleForm("x", "some content\r\nof a file")), "--b--\r\n") + fields + "--b--\r\n")
	closed := len(whole) - len("\r\n")
	for i := range len(whole) + 1 {
		for _, token := range []string{nameToken, bareToken} {
			r := newRig(t)
			w := r.do(post("/"+token, whole[:i]))
			if i < closed || i == closed+1 { // a carriage return alone is not how a boundary ends
				if w.Code != 400 && w.Code != 412 {
					t.Errorf("%q: answer %d %q", whole[:i], w.Code, w.Body)
				}
				r.wantNothing()
			} else if w.Code != 200 {
				t.Errorf("%q: answer %d %q", whole[:i], w.Code, w.Body)
			}
		}
	}
}

func TestNotAForm(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "DELETE", "PATCH", "LOCK"} {
		for _, token := range []string{nameToken, bareToken} {
			r := newRig(t)
			if w := r.push(token, "x", "content"); w.Code != 200 {
				t.Fatalf("answer %d %q", w.Code, w.Body)
			}
			before := r.stored()
			for _, path := range []string{"/" + token, "/" + token + "/", "/" + token + "/x", "/" + token + "/../x"} {
				req := post(path, simpleForm("y", "more"))
				req.Method = method
				w := r.do(req)
				wantAnswer(t, w, 412, "missed 'file' field in form")
				if strings.Contains(w.Body.String(), "content") {
					t.Errorf("%s %s reads", method, path)
				}
				r.wantStored(before)
			}
			req := post("/"+badToken+"/x", simpleForm("y", "more"))
			req.Method = method
			wantAnswer(t, r.do(req), 403, "token doesn't exist")
		}
	}
	for _, typ := range []string{
		"", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"",
		"multipart/mixed; boundary=b", "text/plain", "/;;=",
	} {
		r := newRig(t)
		req := post("/"+nameToken, simpleForm("x", "content"))
		req.Header.Set("Content-Type", typ)
		wantAnswer(t, r.do(req), 412, "missed 'file' field in form")
		r.wantNothing()
	}
}

func TestExists(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r := newRig(t)
		wantAnswer(t, r.push(token, "x", "first"), 200, "x 5 ")
		before := r.stored()
		req := post("/"+token, nil)
		body := &counter{Reader: io.MultiReader(strings.NewReader(strings.TrimSuffix(string(simpleForm("x", "")), "\r\n--b--\r\n")),
			io.LimitReader(zeros{}, 3*lingerBytes))}
		req.Body, req.ContentLength = io.NopCloser(body), -1
		w := r.do(req)
		wantAnswer(t, w, 405, "file exists")
		if body.n > lingerBytes+2*bodyBuffer {
			t.Errorf("%d bytes read of a file that exists", body.n)
		}
		r.wantStored(before)
	}
	for token, place := range map[string]string{overToken: "over/x", bareOver: bareOver + "/x"} {
		r := newRig(t)
		wantAnswer(t, r.push(token, "x", "first"), 200, "x 5 ")
		wantAnswer(t, r.push(token, "x", "second"), 200, "x 6 ")
		wantAnswer(t, r.do(post("/"+token, raw("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nthird\r\n"))), 400, "")
		r.wantStored(map[string]string{place: "second"})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestRace has many clients push one name: one of them stores it.
func TestRace(t *testing.T) {
	for token, place := range map[string]string{nameToken: "db01/x", bareToken: bareToken + "/x"} {
		r := newRig(t)
		const clients = 8
		var wg, ready sync.WaitGroup
		ready.Add(clients)
		codes := make([]int, clients)
		for i := range clients {
			wg.Go(func() {
				// All are past the early check before one of them goes on.
				pr, pw := io.Pipe()
				form := strings.SplitAfterN(string(simpleForm("x", fmt.Sprint("content ", i))), "\r\n\r\n", 2)
				wg.Go(func() {
					_, _ = io.WriteString(pw, form[0])
					ready.Done()
					ready.Wait()
					_, _ = io.WriteString(pw, form[1])
					_ = pw.Close()
				})
				req := post("/"+token, nil)
				req.Body, req.ContentLength = pr, -1
				w := httptest.NewRecorder()
				r.door.ServeHTTP(w, req)
				codes[i] = w.Code
				_ = pr.Close()
			})
		}
		wg.Wait()
		won := -1
		for i, code := range codes {
			switch {
			case code == 200 && won < 0:
				won = i
			case code != 405:
				t.Errorf("codes %v", codes)
			}
		}
		r.wantStored(map[string]string{place: fmt.Sprint("content ", won)})
	}
}

func TestMaxSize(t *testing.T) {
	for token, place := range map[string]string{tinyToken: "tiny/x", bareTiny: bareTiny + "/x"} {
		for _, declared := range []bool{true, false} {
			for size, status := range map[int]int{0: 200, 99: 200, 100: 200, 101: 413, 5000: 413, 2 << 20: 413} {
				r := newRig(t)
				req := post("/"+token, simpleForm("x", strings.Repeat("s", size)))
				if !declared {
					req.ContentLength = -1
				}
				w := r.do(req)
				if w.Code != status {
					t.Errorf("%d bytes, declared %t: answer %d %q, want %d", size, declared, w.Code, w.Body, status)
				}
				if status == 200 {
					r.wantStored(map[string]string{place: strings.Repeat("s", size)})
				} else {
					r.wantNothing()
				}
			}
		}
	}
}

// TestMaxSizeOfPaddedForms: what clients send behind the closing boundary does not count.
func TestMaxSizeOfPaddedForms(t *testing.T) {
	for token, place := range map[string]string{tinyToken: "tiny/x", bareTiny: bareTiny + "/x"} {
		for size, status := range map[int]int{100: 200, 101: 413} {
			for _, padding := range []string{"\r\n", "\n", strings.Repeat(" ", formPadding)} {
				r := newRig(t)
				content := strings.Repeat("s", size)
				wantAnswer(t, r.do(post("/"+token, append(simpleForm("x", content), padding...))), status, "")
				if status == 200 {
					r.wantStored(map[string]string{place: content})
				} else {
					r.wantNothing()
				}
			}
		}
	}
}

// TestMaxSizeBeforeTheFile: a form whose file is a little too large is refused when nothing of the file has come, and before
// pre-push.sh is asked. Fields behind the file count.
func TestMaxSizeBeforeTheFile(t *testing.T) {
	for _, token := range []string{tinyToken, bareTiny} {
		r := newRig(t)
		hooks := &script{pre: ends(0, "")}
		r.hooks(hooks)
		form := string(simpleForm("x", strings.Repeat("s", 101+formPadding)))
		w := dial(t, r.serve().Listener.Addr().String())
		w.send(head(token, len(form), "") + form[:strings.Index(form, "ss")])
		if got := w.answer(); got.status != 413 {
			t.Errorf("%+v", got)
		}
		form = strings.TrimSuffix(string(simpleForm("x", "content")), "--b--\r\n") + string(withField("x", strings.Repeat("v", 60), raw("--b--\r\n")))
		wantAnswer(t, r.do(post("/"+token, raw(form))), 413, "too large")
		if len(hooks.calls) > 0 {
			t.Errorf("pre-push.sh was asked: %q", hooks.calls)
		}
		r.wantNothing()
	}
}

// TestEarly sees that what can be refused by the request's head is refused without reading the body.
func TestEarly(t *testing.T) {
	rows := map[string]struct {
		path, method, typ string
		size              int64
		status            int
	}{
		"token":    {"/" + badToken, "POST", "multipart/form-data; boundary=b", 10 << 20, 403},
		"path":     {"/", "POST", "multipart/form-data; boundary=b", 10 << 20, 404},
		"size":     {"/" + tinyToken, "POST", "multipart/form-data; boundary=b", 10 << 20, 413},
		"size, b":  {"/" + bareTiny, "POST", "multipart/form-data; boundary=b", 10 << 20, 413},
		"order":    {"/" + tinyToken, "POST", "text/plain", 10 << 20, 413},
		"type":     {"/" + nameToken, "POST", "text/plain", 10 << 20, 412},
		"method":   {"/" + nameToken, "PATCH", "multipart/form-data; boundary=b", 10 << 20, 412},
		"boundary": {"/" + nameToken, "POST", "multipart/form-data", 10 << 20, 412},
	}
	for name, row := range rows {
		r := newRig(t)
		body := &counter{Reader: zeros{}}
		req := httptest.NewRequest(row.method, row.path, body)
		req.ContentLength = row.size
		req.Header.Set("Content-Type", row.typ)
		req.Header.Set("Expect", "100-continue")
		w := r.do(req)
		if w.Code != row.status || body.n != 0 || w.Header().Get("Connection") != "close" {
			t.Errorf("%s: answer %d after %d bytes, connection %q; want %d", name, w.Code, body.n, w.Header().Get("Connection"), row.status)
		}
		r.wantNothing()
	}
}
