package disk

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"hugbucket/internal/object"
)

// TestThinningKeepsBackupsOfUse loses the catalog after a collection that has stored anew what a key needs of a xorb: a backup from
// before it still finds what it names.
func TestThinningKeepsBackupsOfUse(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{})
	s := newStore(t, d)
	long := randomBytes(5<<20, 1)
	cut := 0
	for cut < 1<<20 {
		cut += firstChunk(t, long[cut:])
	}
	put(t, s, "long", long)
	put(t, s, "front", long[:cut]) // by reference
	backup := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(backup)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Backup(t.Context(), f, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "bucket", "long", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	dry := collectNow(t, d, CollectOptions{DryRun: true})
	got := collectNow(t, d, CollectOptions{})
	if got.Rewritten == 0 || got.Waiting == 0 || got != dry {
		t.Errorf("collected %+v, announced %+v", got, dry)
	}
	if again := collectNow(t, d, CollectOptions{}); again.Rewritten+again.Xorbs > 0 {
		t.Errorf("collected again: %+v", again)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		_ = os.Remove(filepath.Join(dir, name)) // some are not there
	}
	h := mustRebuild(t, dir, RebuildOptions{Catalog: backup})
	if h.Lost > 0 {
		t.Errorf("lost: %q", h.lost)
	}
	d = opened(t, dir, Options{})
	if !bytes.Equal(get(t, newStore(t, d), "front"), long[:cut]) {
		t.Error("front has other bytes")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPacksOfACollectionStay stores anew what lives of packs: those that come to be with that are whole, and stay.
func TestPacksOfACollectionStay(t *testing.T) {
	dir := t.TempDir()
	opts := Options{packSize: 1 << 20}
	d := opened(t, dir, opts)
	s := newStore(t, d)
	const n = 128
	for i := range n {
		put(t, s, fmt.Sprint(i), randomBytes(64<<10, uint64(i)))
	}
	for i := range n {
		if i%5 < 3 {
			if err := s.Delete(t.Context(), "bucket", fmt.Sprint(i), object.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = opened(t, dir, opts)
	dry := collectNow(t, d, CollectOptions{DryRun: true})
	if got := collectNow(t, d, CollectOptions{}); got != dry || got.Rewritten == 0 {
		t.Errorf("collected %+v, announced %+v", got, dry)
	}
	if again := collectNow(t, d, CollectOptions{}); again.Rewritten > 0 {
		t.Errorf("collected again: %+v", again)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCollectPassesDamagedRows by, and does the rest.
func TestCollectPassesDamagedRows(t *testing.T) {
	d := opened(t, t.TempDir(), Options{})
	s := newStore(t, d)
	put(t, s, "damaged", randomBytes(300_000, 1))
	put(t, s, "gone", randomBytes(3<<20, 2))
	write(t, d, `UPDATE files SET terms = CAST(terms || x'00' AS BLOB) WHERE id = 1`)
	if err := s.Delete(t.Context(), "bucket", "gone", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	if got := collectNow(t, d, CollectOptions{Live: 1}); got.Files != 1 || got.Freed < 3<<20 {
		t.Errorf("%+v", got)
	}
	long := randomBytes(3<<20, 3)
	file := put(t, s, "long", long).File
	put(t, s, "front", long[:firstChunk(t, long)]) // by reference, and all that is known to be used
	write(t, d, `UPDATE files SET terms = CAST(terms || x'00' AS BLOB) WHERE hash = ?`, file[:])
	if got := collectNow(t, d, CollectOptions{Live: 1}); got != (Collected{}) {
		t.Errorf("of what a damaged file may use: %+v", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDryRunChangesNothing leaves also what a dead process has left.
func TestDryRunChangesNothing(t *testing.T) {
	dir := t.TempDir()
	d := openWith(t, dir, Options{idle: true})
	put(t, newStore(t, d), "key", randomBytes(3<<20, 1))
	write(t, d, `INSERT INTO procs (id, epoch) VALUES (77, 1)`)
	write(t, d, `DELETE FROM keys`)
	for _, name := range []string{"tmp/77.1", "procs/77"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := everything(t, d)
	q := openWith(t, dir, Options{Quiet: true, Existing: true, idle: true})
	with := everything(t, d) // and a process that looks
	if got := collectNow(t, q, CollectOptions{DryRun: true}); got.Files != 1 || got.Freed < 3<<20 {
		t.Errorf("%+v", got)
	}
	if after := everything(t, d); !maps.Equal(with, after) || len(before) == 0 {
		t.Error("a dry run has changed something")
	}
	if _, err := os.Stat(filepath.Join(dir, "tmp/77.1")); err != nil {
		t.Error(err)
	}
	if err := d.sweep(t.Context()); err != nil { // else whoever checks the store next does, or is in the middle of it
		t.Error(err)
	}
}
