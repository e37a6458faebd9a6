package disk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/mounttest"
)

// snapshot is all that lies below dir: names, modes, times and contents.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s %v %d", path, st.Mode(), st.ModTime().UnixNano())
		if st.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %x", sha256.Sum256(b))
		}
		out.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// refused opens a store, which must be refused with all of the words, and left as it is. parent holds it.
func refused(t *testing.T, parent, dir string, opts Options, words ...string) {
	t.Helper()
	before := snapshot(t, parent)
	d, err := Open(t.Context(), dir, opts)
	if err == nil {
		t.Error("the store is opened")
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	t.Log(err)
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	if after := snapshot(t, parent); after != before {
		t.Errorf("what was refused has changed:\n%s\nwas\n%s", after, before)
	}
}

// closedStore makes a store with some content in parent/store.
func closedStore(t *testing.T, parent string) string {
	t.Helper()
	dir := filepath.Join(parent, "store")
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, d)
	put(t, s, "small", randomBytes(5000, 1))
	put(t, s, "big", randomBytes(2<<20, 2))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestNewerFormatIsRefused(t *testing.T) {
	for _, name := range []string{"catalog.db", "index.db"} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := closedStore(t, parent)
			db, err := database{filepath.Join(dir, name), sums, "FULL"}.open(1, 100)
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.ExecContext(t.Context(), "PRAGMA user_version = 99")
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			refused(t, parent, dir, Options{}, name, "format 99", "use a newer version of the program")
		})
	}
}

func TestRemoteFileSystemIsRefused(t *testing.T) {
	parent := t.TempDir()
	dir := closedStore(t, parent)
	for kind, name := range remoteFS {
		opts := Options{fsKind: func(string) int64 { return kind }}
		refused(t, parent, dir, opts, dir, "it lies on "+name, "set storage.path")
		refused(t, parent, filepath.Join(parent, "new", "store"), opts, "lies on "+name)
	}
	for _, at := range []string{dir, filepath.Join(parent, "new", "store")} {
		var st unix.Statfs_t
		if err := unix.Statfs(parent, &st); err != nil {
			t.Fatal(err)
		}
		if kind := fsKind(at); kind != int64(st.Type) { //nolint:unconvert // 32 bits on some
			t.Errorf("%s lies on %x, statfs says %x", at, kind, st.Type)
		}
	}
}

// TestReadOnlyIsRefused mounts a store read-only: modes do not stop root.
func TestReadOnlyIsRefused(t *testing.T) {
	if !mounttest.MayMount(t) {
		return
	}
	mount := t.TempDir()
	mounttest.Tmpfs(t, mount, "size=64m")
	dir := closedStore(t, mount)
	mounttest.Remount(t, mount, unix.MS_RDONLY, "")
	refused(t, mount, dir, Options{}, dir+" is mounted read-only", "mount it for writing")
	refused(t, mount, filepath.Join(mount, "new", "store"), Options{}, mount+" is mounted read-only")
	mounttest.Remount(t, mount, 0, "")
	openTest(t, dir)
}

// TestBrokenStoreIsRefused: what is not a store, or one that has lost its catalog, is not made into a new one.
func TestBrokenStoreIsRefused(t *testing.T) {
	write := func(name string, b []byte) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), b, 0o600) }
	}
	inPlace := func(name string, do func(path string) error) func(dir string) error {
		return func(dir string) error {
			path := filepath.Join(dir, name)
			return errors.Join(os.RemoveAll(path), do(path))
		}
	}
	mkdir := func(path string) error { return os.Mkdir(path, 0o700) }
	none := func(string) error { return nil }
	for name, test := range map[string]struct {
		breaks func(dir string) error
		words  []string
	}{
		"not a database":      {write("catalog.db", randomBytes(8192, 1)), []string{"catalog.db is damaged (not a database of this program)", "file-bucketctl rebuild --catalog FILE"}},
		"short":               {write("catalog.db", []byte("SQL")), []string{"catalog.db is damaged (not a database of this program)", "backup"}},
		"empty":               {write("catalog.db", nil), []string{"catalog.db is missing or empty", "from a backup with file-bucketctl restore FILE"}},
		"missing":             {inPlace("catalog.db", none), []string{"catalog.db is missing or empty", "from a backup with file-bucketctl restore FILE"}},
		"a directory":         {inPlace("catalog.db", mkdir), []string{"catalog.db is a directory", "move it away"}},
		"index a directory":   {inPlace("index.db", mkdir), []string{"index.db is a directory", "move it away"}},
		"the store is a file": {inPlace(".", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }), []string{"is not a directory", "storage.path"}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := closedStore(t, parent)
			if err := test.breaks(dir); err != nil {
				t.Fatal(err)
			}
			refused(t, parent, dir, Options{}, test.words...)
		})
	}
	t.Run("below a file", func(t *testing.T) {
		parent := t.TempDir()
		if err := write("file", nil)(parent); err != nil {
			t.Fatal(err)
		}
		refused(t, parent, filepath.Join(parent, "file", "store"), Options{}, "is not a directory", "storage.path")
	})
}

// TestUnfinishedStoreIsOpened: a process that died while it made a store leaves directories and an empty catalog at most.
func TestUnfinishedStoreIsOpened(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "catalog.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := openTest(t, dir)
	put(t, newStore(t, d), "k", randomBytes(100, 1))
	// All of it lies in the log so far: who comes now must not take the catalog for a lost one.
	openTest(t, dir)
}
