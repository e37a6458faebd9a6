package disk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

func TestDriver(t *testing.T) {
	objecttest.TestDriver(t, openTemp)
}

func TestStore(t *testing.T) {
	objecttest.TestStore(t, openTemp)
}

func TestModel(t *testing.T) {
	objecttest.TestModel(t, openTemp)
}

func openTemp(t *testing.T) object.Driver {
	t.Helper()
	return openTest(t, t.TempDir())
}

// openTest opens a store that is closed when the test ends, opened again and checked.
func openTest(t *testing.T, dir string) *Driver {
	t.Helper()
	return openWith(t, dir, Options{})
}

func openWith(t *testing.T, dir string, opts Options) *Driver {
	t.Helper()
	d, err := Open(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		again, err := Open(context.Background(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkClean(t, again)
		if err := again.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func checkClean(t *testing.T, d *Driver) {
	t.Helper()
	_, err := d.Check(context.Background(), CheckOptions{}, func(p Problem) {
		if !isPiece(p) {
			t.Errorf("check: %v", p)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// isPiece says whether a problem is but a piece of a pack that no row names: what a request has brought that failed, or whose
// process died.
func isPiece(p Problem) bool {
	return p.Orphan && strings.Contains(p.What, " at packs/")
}

// randomBytes are the same for the same seed.
func randomBytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func put(t *testing.T, s *object.Store, key string, body []byte) object.Info {
	t.Helper()
	info, err := s.Put(t.Context(), "bucket", key, bytes.NewReader(body), object.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func get(t *testing.T, s *object.Store, key string) []byte {
	t.Helper()
	f, err := s.Open(t.Context(), "bucket", key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	err = errors.Join(err, f.Close())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newStore(t *testing.T, d *Driver) *object.Store {
	t.Helper()
	s := object.New(d, object.Config{})
	if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return s
}

// diskUse is what lies in xorbs and packs.
func diskUse(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	for _, sub := range []string{"xorbs", "packs", "tmp"} {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			st, err := e.Info()
			if err != nil {
				return err
			}
			bytes += st.Size()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return bytes
}

// ramDir is a directory in memory where there is one with room, for tests that do not need a disk.
func ramDir(t *testing.T) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Bavail*uint64(st.Bsize) < 1<<30 { // containers have 64 MiB of it
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "disk-test-") //nolint:usetesting // t.TempDir may be a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	bodies := map[string][]byte{
		"empty": {}, "small": randomBytes(4000, 1), "middle": randomBytes(900_000, 2), "big": randomBytes(3<<20, 3),
	}
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, d)
	for key, body := range bodies {
		put(t, s, key, body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "procs")); err != nil || len(left) != 0 {
		t.Fatalf("a clean stop leaves %v in procs (%v)", left, err)
	}
	d = openTest(t, dir)
	s = newStore(t, d)
	for key, body := range bodies {
		if !bytes.Equal(get(t, s, key), body) {
			t.Errorf("%s differs after reopening", key)
		}
	}
	before := diskUse(t, dir)
	put(t, s, "again", bodies["big"])
	if after := diskUse(t, dir); after != before {
		t.Errorf("the same content again takes %d bytes", after-before)
	}
}

// TestTwoProcesses opens one store twice, which is what two processes do: names, content and chunks of one are there for
// the other.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	a, b := openTest(t, dir), openTest(t, dir)
	sa, sb := newStore(t, a), newStore(t, b)
	body := randomBytes(5<<20, 7)
	put(t, sa, "k", body)
	if !bytes.Equal(get(t, sb, "k"), body) {
		t.Fatal("the other process reads something else")
	}
	a.index.flush(t.Context())
	before := diskUse(t, dir)
	put(t, sb, "copy", append([]byte("x"), body...))
	if grown := diskUse(t, dir) - before; grown > 300_000 {
		t.Errorf("%d bytes were stored again", grown)
	}
}
