package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHooksThatStayDue: of a resumable upload, post-push.sh is run once more when something else has ended it, and not when it took too
// long.
func TestHooksThatStayDue(t *testing.T) {
	everyWay(t, "deny", func(t *testing.T, h *hooked) {
		t.Helper()
		for name, row := range map[string]struct {
			script string
			due    int
		}{
			"killed":   {"#!/bin/sh\nkill -9 $$\n", 1},
			"too long": {"#!/bin/sh\nexec sleep 100000\n", 0},
			"failed":   {"#!/bin/sh\nexit 1\n", 0},
		} {
			h.hook("post-push.sh", row.script, 0o755)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"token-one", strings.NewReader("content"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{
				"Tus-Resumable": {"1.0.0"}, "Upload-Length": {"7"}, "Content-Type": {"application/offset+octet-stream"},
				"Upload-Metadata": {"filename " + map[string]string{"killed": "YQ==", "too long": "Yg==", "failed": "Yw=="}[name]},
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close() // it is about the status
			notes, err := os.ReadDir(filepath.Join(h.home, ".due"))
			if resp.StatusCode != 201 || resp.Header.Get("X-File-Bucket-Hook") != "failed" || err != nil || len(notes) != row.due {
				t.Errorf("%s: %d %v, %d are due, %v", name, resp.StatusCode, resp.Header, len(notes), err)
			}
			for _, note := range notes {
				if err := os.Remove(filepath.Join(h.home, ".due", note.Name())); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
