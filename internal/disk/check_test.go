package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// checkedStore is a store with a small, a second small, a large and an empty object, and a copy of the first.
func checkedStore(t *testing.T) *Driver {
	t.Helper()
	d := opened(t, ramDir(t), Options{idle: true})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Log(err) // it was damaged
		}
	})
	s := newStore(t, d)
	put(t, s, "small", randomBytes(200_000, 1))
	put(t, s, "second", randomBytes(300_000, 2))
	put(t, s, "large", randomBytes(3<<20, 3))
	put(t, s, "empty", nil)
	put(t, s, "copy", randomBytes(200_000, 1))
	d.index.flush(t.Context())
	return d
}

// TestCheckWhileTheIndexIsMade checks a store whose index.db another process has just created: there is nothing in it yet.
func TestCheckWhileTheIndexIsMade(t *testing.T) {
	d := checkedStore(t)
	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.database("index.db", "NORMAL").ensure(); err != nil {
		t.Fatal(err)
	}
	if done, found, _ := problems(t, d, CheckOptions{}); done.Keys != 5 || len(found) > 0 {
		t.Errorf("%d keys, %v", done.Keys, found)
	}
}

// problems checks a store, and returns what was said and which keys were named, in order.
func problems(t *testing.T, d *Driver, opts CheckOptions) (done Checked, found []Problem, keys []string) {
	t.Helper()
	done, err := d.Check(t.Context(), opts, func(p Problem) {
		found = append(found, p)
		for _, key := range p.Keys {
			keys = append(keys, strings.TrimPrefix(key, "bucket/"))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	if done.Damaged != int64(len(keys)) {
		t.Errorf("%d keys are counted as damaged, %q are named", done.Damaged, keys)
	}
	return done, found, keys
}

func TestCheckCounts(t *testing.T) {
	d := checkedStore(t)
	for _, quick := range []bool{false, true} {
		done, found, _ := problems(t, d, CheckOptions{Quick: quick})
		if len(found) > 0 {
			t.Errorf("a whole store: %q", found)
		}
		want := Checked{Keys: 5, Files: 4, Xorbs: 3, Bytes: done.Bytes}
		if done != want {
			t.Errorf("quick: %v: %+v, want %+v", quick, done, want)
		}
		if use := diskUse(t, d.dir); quick && done.Bytes != 0 || !quick && done.Bytes < use {
			t.Errorf("quick: %v: %d bytes were read of %d", quick, done.Bytes, use)
		}
	}
}

// TestCheckFindsDamage damages one thing after the other. Each is found in both modes, but what only the content can tell, and
// what it hurts is named, no more.
func TestCheckFindsDamage(t *testing.T) {
	all := []string{"bucket 1/copy", "bucket 1/empty", "bucket 1/large", "bucket 1/second", "bucket 1/small"}
	small := []string{"copy", "small"}
	cases := map[string]struct {
		rows  string                         // a statement that does it,
		index string                         // or one of index.db,
		files func(t *testing.T, dir string) // or something else
		full  string                         // what is said of it
		quick string                         // and by a quick check; "-" when it is not found
		keys  []string                       // that are named
	}{
		"file gone": {
			files: func(t *testing.T, dir string) {
				t.Helper()
				if err := os.Remove(filepath.Join(dir, "packs", "1.1")); err != nil {
					t.Fatal(err)
				}
			},
			full: "no such file", keys: []string{"copy", "second", "small"},
		},
		"file cut": {
			files: func(t *testing.T, dir string) {
				t.Helper()
				if err := os.Truncate(filepath.Join(dir, "packs", "1.1"), 250_000); err != nil {
					t.Fatal(err)
				}
			},
			full: "unexpected EOF", quick: "its file ends at 250000", keys: []string{"second"},
		},
		"bit flipped": {
			files: func(t *testing.T, dir string) {
				t.Helper()
				flip(t, filepath.Join(dir, "packs", "1.1"), func(int) int { return 100 })
			},
			full: "xorb", quick: "-", keys: small,
		},
		"lost ref": {
			rows: `DELETE FROM refs WHERE file = (SELECT id FROM files WHERE size = 200000)`,
			full: "refs name other xorbs", keys: small,
		},
		"foreign ref": {
			rows: `INSERT INTO refs SELECT max(x.id), min(f.id) FROM xorbs x, files f`,
			full: "refs name other xorbs", keys: small,
		},
		"lost xorb": {
			rows: `DELETE FROM xorbs WHERE raw = 200000`,
			full: "no such row", keys: small,
		},
		"lost file": {
			rows: `DELETE FROM files WHERE size = 200000`,
			full: "its file row is missing", keys: small,
		},
		"lost bucket": {
			rows: `DELETE FROM buckets`,
			full: "there is no bucket in row 1", keys: all,
		},
		"key of another file": {
			rows: `UPDATE keys SET file = (SELECT id FROM files WHERE size = 300000) WHERE key = CAST('small' AS BLOB)`,
			full: "file row is missing or another's", keys: []string{"small"},
		},
		"another place": {
			rows: `UPDATE xorbs SET off = off + 1 WHERE raw = 200000`,
			full: "xorb", quick: "overlap", keys: []string{"copy", "second", "small"},
		},
		"wrong chunks": {
			rows: `UPDATE xorbs SET chunks = chunks - 1 WHERE raw = 200000`,
			full: "by its footer", quick: "which has", keys: small,
		},
		"wrong raw": {
			rows: `UPDATE xorbs SET raw = raw + 1 WHERE raw = 200000`,
			full: "by its footer", quick: "have 200000 bytes", keys: small,
		},
		"noted damage": {
			rows: `INSERT INTO damaged SELECT id FROM xorbs WHERE raw = 200000`,
			full: "-", quick: "it was noted", keys: small,
		},
		"hint to another chunk": {
			index: `UPDATE chunks SET loc = loc + 1 WHERE loc / 8192 = 3 AND loc % 8192 = 0`,
			full:  "1 of its rows lead to other chunks", quick: "-",
		},
		"hint behind the end": {
			index: `UPDATE chunks SET loc = loc + 8191 WHERE loc % 8192 = 0 AND loc / 8192 = 3`,
			full:  "delete index.db", quick: "-",
		},
		"part without upload": {
			rows: `INSERT INTO parts (upload, number, file, info) VALUES ('u', 7, 1, x'')`,
			full: "part 7 is of upload u",
		},
		"part without file": {
			rows: `INSERT INTO uploads (id, bucket, key, created, info) VALUES ('u', 1, CAST('up' AS BLOB), 0, x'');
				INSERT INTO parts (upload, number, file, info) VALUES ('u', 7, 99, x'')`,
			full: "part 7 of the upload u of up: stored data is damaged: there is no file in row 99",
		},
	}
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		if i%stride != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			tt := cases[name]
			d := checkedStore(t)
			if tt.rows != "" {
				write(t, d, tt.rows)
			}
			if tt.index != "" {
				if _, err := d.index.db.Load().write.ExecContext(t.Context(), tt.index); err != nil {
					t.Fatal(err)
				}
			}
			if tt.files != nil {
				tt.files(t, d.dir)
			}
			for _, quick := range []bool{false, true} {
				want, keys := tt.full, tt.keys
				if quick && tt.quick != "" {
					want = tt.quick
				}
				if !quick && strings.HasPrefix(name, "wrong ") { // the rows count for no reader
					keys = nil
				}
				if !quick && name == "another place" {
					keys = small
				}
				_, found, named := problems(t, d, CheckOptions{Quick: quick})
				if want == "-" {
					if len(found) > 0 {
						t.Errorf("quick: %v: %q", quick, found)
					}
					continue
				}
				if !slices.Equal(named, keys) {
					t.Errorf("quick: %v: %q are named, not %q", quick, named, keys)
				}
				if !strings.Contains(fmt.Sprint(found), want) {
					t.Errorf("quick: %v: %q does not say %q", quick, found, want)
				}
			}
		})
	}
}

