package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// problems returns what Check says, in words.
// isKept says whether a problem is but that something is there which Rebuild has kept.
func isKept(p Problem) bool { return p.Orphan && strings.Contains(p.What, "a restore has kept") }

// isBegun says whether a problem is but a pack into which nothing had come yet when it was copied.
func isBegun(p Problem) bool {
	return p.Orphan && strings.Contains(p.What, " packs/") && strings.HasSuffix(p.What, ", which is empty")
}

func rebuiltProblems(t *testing.T, d *Driver) (out []string) {
	t.Helper()
	_, err := d.Check(context.Background(), CheckOptions{}, func(p Problem) {
		if !isPiece(p) && !isKept(p) && !isBegun(p) {
			out = append(out, p.String())
		}
	})
	if err != nil {
		t.Errorf("check: %v", err)
	}
	return out
}

// rebuildHeard is what Rebuild says beside its result.
type rebuildHeard struct {
	Rebuilt
	orphans []Orphan
	lost    []string
	reports []string
}

func mustRebuild(t *testing.T, dir string, opts RebuildOptions) (h rebuildHeard) {
	t.Helper()
	opts.Orphan = func(o Orphan) { h.orphans = append(h.orphans, o) }
	opts.LostKey = func(key string) { h.lost = append(h.lost, key) }
	opts.Report = func(p Problem) { h.reports = append(h.reports, p.String()) }
	done, err := Rebuild(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if done.Orphans != int64(len(h.orphans)) || done.Lost != int64(len(h.lost)) {
		t.Errorf("rebuilt %+v, and was told of %d orphans and %d lost keys", done, len(h.orphans), len(h.lost))
	}
	h.Rebuilt = done
	return h
}

// dump returns what a closed store's catalog says, without the ids that may differ.
func dump(t *testing.T, dir string) map[string][]string {
	t.Helper()
	d := opened(t, dir, Options{idle: true})
	out := make(map[string][]string)
	for name, query := range map[string]string{
		"buckets": `SELECT id, name, owner, created, versioning, arrived FROM buckets`,
		"xorbs":   `SELECT hex(hash), file, off, len, chunks, raw, packed, doomed, keep_until FROM xorbs`,
		"files":   `SELECT hex(hash), size, hex(terms), doomed, keep_until FROM files`,
		"refs":    `SELECT hex(x.hash), hex(f.hash) FROM refs r JOIN xorbs x ON x.id = r.xorb JOIN files f ON f.id = r.file`,
		"damaged": `SELECT hex(x.hash) FROM damaged d JOIN xorbs x ON x.id = d.xorb`,
		"packs":   `SELECT file, proc, sealed, size FROM packs`,
		"keys":    `SELECT bucket, hex(key), version, hex(f.hash), hex(info) FROM keys k JOIN files f ON f.id = k.file`,
		"uploads": `SELECT id, bucket, hex(key), created, done, hex(info) FROM uploads`,
		"parts":   `SELECT upload, number, hex(f.hash), hex(info) FROM parts p JOIN files f ON f.id = p.file`,
	} {
		rows, err := anyRows(t.Context(), d.reads.db, query)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			out[name] = append(out[name], fmt.Sprint(row...))
		}
		slices.Sort(out[name])
	}
	closed(t, d)
	return out
}

// counters returns the epoch of a closed store, the highest ids that it has given, and the lowest that are in use.
func counters(t *testing.T, dir string) (epoch int64, given, least map[string]int64) {
	t.Helper()
	d := opened(t, dir, Options{idle: true})
	given, least = make(map[string]int64), make(map[string]int64)
	for _, table := range []string{"procs", "buckets", "xorbs", "files", "parts"} {
		n, err := d.lastID(t.Context(), table)
		if err != nil || n == 0 {
			t.Fatal(table, n, err)
		}
		given[table], least[table] = n, count(t, d, `SELECT min(id) FROM `+table)
	}
	epoch = count(t, d, `SELECT epoch FROM meta`)
	closed(t, d)
	return epoch, given, least
}

