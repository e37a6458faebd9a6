package disk

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestRotIsFoundByWhoStoresAgain flips a bit that nobody reads, and stores the same content again, in a process that has not written
// it: what is acknowledged can be read, under the new key and under the old.
func TestRotIsFoundByWhoStoresAgain(t *testing.T) {
	for kind, size := range map[string]int{"packs/*": 50_000, "xorbs/*/*": 3 << 20} {
		for _, at := range []int{1, 3, 7} { // tenths of the file
			t.Run(fmt.Sprint(filepath.Dir(kind), " ", at), func(t *testing.T) {
				dir := t.TempDir()
				body := randomBytes(size, 5)
				d := opened(t, dir, Options{})
				put(t, newStore(t, d), "old", body)
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				names, err := filepath.Glob(filepath.Join(dir, kind))
				if err != nil || len(names) != 1 {
					t.Fatal(names, err)
				}
				flip(t, names[0], func(n int) int { return n * at / 10 })
				d = openTest(t, dir)
				s := newStore(t, d)
				put(t, s, "new", body)
				for _, key := range []string{"new", "old"} {
					if got, err := readAll(t.Context(), s, key); err != nil || !bytes.Equal(got, body) {
						t.Errorf("%s: %d bytes, %v", key, len(got), err)
					}
				}
			})
		}
	}
}

// TestSoundForADay reads what is stored again once a day, and what this process has written not at all.
func TestSoundForADay(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{})
	s := newStore(t, d)
	now := time.Now()
	d.sound.now = func() time.Time { return now }
	body := randomBytes(50_000, 5)
	put(t, s, "old", body)
	flip(t, filepath.Join(dir, "packs/1.1"), func(n int) int { return n / 2 })
	put(t, s, "soon", body) // by reference
	if n := count(t, d, `SELECT count(*) FROM damaged`); n != 0 {
		t.Fatal("what was just written is read at once")
	}
	now = now.Add(soundFor)
	put(t, s, "late", body)
	if got, err := readAll(t.Context(), s, "old"); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
