package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hugbucket/internal/daemon"
)

func do(t *testing.T, method, url, body string) (status int, content string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test's
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// serve runs the daemon and returns its address, a channel of its log and
// what stops it.
func serve(t *testing.T, path string) (url string, lines <-chan map[string]any, stop func()) {
	t.Helper()
	logs, stderr := io.Pipe()
	all := make(chan map[string]any, 256)
	go func() {
		defer close(all)
		for s := bufio.NewScanner(logs); s.Scan(); {
			var fields map[string]any
			if err := json.Unmarshal(s.Bytes(), &fields); err == nil {
				all <- fields
			}
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--config", path}, io.Discard, stderr)
		stderr.Close() //nolint:errcheck // a pipe
	}()
	kept := make(chan map[string]any, 256)
	for fields := range all {
		kept <- fields
		if fields["message"] == "serving" {
			url = fmt.Sprintf("http://%s", fields["address"])
			break
		}
	}
	if url == "" {
		t.Fatal(<-ended)
	}
	close(kept)
	go func() {
		for range all { // or the daemon would wait for its log to be read
		}
	}()
	return url, kept, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// An object put into one process is there in the next.
func TestAnonymous(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	text := fmt.Sprintf(`{"storage": {"path": %q}, "s3": {"host": "127.0.0.1", "port": 0}, "metrics": {"port": 0}}`, filepath.Join(dir, "store"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url, lines, stop := serve(t, path)
	if status, body := do(t, "PUT", url+"/backup", ""); status != http.StatusOK {
		t.Fatalf("make bucket: %d %s", status, body)
	}
	if status, body := do(t, "PUT", url+"/backup/a", "content"); status != http.StatusOK {
		t.Fatalf("put: %d %s", status, body)
	}
	stop()
	warned := false
	for fields := range lines {
		warned = warned || fields["level"] == "warn" && strings.Contains(fmt.Sprint(fields["message"]), "everybody may read")
	}
	if !warned {
		t.Error("no warning about a door that is open to everybody")
	}
	url, _, stop = serve(t, path)
	if status, body := do(t, "GET", url+"/backup/a", ""); status != http.StatusOK || body != "content" {
		t.Errorf("get: %d %s", status, body)
	}
	stop()
}

// TestConcurrentCreate: of two hundred that may only make a key, at the same time, one does, and the others are told. No body
// is sent before many were asked for, when nothing is there yet. Those that are told to slow down come back, as SDKs do.
func TestConcurrentCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	text := fmt.Sprintf(`{"storage": {"path": %q}, "s3": {"host": "127.0.0.1", "port": 0}, "metrics": {"port": 0}}`, filepath.Join(dir, "store"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url, _, stop := serve(t, path)
	defer stop()
	if status, body := do(t, "PUT", url+"/locks", ""); status != http.StatusOK {
		t.Fatalf("make bucket: %d %s", status, body)
	}
	const writers, asked = 200, 60
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}
	defer client.CloseIdleConnections()
	var gate sync.WaitGroup
	gate.Add(asked)
	var passed atomic.Int64
	put := func(content string) (int, error) {
		body := &gatedBody{Reader: strings.NewReader(content), begin: func() {
			if passed.Add(1) <= asked {
				gate.Done()
			}
			gate.Wait()
		}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/locks/state.lock", body)
		if err != nil {
			return 0, err
		}
		req.ContentLength = int64(len(content))
		req.Header.Set("If-None-Match", "*")
		req.Header.Set("Expect", "100-continue")
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	answers := make([]int, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for answers[i] == 0 || answers[i] == http.StatusServiceUnavailable {
				var err error
				if answers[i], err = put(fmt.Sprint("writer ", i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	winner, lost := -1, 0
	for i, status := range answers {
		switch status {
		case http.StatusOK:
			if winner >= 0 {
				t.Errorf("%d and %d both won", winner, i)
			}
			winner = i
		case http.StatusPreconditionFailed:
			lost++
		default:
			t.Errorf("writer %d: %d", i, status)
		}
	}
	if lost != writers-1 {
		t.Errorf("%d lost", lost)
	}
	if _, body := do(t, "GET", url+"/locks/state.lock", ""); body != fmt.Sprint("writer ", winner) {
		t.Errorf("writer %d won, and the object is of %q", winner, body)
	}
}

// gatedBody is a body that calls begin when it is asked for.
type gatedBody struct {
	io.Reader
	begin func()
	once  sync.Once
}

func (b *gatedBody) Read(p []byte) (int, error) {
	b.once.Do(b.begin)
	return b.Reader.Read(p)
}

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func() (string, error) {
		var out strings.Builder
		err := run(t.Context(), []string{"--check", "--config", path}, &out, io.Discard)
		return out.String(), err
	}
	write(`{"s3": {"access_key": "AK", "secret_key": "SK", "strict_region": true, "upload_expiry": "36h", "domain": ["S3.lan", "s3.example.com"],
"keys": [{"access_key": "AK2", "secret_key": "SK2", "owner": "o", "buckets": ["db01"], "prefix": "p/", "mode": "create"}]}}`)
	if out, err := check(); err != nil || out != path+": ok\n" {
		t.Errorf("got %q, %v", out, err)
	}
	cfg, err := daemon.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	got := s3Config(cfg)
	if len(got.Keys) != 2 || got.Keys[0].AccessKey != "AK" || !got.StrictRegion || got.UploadExpiry != 36*time.Hour || got.Region != "us-east-1" {
		t.Errorf("got %+v", got)
	}
	if d := got.Domains; len(d) != 2 || d[0] != "s3.lan" || d[1] != "s3.example.com" {
		t.Errorf("got %q", d)
	}
	if k := got.Keys[1]; k.Owner != "o" || k.Buckets[0] != "db01" || k.Prefix != "p/" || k.Mode != "create" || k.SecretKey != "SK2" {
		t.Errorf("got %+v", k)
	}
	for scope, want := range map[string]string{
		`"prefix": "` + strings.Repeat("x", 2000) + `"`: "prefix: must be at most 1024 bytes",
		`"buckets": ["db01", "Db"]`:                     `buckets[1]: "Db" is no bucket name: a bucket name has 3 to 63 characters`,
		`"buckets": ["db01", "a/b"]`:                    `buckets[1]: "a/b" is no bucket name: a bucket name is made of a-z, 0-9, '.' and '-'`,
		`"buckets": ["*"]`:                              `buckets[0]: "*" is no bucket name: a bucket name has 3 to 63 characters`,
		`"mode": "append"`:                              `mode: must be "read" or "write" or "create", not "append"`,
	} {
		write(`{"s3": {"keys": [{"access_key": "a", "secret_key": "b", ` + scope + `}]}}`)
		if _, err := check(); daemon.Report(io.Discard, name, err) != 78 || err.Error() != path+":1: s3.keys[0]."+want {
			t.Errorf("%s: got %v", scope, err)
		}
	}
}
