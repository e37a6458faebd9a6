package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/object/objecttest"
)

// Two tokens that the config.json of an earlier file-bucket came with, and one as people made them.
const (
	listed  = "3547264155b541de5cb6a7eae0431a14"
	another = "9c7c64cfac3b922aacd4ba68cb631e82"
	based   = "Zm9v+YmFyYmF6cXV4Zm9vYmFyYm.~ab="
	unknown = "00000000000000000000000000000000"
)

// newOriginal is a door with the four keys that an earlier file-bucket knows, and a directory for its hooks.
func newOriginal(t *testing.T) *hooked {
	t.Helper()
	h, base := hookedDirs(t)
	path := filepath.Join(base, "config.json")
	text := fmt.Sprintf("{\n \"buckets\": [%q, %q, %q],\n \"port\": 1234,\n \"home\": %q,\n \"host\": \"0.0.0.0\"\n}\n", listed, another, based, h.home)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Hooks.Dir != "/etc/file-bucket" || cfg.Host != "0.0.0.0" || cfg.Port != 1234 || program().Check(cfg) != nil {
		t.Errorf("got %+v", cfg)
	}
	cfg.Hooks.Dir = h.dir // a test has no say in /etc
	log := zerolog.New(zerolog.SyncWriter(h.log))
	scripts := daemon.NewHooks(cfg, log)
	scripts.Socket = filepath.Join(base, "sock")
	door, err := openWith(cfg, objecttest.NewStore(t), log, scripts)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(door.Handler)
	t.Cleanup(ts.Close)
	h.url = ts.URL
	return h
}

// files lists what is stored below home, as "token/file", with the content.
func (h *hooked) files() map[string]string {
	h.t.Helper()
	paths, err := filepath.Glob(filepath.Join(h.home, "*", "*"))
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			h.t.Fatal(err)
		}
		out[strings.TrimPrefix(path, h.home+"/")] = string(data)
	}
	return out
}

// part is a part of a form, which ends with "--b--".
func part(field, filename, content string) string {
	if filename != "" {
		field += `"; filename="` + filename
	}
	return "--b\r\nContent-Disposition: form-data; name=\"" + field + "\"\r\n\r\n" + content + "\r\n"
}

