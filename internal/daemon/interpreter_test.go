package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// brokenStarts are beginnings of scripts that cannot be run, with why not.
var brokenStarts = map[string]string{
	"#!/bin/sh\r\nexit 0\r\n":    "its lines end in CR LF",
	"#!/bin/sh -e\r\nexit 0\r\n": "its lines end in CR LF", // the shell would end it with 2: what may replace files
	"#!/nope/sh\nexit 0\n":       `there is no interpreter "/nope/sh"`,
	"#! /nope/sh -e\nexit 0\n":   `there is no interpreter "/nope/sh"`,
	"#!/nope/sh":                 `there is no interpreter "/nope/sh"`,
	"#!/etc\n":                   `its interpreter "/etc" is no program`,
	"#!/etc/passwd\n":            `its interpreter "/etc/passwd" is no program`,
	"#!\n/bin/sh\n":              "does not begin with #! and an interpreter",
	"exit 0\n":                   "does not begin with #! and an interpreter",
	"\ufeff#!/bin/sh\nexit 0\n":  "does not begin with #! and an interpreter",
	"":                           "does not begin with #! and an interpreter",
	strings.Repeat("x", 1<<20):   "does not begin with #! and an interpreter",
}

// TestHookThatCannotStart: the check of the configuration says why, and so does who runs it. It is there, so it must not look as if
// it were not.
func TestHookThatCannotStart(t *testing.T) {
	dir := hookDir(t)
	path := filepath.Join(dir, "pre-push.sh")
	put := func(t *testing.T, content string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o755), os.Chmod(path, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	bothWays(t, dir, time.Hour, func(t *testing.T, h *Hooks) {
		t.Helper()
		for content, why := range brokenStarts {
			put(t, content)
			want := path + ": is not run: "
			got, err := h.Run(t.Context(), HookCall{Name: "pre-push.sh"})
			if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), why) {
				t.Errorf("%.20q: %+v, %v; want %q", content, got, err, why)
			}
			warnings := deadHooks(dir, h.Socket)
			if len(warnings) != 1 || !strings.HasPrefix(warnings[0], want) || !strings.Contains(warnings[0], why) {
				t.Errorf("%.20q: warnings %q, want %q", content, warnings, why)
			}
		}
		program, err := os.ReadFile("/bin/true")
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{"#!/bin/sh\nexit 0\n", "#! /bin/sh -e\nexit 0\n", "#!bin/sh\nexit 0", "#!/bin/sh\nexit 0 # \r\n", string(program)} {
			put(t, content)
			if got, err := h.Run(t.Context(), HookCall{Name: "pre-push.sh"}); err != nil || got.Code != 0 {
				t.Errorf("%.20q: %+v, %v", content, got, err)
			}
			if warnings := deadHooks(dir, h.Socket); len(warnings) != 0 {
				t.Errorf("%.20q: warnings %q", content, warnings)
			}
		}
	})
}
