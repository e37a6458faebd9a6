package push

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/object/objecttest"
)

func TestAnswers(t *testing.T) {
	r := newRig(t)
	req := post("/"+nameToken, simpleForm("a<b>.sql", "content"))
	req.Header.Set("Accept", "text/html, application/json;q=0.9")
	w := r.do(req)
	var got receipt
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("answer %d %q: %v", w.Code, w.Body, err)
	}
	if want := (receipt{Bucket: "db01", Name: "a<b>.sql", Size: 7, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("content")))}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	req = post("/"+nameToken, simpleForm("a<b>.sql", "content"))
	req.Header.Set("Accept", "application/json")
	w = r.do(req)
	if w.Code != 405 || w.Body.String() != `{"error":"file exists"}`+"\n" {
		t.Errorf("answer %d %q", w.Code, w.Body)
	}
	req = post("/"+nameToken, simpleForm("x", "content"))
	req.Header.Set("Accept", "*/*")
	if w = r.do(req); w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("type %q", w.Header().Get("Content-Type"))
	}
}

func TestContentType(t *testing.T) {
	r := newRig(t)
	for sent, want := range map[string]string{
		"application/sql":                  "application/sql",
		"text/plain; charset=utf-8":        "text/plain; charset=utf-8",
		"nonsense nonsense":                "",
		"":                                 "",
		"text/pl\xc3\xa4in":                "",
		"text/" + strings.Repeat("x", 255): "",
	} {
		name := fmt.Sprintf("%x", sha256.Sum256([]byte(sent)))
		form := strings.Replace(string(simpleForm(name, "content")), "application/sql", sent, 1)
		wantAnswer(t, r.do(post("/"+nameToken, raw(form))), 200, name)
		info, err := r.store.Stat(context.Background(), "db01", name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Attrs.Headers["content-type"]; got != want {
			t.Errorf("%q is kept as %q, want %q", sent, got, want)
		}
	}
}

func TestStandardWriter(t *testing.T) {
	r := newRig(t)
	body, typ := stdForm(t, func(w *multipart.Writer) error {
		if err := w.WriteField("note", "hello"); err != nil {
			return err
		}
		f, err := w.CreateFormFile("file", "größe.sql")
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, "content")
		return err
	})
	req := httptest.NewRequest(http.MethodPost, "/"+bareToken, body)
	req.Header.Set("Content-Type", typ)
	wantAnswer(t, r.do(req), 200, "größe.sql 7 sha256:")
	info, err := os.Stat(filepath.Join(r.home, bareToken, "größe.sql"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("file: %v, %v", info, err)
	}
	if info, err = os.Stat(filepath.Join(r.home, bareToken)); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("directory: %v, %v", info, err)
	}
}

// TestAnswersNameTheLimit: whoever is refused hears what the limit is, and nothing of what is there.
func TestAnswersNameTheLimit(t *testing.T) {
	for text, b := range map[string]Bucket{
		"file is too large: at most 5 bytes\n":                    {MaxSize: 5},
		"the bucket's quota has no room for it: 5 bytes in all\n": {Quota: 5},
	} {
		for _, name := range []string{"db01", ""} {
			b.Name, b.Token = name, nameToken
			r := newRigOver(t, objecttest.NewStore(t), []Bucket{b})
			status := map[bool]int{true: http.StatusRequestEntityTooLarge, false: http.StatusInsufficientStorage}[b.MaxSize > 0]
			wantAnswer(t, r.push(nameToken, "x", "content"), status, text)
		}
	}
}
