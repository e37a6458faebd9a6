package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
	"hugbucket/internal/xet"
)

var testTime = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

const (
	testAccess = "AKTEST"
	testSecret = "a-very-secret-secret"
)

// world is a door on a store in memory, over real HTTP.
type world struct {
	t      *testing.T
	mem    *objecttest.Memory
	calls  *countingDriver
	server *Server
	http   *httptest.Server
	signer testSigner
	logs   *logBuffer
}

// newWorld makes one. Without keys in cfg it gets one that may do everything.
func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = []Key{{AccessKey: testAccess, SecretKey: testSecret}}
	}
	if len(cfg.Keys) == 0 {
		cfg.Keys = nil
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return testTime }
	}
	w := &world{t: t, mem: objecttest.NewMemory(), logs: &logBuffer{}}
	w.calls = &countingDriver{Driver: w.mem}
	var err error
	store := object.New(w.calls, object.Config{Now: cfg.Now})
	if w.server, err = New(store, cfg, zerolog.New(w.logs).Level(zerolog.DebugLevel)); err != nil {
		t.Fatal(err)
	}
	w.http = httptest.NewUnstartedServer(w.server)
	w.http.Start()
	w.signer = testSigner{access: testAccess, secret: testSecret, region: DefaultRegion, now: testTime, made: w.logs.secret}
	t.Cleanup(func() {
		w.http.Close() // waits for handlers, so that nothing is open
		for _, err := range []error{w.mem.Close(), w.mem.Check()} {
			if err != nil {
				t.Error(err)
			}
		}
		w.logs.check(t)
	})
	return w
}

// as is the world seen by another key.
func (w *world) as(k Key) *world {
	other := *w
	other.signer.access, other.signer.secret = k.AccessKey, k.SecretKey
	return &other
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// code is the code of an error document.
func (r *reply) code() string {
	var doc struct{ Code string }
	_ = xml.Unmarshal([]byte(r.body), &doc)
	return doc.Code
}

// secrets are those of all keys that are long enough not to be found by chance, and what is made of one.
func (w *world) secrets() []string {
	var found []string
	for _, k := range w.server.keys {
		if len(k.SecretKey) >= 8 {
			found = append(found, k.SecretKey)
		}
	}
	key := w.signer.key()
	return append(found, string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key))
}

// raw makes a request to a target as it is written; it is not signed.
func (w *world) raw(method, target string, body []byte) *http.Request {
	w.t.Helper()
	var rd io.Reader
	if body != nil {
		rd = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL, rd)
	if err != nil {
		w.t.Fatal(err)
	}
	path, query, _ := strings.Cut(target, "?")
	r.URL.RawPath, r.URL.RawQuery = path, query
	if r.URL.Path, err = url.PathUnescape(path); err != nil {
		w.t.Fatal(err)
	}
	r.Host = r.URL.Host
	return r
}

// send sends a request as it is.
func (w *world) send(r *http.Request) *reply {
	w.t.Helper()
	resp, err := w.http.Client().Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test's answer
	body, err := io.ReadAll(resp.Body)
	for _, secret := range w.secrets() {
		if strings.Contains(string(body)+fmt.Sprint(resp.Header), secret) {
			w.t.Errorf("%s %s: the answer holds the secret %q", r.Method, r.URL, secret)
		}
	}
	return &reply{resp.StatusCode, resp.Header, string(body), err}
}

