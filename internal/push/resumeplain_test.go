package push

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// fileOf is the path of the file of an upload to plain files.
func (r tusRig) fileOf(url string) string {
	return filepath.Join(r.home, bareToken, uploadPrefix+idOf(url))
}

// idOf is the last segment of the URL of an upload.
func idOf(url string) string { return url[strings.LastIndex(url, "/")+1:] }

// resumed is an upload to plain files that the test holds.
func (r tusRig) resumed(url string) *plainUpload {
	r.t.Helper()
	u, err := r.uploads(bareToken).resume(r.t.Context(), idOf(url))
	if err != nil {
		r.t.Fatal(err)
	}
	plain, ok := u.(*plainUpload)
	if !ok {
		r.t.Fatalf("%T", u)
	}
	return plain
}

// TestExpiringRefusesNobody looks for old uploads again and again, as each start does, while a client asks how far its own is.
func TestExpiringRefusesNobody(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if _, err := r.door.plain(Bucket{Token: bareToken}).expire(r.door.now().Add(-time.Hour)); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 300 {
		if w := r.ask("HEAD", url, nil); w.Code != 200 {
			t.Errorf("a client is answered %d", w.Code)
			break
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestUploadThatIsDamaged has a file that is shorter than what is known of it, one that is gone, and a state that says nothing: nobody can
// go on with it, so it is dropped, and its client, which hears so, begins anew. Nothing of it looks as if it were stored.
func TestUploadThatIsDamaged(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"shorter": func(path string) error { return os.Truncate(path, 3) },
		"gone":    os.Remove,
		"state":   func(path string) error { return os.WriteFile(path+stateSuffix, []byte("{"), 0o600) },
	} {
		for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
			for _, sent := range []string{"", "cont"} {
				if name == "shorter" && sent == "" {
					continue
				}
				r := newTusRig(t)
				url := r.begin(bareToken, 8)
				r.patch(url, 0, sent)
				if err := damage(r.fileOf(url)); err != nil {
					t.Fatal(err)
				}
				w := r.ask(method, url, strings.NewReader("ents"), "Upload-Offset", "4")
				if w.Code != 404 || w.Header().Get("Upload-Offset") != "" {
					t.Errorf("%s, %s: %d %v", name, method, w.Code, w.Header())
				}
				if line := r.lastLine(); !strings.Contains(line["error"].(string), errState.Error()) { //nolint:errcheck,forcetypeassert // a panic is a failure
					t.Errorf("%s: the log has %v", name, line)
				}
				r.wantNothing()
			}
		}
	}
}

// TestDamagedUploadExpires has nobody come back for one.
func TestDamagedUploadExpires(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	if err := os.Remove(r.fileOf(url)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.door.plain(Bucket{Token: bareToken}).expire(r.door.now().AddDate(1, 0, 0)); err != nil {
			t.Fatal(err)
		}
		r.wantNothing()
	}
}

// TestCrashBetweenTwoNames: where the file system cannot rename without replacing, a process that dies in between leaves both names to
// the file. It is stored, and no other file is in its way.
func TestCrashBetweenTwoNames(t *testing.T) {
	for _, content := range []string{"contents", ""} {
		r := newTusRig(t)
		url := r.begin(bareToken, 8)
		if content == "" {
			id, err := r.uploads(bareToken).begin(t.Context(), plan{Version: planVersion, Name: "x", Step: 1})
			if err != nil {
				t.Fatal(err)
			}
			url = strings.Replace(url, idOf(url), id, 1)
		}
		u := r.resumed(url)
		if err := u.write(t.Context(), strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		r.again()
		if err := u.mark(true); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(r.fileOf(url), filepath.Join(r.home, bareToken, "x")); err != nil {
			t.Fatal(err)
		}
		u.close()
		for range 2 {
			if w := r.ask("HEAD", url, nil); w.Code != 200 || w.Header().Get("Upload-Offset") != strconv.Itoa(len(content)) || w.Header().Get("X-Checksum-Sha256") == "" {
				t.Errorf("%q: %d %v", content, w.Code, w.Header())
			}
		}
		r.wantFiles(map[string]string{bareToken + "/x": content})
		if _, err := os.Lstat(r.fileOf(url)); !errors.Is(err, fs.ErrNotExist) {
			t.Error("it has two names still")
		}
	}
}

// TestUploadRemovedMeanwhile has somebody remove the file of an upload while it is written, and before it gets its name: it is not stored,
// and nothing says that it were.
func TestUploadRemovedMeanwhile(t *testing.T) {
	for _, written := range []bool{false, true} {
		r := newTusRig(t)
		url := r.begin(bareToken, 8)
		u := r.resumed(url)
		if written {
			if err := u.write(t.Context(), strings.NewReader("contents")); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(r.fileOf(url)); err != nil {
			t.Fatal(err)
		}
		var err error
		if written {
			_, err = u.complete(t.Context(), false)
		} else {
			err = u.write(t.Context(), strings.NewReader("contents"))
		}
		if !errors.Is(err, object.ErrNoUpload) {
			t.Errorf("written before %t: %v", written, err)
		}
		u.close()
		wantAnswer(t, r.ask("HEAD", url, nil), 404, "")
		r.wantNothing()
	}
}

// TestSweepOfALivingUpload: what a process sweeps that starts while another one begins an upload. It has the lock before its state, and
// the state before it lets go.
func TestSweepOfALivingUpload(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	name := uploadPrefix + idOf(url)
	root, err := os.OpenRoot(filepath.Join(r.home, bareToken))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // a test's
	if gone, err := sweepUpload(root, name, name); gone || err != nil {
		t.Errorf("with a state: removed %t, %v", gone, err)
	}
	u := r.resumed(url)
	state := r.fileOf(url) + stateSuffix
	if err := os.Rename(state, state+newSuffix); err != nil {
		t.Fatal(err)
	}
	if n, err := sweepUploads(root); n != 0 || err != nil {
		t.Errorf("before its state has its name: removed %d, %v", n, err)
	}
	if err := os.Rename(state+newSuffix, state); err != nil {
		t.Fatal(err)
	}
	u.close()
	r.wantOffset(url, 0, 8)
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	if n, err := sweepUploads(root); n != 1 || err != nil {
		t.Errorf("without a state: removed %d, %v", n, err)
	}
	r.wantNothing()
}

// TestSweepBesideBegin has one process sweep all the time while another begins uploads and takes files: each that has begun is there.
func TestSweepBesideBegin(t *testing.T) {
	r := newTusRig(t)
	r.begin(bareToken, 1) // makes the directory
	dir := filepath.Join(r.home, bareToken)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := sweep(dir); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 1000 {
		part, err := newPartial(dir)
		if err != nil {
			t.Fatal(err)
		}
		if named, err := isNamed(part.root, part.name, part.file); !named || err != nil {
			t.Errorf("a file that is received was swept: %v", err)
		}
		part.close()
		id, err := r.uploads(bareToken).begin(t.Context(), plan{Version: planVersion, Name: "y", Length: 8, Step: 1 << 20})
		if errors.Is(err, errLocked) {
			continue // its client hears so
		}
		if err != nil {
			t.Fatal(err)
		}
		u, err := r.uploads(bareToken).resume(t.Context(), id)
		if errors.Is(err, errLocked) {
			continue // while it is swept: see sweepUpload
		}
		if err != nil {
			t.Fatal(err)
		}
		if u.progress().done {
			t.Error("an upload of which nothing has come is done")
		}
		if err := u.abort(t.Context()); err != nil {
			t.Error(err)
		}
		u.close()
	}
	close(stop)
	<-stopped
}

// TestFileThatLostItsName: who locks one has it only if it has still got its name.
func TestFileThatLostItsName(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	u := r.resumed(url)
	defer u.close()
	for _, row := range []struct {
		change func() error
		named  bool
	}{
		{func() error { return nil }, true},
		{func() error { return os.Remove(r.fileOf(url)) }, false},
		{func() error { return unix.Mkfifo(r.fileOf(url), 0o600) }, false},
	} {
		if err := row.change(); err != nil {
			t.Fatal(err)
		}
		if got, err := isNamed(u.part.root, u.name, u.part.file); got != row.named || err != nil {
			t.Errorf("named %t, %v, want %t", got, err, row.named)
		}
	}
}
