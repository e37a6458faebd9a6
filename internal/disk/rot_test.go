package disk

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// TestRot flips one byte in each xorb file and pack: the damage is found on read, never served, and Check names the key.
func TestRot(t *testing.T) {
	for name, size := range map[string]int{"pack": 50_000, "xorb": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d, err := Open(t.Context(), dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			body := randomBytes(size, 5)
			put(t, newStore(t, d), "k", body)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			flipContent(t, dir)
			if d, err = Open(t.Context(), dir, Options{}); err != nil {
				t.Fatal(err)
			}
			f, err := object.New(d, object.Config{}).Open(t.Context(), "bucket", "k")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(f)
			if !errors.Is(err, object.ErrCorrupt) {
				t.Errorf("reading: %v", err)
			}
			if !bytes.HasPrefix(body, got) {
				t.Error("a wrong byte was served")
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			var found []string
			if err := d.Check(t.Context(), func(p Problem) { found = append(found, p.String()) }); err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), "bucket/k") {
				t.Errorf("check found %q", found)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// flipContent flips a byte in the first tenth of every file that holds content.
func flipContent(t *testing.T, dir string) {
	t.Helper()
	for _, glob := range []string{"packs/*", "xorbs/*/*"} {
		names, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/10] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
