package disk

import (
	"fmt"
	"testing"

	"hugbucket/internal/object"
)

// TestRepackedStaysInPacks: what is small goes from pack to pack, however much of it is moved at once, and gets no files of its own.
func TestRepackedStaysInPacks(t *testing.T) {
	d := opened(t, t.TempDir(), Options{})
	s := newStore(t, d)
	const n = 120 // of 100 KB: three times what is moved in a transaction
	for i := range uint64(n) {
		put(t, s, fmt.Sprint("k", i), randomBytes(100_000, i))
	}
	for i := range n {
		if i%3 == 0 {
			if err := s.Delete(t.Context(), "bucket", fmt.Sprint("k", i), object.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	d = openAgain(t, d) // its pack is sealed
	if got := collectNow(t, d, allGarbage); got.Freed < n/4*100_000 {
		t.Errorf("%+v", got)
	}
	if n := count(t, d, `SELECT count(*) FROM xorbs WHERE file NOT IN (SELECT file FROM packs)`); n > 0 {
		t.Errorf("%d xorbs have files of their own", n)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
