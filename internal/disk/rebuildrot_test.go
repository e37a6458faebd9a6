package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// backup writes a backup of a store that is closed into a file of its own.
func (st rotStore) backup(t *testing.T) string {
	t.Helper()
	d := opened(t, st.dir, Options{idle: true})
	var b bytes.Buffer
	if err := d.Backup(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	closed(t, d)
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lean is clone without the directories that are empty: whoever opens the store makes them.
func (st rotStore) lean(t *testing.T) rotStore {
	t.Helper()
	dir := filepath.Join(ramDir(t), "store")
	err := filepath.WalkDir(st.dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		name = filepath.Join(dir, strings.TrimPrefix(name, st.dir))
		return errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, b, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	return rotStore{dir: dir, want: st.want}
}

// contents returns the names of xorbs and packs.
func contents(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, glob := range []string{"packs/*", "xorbs/*/*"} {
		found, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			name, _ = filepath.Rel(dir, name)
			names = append(names, name)
		}
	}
	return names
}

// readable returns the keys of a damaged store that can be read; false when the store does not open.
func (st rotStore) readable(t *testing.T) (good map[string]bool, opens bool) {
	t.Helper()
	c := st.lean(t)
	d, err := Open(t.Context(), c.dir, Options{idle: true})
	if err != nil {
		return nil, false
	}
	good = make(map[string]bool)
	s := object.New(d, object.Config{})
	for key := range st.want {
		if _, err := readAll(t.Context(), s, key); err == nil {
			good[key] = true
		}
	}
	_ = d.Close() // what is damaged may keep it from saying good-bye
	return good, true
}

// TestRebuildOfDamage damages a page of each kind of catalog.db. Each key that could be read then is there after a rebuild, and those
// that are not are named; with a backup, everything is there. No content is given up by what comes then.
func TestRebuildOfDamage(t *testing.T) {
	whole := newRotStore(t)
	backup := whole.backup(t)
	d := opened(t, whole.dir, Options{idle: true})
	kinds, err := anyRows(t.Context(), d.reads.db, `SELECT min(pageno) - 1, name, pagetype FROM dbstat GROUP BY name, pagetype ORDER BY 1`)
	if err != nil || len(kinds) < 20 {
		t.Fatal(len(kinds), err)
	}
	closed(t, d)
	kept, lost, named := 0, 0, 0
	for i, kind := range kinds {
		if i%stride != 0 {
			continue
		}
		p := int(kind[0].(int64)) //nolint:forcetypeassert,errcheck // SQLite's own
		what := fmt.Sprintf("page %d (%s, %s)", p+1, kind[1], kind[2])
		rotten := whole.lean(t)
		rotten.change(t, "catalog.db", func(b []byte) []byte { b[p*dbPage+rotOffsets[p%len(rotOffsets)]] ^= 4; return b })
		good, opens := rotten.readable(t)
		files := contents(t, rotten.dir)

		if i%3 == 0 || len(good) < len(whole.want) {
			again := rotten.lean(t)
			h := mustRebuild(t, again.dir, RebuildOptions{Catalog: backup})
			if hurt, n := again.verify(t, what+", with a backup"); hurt > 0 || n > 0 || h.Lost > 0 {
				t.Errorf("%s: with a backup, %d keys are lost, %d problems: %+v", what, hurt, n, h)
			}
		}
		h := mustRebuild(t, rotten.dir, RebuildOptions{})
		d := opened(t, rotten.dir, Options{idle: true})
		s := object.New(d, object.Config{})
		for key, body := range whole.want {
			got, err := readAll(t.Context(), s, key)
			switch {
			case err == nil && bytes.Equal(got, body):
				kept++
			case err == nil:
				t.Errorf("%s: %.20s has other content", what, key)
			case good[key]:
				t.Errorf("%s: %.20s could be read before: %v; %q", what, key, err, h.reports)
			default:
				lost++
				if slices.Contains(h.lost, "bucket/"+key) {
					named++
				}
			}
		}
		if opens && len(h.reports) == 0 && int(h.Keys) != len(whole.want) {
			t.Errorf("%s: %d of %d keys are there, and nothing was reported", what, h.Keys, len(whole.want))
		}
		if err := d.sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if found := rebuiltProblems(t, d); len(found) > 0 {
			t.Errorf("%s: check after the rebuild: %q", what, found)
		}
		closed(t, d)
		if now := contents(t, rotten.dir); !slices.Equal(now, files) {
			t.Errorf("%s: content is gone: %d files, were %d", what, len(now), len(files))
		}
	}
	t.Logf("%d keys were kept, %d lost, of which %d were named", kept, lost, named)
	if named == 0 && stride == 1 {
		t.Error("no lost key was named")
	}
}

// TestRebuildOfContent damages packs and xorbs: what lies behind the damage is found, by what is left and by the old rows.
func TestRebuildOfContent(t *testing.T) {
	whole := newRotStore(t)
	backup := whole.backup(t)
	for _, name := range contents(t, whole.dir) {
		size := int64(0)
		if st, err := os.Stat(filepath.Join(whole.dir, name)); err == nil {
			size = st.Size()
		}
		for i, at := range []int64{4, size / 2, size - 40} {
			if i%stride != 0 {
				continue
			}
			st := whole.lean(t)
			st.change(t, name, func(b []byte) []byte { b[at] ^= 0x41; return b })
			good, _ := st.readable(t)
			if len(good) == 0 {
				t.Fatalf("%s: nothing can be read", name)
			}
			for _, opts := range []RebuildOptions{{}, {Catalog: backup}} {
				c := st.lean(t)
				if opts.Catalog != "" {
					if err := os.Remove(filepath.Join(c.dir, "catalog.db")); err != nil {
						t.Fatal(err)
					}
				}
				h := mustRebuild(t, c.dir, opts)
				d := opened(t, c.dir, Options{idle: true})
				s := object.New(d, object.Config{})
				for key, body := range st.want {
					got, err := readAll(t.Context(), s, key)
					if err == nil && !bytes.Equal(got, body) {
						t.Errorf("%s at %d: %.20s has other content", name, at, key)
					}
					if err != nil && good[key] {
						t.Errorf("%s at %d: %.20s could be read before: %v; %q", name, at, key, err, h.reports)
					}
				}
				if len(h.lost) > len(st.want)-len(good) {
					t.Errorf("%s at %d: lost are %.200q, and %d of %d could be read", name, at, h.lost, len(good), len(st.want))
				}
				if n := count(t, d, fmt.Sprintf(`SELECT count(*) FROM xorbs WHERE keep_until < %d
					AND id NOT IN (SELECT xorb FROM refs)`, keepOrphan)); n > 0 && len(h.lost) > 0 {
					t.Errorf("%s at %d: %d keys are lost, and %d pieces of content may be collected", name, at, len(h.lost), n)
				}
				for _, p := range rebuiltProblems(t, d) {
					if !strings.Contains(p, name) && !strings.Contains(p, "cannot be read") && !strings.Contains(p, "damaged") {
						t.Errorf("%s at %d: check: %s", name, at, p)
					}
				}
				closed(t, d)
			}
		}
	}
}

// TestRebuildOfTheLog rebuilds a store that is refused, because a bit has flipped in the log that a killed process left: what was
// acknowledged last is not in the catalog any more, and is an orphan.
func TestRebuildOfTheLog(t *testing.T) {
	live := newRotStore(t)
	d := opened(t, live.dir, Options{idle: true})
	s := object.New(d, object.Config{})
	var late []object.Info
	for i := range 10 {
		late = append(late, put(t, s, fmt.Sprint("late/", i), randomBytes(800+i, uint64(500+i))))
	}
	st := live.lean(t)
	closed(t, d)
	st.change(t, "catalog.db-wal", func(b []byte) []byte { b[walHeader+4*(frameHeader+pageSize)+99] ^= 1; return b })
	if _, err := Open(t.Context(), st.dir, Options{}); !errors.Is(err, object.ErrCorrupt) {
		t.Fatalf("the log is no test: %v", err)
	}
	h := mustRebuild(t, st.dir, RebuildOptions{})
	if len(h.reports) != 1 || !strings.Contains(h.reports[0], "log") {
		t.Errorf("reported %q", h.reports)
	}
	for _, info := range late[len(late)-5:] {
		if !slices.ContainsFunc(h.orphans, func(o Orphan) bool { return o.Hash == info.File && o.Size == info.Size }) {
			t.Errorf("%s is not listed", info.Key)
		}
	}
	d = opened(t, st.dir, Options{idle: true})
	s = object.New(d, object.Config{})
	for key, body := range live.want {
		if got, err := readAll(t.Context(), s, key); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%.20s: %d bytes, %v", key, len(got), err)
		}
	}
	closed(t, d)
}

// TestRebuildReads content when it is asked to, and before it adopts it: what is damaged is kept, but counts as damaged.
func TestRebuildReads(t *testing.T) {
	st := newRotStore(t)
	names, err := filepath.Glob(filepath.Join(st.dir, "xorbs/*/*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	name := strings.TrimPrefix(names[0], st.dir+"/")
	st.change(t, name, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	alone := st.lean(t)
	if err := os.Remove(filepath.Join(alone.dir, "catalog.db")); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		st      rotStore
		opts    RebuildOptions
		damaged int64
	}{
		"not":     {st.lean(t), RebuildOptions{}, 0},
		"asked":   {st.lean(t), RebuildOptions{Verify: true}, 1},
		"adopted": {alone, RebuildOptions{Adopt: "found"}, 1},
	} {
		h := mustRebuild(t, c.st.dir, c.opts)
		d := opened(t, c.st.dir, Options{idle: true})
		noted := count(t, d, `SELECT count(*) FROM damaged d JOIN xorbs x ON x.id = d.xorb WHERE x.file = '`+name+`'`)
		if noted != c.damaged || int64(len(h.reports)) != c.damaged {
			t.Errorf("%s: %d xorbs are noted, reported %q", what, noted, h.reports)
		}
		if c.opts.Adopt != "" && (h.Keys != h.Orphans-1 || h.Xorbs != h.Orphans) {
			t.Errorf("%s: %+v", what, h.Rebuilt)
		}
		closed(t, d)
	}
}
