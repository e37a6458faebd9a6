package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"hugbucket/internal/object"
)

// TestMend damages what is stored, in several ways, and stores the same content again: both the new name and the old one
// read whole from then on.
func TestMend(t *testing.T) {
	ways := map[string]func(t *testing.T, name string){
		"body": func(t *testing.T, name string) {
			t.Helper()
			flip(t, name, func(n int) int { return n / 10 })
		},
		"footer": func(t *testing.T, name string) {
			t.Helper()
			flip(t, name, func(n int) int { return n - 60 })
		},
		"gone": func(t *testing.T, name string) {
			t.Helper()
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		},
	}
	for way, damage := range ways {
		for kind, size := range map[string]int{"packs/*": 50_000, "xorbs/*/*": 3 << 20} {
			t.Run(way+" "+filepath.Dir(kind), func(t *testing.T) {
				dir := t.TempDir()
				body := randomBytes(size, 5)
				d, err := Open(t.Context(), dir, Options{})
				if err != nil {
					t.Fatal(err)
				}
				put(t, newStore(t, d), "old", body)
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				names, err := filepath.Glob(filepath.Join(dir, kind))
				if err != nil || len(names) != 1 {
					t.Fatal(names, err)
				}
				damage(t, names[0])

				d = openTest(t, dir) // checks on cleanup that nothing damaged is left
				s := newStore(t, d)
				if _, err := readAll(t.Context(), s, "old"); !errors.Is(err, object.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("reading: %v", err)
				}
				put(t, s, "new", body)
				for _, key := range []string{"new", "old"} {
					if got, err := readAll(t.Context(), s, key); err != nil || !bytes.Equal(got, body) {
						t.Errorf("%s after storing it again: %d bytes, %v", key, len(got), err)
					}
				}
				if n := count(t, d, `SELECT count(*) FROM damaged`); n != 0 {
					t.Errorf("%d xorbs are still noted as damaged", n)
				}
			})
		}
	}
}

// TestDamageIsBlamedOnTheRightXorb reads a file of two xorbs whose second is damaged: the first is not noted as damaged.
func TestDamageIsBlamedOnTheRightXorb(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, d)
	first := randomBytes(3<<20, 5)
	put(t, s, "first", first)
	f, err := s.Open(t.Context(), "bucket", put(t, s, "both", append(first, randomBytes(3<<20, 6)...)).Key)
	if err != nil {
		t.Fatal(err)
	}
	terms := f.Terms()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	good, bad := terms[0].Xorb, terms[len(terms)-1].Xorb
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	hex := bad.String()
	names, err := filepath.Glob(filepath.Join(dir, "xorbs", hex[:2], hex[2:]+".*"))
	if err != nil || len(names) != 1 || good == bad {
		t.Fatal(names, err)
	}
	flip(t, names[0], func(n int) int { return n - 60 }) // in the footer
	if d, err = Open(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(t.Context(), object.New(d, object.Config{}), "both"); !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("reading: %v", err)
	}
	var noted []byte
	err = d.reads.db.QueryRowContext(t.Context(), `SELECT group_concat(hex(hash)) FROM xorbs WHERE id IN (SELECT xorb FROM damaged)`).Scan(&noted)
	if want := fmt.Sprintf("%X", bad[:]); err != nil || string(noted) != want {
		t.Errorf("noted as damaged: %s, %v, want %s", noted, err, want)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// flip changes the byte of a file that at chooses by its size.
func flip(t *testing.T, name string, at func(size int) int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[at(len(b))] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedIndex overwrites index.db: the store opens, everything is there, and new content is indexed again.
func TestDamagedIndex(t *testing.T) {
	dir := t.TempDir()
	body := randomBytes(3<<20, 6)
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, newStore(t, d), "k", body)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.db"), randomBytes(100_000, 7), 0o600); err != nil {
		t.Fatal(err)
	}
	d = openTest(t, dir)
	s := newStore(t, d)
	if !bytes.Equal(get(t, s, "k"), body) {
		t.Error("content differs")
	}
	put(t, s, "again", randomBytes(100_000, 8))
	d.index.flush(t.Context())
	if n, err := indexed(t, d); err != nil || n == 0 {
		t.Errorf("%d chunks are indexed: %v", n, err)
	}
}

func indexed(t *testing.T, d *Driver) (n int, err error) {
	t.Helper()
	err = d.index.db.Load().read.QueryRowContext(t.Context(), `SELECT count(*) FROM chunks`).Scan(&n)
	return n, err
}

// TestCloseLeavesNothing closes a store: both databases are one file each, all of the index is written, nothing is open.
func TestCloseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, newStore(t, d), "k", randomBytes(3<<20, 6))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, glob := range []string{"*-wal", "*-shm", "procs/*", "tmp/*"} {
		if left, err := filepath.Glob(filepath.Join(dir, glob)); err != nil || len(left) > 0 {
			t.Errorf("left after Close: %v %v", left, err)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && len(name) > len(dir) && name[:len(dir)] == dir {
			t.Errorf("open after Close: %s", name)
		}
	}
	if d, err = Open(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if n, err := indexed(t, d); err != nil || n < 3<<20/131072 {
		t.Errorf("%d chunks are indexed: %v", n, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
