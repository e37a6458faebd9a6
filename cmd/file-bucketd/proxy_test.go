package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestBehindProxyOverIPv6: of a proxy that is trusted, here one on ::1, the door learns who the client is, for the log and fail2ban; of
// one that is not, it does not.
func TestBehindProxyOverIPv6(t *testing.T) {
	for trusted, remote := range map[string]string{"::1": "198.51.100.7", "192.0.2.0/24": "::1"} {
		t.Run(trusted, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "config.json")
			text := fmt.Sprintf(`{"host": "::1", "port": 0, "home": %q, "storage": {"path": %q}, "metrics": {"port": 0},
"buckets": [{"name": "db01", "token": "token-one"}], "trusted_proxies": [%q]}`, filepath.Join(dir, "files"), filepath.Join(dir, "store"), trusted)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			log, end := start(t, path)
			url := fmt.Sprintf("http://%s/no-such-token", log.next("serving")["address"])
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(nil))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", "203.0.113.9, 198.51.100.7")
			answered := make(chan error, 1)
			go func() {
				resp, err := http.DefaultClient.Do(req)
				if err == nil {
					err = resp.Body.Close()
				}
				answered <- err
			}()
			var line map[string]any
			for line["req"] == nil && log.scan.Scan() {
				if err := json.Unmarshal(log.scan.Bytes(), &line); err != nil {
					t.Fatal(err)
				}
			}
			if line["message"] != "auth failure bucket=? remote="+remote+" token=no-" || line["remote"] != remote {
				t.Errorf("line %v", line)
			}
			log.drain()
			if err := <-answered; err != nil {
				t.Error(err)
			}
			end()
		})
	}
}
