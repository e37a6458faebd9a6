package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
)

// uploadIn begins an upload of bucket/key and sends bodies as its parts, from 1 on.
func uploadIn(t *testing.T, s *object.Store, key string, bodies ...[]byte) (object.UploadName, []object.PartRef) {
	t.Helper()
	u, err := s.CreateUpload(t.Context(), "bucket", key, object.UploadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := object.UploadName{Bucket: "bucket", Key: key, ID: u.ID}
	var refs []object.PartRef
	for i, body := range bodies {
		p, err := s.PutPart(t.Context(), name, i+1, bytes.NewReader(body), object.PartOptions{})
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, object.PartRef{Number: i + 1, ETag: p.ETag()})
	}
	return name, refs
}

// TestUploadOutlivesProcesses begins an upload, dies, goes on in another process, collects all that may go, and completes it in a
// third.
func TestUploadOutlivesProcesses(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{idle: true})
	one, two, three := randomBytes(1_200_000, 1), randomBytes(40_000, 2), randomBytes(2_000_000, 3)
	name, refs := uploadIn(t, newStore(t, d), "key", one, randomBytes(70_000, 4))
	abandon(t, d)

	d = opened(t, dir, Options{idle: true})
	if err := d.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := object.New(d, object.Config{})
	for i, body := range [][]byte{two, three} {
		p, err := s.PutPart(t.Context(), name, 2+i, bytes.NewReader(body), object.PartOptions{})
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs[:1+i], object.PartRef{Number: 2 + i, ETag: p.ETag()})
	}
	for range 2 {
		if _, err := d.Collect(t.Context(), allGarbage); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, d)

	d = opened(t, dir, Options{})
	s = object.New(d, object.Config{})
	want := slices.Concat(one, two, three)
	if _, err := s.Complete(t.Context(), name, refs, object.CompleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, s, "key"), want) {
		t.Error("the object has other bytes than its parts")
	}
	checkClean(t, d)
	closed(t, d)
	bare(t, dir)
}