// TestContractOfFileBucket is the contract of an earlier file-bucket, a row for each thing that it was seen to do, in the order
// of its checks. now is what we do where that is something else, and why.
func TestContractOfFileBucket(t *testing.T) {
	const closing = "--b--\r\n"
	good := part("file", "x", "content") + closing
	said := func(code int) string { return fmt.Sprintf("#!/bin/sh\necho said; exit %d\n", code) }
	one := map[string]string{listed + "/x": "content"}
	old := map[string]string{listed + "/x": "old"}
	type now struct {
		status int
		why    string
	}
	for _, row := range []struct {
		name         string
		method, path string // POST and the token when empty
		body         string
		pre, post    string // scripts
		taken        bool   // there is a file x
		broken       bool   // home cannot be a directory
		was          int
		now          now
		text         string // of the answer: all of it when it ends a line
		stored       map[string]string
	}{
		// The route.
		{name: "a token", body: good, was: 200, text: "x 7 sha256:", stored: one},
		{name: "more behind the token", path: "/" + listed + "/any/thing", body: good, was: 200, text: "x 7", stored: one},
		{name: "another token", path: "/" + another, body: good, was: 200, text: "x 7", stored: map[string]string{another + "/x": "content"}},
		{name: "a token in base64", path: "/" + based, body: good, was: 200, text: "x 7", stored: map[string]string{based + "/x": "content"}},
		{name: "token in second place", path: "/x/" + listed, body: good, was: 403, now: now{404, "no token begins this path"}, text: "not found\n"},
		{name: "root", path: "/", body: good, was: 200, now: now{404, "an empty 200 looks like success"}, text: "not found\n"},
		{name: "too short", path: "/short", body: good, was: 200, now: now{404, "as the root"}, text: "not found\n"},
		{name: "a character short", path: "/" + listed[:31], body: good, was: 200, now: now{403, "tokens may have 8 to 128 characters"}, text: "token doesn't exist\n"},
		{name: "a form by PUT", method: "PUT", body: good, was: 200, text: "x 7", stored: one},
		{name: "a form by GET", method: "GET", body: good, was: 200, now: now{412, "reading stores nothing"}, text: "missed 'file' field in form\n"},
		// 1. The token.
		{name: "no such token", path: "/" + unknown, body: good, was: 403, text: "token doesn't exist\n"},
		{name: "no such token, a listed one behind", path: "/" + unknown + "/" + listed, body: good, was: 403, text: "token doesn't exist\n"},
		{name: "token before form", path: "/" + unknown, body: closing, was: 403, text: "token doesn't exist\n"},
		{name: "token before hook", path: "/" + unknown, body: good, pre: said(1), was: 403, text: "token doesn't exist\n"},
		// 2. The form.
		{name: "no file", body: part("x", "", "1") + closing, was: 412, text: "missed 'file' field in form\n"},
		{name: "another field", body: part("upload", "x", "1") + closing, was: 412, text: "missed 'file' field in form\n"},
		{name: "GET", method: "GET", was: 412, text: "missed 'file' field in form\n"},
		{name: "HEAD", method: "HEAD", was: 412},
		{name: "PUT", method: "PUT", was: 412, text: "no file name in the path"},
		{name: "DELETE", method: "DELETE", was: 412, text: "missed 'file' field in form\n"},
		{name: "POST of nothing", was: 412, text: "missed 'file' field in form\n"},
		{name: "empty file name", body: part("file", "", "1") + closing, was: 412, text: "missed 'file' field in form\n"},
		{name: "form before hook", body: closing, pre: said(1), was: 412, text: "missed 'file' field in form\n"},
		{name: "fields around", body: part("a", "", "1") + part("file", "x", "content") + part("b", "", "2") + closing, was: 200, stored: one},
		{name: "two files", body: part("file", "x", "1") + part("file", "y", "2") + closing, was: 200, now: now{400, "one of them would be lost"}, text: "only one file per push"},
		{name: "cut off", body: strings.TrimSuffix(good, closing), was: 412, now: now{400, "the field is there, its end is not"}, text: "upload is incomplete\n"},
		// The name.
		{name: "base name", body: part("file", "../../x", "content") + closing, was: 200, stored: one},
		{name: "dots", body: part("file", "..", "1") + closing, was: 405, now: now{400, "no name of a file"}, text: "invalid file name"},
		{name: "hidden", body: part("file", ".hidden", "1") + closing, was: 200, now: now{400, "temporary files begin so"}, text: "invalid file name"},
		{name: "dash", body: part("file", "-rf", "1") + closing, was: 200, now: now{400, "scripts would take it for an option"}, text: "invalid file name"},
		// 3. pre-push.sh.
		{name: "pre-push 0", body: good, pre: said(0), was: 200, text: "x 7", stored: one},
		{name: "pre-push 1", body: good, pre: said(1), was: 409, text: "upload aborted due to pre-push hook\nsaid\n"},
		{name: "pre-push 2", body: good, pre: said(2), taken: true, was: 200, text: "x 7", stored: one},
		{name: "pre-push 2, new name", body: good, pre: said(2), was: 200, text: "x 7", stored: one},
		{name: "pre-push 3", body: good, pre: said(3), was: 200, now: now{409, "a code that means nothing is no agreement"}, text: aborted},
		{name: "pre-push killed", body: good, pre: "#!/bin/sh\nkill -9 $$\n", was: 200, now: now{409, "nor is a signal"}, text: aborted},
		{name: "pre-push without interpreter", body: good, pre: "#!/none\n", was: 200, now: now{409, "nor is a script that was not run"}, text: aborted},
		{name: "hook before existence", body: good, pre: said(1), taken: true, was: 409, text: "upload aborted", stored: old},
		// 4. Existence.
		{name: "taken", body: good, taken: true, was: 405, text: "file exists\n", stored: old},
		{name: "taken, pre-push 0", body: good, pre: said(0), taken: true, was: 405, text: "file exists\n", stored: old},
		// 5. The directory.
		{name: "no directory", body: good, broken: true, was: 401, text: "cannot create bucket dir or writable\n"},
		{name: "hook before directory", body: good, pre: said(1), broken: true, was: 409, text: "upload aborted"},
		// 6. The file, and post-push.sh.
		{name: "empty file", body: part("file", "x", "") + closing, was: 200, text: "x 0", stored: map[string]string{listed + "/x": ""}},
		{name: "post-push 0", body: good, post: said(0), was: 200, text: "said\n", stored: one},
		{name: "post-push 1", body: good, post: said(1), was: 200, text: "x 7 sha256:", stored: one}, // was an empty answer
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newOriginal(t)
			for name, script := range map[string]string{"pre-push.sh": row.pre, "post-push.sh": row.post} {
				if script != "" {
					h.hook(name, script, 0o755)
				}
			}
			if row.taken {
				h.write(filepath.Join(h.home, listed, "x"), "old")
			}
			if row.broken {
				h.write(h.home, "")
			}
			if row.path == "" {
				row.path = "/" + listed
			}
			if row.method == "" {
				row.method = http.MethodPost
			}
			req, err := http.NewRequestWithContext(t.Context(), row.method, h.url+row.path, strings.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			if row.body != "" {
				req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
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
			want := row.was
			if row.now.why != "" {
				want = row.now.status
			}
			if resp.StatusCode != want || !strings.HasPrefix(string(got), row.text) || strings.HasSuffix(row.text, "\n") && string(got) != row.text {
				t.Errorf("answer %d %q, want %d %q", resp.StatusCode, got, want, row.text)
			}
			if files := h.files(); !maps.Equal(files, row.stored) {
				t.Errorf("stored %q, want %q", files, row.stored)
			}
		})
	}
}

// write writes a file of the administrator's.
func (h *hooked) write(path, content string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// TestContractOfHooks: what they are called with, and when.
func TestContractOfHooks(t *testing.T) {
	h := newOriginal(t)
	h.hook("pre-push.sh", "#!/bin/sh\ncd \"${0%/*}\" && printf '%s\\n' \"$@\" >pre; ls \"../files/$1\" >there 2>&1; exit 0\n", 0o755)
	h.hook("post-push.sh", "#!/bin/sh\ncd \"${0%/*}\" && printf '%s\\n' \"$@\" >post; cat \"$2\"\n", 0o755)
	h.want("/"+listed, "x y.sql", 200, "content")
	read := func(name string) []string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(h.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	pre, after := read("pre"), read("post")
	// The size was 0 always.
	if len(pre) != 4 || pre[0] != listed || pre[1] != "x y.sql" || pre[2] != "7" || !strings.HasPrefix(pre[3], "127.0.0.1:") {
		t.Errorf("pre-push.sh got %q", pre)
	}
	if len(after) != 3 || after[0] != listed || after[1] != filepath.Join(h.home, listed, "x y.sql") || after[2] != pre[3] {
		t.Errorf("post-push.sh got %q", after)
	}
	if there := read("there"); !strings.Contains(there[0], "No such file") {
		t.Errorf("before pre-push.sh there is %q", there)
	}
}
