package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"hugbucket/internal/object"
)

// within renames in one bucket.
func within(from, to string) object.RenameOptions {
	return object.RenameOptions{FromBucket: "bucket", From: from, ToBucket: "bucket", To: to}
}

// nameMany makes so many keys of the empty file.
func nameMany(tb testing.TB, d *Driver, name string, n int) {
	tb.Helper()
	for from := 0; from < n; from += 1000 {
		var changes []object.Change
		for i := from; i < min(n, from+1000); i++ {
			changes = append(changes, object.Change{Bucket: "bucket", Key: fmt.Sprintf("%s%06d", name, i), New: &object.Info{
				ETag: "d41d8cd98f00b204e9800998ecf8427e", Attrs: object.Attrs{Headers: map[string]string{"content-type": "image/jpeg"}},
			}})
		}
		if err := d.changeAll(tb.Context(), changes); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestRenameOfTooMany has one key more than can be renamed, then as many.
func TestRenameOfTooMany(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	info := put(t, s, "d/first", []byte("content"))
	write(t, d, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < `+fmt.Sprint(object.MaxRename)+`)
		INSERT INTO keys (bucket, key, version, file, info)
		SELECT 1, CAST('d/z' || i AS BLOB), 0, file, info FROM keys, n`) // these rows are another key's, but that is not looked at
	n, err := s.Rename(t.Context(), within("d/", "e/"))
	if !errors.Is(err, object.ErrTooMany) || n != 0 {
		t.Errorf("too many: %d keys, %v", n, err)
	}
	if got, err := s.Stat(t.Context(), "bucket", "d/first"); err != nil || got.File != info.File {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
	write(t, d, `DELETE FROM keys WHERE key = CAST('d/z1' AS BLOB)`)
	if _, err := s.Rename(t.Context(), within("d/", "e/")); !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("as many as may be, but damaged: %v", err)
	}
	write(t, d, `DELETE FROM keys WHERE key > CAST('d/y' AS BLOB)`)
}

// TestRenameOfDamage renames keys of which one row, the last, is damaged: none is renamed, and what is committed with it is.
func TestRenameOfDamage(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	nameMany(t, d, "d/", 2*renamePage)
	last := fmt.Sprintf("d/%06d", 2*renamePage-1)
	write(t, d, `UPDATE keys SET info = info || x'00' WHERE key = CAST('`+last+`' AS BLOB)`)
	opts := within("d/", "e/")
	var requests []*request
	for _, r := range []*request{
		{changes: []object.Change{{Bucket: "bucket", Key: "z1", New: &object.Info{}}}},
		{rename: &opts},
		{changes: []object.Change{{Bucket: "bucket", Key: "z2", New: &object.Info{}}}},
	} {
		sess, err := d.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := sess.Close(); err != nil {
				t.Error(err)
			}
		}()
		r.sess, r.done = sess.(*session), make(chan struct{}) //nolint:forcetypeassert,errcheck // a driver's own
		requests = append(requests, r)
	}
	d.commit.commit(t.Context(), &group{requests: requests})
	if requests[0].err != nil || !errors.Is(requests[1].err, object.ErrCorrupt) || requests[2].err != nil {
		t.Errorf("errors: %v, %v, %v", requests[0].err, requests[1].err, requests[2].err)
	}
	for key, want := range map[string]error{"z1": nil, "z2": nil, "d/000000": nil, "e/000000": fs.ErrNotExist} {
		if _, err := s.Stat(t.Context(), "bucket", key); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
	}
	write(t, d, `DELETE FROM keys WHERE key = CAST('`+last+`' AS BLOB)`)
}

// TestRenamedIsKeptByAll renames and appends, and looks after the store in all ways that there are: what was renamed stays, and
// what nothing names any more goes.
func TestRenamedIsKeptByAll(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{idle: true})
	s := newStore(t, d)
	body, log := randomBytes(1_300_000, 1), randomBytes(100_000, 2)
	put(t, s, "d/big", body)
	put(t, s, "d/log", log)
	put(t, s, "over", randomBytes(1_200_000, 3))
	for _, opts := range []object.RenameOptions{within("d/", "e/f/"), within("e/f/big", "over")} {
		if _, err := s.Rename(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
	}
	log = append(log, randomBytes(90_000, 4)...)
	if _, err := s.Append(t.Context(), "bucket", "e/f/log", -1, bytes.NewReader(log[100_000:]), object.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	holds := func(what string, s *object.Store) {
		t.Helper()
		for key, want := range map[string][]byte{"over": body, "e/f/log": log} {
			if got := get(t, s, key); !bytes.Equal(got, want) {
				t.Errorf("%s: %s has other bytes", what, key)
			}
		}
		l, err := s.List(t.Context(), "bucket", object.ListOptions{})
		if err != nil || len(l.Objects) != 2 {
			t.Errorf("%s: %d keys, %v", what, len(l.Objects), err)
		}
	}
	checkClean(t, d)
	for range 2 {
		if _, err := d.Collect(t.Context(), allGarbage); err != nil {
			t.Fatal(err)
		}
	}
	holds("after a collection", s)
	checkClean(t, d)
	if n := count(t, d, `SELECT sum(len) FROM xorbs`); n > 1_600_000 {
		t.Errorf("%d bytes are stored for %d", n, len(body)+len(log))
	}
	closed(t, d)
	if h := mustRebuild(t, dir, RebuildOptions{}); len(h.lost) > 0 {
		t.Errorf("rebuild has lost %q", h.lost)
	}
	d = opened(t, dir, Options{idle: true})
	holds("after a rebuild", newStore(t, d))
	for _, p := range rebuiltProblems(t, d) {
		t.Errorf("after a rebuild: %s", p)
	}
	closed(t, d)
}

// BenchmarkRename renames 10,000 keys to and fro.
func BenchmarkRename(b *testing.B) {
	s, d := benchDriver(b)
	nameMany(b, d, "d/camera/", 10_000)
	names := [2]string{"d/", "e/f/"}
	defer reportCPU(b)()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if n, err := s.Rename(b.Context(), within(names[i%2], names[1-i%2])); n != 10_000 || err != nil {
			b.Fatal(n, err)
		}
	}
}

// TestRenameNeedsRoom renames when no more than what is kept for deletions is free: it is refused, as rows take room, too.
func TestRenameNeedsRoom(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	put(t, s, "key", []byte("content"))
	floor := d.floor
	d.floor = 1 << 62
	if _, err := s.Rename(t.Context(), within("key", "renamed")); !errors.Is(err, object.ErrNoSpace) {
		t.Errorf("below the floor: %v", err)
	}
	if d.floor = floor; !bytes.Equal(get(t, s, "key"), []byte("content")) {
		t.Error("the key has other bytes")
	}
}
