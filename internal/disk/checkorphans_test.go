package disk

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// die has a driver look like a process that was killed.
func die(t *testing.T, d *Driver) {
	t.Helper()
	if err := d.proc.lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOrphansOfTheDead has a process at work that has a xorb in the making, one that is done, and a pack whose end is not
// committed. As long as it lives none of that is an orphan; once it is dead all of it is.
func TestOrphansOfTheDead(t *testing.T) {
	dir := t.TempDir()
	worker := opened(t, dir, Options{idle: true})
	put(t, newStore(t, worker), "k", randomBytes(200_000, 1))
	staged, err := newStaging(t.Context(), worker, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := staged.more.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, x := range staged.Session.(*session).staged { //nolint:errcheck,forcetypeassert // a driver's own
		if err := x.wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp", fmt.Sprint(worker.proc.id, ".77")), make([]byte, 77), 0o600); err != nil {
		t.Fatal(err)
	}
	pack := filepath.Join(dir, "packs", "1.1")
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pack, slices.Concat(whole, whole, []byte("torn")), 0o600); err != nil {
		t.Fatal(err)
	}
	d := opened(t, dir, Options{idle: true})
	for _, quick := range []bool{false, true} {
		if done, found, _ := problems(t, d, CheckOptions{Quick: quick}); len(found) > 0 || done.Orphans > 0 {
			t.Errorf("quick: %v: while it lives: %q", quick, found)
		}
	}
	die(t, worker)
	want := diskUse(t, dir) - int64(len(whole))
	for _, quick := range []bool{false, true} {
		done, found, _ := problems(t, d, CheckOptions{Quick: quick})
		xorbs := 0
		for _, p := range found {
			if !p.Orphan || len(p.Keys) > 0 || p.Size == 0 {
				t.Errorf("quick: %v: %+v", quick, p)
			}
			if !p.Xorb.IsZero() {
				xorbs++
			}
		}
		if done.Orphans != int64(len(found)) || done.OrphanBytes != want {
			t.Errorf("quick: %v: %d bytes are orphans, want %d: %q", quick, done.OrphanBytes, want, found)
		}
		if own, err := filepath.Glob(filepath.Join(dir, "xorbs/*/*")); err != nil || len(own) == 0 || !quick && xorbs != 1+len(own) {
			t.Errorf("%d xorbs are orphans, want %d and that in the pack: %q", xorbs, len(own), found)
		}
		for _, what := range []string{"tmp/1.77", "xorbs/", "packs/1.1+" + fmt.Sprint(len(whole))} {
			if !strings.Contains(fmt.Sprint(found), what) {
				t.Errorf("quick: %v: %q does not name %s", quick, found, what)
			}
		}
	}
	if err := d.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, found, _ := problems(t, d, CheckOptions{}); len(found) != 2 { // those in the pack
		t.Errorf("after a sweep: %q", found)
	}
	closed(t, d)
}

// TestOrphanWithin takes the rows of the first xorb of a pack away, as collection does: it is an orphan, though its process lives.
func TestOrphanWithin(t *testing.T) {
	d := checkedStore(t)
	size := count(t, d, `SELECT len FROM xorbs WHERE raw = 200000`)
	ref, err := d.xorbByID(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, `DELETE FROM keys WHERE key IN (CAST('small' AS BLOB), CAST('copy' AS BLOB)); DELETE FROM refs WHERE xorb = 1;
		DELETE FROM files WHERE size = 200000; DELETE FROM xorbs WHERE id = 1`)
	for _, quick := range []bool{false, true} {
		done, found, _ := problems(t, d, CheckOptions{Quick: quick})
		if len(found) != 1 || done.Orphans != 1 || done.OrphanBytes != size || !quick && found[0].Xorb != ref.info.Hash {
			t.Errorf("quick: %v: %+v, %q", quick, done, found)
		}
	}
}

// TestLostInOneOrder takes rows out of tables that stay in their index: collection asks one of the two.
func TestLostInOneOrder(t *testing.T) {
	for _, tt := range []struct{ index, rows, want string }{
		{"refs_file", `DELETE FROM refs WHERE xorb = 1`, "refs name other xorbs"},
		{"keys_file", `UPDATE files SET id = 9; UPDATE refs SET file = 9; UPDATE keys SET file = 9`, "does not stand in the index of files"},
	} {
		dir := t.TempDir()
		d := opened(t, dir, Options{})
		put(t, newStore(t, d), "k", randomBytes(1000, 1))
		closed(t, d)
		db, err := (&Driver{dir: dir, vfs: sums}).catalogDB().open(1, writeCacheKiB)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA writable_schema = ON;
			CREATE TEMP TABLE saved AS SELECT * FROM sqlite_schema WHERE name = '%s';
			DELETE FROM sqlite_schema WHERE name = '%[1]s'; PRAGMA writable_schema = RESET`, tt.index))
		if err == nil {
			_, err = db.ExecContext(t.Context(), tt.rows)
		}
		if err == nil {
			_, err = db.ExecContext(t.Context(), `PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM saved;
				PRAGMA writable_schema = RESET`)
		}
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		d = opened(t, dir, Options{Quiet: true})
		for _, quick := range []bool{false, true} {
			_, found, keys := problems(t, d, CheckOptions{Quick: quick})
			if tt.want == "" && len(found) > 0 || tt.want != "" && (len(keys) != 1 || !strings.Contains(fmt.Sprint(found), tt.want)) {
				t.Errorf("%s: quick: %v: %q", tt.index, quick, found)
			}
		}
		closed(t, d)
	}
}

// TestOrphansOfAnOlderCatalog puts the catalog of last night in the place of today's: what was stored since is named as orphans,
// each xorb by its hash; what was there is whole.
func TestOrphansOfAnOlderCatalog(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{})
	put(t, newStore(t, d), "old", randomBytes(300_000, 1))
	closed(t, d)
	night, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	d = opened(t, dir, Options{})
	s := newStore(t, d)
	for i := range 5 {
		put(t, s, fmt.Sprint("small/", i), randomBytes(10_000, uint64(10+i)))
	}
	put(t, s, "large", randomBytes(3<<20, 2))
	type stored struct {
		hash []byte
		len  int64
	}
	rows, err := collect(t.Context(), d.reads.db, func(rows *sql.Rows) (x stored, err error) {
		err = rows.Scan(&x.hash, &x.len)
		return x, err
	}, `SELECT hash, len FROM xorbs WHERE id > 1`)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[xet.Hash]int64)
	for _, x := range rows {
		want[xet.Hash(x.hash)] = x.len
	}
	closed(t, d)
	if err := os.WriteFile(filepath.Join(dir, "catalog.db"), night, 0o600); err != nil {
		t.Fatal(err)
	}
	removeIndex(t, dir)
	d = opened(t, dir, Options{Quiet: true})
	got := make(map[xet.Hash]int64)
	_, found, _ := problems(t, d, CheckOptions{})
	for _, p := range found {
		if !p.Orphan {
			t.Error(p)
		}
		got[p.Xorb] += p.Size
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d orphans, %d were stored since: %q", len(got), len(want), found)
	}
	if !bytes.Equal(get(t, object.New(d, object.Config{}), "old"), randomBytes(300_000, 1)) {
		t.Error("content differs")
	}
	closed(t, d)
}
