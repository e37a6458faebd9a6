package push

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// put is a request to store content under a path. size -1 announces nothing.
func put(target, content string, size int) *http.Request {
	req := httptest.NewRequest(http.MethodPut, target, io.NopCloser(strings.NewReader(content)))
	req.ContentLength = int64(size)
	if size >= 0 {
		req.Header.Set("Content-Length", fmt.Sprint(size)) // as a server has it
	}
	return req
}

// TestPut: what a PUT stores, under which name.
func TestPut(t *testing.T) {
	for sent, name := range map[string]string{
		"x":                          "x",
		"a%20b%25%3F%23.sql":         "a b%?#.sql",
		"gr%C3%B6%C3%9Fe":            "größe",
		"größe":                      "größe",
		"x?query=1":                  "x",
		strings.Repeat("n", maxName): strings.Repeat("n", maxName),
	} {
		for token, dir := range map[string]string{nameToken: "db01/", bareToken: bareToken + "/"} {
			for _, size := range []int{7, -1} {
				r := newRig(t)
				hooks := &script{pre: ends(0, "")}
				r.hooks(hooks)
				req := httptest.NewRequest(http.MethodPut, "/"+token+"/", nil)
				u, err := req.URL.Parse(sent)
				if err != nil {
					t.Fatal(err)
				}
				req = put("/", "content", size)
				req.URL = u
				wantAnswer(t, r.do(req), 200, fmt.Sprintf("%s 7 sha256:%x\n", name, sha256.Sum256([]byte("content"))))
				r.wantStored(map[string]string{dir + name: "content"})
				if got := hooks.calls[0].Args[1:3]; got[0] != name || got[1] != fmt.Sprint(size) {
					t.Errorf("%s: pre-push.sh got %q", sent, got)
				}
				req = put("/", "other", 5)
				req.URL = u
				wantAnswer(t, r.do(req), 405, "file exists")
				r.wantStored(map[string]string{dir + name: "content"})
			}
		}
	}
}