// TestAnotherXorbInItsPlace exchanges the places of two xorbs: who reads them is told of damage.
func TestAnotherXorbInItsPlace(t *testing.T) {
	d := checkedStore(t)
	write(t, d, `UPDATE xorbs SET (off, len) = (SELECT y.off, y.len FROM xorbs y WHERE y.id = 3 - xorbs.id) WHERE id = 1;
		UPDATE xorbs SET off = 0, len = (SELECT min(y.off) FROM xorbs y WHERE y.off > 0) WHERE id = 2`)
	_, found, keys := problems(t, d, CheckOptions{})
	if !slices.Equal(keys, []string{"copy", "second", "small"}) {
		t.Errorf("%q are named: %q", keys, found)
	}
	d.xorbs = newXorbCache()
	s := object.New(d, object.Config{})
	if _, err := readAll(t.Context(), s, "small"); !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("reading: %v", err)
	}
}

// readHook is called after each read of content.
type readHook struct {
	fsys
	read *func()
}

type hookedFile struct {
	file
	read *func()
}

func (h readHook) open(name string) (file, error) {
	f, err := h.fsys.open(name)
	return hookedFile{f, h.read}, err
}

func (f hookedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(p, off)
	(*f.read)()
	return n, err
}

// TestCheckInterrupted ends a check by its context while it waits until it may read on, in a day or two.
func TestCheckInterrupted(t *testing.T) {
	d := checkedStore(t)
	ctx, stop := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	read := func() { stop(enough) }
	d.fs = readHook{d.fs, &read}
	done, err := d.Check(ctx, CheckOptions{Rate: 1}, func(p Problem) { t.Error(p) })
	if !errors.Is(err, enough) || done.Bytes == 0 || done.Xorbs == 3 {
		t.Errorf("%v after %+v", err, done)
	}
}

// TestCheckBesideCollection has somebody hold what collection holds: it could not check.
func TestCheckBesideCollection(t *testing.T) {
	d := checkedStore(t)
	release, err := d.holdStill(true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Check(t.Context(), CheckOptions{}, func(p Problem) { t.Error(p) }); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	problems(t, d, CheckOptions{})
	if release, err = d.holdStill(true); err != nil {
		t.Fatal("after a check: ", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

// TestCheckTellsHowFarItIs looks at what each step says of itself.
func TestCheckTellsHowFarItIs(t *testing.T) {
	d := checkedStore(t)
	size := count(t, d, `SELECT sum(len) FROM xorbs`)
	last := make(map[string]Step)
	var order []string
	_, err := d.Check(t.Context(), CheckOptions{Progress: func(s Step) {
		if before, ok := last[s.Name]; !ok {
			order = append(order, s.Name)
		} else if s.Done < before.Done {
			t.Errorf("%+v after %+v", s, before)
		}
		last[s.Name] = s
	}}, func(p Problem) { t.Error(p) })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"reading catalog.db", "reading index.db", "reading content", "looking for orphans", "comparing files", "opening keys"}
	if !slices.Equal(order, want) {
		t.Errorf("%q", order)
	}
	if s := last["reading content"]; !s.Bytes || s.Total != size || s.Done != size {
		t.Errorf("%+v of %d bytes", s, size)
	}
}
