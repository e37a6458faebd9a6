package push

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// FuzzForm pushes random bodies. What the door takes must be a form for the standard library, too, with the file's very
// content and a closing boundary; what it refuses must leave nothing. The size that was told before is that of the file or more,
// but for ends of lines.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		string(simpleForm("x", "content")),
		"--b\n\n",
		"--b--",
		"pre\r\n" + string(simpleForm("x", "\r\n--bb\r\n")) + "post",
		"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n" + string(simpleForm("../x", "c")),
		"--b\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n1\r\n--b\r\n",
		"--b\r\nContent-Disposition: form-data; name=file; filename*=UTF-8''x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--b--",
		"--b\nContent-Disposition: form-data; name=file; filename=x\n\n1\n--b--\n",
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, declared bool) {
		driver := objecttest.NewMemory()
		store := object.New(driver, object.Config{})
		hooks := &script{pre: ends(hookStore, "")}
		door, err := New(store, Config{Buckets: []Bucket{{Name: "db01", Token: nameToken}}, Hooks: hooks}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		req := post("/"+nameToken, body)
		if !declared {
			req.ContentLength = -1
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, req)
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
		l, err := store.List(context.Background(), "db01", object.ListOptions{})
		switch w.Code {
		case http.StatusOK:
		case http.StatusBadRequest, http.StatusPreconditionFailed:
			if err == nil && len(l.Objects) > 0 {
				t.Errorf("answer %d %q, and %v is stored", w.Code, w.Body, l.Objects)
			}
			return
		default:
			t.Fatalf("answer %d %q", w.Code, w.Body)
		}
		if err != nil || len(l.Objects) != 1 {
			t.Fatalf("stored %v, %v", l.Objects, err)
		}
		if !bytes.Contains(body, []byte("--b--")) {
			t.Error("taken without a closing boundary")
		}
		files := filesOf(t, body)
		if len(files) != 1 {
			t.Fatalf("taken, but the form has the files %q", files)
		}
		got := contentOf(t, store, l.Objects[0])
		if want := files[0]; !bytes.Equal(got, want) {
			t.Errorf("stored %q, sent %q", got, want)
		}
		told, err := strconv.Atoi(hooks.calls[0].Args[2])
		if err != nil || declared && told < len(got)-3 || !declared && told != -1 {
			t.Errorf("told %d bytes, %v, stored %d", told, err, len(got))
		}
	})
}

func contentOf(t *testing.T, store *object.Store, info object.Info) []byte {
	t.Helper()
	f, err := store.Open(context.Background(), info.Bucket, info.Key)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, f)
}

// filesOf returns the files of a form, as sent. One in another field than "file" is nil.
func filesOf(t *testing.T, body []byte) [][]byte {
	t.Helper()
	var files [][]byte
	for form := multipart.NewReader(bytes.NewReader(body), "b"); ; {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatalf("taken, but the form is broken: %v", err)
		}
		content := readAll(t, part)
		switch {
		case part.FileName() == "":
		case part.FormName() == "file":
			files = append(files, content)
		default:
			files = append(files, nil)
		}
	}
}

func readAll(t *testing.T, r io.ReadCloser) []byte {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return data
}