// TestCompleteManyParts completes an upload of as many parts as there can be, of random small sizes. What is read of them is bounded
// by the seams, and stored is hardly more than the parts.
func TestCompleteManyParts(t *testing.T) {
	n := object.MaxParts / stride / 4
	if testing.Short() {
		n = 100
	}
	if os.Getenv("DISK_PARTS") != "" {
		n = size(t, "DISK_PARTS", n)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	dir := ramDir(t)
	d := openTest(t, dir)
	s := newStore(t, d)
	u, err := s.CreateUpload(t.Context(), "bucket", "key", object.UploadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := object.UploadName{Bucket: "bucket", Key: "key", ID: u.ID}
	var whole []byte
	refs := make([]object.PartRef, n)
	for i := range refs {
		part := randomBytes(rng.IntN(40_000), uint64(i))
		whole = append(whole, part...)
		p, err := s.PutPart(t.Context(), name, i+1, bytes.NewReader(part), object.PartOptions{})
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = object.PartRef{Number: i + 1, ETag: p.ETag()}
	}
	before := diskUse(t, dir)
	start := time.Now()
	info, err := s.Complete(t.Context(), name, refs, object.CompleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d parts of %d bytes were joined in %v, the store has grown by %d bytes", n, len(whole), time.Since(start).Round(time.Millisecond),
		diskUse(t, dir)-before)
	if !bytes.Equal(get(t, s, "key"), whole) {
		t.Error("the object has other bytes than its parts")
	}
	once, err := s.Put(t.Context(), "bucket", "once", bytes.NewReader(whole), object.PutOptions{})
	if err != nil || once.File != info.File || !bytes.Equal(once.Digests.CRC64NVME, info.Digests.CRC64NVME) {
		t.Errorf("in one piece it is %v, not %v: %v", once, info, err)
	}
	again, err := s.Complete(t.Context(), name, refs, object.CompleteOptions{})
	if err != nil || again.ETag != info.ETag {
		t.Errorf("completed again: %+v, %v", again, err)
	}
}

// TestExpireUploadsInSlices lets more expire than a transaction takes.
func TestExpireUploadsInSlices(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	for i := range 3 {
		uploadIn(t, s, fmt.Sprint(i), randomBytes(100, uint64(i)))
	}
	write(t, d, `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
		INSERT INTO parts (upload, number, file, info) SELECT upload, i, file, info FROM parts, n WHERE number = 1`)
	// The newest part says how old an upload is, and only the first ones are sound.
	write(t, d, `INSERT OR REPLACE INTO parts (upload, number, file, info) SELECT upload, number, file, info FROM parts WHERE number = 1`)
	write(t, d, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
		INSERT INTO uploads (id, bucket, key, created, done, info) SELECT 'more' || i, 1, x'61', 5, i % 2, x'' FROM n`)
	before := d.commit.commits.Load()
	got, err := s.ExpireUploads(t.Context(), -time.Hour)
	if err != nil || got != 3+1250 {
		t.Errorf("%d uploads have expired, %v", got, err)
	}
	if n := d.commit.commits.Load() - before; n < 4 {
		t.Errorf("%d transactions have deleted it all", n)
	}
	for _, table := range []string{"uploads", "parts"} {
		if n := count(t, d, `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
}

// TestExpireUploadsKeepsBusyOnes looks at more old uploads than a transaction takes, to which parts come still, before it finds one that
// expires.
func TestExpireUploadsKeepsBusyOnes(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	uploadIn(t, s, "new", randomBytes(100, 1))
	const busy = 2 * expireSlice
	write(t, d, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO uploads (id, bucket, key, created, done, info) SELECT 'busy' || i, 1, x'61', 5, 0, x'' FROM n`, busy))
	write(t, d, `INSERT INTO uploads (id, bucket, key, created, done, info) VALUES ('old', 1, x'61', 6, 0, x'')`)
	err := d.commit.tx(t.Context(), func(ctx context.Context) error {
		for i := range busy {
			id := fmt.Sprint("busy", i+1)
			info, err := encodePart(id, &object.Part{Number: 1, ModTime: time.Now()})
			if err == nil {
				_, err = d.commit.conn.ExecContext(ctx, `INSERT INTO parts (upload, number, file, info) VALUES (?, 1, 1, ?)`, id, info)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.ExpireUploads(t.Context(), time.Hour)
	if err != nil || got != 1 {
		t.Errorf("%d uploads have expired, %v", got, err)
	}
	if n := count(t, d, `SELECT count(*) FROM uploads`); n != busy+1 {
		t.Errorf("%d uploads are left, not those that are busy", n)
	}
	write(t, d, `DELETE FROM uploads; DELETE FROM parts`)
}

// TestUploadsAreFound reads how SQLite answers questions about uploads: their cost must not grow with what they do not return.
func TestUploadsAreFound(t *testing.T) {
	d := openTest(t, t.TempDir())
	for query, args := range map[string][]any{
		`SELECT u.id FROM uploads u JOIN buckets b ON b.id = u.bucket WHERE u.bucket = ? AND u.done = 0
			AND (u.key, u.created, u.id) > (?, ?, ?) AND (u.key < ? OR ?) ORDER BY u.key, u.created, u.id LIMIT ?`: {1, "", 0, "", "", true, 1},
		`SELECT created, id FROM uploads
			WHERE created < ? AND (created, id) > (?, ?) ORDER BY created, id LIMIT ?`: {1, 0, "", 1},
		`SELECT id FROM uploads WHERE bucket = ? LIMIT ?`:                                    {1, 1},
		`SELECT p.number FROM parts p WHERE p.upload = ? AND p.number > ? ORDER BY p.number`: {"", 1},
	} {
		rows, err := anyRows(t.Context(), d.reads.db, `EXPLAIN QUERY PLAN `+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		plan := fmt.Sprint(rows)
		if strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s: %s", query, plan)
		}
		if strings.Contains(query, "u.created") && !strings.Contains(plan, "done=? AND key>") && !strings.Contains(plan, "(key,created,id)>") {
			t.Errorf("%s begins at the first key: %s", query, plan)
		}
	}
}

// TestDamagedUploads damages rows: what is hurt is an object.ErrCorrupt and nothing else, and check tells.
func TestDamagedUploads(t *testing.T) {
	for what, rows := range map[string]string{
		"upload":          `UPDATE uploads SET info = substr(info, 1, length(info) - 1) WHERE key = CAST('hurt' AS BLOB)`,
		"upload's key":    `UPDATE uploads SET key = CAST('hurt2' AS BLOB) WHERE key = CAST('hurt' AS BLOB)`,
		"upload's time":   `UPDATE uploads SET created = 7 WHERE key = CAST('hurt' AS BLOB)`,
		"part":            `UPDATE parts SET info = x'01' WHERE upload = (SELECT id FROM uploads WHERE key = CAST('hurt' AS BLOB)) AND number = 2`,
		"number of parts": `UPDATE parts SET number = number + 4 WHERE upload = (SELECT id FROM uploads WHERE key = CAST('hurt' AS BLOB))`,
		"file of parts":   `UPDATE parts SET file = 1 WHERE upload = (SELECT id FROM uploads WHERE key = CAST('hurt' AS BLOB)) AND number = 2`,
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			d := opened(t, dir, Options{idle: true})
			s := newStore(t, d)
			whole, refs := uploadIn(t, s, "whole", randomBytes(30_000, 1), randomBytes(300_000, 2))
			hurt, hurtRefs := uploadIn(t, s, "hurt", randomBytes(30_000, 3), randomBytes(300_000, 4))
			write(t, d, rows)
			if _, err := s.Complete(t.Context(), hurt, hurtRefs, object.CompleteOptions{}); !errors.Is(err, object.ErrCorrupt) {
				t.Errorf("complete what is hurt: %v", err)
			}
			if _, err := s.Complete(t.Context(), whole, refs, object.CompleteOptions{}); err != nil {
				t.Errorf("complete what is whole: %v", err)
			}
			var told []string
			if _, err := d.Check(t.Context(), CheckOptions{}, func(p Problem) { told = append(told, p.String()) }); err != nil {
				t.Fatal(err)
			}
			if len(told) == 0 || !strings.Contains(strings.Join(told, "\n"), hurt.ID) {
				t.Errorf("check says %q", told)
			}
			closed(t, d)
			// What is whole outlives a rebuild, what is hurt does not hurt it.
			h := mustRebuild(t, dir, RebuildOptions{})
			if !strings.Contains(strings.Join(h.reports, "\n"), "catalog.db: a") {
				t.Errorf("rebuild says %q", h.reports)
			}
			d = opened(t, dir, Options{idle: true})
			_, err := d.Check(t.Context(), CheckOptions{}, func(p Problem) {
				if !p.Orphan { // files of parts that are gone
					t.Error(p)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			again, err := object.New(d, object.Config{}).Complete(t.Context(), whole, refs, object.CompleteOptions{})
			if err != nil || again.Size != 330_000 {
				t.Errorf("completed again after a rebuild: %+v, %v", again, err)
			}
			closed(t, d)
		})
	}
}

// TestUploadsBesideDamagedOnes asks for the uploads of one key between damaged ones of others.
func TestUploadsBesideDamagedOnes(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	name, _ := uploadIn(t, s, "a")
	uploadIn(t, s, "a\x00")
	uploadIn(t, s, "a/b")
	uploadIn(t, s, "\x00")
	write(t, d, `UPDATE uploads SET info = x'00' WHERE key <> CAST('a' AS BLOB)`)
	for _, limit := range []int{1, 1000} {
		page, more, err := s.ListUploads(t.Context(), "bucket", object.UploadPage{Key: "a", Limit: limit})
		if err != nil || more || len(page) != 1 || page[0].ID != name.ID {
			t.Errorf("up to %d uploads: %v, %v, %v", limit, page, more, err)
		}
	}
	if _, _, err := s.ListUploads(t.Context(), "bucket", object.UploadPage{Key: "a/b", Limit: 1}); !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("uploads of a key with a damaged one: %v", err)
	}
	write(t, d, `DELETE FROM uploads`)
}

// TestRebuildOfUploads rebuilds by a backup: what is in it of uploads that were completed since does not come again.
func TestRebuildOfUploads(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{idle: true})
	s := newStore(t, d)
	done, doneRefs := uploadIn(t, s, "done", randomBytes(30_000, 1), randomBytes(300_000, 2))
	open, openRefs := uploadIn(t, s, "open", randomBytes(50_000, 3), randomBytes(400_000, 4))
	backup := backupOf(t, d)
	if _, err := s.Complete(t.Context(), done, doneRefs, object.CompleteOptions{}); err != nil {
		t.Fatal(err)
	}
	closed(t, d)
	mustRebuild(t, dir, RebuildOptions{Catalog: backup})
	d = opened(t, dir, Options{idle: true})
	s = object.New(d, object.Config{})
	checkClean(t, d)
	u, err := s.Upload(t.Context(), done)
	if err != nil || u.Done == nil {
		t.Errorf("what was done is %+v, %v", u, err)
	}
	if _, err := s.Complete(t.Context(), open, openRefs, object.CompleteOptions{}); err != nil {
		t.Error(err)
	}
	if len(get(t, s, "open")) != 450_000 {
		t.Error("the object has not the size of its parts")
	}
	closed(t, d)
}

// TestRebuildEndsAtStrangeIDs rebuilds by a catalog in which the ids of some uploads are no text: they are told of, each once, and the
// rebuild goes on behind them.
func TestRebuildEndsAtStrangeIDs(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{idle: true})
	name, refs := uploadIn(t, newStore(t, d), "key", randomBytes(50_000, 3))
	write(t, d, `INSERT INTO uploads VALUES (x'00', 1, x'61', 0, 0, x'00'), (x'01', 1, x'61', 0, 0, x'00')`)
	backup := backupOf(t, d)
	write(t, d, `DELETE FROM uploads WHERE typeof(id) = 'blob'`)
	closed(t, d)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told := 0
	_, err := Rebuild(ctx, dir, RebuildOptions{Catalog: backup, Report: func(p Problem) {
		if strings.Contains(p.What, "an upload cannot be read") {
			told++
		}
		if told > 2 {
			stop()
		}
	}})
	if err != nil || told != 2 {
		t.Errorf("%d uploads are told to be damaged, %v", told, err)
	}
	d = opened(t, dir, Options{idle: true})
	if _, err := object.New(d, object.Config{}).Complete(t.Context(), name, refs, object.CompleteOptions{}); err != nil {
		t.Error(err)
	}
	closed(t, d)
}

func backupOf(t *testing.T, d *Driver) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup.db")
	var copied bytes.Buffer
	if err := d.Backup(t.Context(), &copied, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, copied.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRebuildMovesUploads rebuilds by a backup in which a bucket has the id of another one: its uploads move to the id that it gets.
func TestRebuildMovesUploads(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{idle: true})
	s := newStore(t, d)
	name, refs := uploadIn(t, s, "key", randomBytes(50_000, 3), randomBytes(400_000, 4))
	backup := backupOf(t, d)
	write(t, d, `UPDATE buckets SET name = 'other'; DELETE FROM uploads; DELETE FROM parts`)
	closed(t, d)
	mustRebuild(t, dir, RebuildOptions{Catalog: backup})
	d = opened(t, dir, Options{idle: true})
	s = object.New(d, object.Config{})
	checkClean(t, d)
	page, _, err := s.ListUploads(t.Context(), "bucket", object.UploadPage{})
	if err != nil || len(page) != 1 || page[0].ID != name.ID {
		t.Errorf("uploads of the bucket: %+v, %v", page, err)
	}
	if _, err := s.Complete(t.Context(), name, refs, object.CompleteOptions{}); err != nil {
		t.Error(err)
	}
	closed(t, d)
}
