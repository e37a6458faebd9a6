package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hugbucket/internal/daemon"
)

// logLines yields the daemon's log until it ends.
type logLines struct {
	t    *testing.T
	scan *bufio.Scanner
}

// next waits for the line with a message.
func (l logLines) next(message string) map[string]any {
	l.t.Helper()
	for l.scan.Scan() {
		var fields map[string]any
		if err := json.Unmarshal(l.scan.Bytes(), &fields); err != nil {
			l.t.Fatalf("%s: %v", l.scan.Bytes(), err)
		}
		if fields["message"] == message {
			return fields
		}
	}
	l.t.Fatalf("no line %q", message)
	return nil
}

// drain reads what else the daemon logs, or that would block.
func (l logLines) drain() {
	go func() {
		for l.scan.Scan() {
			continue
		}
	}()
}

// start runs a daemon until end is called, which must be after drain.
func start(t *testing.T, config string) (log logLines, end func()) {
	t.Helper()
	logs, stderr := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--config", config}, io.Discard, stderr)
		stderr.Close() //nolint:errcheck // a pipe
	}()
	return logLines{t, bufio.NewScanner(logs)}, func() {
		t.Helper()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// post pushes a file and returns the status.
func post(t *testing.T, url, name, content string) int {
	t.Helper()
	return postBy(t, http.DefaultClient, url, name, content)
}

func postBy(t *testing.T, client *http.Client, url, name, content string) int {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(part, content) // into memory
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	resp, err := client.Post(url, form.FormDataContentType(), &body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test's
	return resp.StatusCode
}

func writeConfig(t *testing.T, path, dir, buckets string) {
	t.Helper()
	text := fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "home": %q, "storage": {"path": %q}, "metrics": {"port": 0},
%s}`, filepath.Join(dir, "files"), filepath.Join(dir, "store"), buckets)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPushAndReload(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, dir, `"buckets": ["bare-token", {"name": "db01", "token": "token-one"}]`)
	log, end := start(t, path)
	url := fmt.Sprintf("http://%s/", log.next("serving")["address"])
	statuses := make(chan int, 1)
	send := func(token, name string, want int) {
		t.Helper()
		go func() { statuses <- post(t, url+token, name, "content") }()
		for log.scan.Scan() && !bytes.Contains(log.scan.Bytes(), []byte(`"req":`)) {
			continue // until the line of the request, or it would block
		}
		if got := <-statuses; got != want {
			t.Errorf("%s: status %d, want %d", token, got, want)
		}
	}
	send("token-one", "a.tar", http.StatusOK)
	send("token-one", "a.tar", http.StatusMethodNotAllowed)
	send("bare-token", "plain.tar", http.StatusOK)
	send("token-two", "a.tar", http.StatusForbidden)
	if got, err := os.ReadFile(filepath.Join(dir, "files", "bare-token", "plain.tar")); err != nil || string(got) != "content" {
		t.Errorf("plain file: %q, %v", got, err)
	}

	reload := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
	}
	// The home is not reloaded: it stays where it was.
	writeConfig(t, path, filepath.Join(dir, "elsewhere"), `"buckets": ["bare-token", {"name": "db02", "token": "token-two"}]`)
	reload()
	log.next("bucket list replaced")
	send("token-one", "b.tar", http.StatusForbidden)
	send("token-two", "b.tar", http.StatusOK)
	send("bare-token", "b.tar", http.StatusOK)
	if _, err := os.Stat(filepath.Join(dir, "files", "bare-token", "b.tar")); err != nil {
		t.Error(err)
	}

	writeConfig(t, path, dir, `"buckets": [{"name": "db03", "tokne": "token-three"}]`)
	reload()
	got := log.next("not reloaded, the old configuration is kept")
	if want := path + `:2: buckets[0].tokne: unknown key (did you mean "token"?)`; got["error"] != want {
		t.Errorf("got %v, want %s", got["error"], want)
	}
	send("token-two", "c.tar", http.StatusOK)

	for _, none := range []string{`"log": {}`, `"buckets": []`} {
		writeConfig(t, path, dir, none)
		reload()
		if got := log.next("the configuration has no buckets: every push is refused"); got["level"] != "warn" {
			t.Errorf("%s: logged %v", none, got)
		}
		send("token-two", "d.tar", http.StatusForbidden)
	}

	log.drain()
	end()
}

func TestHelp(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), []string{"--help"}, &out, io.Discard)
	if daemon.Report(io.Discard, name, err) != 0 || !strings.Contains(out.String(), "SIGUSR2 reloads the list of buckets and the certificate.") {
		t.Errorf("%v, %s", err, &out)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, dir, `"buckets": [{"name": "db01", "token": "token-one"}, {"name": "db02", "tokens": ["token-two", "token-three"], "max_size": "1KiB", "quota": "2KiB"}]`)
	var out strings.Builder
	if err := run(t.Context(), []string{"--check", "--config", path}, &out, io.Discard); err != nil || out.String() != path+": ok\n" {
		t.Errorf("got %q, %v", &out, err)
	}
	cfg, err := daemon.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	b := pushConfig(cfg).Buckets[1]
	if b.Name != "db02" || b.MaxSize != 1024 || b.Quota != 2048 || len(b.Tokens) != 2 {
		t.Errorf("got %+v", b)
	}
}

func TestStampOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, dir, `"buckets": [{"name": "db01", "token": "token-one", "stamp": true}, {"name": "db02", "token": "token-two"}]`)
	cfg, err := daemon.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if b := pushConfig(cfg).Buckets; !b[0].Stamp || b[1].Stamp {
		t.Errorf("got %+v", b)
	}
}
