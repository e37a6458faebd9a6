package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLostFrame reads any log: it ends, and names a frame that is there or none.
func FuzzLostFrame(f *testing.F) {
	dir := f.TempDir()
	d, err := Open(f.Context(), dir, Options{idle: true})
	if err != nil {
		f.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "catalog.db-wal"))
	if err != nil {
		f.Fatal(err)
	}
	if err := d.Close(); err != nil {
		f.Fatal(err)
	}
	if bad, err := lostFrame(bytes.NewReader(log)); bad != -1 || err != nil {
		f.Fatalf("frame %d of a whole log is bad: %v", bad, err)
	}
	f.Add([]byte{})
	f.Add(make([]byte, walHeader+2*(frameHeader+pageSize)))
	f.Add(log)
	f.Fuzz(func(t *testing.T, b []byte) {
		bad, err := lostFrame(bytes.NewReader(b))
		if err != nil || bad < -1 || bad > len(b)/(frameHeader+pageSize) {
			t.Errorf("frame %d in %d bytes: %v", bad, len(b), err)
		}
	})
}
