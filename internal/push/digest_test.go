package push

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// digestsOf a content: in hex, in base64, and as Content-Digest.
func digestsOf(content string) (hexed, base64ed, dict string) {
	sum := sha256.Sum256([]byte(content))
	base64ed = base64.StdEncoding.EncodeToString(sum[:])
	return hex.EncodeToString(sum[:]), base64ed, "sha-256=:" + base64ed + ":"
}

// withField is a form with a field before its file.
func withField(name, value string, form raw) raw {
	return append(raw("--b\r\nContent-Disposition: form-data; name=\""+name+"\"\r\n\r\n"+value+"\r\n"), form...)
}

// TestDigest: what was announced is what is stored, or nothing is.
func TestDigest(t *testing.T) {
	const malformed, differ = "invalid digest: a SHA-256 is 64 hex digits, or base64\n", "invalid digest: two that were sent are not the same\n"
	right, right64, rightDict := digestsOf("content")
	wrong, wrong64, wrongDict := digestsOf("other content")
	const mismatch = "content does not have the digest announced\n"
	for name, row := range map[string]struct {
		header string // X-Checksum-Sha256
		dict   string // Content-Digest; in a PUT only
		status int
		text   string
	}{
		"hex":               {right, "", 200, "x 7 "},
		"upper case":        {strings.ToUpper(right), "", 200, "x 7 "},
		"base64":            {right64, "", 200, "x 7 "},
		"sha256sum":         {right + "  dump.sql", "", 200, "x 7 "},
		"wrong":             {wrong, "", 422, mismatch},
		"wrong, base64":     {wrong64, "", 422, mismatch},
		"too short":         {right[:62], "", 400, malformed},
		"too long":          {right + "00", "", 400, malformed},
		"no hex":            {"g" + right[1:], "", 400, malformed},
		"no padding":        {strings.TrimRight(right64, "="), "", 400, malformed},
		"a file name":       {"dump.sql " + right, "", 400, malformed},
		"dictionary":        {"", rightDict, 200, "x 7 "},
		"wrong dictionary":  {"", wrongDict, 422, mismatch},
		"other algorithms":  {"", `unixsum=30637, sha-512=:AAAA:;a="b, c"`, 200, "x 7 "},
		"and others":        {"", "md5=:AAAA:, " + wrongDict + `;q=1`, 422, mismatch},
		"the last counts":   {"", wrongDict + ", " + rightDict, 200, "x 7 "}, // RFC 8941, 4.2.2
		"both":              {right, rightDict, 200, "x 7 "},
		"both, different":   {right, wrongDict, 400, differ},
		"no dictionary":     {"", "sha-256=:", 400, "invalid digest: Content-Digest is not"},
		"hex in dictionary": {"", "sha-256=" + right, 400, "invalid digest: "},
		"a token":           {"", "sha-256=x" + right, 400, "invalid digest: sha-256"},
		"a list":            {"", "sha-256=(:AAAA:)", 400, "invalid digest: sha-256"},
		"short dictionary":  {"", "sha-256=:AAAA:", 400, "invalid digest: sha-256"},
		"two lines":         {"", rightDict + "\n" + rightDict, 200, "x 7 "},
		"two that differ":   {"", wrongDict + "\n" + rightDict, 400, differ},
	} {
		for token, dir := range map[string]string{nameToken: "db01/", bareToken: bareToken + "/"} {
			for _, form := range []string{"put", "header", "field"} {
				if row.dict != "" && form != "put" {
					continue
				}
				r := newRig(t)
				req := put("/"+token+"/x", "content", 7)
				switch form {
				case "header":
					req = post("/"+token, simpleForm("x", "content"))
				case "field":
					req = post("/"+token, withField("sha256", row.header+"\n", simpleForm("x", "content")))
				}
				if row.header != "" && form != "field" {
					req.Header.Set("X-Checksum-Sha256", row.header)
				}
				if row.dict != "" {
					req.Header["Content-Digest"] = strings.Split(row.dict, "\n")
				}
				w := r.do(req)
				if w.Code != row.status || !strings.HasPrefix(w.Body.String(), row.text) {
					t.Errorf("%s (%s): answer %d %q, want %d %q", name, form, w.Code, w.Body, row.status, row.text)
				}
				if row.status != 200 {
					r.wantNothing()
					wantAnswer(t, r.push(token, "x", "content"), 200, "x") // nothing is in its way
				}
				r.wantStored(map[string]string{dir + "x": "content"})
			}
		}
	}
}