// TestPutRefused: what a PUT is refused for is refused without reading its body.
func TestPutRefused(t *testing.T) {
	const oneSegment = "invalid file name: it is one segment of the path"
	for name, row := range map[string]struct {
		path   string
		size   int
		header string // "Name: value"
		status int
		text   string
	}{
		"token":            {badToken + "/x", 7, "", 403, "token doesn't exist"},
		"no name":          {"%s", 7, "", 412, "no file name in the path: PUT /TOKEN/NAME; if it ends in a slash curl -T adds the name\n"},
		"slash":            {"%s/", 7, "", 412, "no file name in the path"},
		"slash of a token": {"%s%%2Fx", 7, "", 412, "no file name in the path"},
		"two segments":     {"%s/a/b", 7, "", 400, oneSegment},
		"slash behind":     {"%s/a/", 7, "", 400, oneSegment},
		"two slashes":      {"%s//a", 7, "", 400, oneSegment},
		"escaped slash":    {"%s/a%%2Fb", 7, "", 400, oneSegment},
		"backslash":        {"%s/a%%5Cb", 7, "", 400, oneSegment},
		"dots, backslash":  {"%s/..%%5Cb", 7, "", 400, oneSegment},
		"backslash behind": {"%s/a%%5C", 7, "", 400, oneSegment},
		"dots":             {"%s/..", 7, "", 400, "it begins with a dot"},
		"uploads":          {"%s/.uploads", 7, "", 400, "it begins with a dot"},
		"dash":             {"%s/-rf", 7, "", 400, "it begins with a dash"},
		"control":          {"%s/a%%00", 7, "", 400, "it has a control character"},
		"UTF-8":            {"%s/a%%FF", 7, "", 400, "it is not valid UTF-8"},
		"long":             {"%s/" + strings.Repeat("n", maxName+1), 7, "", 400, "it is longer than 255 bytes"},
		"range":            {"%s/x", 7, "Content-Range: bytes 100-106/107", 400, "invalid Content-Range: only whole files"},
		"first part":       {"%s/x", 7, "Content-Range: bytes 0-6/107", 400, "invalid Content-Range: only whole files"},
		"another size":     {"%s/x", 7, "Content-Range: bytes 0-7/8", 400, "invalid Content-Range: only whole files"},
		"unknown whole":    {"%s/x", 7, "Content-Range: bytes 0-6/*", 400, "invalid Content-Range: only whole files"},
		"no range":         {"%s/x", 7, "Content-Range: 0-6/7", 400, "invalid Content-Range: only whole files"},
		"empty range":      {"%s/x", 7, "Content-Range: ", 400, "invalid Content-Range: only whole files"},
		"two ranges":       {"%s/x", 7, "Content-Range: bytes 0-6/7|bytes 3-6/7", 400, "invalid Content-Range: only whole files"},
		"less than none":   {"%s/x", -1, "Content-Range: bytes 0--3/-2", 400, "invalid Content-Range: only whole files"},
		"frames of S3":     {"%s/x", 7, "Content-Encoding: gzip, AWS-chunked", 400, "invalid Content-Encoding: aws-chunked is for the S3 door"},
		"form":             {"%s/x", 7, "Content-Type: multipart/form-data", 412, "missed 'file' field in form"},
		"nothing":          {"%s/x", 0, "", 411, "no file: neither Content-Length nor Transfer-Encoding"},
	} {
		for _, token := range []string{nameToken, bareToken} {
			r := newRig(t)
			path := row.path
			if strings.Contains(path, "%s") {
				path = fmt.Sprintf(path, token)
			}
			body := &counter{Reader: strings.NewReader("content")}
			req := put("/"+path, "", row.size)
			req.Body = io.NopCloser(body)
			req.Header.Set("Expect", "100-continue")
			if row.size == 0 {
				req.Header.Del("Content-Length")
			}
			if key, value, ok := strings.Cut(row.header, ": "); ok {
				req.Header[key] = strings.Split(value, "|")
			}
			wantAnswer(t, r.do(req), row.status, row.text)
			if body.n > 0 {
				t.Errorf("%s: the body was read", name)
			}
			r.wantNothing()
		}
	}
	r := newRig(t)
	r.hooks(&script{pre: ends(1, "no\n")})
	body := &counter{Reader: zeros{}}
	req := put("/"+nameToken+"/x", "", 1<<30)
	req.Body = io.NopCloser(body)
	req.Header.Set("Expect", "100-continue")
	wantAnswer(t, r.do(req), 409, "hook\nno\n")
	if body.n > 0 {
		t.Error("the body was read before pre-push.sh agreed")
	}
}

// TestPutWholeRange: a range that is all of the file is the file, and says how large it is where nothing else does.
func TestPutWholeRange(t *testing.T) {
	for _, row := range []struct {
		content string
		size    int
		header  string
		status  int
		told    string
	}{
		{"content", 7, "bytes 0-6/7", 200, "7"},
		{"", 0, "bytes 0--1/0", 200, "0"},
		{"content", -1, "bytes 0-6/7", 200, "7"},
		{"content", -1, "bytes 0--2/-1", 200, "-1"},
		{"content", -1, "bytes 0-7/8", 400, "8"},
		{"content", -1, "bytes 0-5/6", 400, "6"},
	} {
		for token, place := range tokens {
			r := newRig(t)
			hooks := &script{pre: ends(0, "")}
			r.hooks(hooks)
			req := put("/"+token+"/x", row.content, row.size)
			req.Header.Set("Content-Range", row.header)
			wantAnswer(t, r.do(req), row.status, "")
			if told := hooks.calls[0].Args[2]; told != row.told {
				t.Errorf("%s: pre-push.sh was told %s", row.header, told)
			}
			if row.status == 200 {
				r.wantStored(map[string]string{place: row.content})
			} else {
				r.wantNothing()
			}
		}
	}
}

