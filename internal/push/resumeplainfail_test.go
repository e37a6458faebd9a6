package push

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// hideUploads has each look at a name in uploadDir fail, but not as if it were missing, until mend is called.
func (r tusRig) hideUploads() (mend func()) {
	r.t.Helper()
	dir := filepath.Join(r.home, bareToken, uploadDir)
	must := func(err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
	}
	must(os.Rename(dir, dir+"-away"))
	must(os.WriteFile(dir, nil, 0o600))
	return func() {
		r.t.Helper()
		must(os.Remove(dir))
		must(os.Rename(dir+"-away", dir))
	}
}

// atEnd is a reader that calls at when it comes to its end.
type atEnd struct{ at func() }

func (e atEnd) Read([]byte) (int, error) {
	e.at()
	return 0, io.EOF
}

// TestNameThatCannotBeLookedUp: that the file system does not say whether a file has its name does not mean that it has lost it. Nothing of
// the upload is dropped, and nobody hears that it is stored or unknown.
func TestNameThatCannotBeLookedUp(t *testing.T) {
	for _, content := range []string{"", "cont", "contents"} {
		r := newTusRig(t)
		url := r.begin(bareToken, 8)
		u := r.resumed(url)
		if content != "" {
			if err := u.write(t.Context(), strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
		mend := r.hideUploads()
		if err := u.lock(); err == nil || errors.Is(err, fs.ErrNotExist) || u.part.file == nil {
			t.Errorf("after %q: lock: %v", content, err)
		}
		u.close()
		if w := r.ask("HEAD", url, nil); w.Code != 500 {
			t.Errorf("after %q: %d %v", content, w.Code, w.Header())
		}
		mend()
		r.wantOffset(url, len(content), 8)
		if w := r.patch(url, len(content), "contents"[len(content):]); w.Code != 204 && content != "contents" {
			t.Errorf("after %q: %d %q", content, w.Code, w.Body)
		}
		r.wantFiles(map[string]string{bareToken + "/x": "contents"})
	}
}

// TestNameThatCannotBeLookedUpAfterStep is TestNameThatCannotBeLookedUp for a step that has just been written: it is sent once more.
func TestNameThatCannotBeLookedUpAfterStep(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	u := r.resumed(url)
	if err := u.write(t.Context(), strings.NewReader("cont")); err != nil {
		t.Fatal(err)
	}
	var mend func()
	err := u.write(t.Context(), io.MultiReader(strings.NewReader("ents"), atEnd{func() { mend = r.hideUploads() }}))
	if err == nil || errors.Is(err, object.ErrNoUpload) {
		t.Errorf("%v", err)
	}
	u.close()
	mend()
	r.wantOffset(url, 4, 8)
	if w := r.patch(url, 4, "ents"); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	r.wantFiles(map[string]string{bareToken + "/x": "contents"})
}

// TestIsNamedOfWhatCannotBeAsked: a name that cannot be looked up, and a file that cannot.
func TestIsNamedOfWhatCannotBeAsked(t *testing.T) {
	part, err := newPartial(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer part.close()
	if named, err := isNamed(part.root, part.name+"/x", part.file); named || err == nil {
		t.Errorf("behind a file: %t, %v", named, err)
	}
	if err := part.file.Close(); err != nil {
		t.Fatal(err)
	}
	if named, err := isNamed(part.root, part.name, part.file); named || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed: %t, %v", named, err)
	}
}

// TestWholeUploadWhoseFileIsRemoved has all of an upload come that cannot get its name yet, and somebody remove the file that waits: it was
// never stored, and its client must not hear so.
func TestWholeUploadWhoseFileIsRemoved(t *testing.T) {
	for name, wait := range map[string]func(r tusRig, url string){
		"token revoked": func(r tusRig, url string) {
			body, end := r.patching(url, 8)
			_, _ = io.WriteString(body, "cont") // it was read when this returns
			if err := r.door.SetBuckets(nil); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(body, "ents")
			wantAnswer(t, end(), 403, "")
			if err := r.door.SetBuckets(buckets()); err != nil {
				t.Fatal(err)
			}
		},
		"the process died": func(r tusRig, url string) {
			u := r.resumed(url)
			defer u.close()
			if err := u.write(t.Context(), strings.NewReader("contents")); err != nil {
				t.Fatal(err)
			}
		},
		"no name for it": func(r tusRig, url string) {
			u := r.resumed(url)
			defer u.close()
			if err := u.write(t.Context(), strings.NewReader("contents")); err != nil {
				t.Fatal(err)
			}
			if err := u.part.dir.Close(); err != nil { // renames by it
				t.Fatal(err)
			}
			if _, err := u.complete(t.Context(), false); err == nil {
				t.Error("it succeeded")
			}
		},
	} {
		r := newTusRig(t)
		url := r.begin(bareToken, 8)
		wait(r, url)
		if err := os.Remove(r.fileOf(url)); err != nil {
			t.Fatal(name, err)
		}
		for range 2 {
			if w := r.ask("HEAD", url, nil); w.Code != 404 || w.Header().Get("X-Checksum-Sha256") != "" {
				t.Errorf("%s: %d %v", name, w.Code, w.Header())
			}
		}
		r.wantNothing()
	}
}

// TestMarkThatCannotBeKept: without it a file gets no name, for then nobody could tell one that has it from one that was removed.
func TestMarkThatCannotBeKept(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	u := r.resumed(url)
	if err := u.write(t.Context(), strings.NewReader("contents")); err != nil {
		t.Fatal(err)
	}
	state := r.fileOf(url) + stateSuffix + newSuffix
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := u.complete(t.Context(), false); err == nil {
		t.Error("it succeeded")
	}
	u.close()
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(r.home, bareToken, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has a name: %v", err)
	}
	r.wantOffset(url, 8, 8)
	r.wantFiles(map[string]string{bareToken + "/x": "contents"})
}

// TestCrashBehindTheMark: a process that dies behind the mark leaves a file that is still to get its name.
func TestCrashBehindTheMark(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	u := r.resumed(url)
	if err := u.write(t.Context(), strings.NewReader("contents")); err != nil {
		t.Fatal(err)
	}
	if err := u.mark(true); err != nil {
		t.Fatal(err)
	}
	u.close()
	r.again()
	for range 2 {
		r.wantStoredAt(url)
	}
	r.wantFiles(map[string]string{bareToken + "/x": "contents"})
}

// wantStoredAt wants to hear that an upload is stored.
func (r tusRig) wantStoredAt(url string) {
	r.t.Helper()
	if w := r.ask("HEAD", url, nil); w.Code != 200 || w.Header().Get("X-Checksum-Sha256") == "" {
		r.t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestUploadThatCannotBeReadKeepsNoOther has uploads of which nobody can tell whether they are abandoned: those beside them expire, and the
// caller hears of it.
func TestUploadThatCannotBeReadKeepsNoOther(t *testing.T) {
	r := newTusRig(t)
	var broken []string
	var urls []string
	for range 9 {
		urls = append(urls, r.begin(bareToken, 8))
	}
	for _, url := range []string{urls[0], urls[4], urls[8]} { // whatever the order in which they are read
		state := r.fileOf(url) + stateSuffix
		if err := errors.Join(os.Remove(state), os.Mkdir(state, 0o700)); err != nil {
			t.Fatal(err)
		}
		broken = append(broken, r.fileOf(url))
	}
	n, err := r.door.plain(Bucket{Token: bareToken}).expire(r.door.now().AddDate(1, 0, 0))
	if n != 6 || err == nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	for _, path := range broken {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}
