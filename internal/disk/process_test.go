package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestOlderCatalog puts an older catalog.db back beside content that was stored since: what it names is there, and new
// content meets no file of a process that it does not know.
func TestOlderCatalog(t *testing.T) {
	dir := t.TempDir()
	fill := func(round int) {
		t.Helper()
		d := opened(t, dir, Options{})
		s := newStore(t, d)
		for i := range 3 {
			put(t, s, fmt.Sprint(round, "-", i), randomBytes([]int{5000, 300_000, 2_000_000}[i], uint64(10*round+i)))
		}
		closed(t, d)
	}
	fill(1)
	older, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	fill(2)
	fill(3)
	if err := os.WriteFile(filepath.Join(dir, "catalog.db"), older, 0o600); err != nil {
		t.Fatal(err)
	}
	before := diskUse(t, dir)
	fill(4)
	fill(5)
	if after := diskUse(t, dir); after <= before {
		t.Errorf("%d bytes are stored, %d were before", after, before)
	}
	d := opened(t, dir, Options{})
	s := newStore(t, d)
	for _, round := range []int{1, 4, 5} {
		for i := range 3 {
			if got := get(t, s, fmt.Sprint(round, "-", i)); len(got) != []int{5000, 300_000, 2_000_000}[i] {
				t.Errorf("object %d of round %d has %d bytes", i, round, len(got))
			}
		}
	}
	closed(t, d)
}