// TestDigestsTwice: what is said twice has to be the same, wherever it is said.
func TestDigestsTwice(t *testing.T) {
	right, right64, _ := digestsOf("content")
	wrong, _, _ := digestsOf("")
	form := simpleForm("x", "content")
	for name, row := range map[string]struct {
		form    raw
		headers []string
		status  int
		text    string
	}{
		"same":            {withField("sha256", right, form), []string{right64}, 200, "x 7"},
		"field, header":   {withField("sha256", wrong, form), []string{right}, 400, "not the same"},
		"fields":          {withField("sha256", wrong, withField("sha256", right, form)), nil, 400, "not the same"},
		"headers":         {form, []string{right, wrong}, 400, "not the same"},
		"field behind":    {raw(strings.TrimSuffix(string(form), "--b--\r\n") + string(withField("sha256", right, raw("--b--\r\n")))), nil, 400, "invalid digest: the field sha256 goes before the file"},
		"other field":     {withField("SHA256", "hello", form), nil, 200, "x 7"},
		"empty field":     {withField("sha256", "", form), nil, 400, "invalid digest"},
		"a file of sums":  {withField("x", "1", withField("sha256\"; filename=\"sums", right, form)), nil, 400, "invalid digest: the field sha256 is a file; it has to be a value: with curl, -F 'sha256=<FILE'"},
		"sums behind":     {raw(strings.TrimSuffix(string(form), "--b--\r\n") + string(withField("sha256\"; filename=\"sums", right, raw("--b--\r\n")))), nil, 400, "invalid digest: the field sha256 goes before the file"},
		"too large field": {withField("sha256", right+strings.Repeat(" ", frameLimit), form), nil, 400, "16 KiB"},
	} {
		r := newRig(t)
		req := post("/"+bareToken, row.form)
		req.Header["X-Checksum-Sha256"] = row.headers
		w := r.do(req)
		if w.Code != row.status || !strings.Contains(w.Body.String(), row.text) {
			t.Errorf("%s: answer %d %q, want %d %q", name, w.Code, w.Body, row.status, row.text)
		}
		if row.status != 200 {
			r.wantNothing()
		}
	}
}

// TestDigestsOfTheBody: each header that says what the body has is checked, and what it says of the same must agree.
func TestDigestsOfTheBody(t *testing.T) {
	content := string(simpleForm("x", "content"))
	_, right64, right := digestsOf(content)
	hexed, wrong64, wrong := digestsOf("other")
	type headers = map[string][]string
	for name, row := range map[string]struct {
		headers headers
		status  int
		text    string
	}{
		"Repr-Digest":              {headers{"Repr-Digest": {right}}, 200, ""},
		"wrong Repr-Digest":        {headers{"Repr-Digest": {wrong}}, 422, "digest announced"},
		"malformed Repr-Digest":    {headers{"Repr-Digest": {"sha-256=1"}}, 400, "invalid digest: sha-256 in Repr-Digest"},
		"Repr and Content":         {headers{"Repr-Digest": {right}, "Content-Digest": {right}}, 200, ""},
		"Repr and Content, differ": {headers{"Repr-Digest": {right}, "Content-Digest": {wrong}}, 400, "not the same"},
		"Content, differ":          {headers{"Content-Digest": {right, wrong}}, 400, "not the same"},
		"Digest":                   {headers{"Digest": {"md5=AAAA, SHA-256=" + right64}}, 200, ""},
		"wrong Digest":             {headers{"Digest": {"sha-256=" + wrong64 + ",md5=AAAA"}}, 422, "digest announced"},
		"wrong Digest, hex":        {headers{"Digest": {"SHA-256=" + hexed}}, 422, "digest announced"},
		"malformed Digest":         {headers{"Digest": {"sha-256=1"}}, 400, "invalid digest"},
		"another Digest":           {headers{"Digest": {"SHA-512=1, sha=2"}}, 200, ""},
		"Digest, differ":           {headers{"Digest": {"sha-256=" + right64, "sha-256=" + wrong64}}, 400, "not the same"},
		"Digest and Content":       {headers{"Digest": {"sha-256=" + wrong64}, "Content-Digest": {right}}, 400, "not the same"},
	} {
		for token := range tokens {
			for i, req := range []*http.Request{put("/"+token+"/x", content, len(content)), post("/"+token, raw(content))} {
				r := newRig(t)
				maps.Copy(req.Header, row.headers)
				if w := r.do(req); w.Code != row.status || !strings.Contains(w.Body.String(), row.text) {
					t.Errorf("%s (%d): answer %d %q, want %d %q", name, i, w.Code, w.Body, row.status, row.text)
				}
				if row.status != 200 {
					r.wantNothing()
				}
			}
		}
	}
}

