package push

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manyFiles makes n files in the directory of a bare token, with names of 250 bytes.
func (r *rig) manyFiles(n int) (dir string) {
	r.t.Helper()
	dir = filepath.Join(r.home, bareToken)
	name := func(i int) string { return filepath.Join(dir, strings.Repeat("x", 243)+strconv.Itoa(1_000_000+i)) }
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(name(0), nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
	for i := 1; i < n; i++ {
		if err := os.Link(name(0), name(i)); err != nil {
			r.t.Fatal(err)
		}
	}
	return dir
}

// TestUploadBesideManyFiles: who begins, goes on with or expires an upload reads none of their names.
func TestUploadBesideManyFiles(t *testing.T) {
	const n = 5000
	r := newTusRig(t)
	dir := r.manyFiles(n)
	place := r.door.plain(Bucket{Token: bareToken})
	ways := map[string]func() error{
		"begin": func() error {
			_, err := place.begin(t.Context(), plan{Version: planVersion, Name: "y", Length: 8, Step: 1 << 20})
			return err
		},
		"unfinished": func() error { _, err := place.unfinished(t.Context()); return err },
		"expire":     func() error { _, err := place.expire(time.Unix(0, 0)); return err },
		"sweep": func() error {
			root, err := os.OpenRoot(dir)
			if err != nil {
				return err
			}
			defer root.Close() //nolint:errcheck // a test's
			_, err = sweepUploads(root)
			return err
		},
	}
	for name, do := range ways {
		if allocs := testing.AllocsPerRun(1, func() {
			if err := do(); err != nil {
				t.Error(err)
			}
		}); allocs > n/5 {
			t.Errorf("%s: %v allocations beside %d files", name, allocs, n)
		}
	}
}

// TestNamesAreNotHeld: a start does not take memory by what a client has stored; and what is removed meanwhile is no trouble.
func TestNamesAreNotHeld(t *testing.T) {
	const n = 20_000
	r := newRig(t)
	root, err := os.OpenRoot(r.manyFiles(n))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // a test's
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	seen, before := 0, heap()
	err = eachName(root, ".", func(name string) error {
		if seen++; seen%2500 == 1 {
			if more := heap() - before; more > n*250/4 {
				t.Errorf("%d bytes are held after %d names", more, seen)
			}
		}
		return root.Remove(name)
	})
	if err != nil || seen != n {
		t.Errorf("%d of %d names, %v", seen, n, err)
	}
}

// TestUploadsHaveADirectoryOfTheirOwn, which is made with the first and readable by the daemon alone; it is no file of the client's.
func TestUploadsHaveADirectoryOfTheirOwn(t *testing.T) {
	r := newTusRig(t)
	url := r.begin(bareToken, 8)
	r.patch(url, 0, "cont")
	dir := filepath.Join(r.home, bareToken)
	for at, want := range map[string]string{dir: uploadDir, filepath.Join(dir, uploadDir): idOf(url) + " " + idOf(url) + stateSuffix} {
		entries, err := os.ReadDir(at)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%q, %v, want %s", names, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, uploadDir)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	wantAnswer(t, r.ask("POST", "/"+bareToken, nil, "Upload-Length", "1", "Upload-Metadata", metaOf(uploadDir)), 400, "invalid file name")
	wantAnswer(t, r.push(bareToken, uploadDir, "x"), 400, "invalid file name")
	wantAnswer(t, r.push(bareToken, ".uploads/x", "x"), 200, "x 1 ")
	if err := os.RemoveAll(filepath.Join(dir, uploadDir)); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r.ask("HEAD", url, nil), 404, "")
	wantAnswer(t, r.offered(bareToken, "y", 0), 201, "")
}