// do signs and sends a request; headers are names and values in turn.
func (w *world) do(method, target, body string, headers ...string) *reply {
	w.t.Helper()
	r := w.raw(method, target, []byte(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w.signer.sign(r, testHash(body))
	return w.send(r)
}

// want does and fails the test for another status, or another error code when one is given.
//
//nolint:revive // six arguments, all of different kinds, read well in tables
func (w *world) want(status int, code, method, target, body string, headers ...string) *reply {
	w.t.Helper()
	re := w.do(method, target, body, headers...)
	w.wantReply(re, status, code, method+" "+target)
	return re
}

func (w *world) wantReply(re *reply, status int, code, what string) {
	w.t.Helper()
	if re.status != status || code != "" && re.code() != code {
		w.t.Errorf("%s: %d %q, want %d %q\n%s", what, re.status, re.code(), status, code, re.body)
	}
}

// exists says whether a key is stored, without asking the door.
func (w *world) exists(bucket, key string) bool {
	_, err := w.mem.Stat(context.Background(), bucket, key)
	return err == nil
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
	// more are signatures that were made.
	more []string
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// secret has check look for s.
func (b *logBuffer) secret(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.more = append(b.more, s)
}

// check fails the test when a secret was logged. Every world does so at its end.
func (b *logBuffer) check(t *testing.T) {
	t.Helper()
	text := b.String()
	made := make(map[string]bool, len(b.more))
	for _, s := range b.more {
		made[s] = true
	}
	for _, s := range digests.FindAllString(text, -1) {
		if made[s] {
			t.Errorf("the log holds the signature %s", s)
		}
	}
	for _, s := range []string{testSecret, "ignature=", "Credential=", "X-Amz-Date=", "AWS4-HMAC-SHA256 Cred"} {
		if !strings.Contains(text, s) {
			continue
		}
		for line := range strings.Lines(text) {
			if strings.Contains(line, s) {
				t.Errorf("the log holds %q:\n%s", s, line)
			}
		}
	}
}

// digests finds what may be a signature.
var digests = regexp.MustCompile(`[0-9a-f]{64}`)

// countingDriver counts what the store is asked. The driver is no embedded one, so that no method goes by uncounted.
type countingDriver struct {
	Driver object.Driver
	n      atomic.Int64
	before func(op string) // called first; may panic
}

var _ object.Driver = (*countingDriver)(nil)

func (d *countingDriver) count(op string) {
	d.n.Add(1)
	if d.before != nil {
		d.before(op)
	}
}

func (d *countingDriver) Buckets(ctx context.Context, start string, limit int) ([]object.Bucket, bool, error) {
	d.count("Buckets")
	return d.Driver.Buckets(ctx, start, limit)
}

func (d *countingDriver) Bucket(ctx context.Context, name string) (object.Bucket, error) {
	d.count("Bucket")
	return d.Driver.Bucket(ctx, name)
}

func (d *countingDriver) Arrived(ctx context.Context, bucket string) (time.Time, error) {
	d.count("Arrived")
	return d.Driver.Arrived(ctx, bucket)
}

func (d *countingDriver) CreateBucket(ctx context.Context, b object.Bucket) error {
	d.count("CreateBucket")
	return d.Driver.CreateBucket(ctx, b)
}

func (d *countingDriver) DeleteBucket(ctx context.Context, name string) error {
	d.count("DeleteBucket")
	return d.Driver.DeleteBucket(ctx, name)
}

func (d *countingDriver) Stat(ctx context.Context, bucket, key string) (object.Info, error) {
	d.count("Stat")
	return d.Driver.Stat(ctx, bucket, key)
}

func (d *countingDriver) List(ctx context.Context, bucket string, q object.Page) ([]object.Info, bool, error) {
	d.count("List")
	return d.Driver.List(ctx, bucket, q)
}

func (d *countingDriver) Open(ctx context.Context, bucket, key string) (object.Info, object.Content, error) {
	d.count("Open")
	return d.Driver.Open(ctx, bucket, key)
}

func (d *countingDriver) OpenFile(ctx context.Context, file xet.Hash) (object.Content, error) {
	d.count("OpenFile")
	return d.Driver.OpenFile(ctx, file)
}

func (d *countingDriver) Begin(ctx context.Context) (object.Session, error) {
	d.count("Begin")
	return d.Driver.Begin(ctx)
}

func (d *countingDriver) CreateUpload(ctx context.Context, u object.Upload) error {
	d.count("CreateUpload")
	return d.Driver.CreateUpload(ctx, u)
}

func (d *countingDriver) Upload(ctx context.Context, id string) (object.Upload, error) {
	d.count("Upload")
	return d.Driver.Upload(ctx, id)
}

func (d *countingDriver) ListUploads(ctx context.Context, bucket string, q object.UploadPage) ([]object.Upload, bool, error) {
	d.count("ListUploads")
	return d.Driver.ListUploads(ctx, bucket, q)
}

func (d *countingDriver) Parts(ctx context.Context, id string, after, limit int) ([]object.Part, bool, error) {
	d.count("Parts")
	return d.Driver.Parts(ctx, id, after, limit)
}

func (d *countingDriver) AbortUpload(ctx context.Context, id string) error {
	d.count("AbortUpload")
	return d.Driver.AbortUpload(ctx, id)
}

func (d *countingDriver) ForgetUploads(ctx context.Context, ids []string) error {
	d.count("ForgetUploads")
	return d.Driver.ForgetUploads(ctx, ids)
}

func (d *countingDriver) ExpireUploads(ctx context.Context, before time.Time) (int, error) {
	d.count("ExpireUploads")
	return d.Driver.ExpireUploads(ctx, before)
}

func (d *countingDriver) Close() error { return d.Driver.Close() }
