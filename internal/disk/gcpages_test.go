package disk

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// manyObjects stores small objects, each in a xorb of its own: more than are looked at in one read.
func manyObjects(t *testing.T) (d *Driver, n, bytes int64) {
	t.Helper()
	d = openTest(t, t.TempDir())
	newStore(t, d)
	const objects = gcWindow + collectBatch/2
	for from := 0; from < objects; from += collectBatch {
		collectLoad(t, d, from, min(from+collectBatch, objects))
	}
	return d, objects, count(t, d, `SELECT sum(len) FROM xorbs`)
}

// TestCollectMeasuresAll of what it is going to compress, and of what has to wait, though it reads some rows at a time.
func TestCollectMeasuresAll(t *testing.T) {
	d, n, bytes := manyObjects(t)
	var total int64
	collectNow(t, d, CollectOptions{Recompress: true, Progress: func(s Step) {
		if s.Name == Compressing && s.Bytes {
			total = s.Total
		}
	}})
	if total != bytes {
		t.Errorf("%d of %d bytes were to be compressed", total, bytes)
	}
	if got := count(t, d, `SELECT count(*) FROM xorbs WHERE packed = 1`); got != n {
		t.Errorf("%d of %d xorbs were tried", got, n)
	}
	sess, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, `DELETE FROM keys`)
	bytes = count(t, d, `SELECT sum(len) FROM xorbs`)
	if got := collectNow(t, d, CollectOptions{Wait: -1}); got.Waiting != bytes {
		t.Errorf("%d of %d bytes wait", got.Waiting, bytes)
	}
	if err := sess.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCollectSeesAllFilesOfAXorb when they are more than it reads at a time.
func TestCollectSeesAllFilesOfAXorb(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newShared(t, d, (gcWindow+1000)*sharedXorbs)
	ctx := t.Context()
	sess, err := d.Begin(ctx)
	if err == nil {
		err = s.putXorb(ctx, sess, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	var changes []object.Change
	for i := range s.chunks - 1 {
		var f sharedFile
		f.add(s, 0, xet.Range{Start: uint32(i), End: uint32(i + 1)})
		change, err := f.stage(ctx, sess, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, change)
	}
	if err := errors.Join(sess.Commit(ctx, changes), sess.Close()); err != nil {
		t.Fatal(err)
	}
	if len(changes) <= gcWindow {
		t.Fatalf("%d files are read at once", len(changes))
	}
	got := collectNow(t, d, CollectOptions{DryRun: true, Live: 1})
	if want := s.size(len(changes)); got.Rewritten != want || got.Freed != -want || got.Waiting != s.size(s.chunks) {
		t.Errorf("of a xorb of which all but a chunk is used: %+v, want %d bytes to be stored anew", got, want)
	}
}

// TestCheckListsAllThatWasKept though it reads some rows at a time, and few or many of them were kept.
func TestCheckListsAllThatWasKept(t *testing.T) {
	d, n, _ := manyObjects(t)
	for _, kept := range []string{`id = 1`, `id > 1100 AND id < 1400`, `id % 2 = 0`, `true`} {
		write(t, d, `DELETE FROM keys`)
		write(t, d, `DELETE FROM refs`)
		for table, what := range map[string]string{"files": "file", "xorbs": "xorb"} {
			write(t, d, `UPDATE files SET keep_until = 0`)
			write(t, d, `UPDATE xorbs SET keep_until = 0`)
			write(t, d, `UPDATE `+table+` SET keep_until = ? WHERE `+kept, keepOrphan)
			want := count(t, d, `SELECT count(*) FROM `+table+` WHERE keep_until <> 0`)
			if want == 0 || want > n {
				t.Fatalf("%d %s were kept", want, table)
			}
			c := d.newChecker(CheckOptions{}, func(p Problem) {
				if p.Orphan && strings.Contains(p.What, "no key names "+what) && p.Size == collectBody {
					want--
				}
			})
			c.db = d.reads.db
			if err := c.checkKept(t.Context()); err != nil || want != 0 {
				t.Errorf("%s where %s: %d more were kept than are listed: %v", table, kept, want, err)
			}
		}
	}
	write(t, d, `DELETE FROM files`) // they have lost their refs
	write(t, d, `UPDATE xorbs SET keep_until = 0`)
}
