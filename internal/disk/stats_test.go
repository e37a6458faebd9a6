package disk

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// TestStats compares the statistics with those of a model, after a random workload in three buckets.
func TestStats(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	names := []string{"bucket", "empty", "other", "third"}
	for _, name := range names[1:] {
		if err := s.CreateBucket(t.Context(), name, "owner of "+name); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	infos := make(map[string]map[string]object.Info) // by bucket and key
	for _, name := range names {
		infos[name] = make(map[string]object.Info)
	}
	for range 200 / stride {
		name := []string{"bucket", "other", "third"}[rng.IntN(3)]
		key := fmt.Sprint(rng.IntN(40))
		if rng.IntN(6) == 0 {
			if err := s.Delete(t.Context(), name, key, object.Condition{}); err != nil {
				t.Fatal(err)
			}
			delete(infos[name], key)
			continue
		}
		info := put(t, s, "made", mixBody(mixValue(rng)))
		_, err := s.Copy(t.Context(), object.CopyOptions{FromBucket: "bucket", FromKey: "made", ToBucket: name, ToKey: key})
		if err != nil {
			t.Fatal(err)
		}
		infos[name][key], infos["bucket"]["made"] = info, info
	}
	_, refs := uploadIn(t, s, "open", randomBytes(300_000, 1), randomBytes(2_000_000, 2))
	uploadIn(t, s, "no part yet")
	done, doneRefs := uploadIn(t, s, "made", randomBytes(100, 3))
	_, err := s.Complete(t.Context(), done, doneRefs, object.CompleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if infos["bucket"]["made"], err = s.Stat(t.Context(), "bucket", "made"); err != nil {
		t.Fatal(err)
	}
	var steps []string
	got, err := d.Stats(t.Context(), func(p Step) {
		if !slices.Contains(steps, p.Name) {
			steps = append(steps, p.Name)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(steps, []string{"counting objects", "counting parts of uploads", "counting xorbs", "measuring files"}) {
		t.Errorf("%q", steps)
	}

	checkTotals(t, d, got)

	// The model reads the files of the objects, and asks for each xorb by its hash.
	want := Stats{OnDisk: diskUse(t, d.dir), Uploads: 2, Parts: int64(len(refs)), PartBytes: 2_300_000}
	used := make(map[xet.Hash]bool)
	for _, name := range names {
		b := BucketStats{Name: name, Owner: "owner of " + name}
		if name == "bucket" {
			b.Owner = ""
		}
		own := make(map[xet.Hash]bool)
		for _, info := range infos[name] {
			b.Objects++
			b.Logical += info.Size
			c, err := d.OpenFile(t.Context(), info.File)
			if err != nil {
				t.Fatal(err)
			}
			for _, term := range c.Terms() {
				own[term.Xorb], used[term.Xorb] = true, true
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		b.Unique, b.Stored = measure(t, d, own)
		want.Objects += b.Objects
		want.Logical += b.Logical
		want.Buckets = append(want.Buckets, b)
	}
	want.Referenced, _ = measure(t, d, used)
	want.Unique, want.Stored = count(t, d, `SELECT sum(raw) FROM xorbs`), count(t, d, `SELECT sum(len) FROM xorbs`)
	if got.Catalog < fileSize(t, d, "catalog.db") || got.Index < fileSize(t, d, "index.db") || got.Free <= 0 {
		t.Errorf("databases %d and %d, free %d", got.Catalog, got.Index, got.Free)
	}
	if !slices.Equal(got.Buckets, want.Buckets) {
		t.Errorf("buckets are %+v, want %+v", got.Buckets, want.Buckets)
	}
	got.Buckets, want.Buckets = nil, nil
	want.Catalog, want.Index, want.Free = got.Catalog, got.Index, got.Free
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got.Referenced == got.Unique && stride == 1 {
		t.Error("all xorbs are referred to: nothing was tried")
	}
	if r := got.DedupRatio(); r != float64(want.Logical)/float64(want.Referenced) {
		t.Error(r)
	}
	if r := got.CompressionRatio(); r != float64(want.Unique)/float64(want.Stored) {
		t.Error(r)
	}
	if empty := (&BucketStats{}); empty.DedupRatio() != 0 || empty.CompressionRatio() != 0 {
		t.Error(empty.DedupRatio(), empty.CompressionRatio())
	}
}

// measure adds up what xorbs hold by their footers, and what they take.
func measure(t *testing.T, d *Driver, xorbs map[xet.Hash]bool) (raw, stored int64) {
	t.Helper()
	for h := range maps.Keys(xorbs) {
		ref, err := d.xorb(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		raw += ref.info.RawSize()
		stored += ref.place.len
	}
	return raw, stored
}

func fileSize(t *testing.T, d *Driver, name string) int64 {
	t.Helper()
	st, err := os.Stat(filepath.Join(d.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// TestStatsInPages counts more of everything than a page holds.
func TestStatsInPages(t *testing.T) {
	d := opened(t, t.TempDir(), Options{idle: true})
	s := newStore(t, d)
	info := put(t, s, "k", randomBytes(1000, 1))
	const n = statsPage + 10
	sess, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var changes []object.Change
	for i := range n {
		changes = append(changes, object.Change{Bucket: "bucket", Key: fmt.Sprintf("k/%d", i), New: &info})
	}
	if err := sess.Commit(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	if err := sess.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, d, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO xorbs (id, hash, file, off, len, chunks, raw) SELECT i, CAST(i AS BLOB), 'packs/1.1', i, 1, 1, 2 FROM n`, 9+n))
	write(t, d, `INSERT INTO refs SELECT id, 1 FROM xorbs WHERE id > 1`)
	write(t, d, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO buckets (name, owner, created) SELECT 'b' || i, '', 0 FROM n`, 9+n))
	got, err := d.Stats(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	first := count(t, d, `SELECT len FROM xorbs WHERE id = 1`)
	if got.Objects != n+1 || got.Logical != 1000*(n+1) || got.Unique != 1000+2*n || got.Referenced != got.Unique ||
		got.Stored != first+n || len(got.Buckets) != n+1 || got.Buckets[n].Stored != got.Stored {
		t.Errorf("%+v", got)
	}
	checkTotals(t, d, got)
	closed(t, d)
}