// addRows puts rows into a catalog that the driver does not make yet, or not in a test.
func addRows(t *testing.T, dir string) {
	t.Helper()
	d := opened(t, dir, Options{idle: true})
	err := d.commit.tx(t.Context(), func(ctx context.Context) error {
		_, err := d.commit.conn.ExecContext(ctx, `
			INSERT INTO buckets (name, owner, created, versioning) VALUES ('gone', '', 1, 0), ('other', 'me', 2, 1);
			DELETE FROM buckets WHERE name = 'gone';
			UPDATE xorbs SET keep_until = 5, packed = 1 WHERE id % 7 = 0;
			UPDATE files SET keep_until = 6 WHERE id % 5 = 0;
			INSERT INTO damaged SELECT max(id) FROM xorbs;`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, d)
}

// addUploads begins an upload of a few parts, and completes another.
func addUploads(t *testing.T, dir string) {
	t.Helper()
	d := opened(t, dir, Options{idle: true})
	s := object.New(d, object.Config{})
	if err := s.CreateBucket(t.Context(), "uploads", ""); err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"open", "done"} {
		u, err := s.CreateUpload(t.Context(), "uploads", key, object.UploadOptions{
			Attrs: object.Attrs{Meta: map[string]string{"key": key}}, Note: "note of " + key,
		})
		if err != nil {
			t.Fatal(err)
		}
		name := object.UploadName{Bucket: "uploads", Key: key, ID: u.ID}
		var refs []object.PartRef
		for n := 1; n <= 3; n++ {
			p, err := s.PutPart(t.Context(), name, n, bytes.NewReader(randomBytes(100_000*n, uint64(900+10*i+n))), object.PartOptions{})
			if err != nil {
				t.Fatal(err)
			}
			refs = append(refs, object.PartRef{Number: n, ETag: p.ETag()})
		}
		if key == "done" {
			if _, err := s.Complete(t.Context(), name, refs, object.CompleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	closed(t, d)
}

// TestRebuildWhole rebuilds a store to which nothing has happened: the new catalog says what the old one did.
func TestRebuildWhole(t *testing.T) {
	st := newRotStore(t)
	addUploads(t, st.dir)
	addRows(t, st.dir)
	before := dump(t, st.dir)
	for _, rows := range before {
		if len(rows) == 0 {
			t.Fatalf("there is nothing to compare: %d", len(before))
		}
	}
	for _, opts := range []RebuildOptions{{}, {Verify: true}, {Catalog: filepath.Join(st.dir, "catalog.db")}} {
		epoch, given, _ := counters(t, st.dir)
		h := mustRebuild(t, st.dir, opts)
		newEpoch, newGiven, least := counters(t, st.dir)
		for table, n := range given {
			if newGiven[table] < n || table != "buckets" && least[table] <= n {
				t.Errorf("ids of %s begin at %d and end at %d, but %d had been given", table, least[table], newGiven[table], n)
			}
		}
		if newEpoch <= epoch {
			t.Errorf("epoch %d comes after %d", newEpoch, epoch)
		}
		if h.Keys != int64(len(before["keys"])) || h.Files != int64(len(before["files"])) || h.Xorbs != int64(len(before["xorbs"])) ||
			h.Buckets != int64(len(before["buckets"])) || h.Orphans+h.Lost > 0 || len(h.reports) > 0 {
			t.Errorf("%+v: rebuilt %+v", opts, h)
		}
		if _, err := os.Stat(filepath.Join(st.dir, h.Aside)); err != nil || h.Aside == "" {
			t.Errorf("the old catalog is %q: %v", h.Aside, err)
		}
		after := dump(t, st.dir)
		for name, rows := range before {
			if !slices.Equal(rows, after[name]) {
				t.Errorf("%+v: %s: %d rows, were %d:\n%.900s\n%.900s", opts, name, len(after[name]), len(rows),
					strings.Join(after[name], "\n"), strings.Join(rows, "\n"))
			}
		}
	}
	d := opened(t, st.dir, Options{idle: true})
	write(t, d, `DELETE FROM damaged`) // there was no damage
	closed(t, d)
	if hurt, n := st.verify(t, "rebuilt"); hurt > 0 || n > 0 {
		t.Errorf("%d keys cannot be read, %d problems", hurt, n)
	}
}

// TestRebuildAlone rebuilds a store that has lost its catalog and has no backup: all content is listed and, when it is adopted,
// can be read.
func TestRebuildAlone(t *testing.T) {
	st := newRotStore(t)
	var want []string // hashes and sizes
	d := opened(t, st.dir, Options{idle: true})
	rows, err := anyRows(t.Context(), d.reads.db, `SELECT DISTINCT hex(hash), raw FROM xorbs`)
	if err != nil {
		t.Fatal(err)
	}
	bodies := make(map[string][]byte) // by file hash, of those keys that are one whole xorb
	for key, body := range st.want {
		info, err := d.Stat(t.Context(), "bucket", key)
		if err != nil {
			t.Fatal(err)
		}
		bodies[info.File.String()] = body
	}
	closed(t, d)
	for _, name := range []string{"catalog.db", "index.db"} {
		if err := os.Remove(filepath.Join(st.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	h := mustRebuild(t, st.dir, RebuildOptions{})
	if int(h.Xorbs) != len(rows) || int(h.Orphans) != len(rows) || h.Keys+h.Files+h.Buckets+h.Lost > 0 || h.Aside != "" {
		t.Errorf("of %d xorbs, rebuilt %+v, reported %q", len(rows), h.Rebuilt, h.reports)
	}
	again := mustRebuild(t, st.dir, RebuildOptions{Adopt: "found"})
	if !slices.Equal(again.orphans, h.orphans) || again.Keys != h.Orphans || again.Buckets != 1 {
		t.Errorf("adopted %+v, listed %d", again.Rebuilt, h.Orphans)
	}
	for _, o := range h.orphans {
		want = append(want, o.Hash.String())
	}
	d = opened(t, st.dir, Options{})
	s := object.New(d, object.Config{})
	read := 0
	for _, key := range want {
		f, err := s.Open(t.Context(), "found", key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
		if body, ok := bodies[key]; ok {
			read++
			if string(body) != string(got) {
				t.Errorf("%s has other content", key)
			}
		}
	}
	if read < len(bodies)/2 {
		t.Errorf("of %d contents %d came back", len(bodies), read)
	}
	if p := rebuiltProblems(t, d); len(p) > 0 {
		t.Errorf("check: %q", p)
	}
	closed(t, d)
}

// TestRebuildDoubts that a file is what its row says: one whose terms make another file, or name chunks that its xorb does not
// have, is not taken, nor is a key of another size than its file.
func TestRebuildDoubts(t *testing.T) {
	st := newRotStore(t)
	d := opened(t, st.dir, Options{idle: true})
	info, content, err := d.Open(t.Context(), "bucket", "longer")
	if err != nil {
		t.Fatal(err)
	}
	terms := slices.Clone(content.Terms())
	if err := content.Close(); err != nil {
		t.Fatal(err)
	}
	beyond := slices.Clone(terms)
	beyond[0].Range.Start += 5000
	beyond[0].Range.End += 5000
	forged := map[string][]xet.Term{"forged": terms, "beyond": beyond, "size": nil}
	err = d.commit.tx(t.Context(), func(ctx context.Context) error {
		for key, terms := range forged {
			info := info
			info.Key = key
			if terms == nil {
				info.Size++
			} else {
				info.File[0] ^= key[0]
			}
			rec := xet.Reconstruction{Hash: info.File, Size: uint64(info.Size), Terms: terms}
			row, err := encodeInfo(keyName{"bucket", 1, key}, &info)
			if err != nil {
				return err
			}
			if terms != nil {
				if _, err := d.commit.st.insertFile.ExecContext(ctx, info.File[:], info.Size, encodeTerms(&rec)); err != nil {
					return err
				}
			}
			_, err = d.commit.conn.ExecContext(ctx, `INSERT INTO keys SELECT 1, ?, 0, id, ? FROM files WHERE hash = ?`,
				[]byte(key), row, info.File[:])
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, d)
	h := mustRebuild(t, st.dir, RebuildOptions{})
	if want := []string{"bucket/beyond", "bucket/forged", "bucket/size"}; !slices.Equal(h.lost, want) || int(h.Keys) != len(st.want) {
		t.Errorf("lost are %q, %d keys are there", h.lost, h.Keys)
	}
	if hurt, found := st.verify(t, "doubts"); hurt+found > 0 {
		t.Errorf("%d keys are hurt, %d problems", hurt, found)
	}
}

// TestRebuildOfTwoStores takes over a backup in which the ids mean other buckets: it is of another store, or of a branch of this
// one.
func TestRebuildOfTwoStores(t *testing.T) {
	st, other := newRotStore(t), t.TempDir()
	for range 3 { // names of files must not be the same
		closed(t, opened(t, other, Options{idle: true}))
	}
	d := opened(t, other, Options{idle: true})
	s := object.New(d, object.Config{})
	for _, bucket := range []string{"photos", "bucket"} {
		if err := s.CreateBucket(t.Context(), bucket, "her"); err != nil {
			t.Fatal(err)
		}
	}
	body := randomBytes(5000, 77)
	for _, at := range []string{"photos/one", "bucket/two", "bucket/big"} {
		bucket, key, _ := strings.Cut(at, "/")
		if _, err := s.Put(t.Context(), bucket, key, bytes.NewReader(body), object.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, d)
	backup := rotStore{dir: other}.backup(t)
	for _, name := range contents(t, other) {
		b, err := os.ReadFile(filepath.Join(other, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(st.dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h := mustRebuild(t, st.dir, RebuildOptions{Catalog: backup})
	if h.Buckets != 2 || int(h.Keys) != len(st.want)+2 || h.Lost+h.Orphans > 0 {
		t.Errorf("rebuilt %+v", h)
	}
	d = opened(t, st.dir, Options{idle: true})
	s = object.New(d, object.Config{})
	f, err := s.Open(t.Context(), "photos", "one")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if b, err := s.Bucket(t.Context(), "photos"); err != nil || b.Owner != "her" {
		t.Errorf("%+v, %v", b, err)
	}
	if got := get(t, s, "two"); !bytes.Equal(got, body) {
		t.Errorf("two has %d bytes", len(got))
	}
	if got := get(t, s, "big"); !bytes.Equal(got, st.want["big"]) {
		t.Error("the store's own catalog has not had the last word")
	}
	if p := rebuiltProblems(t, d); len(p) > 0 {
		t.Errorf("check: %q", p)
	}
	closed(t, d)
}