// TestDigestInATrailer: one that comes behind the body is refused, not ignored, whether it is announced or not.
func TestDigestInATrailer(t *testing.T) {
	right, _, dict := digestsOf("content")
	for name, value := range map[string]string{"x-checksum-sha256": right, "Content-Digest": dict, "Repr-Digest": dict, "Digest": "sha-256=" + right} {
		for token := range tokens {
			for _, announced := range []string{"Trailer: " + name + "\r\n", "Trailer: X-Other\r\n", ""} {
				for _, form := range []bool{false, true} {
					r := newRig(t)
					w := dial(t, r.serve().Listener.Addr().String())
					if form {
						w.send(head(token, -1, announced) + chunk(string(simpleForm("x", "content"))))
					} else {
						w.send("PUT /" + token + "/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + announced + "\r\n" + chunk("content"))
					}
					w.send("0\r\n" + name + ": " + value + "\r\n\r\n")
					if got := w.answer(); got.status != 400 || !strings.Contains(got.body, "goes before the content, not into the trailer") {
						t.Errorf("%q, %s: %+v", announced, name, got)
					}
					r.wantNothing()
				}
			}
		}
	}
}

// TestDigestInTheTrailerOfAPiece: one that is announced is refused there, too.
func TestDigestInTheTrailerOfAPiece(t *testing.T) {
	for token := range places() {
		r := newTusRig(t)
		url := r.begin(token, 7)
		req := httptest.NewRequest(http.MethodPatch, url, strings.NewReader("content"))
		for name, value := range map[string]string{headVersion: tusVersion, headOffset: "0", "Content-Type": tusContent} {
			req.Header.Set(name, value)
		}
		req.Trailer = http.Header{"Content-Digest": nil}
		wantAnswer(t, r.do(req), 400, "not into the trailer")
		r.wantOffset(url, 0, 7)
	}
}

// TestTrailer: any other is no reason to refuse a file.
func TestTrailer(t *testing.T) {
	for token, place := range tokens {
		r := newRig(t)
		w := dial(t, r.serve().Listener.Addr().String())
		w.send("PUT /" + token + "/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("content") + "0\r\nX-Other: 1\r\n\r\n")
		if got := w.answer(); got.status != 200 {
			t.Errorf("%+v", got)
		}
		r.wantStored(map[string]string{place: "content"})
	}
}

// TestContentDigestOfAForm: it is about the body, which is the form.
func TestContentDigestOfAForm(t *testing.T) {
	form := string(simpleForm("x", strings.Repeat("content", 20_000)))
	_, _, whole := digestsOf(form)
	_, _, file := digestsOf(strings.Repeat("content", 20_000))
	for token := range tokens {
		for dict, status := range map[string]int{whole: 200, file: 422, "sha-256=1": 400, "md5=:AAAA:": 200} {
			r := newRig(t)
			req := post("/"+token, raw(form))
			req.Header.Set("Content-Digest", dict)
			wantAnswer(t, r.do(req), status, "")
			if status != 200 {
				r.wantNothing()
			}
		}
	}
}

// TestDigestBeforeTheBody: one that cannot be read is refused without the upload, and one that is wrong is a failure in the log.
func TestDigestBeforeTheBody(t *testing.T) {
	r := newRig(t)
	for _, req := range []*http.Request{put("/"+nameToken+"/x", "content", 7), post("/"+nameToken, simpleForm("x", "content"))} {
		body := &counter{Reader: req.Body}
		req.Body = io.NopCloser(body)
		req.Header.Set("X-Checksum-Sha256", "x")
		req.Header.Set("Expect", "100-continue")
		wantAnswer(t, r.do(req), 400, "invalid digest")
		if body.n > 0 {
			t.Error("the body was read")
		}
	}
	wrong, _, _ := digestsOf("")
	req := put("/"+nameToken+"/x", "content", 7)
	req.Header.Set("X-Checksum-Sha256", wrong)
	wantAnswer(t, r.do(req), 422, "digest")
	if line := r.lastLine(); line["event"] != "failed" || line["bytes"] != 7.0 {
		t.Errorf("line %v", line)
	}
	r.wantNothing()
}

func FuzzDigest(f *testing.F) {
	right, right64, _ := digestsOf("content")
	for _, s := range []string{right, right64, right + " *x", "", " ", "="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sum, err := parseDigest(s)
		if err != nil {
			if sum != nil || !errors.Is(err, object.ErrInvalid) {
				t.Errorf("%q: %x, %v", s, sum, err)
			}
			return
		}
		again, err := parseDigest(hex.EncodeToString(sum))
		if err != nil || len(sum) != sha256.Size || !bytes.Equal(sum, again) {
			t.Errorf("%q: %x, then %x, %v", s, sum, again, err)
		}
		if low := strings.ToLower(s); !strings.Contains(low, fmt.Sprintf("%x", sum)) && !strings.Contains(s, base64.StdEncoding.EncodeToString(sum)[:42]) &&
			!strings.ContainsAny(s, "\r\n") {
			t.Errorf("%q is taken for %x", s, sum)
		}
	})
}
