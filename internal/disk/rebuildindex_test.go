package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hugbucket/internal/object"
)

// notIndexed returns how many chunks there are, and how many the index does not lead to, as it lies on disk.
func notIndexed(t *testing.T, dir string) (chunks, missing int) {
	t.Helper()
	d := opened(t, dir, Options{idle: true}) // which indexes nothing
	defer closed(t, d)
	xorbs, err := collect(t.Context(), d.reads.db, scanStored, storedColumns+`WHERE doomed = 0`)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range xorbs {
		info, err := d.readFooter(x.hash, x.at)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range info.Chunks {
			chunks++
			at, ok := d.index.lookup(t.Context(), c.Hash.Truncated())
			if xorb, _ := at.split(); !ok || count(t, d, fmt.Sprintf(`SELECT count(*) FROM xorbs WHERE id = %d`, xorb)) == 0 {
				missing++
			}
		}
	}
	return chunks, missing
}

// manyXorbs makes a store with more xorbs than are indexed at once.
func manyXorbs(t *testing.T) rotStore {
	t.Helper()
	st := newRotStore(t)
	d := opened(t, st.dir, Options{idle: true})
	for i := range 2*reindexPage + 10 {
		key := fmt.Sprintf("more/%03d", i)
		st.want[key] = randomBytes(700+i, uint64(900+i))
		put(t, object.New(d, object.Config{}), key, st.want[key])
	}
	closed(t, d)
	return st
}

// TestRebuildFillsTheIndex: when Rebuild has ended, the index leads to every chunk, and what is there is not stored again by
// whoever comes first.
func TestRebuildFillsTheIndex(t *testing.T) {
	st := manyXorbs(t)
	backup := st.backup(t)
	alone := st.lean(t) // as restore finds it
	for _, name := range []string{"catalog.db", "index.db"} {
		if err := os.Remove(filepath.Join(alone.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		st   rotStore
		opts RebuildOptions
	}{"rebuild": {st, RebuildOptions{}}, "restore": {alone, RebuildOptions{Catalog: backup}}} {
		var steps []Step
		c.opts.Progress = func(s Step) {
			if s.Name == fillingIndex {
				steps = append(steps, s)
			}
		}
		h := mustRebuild(t, c.st.dir, c.opts)
		chunks, missing := notIndexed(t, c.st.dir)
		if h.Index != nil || missing > 0 || chunks < 2*reindexPage || len(h.reports) > 0 {
			t.Errorf("%s: of %d chunks the index lacks %d: %v, %q", what, chunks, missing, h.Index, h.reports)
		}
		if len(steps) < 4 || steps[0].Done != 0 || steps[len(steps)-1] != (Step{Name: fillingIndex, Done: int64(chunks), Total: int64(chunks)}) {
			t.Errorf("%s: of %d chunks, told %+v", what, chunks, steps)
		}
		d := opened(t, c.st.dir, Options{idle: true})
		if n := todos(t, d, "proc = 0 OR until IS NOT NULL"); n > 0 {
			t.Errorf("%s: there is more to do: %d", what, n)
		}
		before := diskUse(t, c.st.dir)
		c.st.want = maps.Clone(c.st.want)
		for _, key := range slices.Collect(maps.Keys(c.st.want)) {
			c.st.want["again/"+key] = c.st.want[key]
			put(t, object.New(d, object.Config{}), "again/"+key, c.st.want[key])
		}
		if grown := diskUse(t, c.st.dir) - before; grown > 0 {
			t.Errorf("%s: %d bytes are stored again", what, grown)
		}
		closed(t, d)
		if hurt, found := c.st.verify(t, what); hurt+found > 0 {
			t.Errorf("%s: %d keys are hurt, %d problems", what, hurt, found)
		}
	}
}

// TestRebuildCutShortWhileFilling ends a rebuild, or the machine, wherever it has got while it fills the index: the store is
// right, Rebuild has succeeded, and who opens the store next does the rest.
func TestRebuildCutShortWhileFilling(t *testing.T) {
	whole := manyXorbs(t)
	why := errors.New("enough")
	for k := 0; ; k++ {
		st := whole.lean(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		var killed rotStore
		n := 0
		done, err := Rebuild(ctx, st.dir, RebuildOptions{Progress: func(s Step) {
			if s.Name != fillingIndex {
				return
			}
			if n == k {
				killed = st.lean(t) // as a kill leaves it
				cancel(why)
			}
			n++
		}})
		cancel(nil)
		if err != nil || done.Aside == "" {
			t.Fatalf("cut short at %d: %v, %+v", k, err, done)
		}
		if n <= k {
			if k < 3 || done.Index != nil {
				t.Errorf("there are only %d steps: %v", k, done.Index)
			}
			return
		}
		_, missing := notIndexed(t, st.dir)
		if missing > 0 && !errors.Is(done.Index, why) {
			t.Errorf("cut short at %d: the index lacks %d chunks: %v", k, missing, done.Index)
		}
		if missing == 0 && k == 0 {
			t.Error("nothing was cut short")
		}
		for what, c := range map[string]rotStore{"ended": st, "killed": killed} {
			what := fmt.Sprintf("%s at %d", what, k)
			if hurt, found := c.lean(t).verify(t, what); hurt+found > 0 {
				t.Errorf("%s: %d keys are hurt, %d problems", what, hurt, found)
			}
			d := opened(t, c.dir, Options{idle: true})
			settleIndex(t, d)
			closed(t, d)
			if chunks, missing := notIndexed(t, c.dir); missing > 0 {
				t.Errorf("%s: of %d chunks the index lacks %d", what, chunks, missing)
			}
		}
	}
}

// TestRebuildLeavesTheIndexToWhoIsAtIt: when another process has come in between and fills the index, Rebuild has succeeded, and
// says that it does not know the end of that.
func TestRebuildLeavesTheIndexToWhoIsAtIt(t *testing.T) {
	st := newRotStore(t)
	lock, err := openLock(filepath.Join(st.dir, "reindex.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.lock(); err != nil {
		t.Fatal(err)
	}
	h := mustRebuild(t, st.dir, RebuildOptions{})
	if h.Index == nil || int(h.Keys) != len(st.want) {
		t.Errorf("rebuilt %+v", h.Rebuilt)
	}
	if err := errors.Join(lock.unlock(), lock.close()); err != nil {
		t.Fatal(err)
	}
	if hurt, found := st.verify(t, "left to others"); hurt+found > 0 {
		t.Errorf("%d keys are hurt, %d problems", hurt, found)
	}
}
