package push

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

const (
	bareToken = "3547264155b541de5cb6a7eae0431a14"
	nameToken = "9c7c64cfac3b922aacd4ba68cb631e82"
	overToken = "overwrite-me_token-0001"
	bareOver  = "bare-overwrite-token-02"
	tinyToken = "tiny-limit-token-000003"
	bareTiny  = "bare-tiny-limit-token-4"
	badToken  = "3f9a1c00000000000000000000000000"
)

// rig is a door over a store in memory and a home in a temporary directory.
type rig struct {
	t     *testing.T
	store *object.Store
	home  string
	door  *Server
	logs  *logs
}

func buckets() []Bucket {
	return []Bucket{
		{Token: bareToken},
		{Name: "db01", Token: nameToken},
		{Name: "over", Token: overToken, Overwrite: true},
		{Token: bareOver, Overwrite: true},
		{Name: "tiny", Token: tinyToken, MaxSize: 100},
		{Token: bareTiny, MaxSize: 100},
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOver(t, objecttest.NewStore(t), buckets())
}

func newRigOver(t *testing.T, store *object.Store, list []Bucket) *rig {
	t.Helper()
	r := &rig{t: t, store: store, home: filepath.Join(t.TempDir(), "files"), logs: &logs{}}
	door, err := New(store, Config{Home: r.home, Buckets: list}, zerolog.New(r.logs))
	if err != nil {
		t.Fatal(err)
	}
	r.door = door
	t.Cleanup(func() {
		for _, b := range append(list, Bucket{Token: badToken}) {
			if b.Token != "" && strings.Contains(r.logs.String(), b.Token) {
				t.Errorf("a log line holds the token %s…:\n%s", b.Token[:6], r.logs)
			}
		}
	})
	return r
}

// serve gives the door an address.
func (r *rig) serve() *httptest.Server {
	r.t.Helper()
	ts := httptest.NewServer(r.door)
	r.t.Cleanup(ts.Close)
	return ts
}

// do runs a request without a network.
func (r *rig) do(req *http.Request) *httptest.ResponseRecorder {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.door.ServeHTTP(w, req)
	return w
}

// push posts one file without a network.
func (r *rig) push(token, name, content string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.do(post("/"+token, simpleForm(name, content)))
}

// stored lists all that is stored anywhere, as "bucket/key" and "token/file", with the content.
func (r *rig) stored() map[string]string {
	r.t.Helper()
	out := make(map[string]string)
	list, _, err := r.store.Buckets(context.Background(), "", 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, b := range list {
		l, err := r.store.List(context.Background(), b.Name, object.ListOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, o := range l.Objects {
			f, err := r.store.Open(context.Background(), b.Name, o.Key)
			if err != nil {
				r.t.Fatal(err)
			}
			data, err := io.ReadAll(f)
			if err != nil {
				r.t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				r.t.Fatal(err)
			}
			out[b.Name+"/"+o.Key] = string(data)
		}
	}
	err = filepath.WalkDir(r.home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if path == r.home {
				return nil // made by the first push
			}
			return err
		}
		name, err := filepath.Rel(r.home, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		out[name] = string(data)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) wantStored(want map[string]string) {
	r.t.Helper()
	got := r.stored()
	for name, content := range want {
		if c, ok := got[name]; !ok || c != content {
			r.t.Errorf("%s: stored %t with %d bytes, want %d bytes", name, ok, len(c), len(content))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			r.t.Errorf("%s is stored", name)
		}
	}
}

func (r *rig) wantNothing() {
	r.t.Helper()
	r.wantStored(nil)
}

// lastLine is the last line logged.
func (r *rig) lastLine() map[string]any {
	r.t.Helper()
	lines := strings.Split(strings.TrimSpace(r.logs.String()), "\n")
	var out map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &out); err != nil {
		r.t.Fatalf("%v in %q", err, lines[len(lines)-1])
	}
	return out
}

// raw is a form as bytes with the boundary "b".
type raw []byte

func simpleForm(name, content string) raw {
	return raw("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name +
		"\"\r\nContent-Type: application/sql\r\n\r\n" + content + "\r\n--b--\r\n")
}

func post(target string, form raw) *http.Request {
	req := httptest.NewRequest(http.MethodPost, target, bytes.NewReader(form))
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	return req
}

// stdForm is a form as the standard library writes it.
func stdForm(t *testing.T, write func(w *multipart.Writer) error) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	if err := write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return body, w.FormDataContentType()
}

func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), text) {
		t.Errorf("answer %d %q, want %d %q", w.Code, w.Body, status, text)
	}
}

// logs is a log that can be read while it is written.
type logs struct {
	mu  sync.Mutex // guards buf and got
	buf bytes.Buffer
	got chan struct{} // closed with the next line, when somebody waits
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.got != nil {
		close(l.got)
		l.got = nil
	}
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// await waits until a line holds text.
func (l *logs) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		if strings.Contains(l.buf.String(), text) {
			l.mu.Unlock()
			return
		}
		if l.got == nil {
			l.got = make(chan struct{})
		}
		got := l.got
		l.mu.Unlock()
		select {
		case <-got:
		case <-late:
			t.Fatalf("no line with %q in:\n%s", text, l)
		}
	}
}

// counter counts how often and how much is read.
type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += max(n, 1)
	return n, err
}

// faulty is a driver whose Stat, Bucket creation and Begin can be replaced.
type faulty struct {
	object.Driver
	stat   func() error
	create func() error
	begin  func() error
}

func (f *faulty) Stat(ctx context.Context, bucket, key string) (object.Info, error) {
	if f.stat != nil {
		if err := f.stat(); err != nil {
			return object.Info{}, err
		}
	}
	return f.Driver.Stat(ctx, bucket, key)
}

func (f *faulty) CreateBucket(ctx context.Context, b object.Bucket) error {
	if f.create != nil {
		if err := f.create(); err != nil {
			return err
		}
	}
	return f.Driver.CreateBucket(ctx, b)
}

func (f *faulty) Begin(ctx context.Context) (object.Session, error) {
	if f.begin != nil {
		if err := f.begin(); err != nil {
			return nil, err
		}
	}
	return f.Driver.Begin(ctx)
}
