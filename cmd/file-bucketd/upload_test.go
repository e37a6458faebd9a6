package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestUploadOutlivesTheDaemon begins uploads with one daemon and ends them with the next, over a store on disk.
func TestUploadOutlivesTheDaemon(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, dir, `"buckets": ["bare-token", {"name": "db01", "token": "token-one", "quota": "1MiB"}], "s3": {"upload_expiry": "2h"}`)
	tokens := []string{"bare-token", "token-one"}
	content := strings.Repeat("content ", 50_000)
	uploads := make(map[string]string)
	daemonFor(t, path, func(url string) {
		for _, token := range tokens {
			h := ask(t, "POST", url+"/"+token, "", http.StatusCreated, "Upload-Length", fmt.Sprint(len(content)), "Upload-Metadata", "filename YS50YXI=")
			uploads[token] = h.Get("Location")
			if h.Get("Upload-Expires") == "" {
				t.Errorf("%s: it does not say when it expires", token)
			}
			ask(t, "PATCH", url+uploads[token], content[:100_000], http.StatusNoContent, "Upload-Offset", "0")
		}
	})
	daemonFor(t, path, func(url string) {
		for _, token := range tokens {
			h := ask(t, "HEAD", url+uploads[token], "", http.StatusOK)
			if got := h.Get("Upload-Offset"); got != "100000" {
				t.Fatalf("%s: offset %s", token, got)
			}
			ask(t, "PATCH", url+uploads[token], content[100_000:], http.StatusNoContent, "Upload-Offset", "100000")
			// A file of that name and size is there now.
			ask(t, "POST", url+"/"+token, "", http.StatusMethodNotAllowed, "Upload-Length", "1", "Upload-Metadata", "filename YS50YXI=")
		}
		ask(t, "POST", url+"/token-one", "", http.StatusInsufficientStorage, "Upload-Length", fmt.Sprint(1<<20-399_999), "Upload-Metadata", "filename Yg==")
	})
	daemonFor(t, path, func(url string) {
		for _, token := range tokens {
			if got := ask(t, "HEAD", url+uploads[token], "", http.StatusOK).Get("Upload-Offset"); got != fmt.Sprint(len(content)) {
				t.Errorf("%s: offset %s", token, got)
			}
		}
	})
}

// daemonFor runs a daemon while f runs.
func daemonFor(t *testing.T, config string, f func(url string)) {
	t.Helper()
	log, end := start(t, config)
	url := fmt.Sprintf("http://%s", log.next("serving")["address"])
	log.drain()
	f(url)
	end()
}

// ask sends a request of tus; more are pairs of a header and its value.
func ask(t *testing.T, method, url, content string, want int, more ...string) http.Header { //nolint:revive // it reads as a request
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test's
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Errorf("%s: %d %q, want %d; %v", method, resp.StatusCode, text, want, err)
	}
	return resp.Header
}