// TestPutEncoded: what is sent is stored as it is, whatever it is said to be encoded with.
func TestPutEncoded(t *testing.T) {
	r := newRig(t)
	req := put("/"+nameToken+"/x.gz", "content", 7)
	req.Header.Set("Content-Encoding", "gzip")
	wantAnswer(t, r.do(req), 200, "x.gz 7")
	r.wantStored(map[string]string{"db01/x.gz": "content"})
}

// TestPutMaxSize: the limit is exact, and known to be exceeded before the body where the size is.
func TestPutMaxSize(t *testing.T) {
	for token, place := range map[string]string{tinyToken: "tiny/x", bareTiny: bareTiny + "/x"} {
		for size, status := range map[int]int{0: 200, 100: 200, 101: 413, 1 << 20: 413} {
			for _, declared := range []bool{true, false} {
				r := newRig(t)
				content := strings.Repeat("s", size)
				req := put("/"+token+"/x", content, size)
				body := &counter{Reader: strings.NewReader(content)}
				req.Body = io.NopCloser(body)
				if !declared {
					req.ContentLength = -1
				}
				req.Header.Set("Expect", "100-continue")
				w := r.do(req)
				wantAnswer(t, w, status, "")
				if status == 413 {
					if declared && body.n > 0 {
						t.Errorf("%d bytes: the body was read", size)
					}
					r.wantNothing()
				} else {
					r.wantStored(map[string]string{place: content})
				}
			}
		}
	}
}

// TestPutTorn: a body that is not as long as was said is not the file.
func TestPutTorn(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r := newRig(t)
		addr := r.serve().Listener.Addr().String()
		for name, sent := range map[string]string{
			"half":          "Content-Length: 14\r\n\r\ncontent",
			"nothing":       "Content-Length: 7\r\n\r\n",
			"chunked":       "Transfer-Encoding: chunked\r\n\r\n" + chunk("content"),
			"in a chunk":    "Transfer-Encoding: chunked\r\n\r\n9\r\ncontent",
			"in last chunk": "Transfer-Encoding: chunked\r\n\r\n" + chunk("content") + "0\r\n",
		} {
			w := dial(t, addr)
			w.send("PUT /" + token + "/x HTTP/1.1\r\nHost: x\r\n" + sent)
			if err := w.conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := w.answer(); got != (reply{400, true, "upload is incomplete\n"}) {
				t.Errorf("%s (%s…): %+v", name, token[:6], got)
			}
			r.wantNothing()
		}
		wantAnswer(t, r.do(put("/"+token+"/x", "content", 8)), 400, "upload is incomplete") // whoever speaks no HTTP
		r.wantNothing()
	}
}

// TestPutContentType: the type of the file is that of the request, unless it is what clients say of anything.
func TestPutContentType(t *testing.T) {
	r := newRig(t)
	for i, row := range [][2]string{{"application/sql", "application/sql"}, {"application/x-www-form-urlencoded", ""}, {"non sense", ""}, {"", ""}} {
		name := fmt.Sprint("x", i)
		req := put("/"+nameToken+"/"+name, "content", 7)
		req.Header.Set("Content-Type", row[0])
		wantAnswer(t, r.do(req), 200, name)
		info, err := r.store.Stat(t.Context(), "db01", name)
		if err != nil || info.Attrs.Headers["content-type"] != row[1] {
			t.Errorf("%q is kept as %q, %v", row[0], info.Attrs.Headers["content-type"], err)
		}
	}
}

func FuzzPutName(f *testing.F) {
	for _, s := range []string{"/12345678/x", "/12345678/a%2Fb", "/12345678/a%5Cb", "/12345678//x", "/%2F/x", "/12345678/%", "//", "/12345678/x?y#z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		req, err := http.NewRequest(http.MethodPut, target, nil)
		if err != nil {
			return
		}
		if name, err := putName(req.URL); err == nil && (name == "" || strings.ContainsAny(name, `/\`) || !strings.HasSuffix(req.URL.Path, name)) {
			t.Errorf("%q: %q", target, name)
		}
	})
}
