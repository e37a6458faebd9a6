package push

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// withoutOverride takes from this thread, until the test ends, what lets root write where modes forbid it. Whoever runs the tests may
// do that, and other threads keep it.
func withoutOverride(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var was [2]unix.CapUserData
	if err := unix.Capget(&head, &was[0]); err != nil {
		t.Fatal(err)
	}
	now := was
	now[0].Effective &^= 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	if err := unix.Capset(&head, &now[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Capset(&head, &was[0]); err != nil {
			t.Error(err) // the thread ends with its goroutine
			return
		}
		runtime.UnlockOSThread()
	})
}

// mode sets that of the directory of a token, until the test ends.
func (r tusRig) mode(token string, m os.FileMode) {
	r.t.Helper()
	dir := filepath.Join(r.home, token)
	if err := os.Chmod(dir, m); err != nil { //nolint:gosec // a directory
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) //nolint:gosec // a directory
}

// TestUploadWhoseDirectoryMayNotBeWritten has a directory closed to us while an upload comes: it waits, whole, until that was put right.
func TestUploadWhoseDirectoryMayNotBeWritten(t *testing.T) {
	for _, token := range []string{bareToken, bareOver} {
		r := newTusRig(t)
		url := r.begin(token, 8)
		withoutOverride(t)
		r.mode(token, 0o500)
		w := r.patch(url, 0, "contents")
		wantAnswer(t, w, 403, "not allowed")
		if got := w.Header().Get("Upload-Offset"); got != "8" {
			t.Errorf("it is at %q", got)
		}
		wantAnswer(t, r.ask("HEAD", url, nil), 403, "")
		r.again()
		wantAnswer(t, r.ask("HEAD", url, nil), 403, "")
		r.mode(token, 0o700)
		r.wantStoredAt(url)
		r.wantFiles(map[string]string{token + "/x": "contents"})
	}
}

// TestUploadToWhatMayNotBeWritten: where no file can get a name no upload begins, as no push does, though the directory of uploads may be
// written.
func TestUploadToWhatMayNotBeWritten(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	before := r.stored()
	withoutOverride(t)
	for _, m := range []os.FileMode{0o500, 0o555} {
		r.mode(bareToken, m)
		wantAnswer(t, r.push(bareToken, "y", "content"), 401, "cannot create bucket dir or writable")
		for _, content := range []string{"", "content"} {
			w := r.ask("POST", "/"+bareToken, strings.NewReader(content), "Upload-Length", "7", "Upload-Metadata", metaOf("y"))
			wantAnswer(t, w, 401, "cannot create bucket dir or writable")
			if w.Header().Get("Location") != "" {
				t.Error("it has an address")
			}
		}
	}
	r.wantStored(before)
	r.mode(bareToken, 0o700)
	if w := r.patch(url, 0, "contents"); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	r.begin(bareToken, 8, "Upload-Metadata", metaOf("y"))
}
