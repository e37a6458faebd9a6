package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"hugbucket/internal/disk/sumvfs"
	"hugbucket/internal/object"
)

// stopFS ends a rebuild before its nth step, as a power cut does: what comes after it is not done.
type stopFS struct {
	osFS
	n int

	mu    sync.Mutex // the process that fills the index has several goroutines
	steps []string
}

func (f *stopFS) reach(step string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.steps) < f.n {
		f.steps = append(f.steps, step)
	}
	if len(f.steps) == f.n {
		return errFault
	}
	return nil
}

// TestRebuildStopped ends a rebuild before each step by which the new catalog takes the place of the old one, whose last words
// are in its log: there is always one that opens, with all keys, and the rebuild can be done again.
func TestRebuildStopped(t *testing.T) {
	live := newRotStore(t)
	d := opened(t, live.dir, Options{idle: true})
	s := object.New(d, object.Config{})
	for i := range 20 {
		key := fmt.Sprint("late/", i)
		live.want[key] = randomBytes(800+i, uint64(500+i))
		put(t, s, key, live.want[key])
	}
	whole := rotStore{dir: filepath.Join(ramDir(t), "store"), want: live.want}
	if err := os.CopyFS(whole.dir, os.DirFS(live.dir)); err != nil { // as a power cut leaves it
		t.Fatal(err)
	}
	closed(t, d)
	if st, err := os.Stat(filepath.Join(whole.dir, "catalog.db-wal")); err != nil || st.Size() < 50_000 {
		t.Fatalf("the log is no test: %v", err)
	}
	asides := make(map[string]int)
	for k := 1; ; k += min(stride, 3) {
		st := whole.lean(t)
		stop := &stopFS{osFS: osFS(st.dir), n: k}
		done, err := Rebuild(t.Context(), st.dir, RebuildOptions{fs: stop})
		steps := stop.steps
		if len(steps) < k {
			if err != nil || done.Index != nil || !slices.Contains(steps, "fill the index") || !slices.Contains(steps, "committed") {
				t.Errorf("there are only %d steps: %q; %v, %v", len(steps), steps, err, done.Index)
			}
			break
		}
		what := fmt.Sprintf("stopped before step %d (%s)", k, steps[k-1])
		filling := slices.Contains(steps, "fill the index")
		if !filling && !errors.Is(err, errFault) || filling && (err != nil || !errors.Is(done.Index, errFault) || done.Aside == "") {
			t.Fatalf("%s: %v; %+v", what, err, done)
		}
		replaced := 0 // steps behind the one that replaces the catalog
		if i := slices.Index(steps, "replace the catalog"); i >= 0 {
			replaced = len(steps) - 1 - i
		}
		opened := st.lean(t)
		if hurt, found := opened.verify(t, what); hurt+found > 0 {
			t.Errorf("%s: %d keys are hurt, %d problems", what, hurt, found)
		}
		for _, c := range []rotStore{st, opened} { // by those who come at once, and by those who first open the store
			h := mustRebuild(t, c.dir, RebuildOptions{})
			if int(h.Keys) != len(st.want) || h.Orphans > 0 {
				t.Errorf("%s: rebuilt again: %+v", what, h)
			}
			if want := fmt.Sprintf("catalog.db.%d.old", 1+min(1, replaced)); c.dir == st.dir && h.Aside != want { // a copy has no second names
				t.Errorf("%s: the old catalog is %s, not %s", what, h.Aside, want)
			}
			asides[h.Aside]++
			if hurt, found := c.verify(t, what+", rebuilt again"); hurt+found > 0 {
				t.Errorf("%s: rebuilt again: %d keys are hurt, %d problems", what, hurt, found)
			}
			if left, err := filepath.Glob(filepath.Join(c.dir, "catalog.db.new*")); err != nil || len(left) > 0 {
				t.Errorf("%s: left are %q, %v", what, left, err)
			}
		}
	}
	if asides["catalog.db.1.old"] == 0 || asides["catalog.db.2.old"] == 0 {
		t.Errorf("old catalogs are called %v", asides)
	}
	h := mustRebuild(t, whole.dir, RebuildOptions{})
	old := rotStore{dir: filepath.Join(t.TempDir(), "old"), want: whole.want} // what was put aside is the store that there was
	if err := os.CopyFS(old.dir, os.DirFS(whole.dir)); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		if err := os.Rename(filepath.Join(old.dir, h.Aside+suffix), filepath.Join(old.dir, "catalog.db"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if hurt, found := old.verify(t, "put aside"); hurt+found > 0 {
		t.Errorf("what was put aside: %d keys are hurt, %d problems", hurt, found)
	}
}

// TestRebuildRefuses what it must not touch, and leaves everything as it was when it does not come to its end.
func TestRebuildRefuses(t *testing.T) {
	st := newRotStore(t)
	names := func() (names []string) {
		t.Helper()
		entries, err := os.ReadDir(st.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".lock") {
				names = append(names, e.Name())
			}
		}
		return names
	}
	before := names()
	try := func(what, text string, opts RebuildOptions) {
		t.Helper()
		if _, err := Rebuild(t.Context(), st.dir, opts); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", what, err)
		}
		if now := names(); !slices.Equal(now, before) {
			t.Errorf("%s: there are %q, were %q", what, now, before)
		}
	}
	release, err := (&Driver{dir: st.dir}).holdStill(false)
	if err != nil {
		t.Fatal(err)
	}
	try("while content is being copied", ErrBusy.Error(), RebuildOptions{})
	if err := release(); err != nil {
		t.Fatal(err)
	}
	try("a bad bucket", "bucket", RebuildOptions{Adopt: "No"})
	try("no backup", "no such file", RebuildOptions{Catalog: filepath.Join(st.dir, "nothing")})
	none := filepath.Join(t.TempDir(), "none")
	if err := os.WriteFile(none, randomBytes(10_000, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	try("another file", "is no backup", RebuildOptions{Catalog: none})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	opts := RebuildOptions{Progress: func(s Step) {
		if strings.Contains(s.Name, "keys") && s.Done == 50 {
			cancel(why)
		}
	}}
	if _, err := Rebuild(ctx, st.dir, opts); !errors.Is(err, why) {
		t.Errorf("after its context has ended: %v", err)
	}
	if now := names(); !slices.Equal(now, before) {
		t.Errorf("after its context has ended there are %q, were %q", now, before)
	}
	if _, err := Rebuild(t.Context(), t.TempDir(), RebuildOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no store: %v", err)
	}
	for what, version := range map[string]byte{"use a newer version": format + 1, "begin with a new store": format - 1} {
		other := st.clone(t)
		other.change(t, "catalog.db", func(b []byte) []byte {
			b[63] = version
			sumvfs.Stamp(b[:pageSize], 0)
			return b
		})
		name := filepath.Join(other.dir, "catalog.db")
		if _, err := Rebuild(t.Context(), other.dir, RebuildOptions{}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("a store of format %d: %v", version, err)
		}
		try(fmt.Sprint("with a backup of format ", version), what, RebuildOptions{Catalog: name})
	}
}

// TestRebuildTwins chooses among places of the same content: the one that the catalog names, when content is whole there, and
// never one that is not whole. Footers alone do not tell.
func TestRebuildTwins(t *testing.T) {
	whole := newRotStore(t)
	clean := dump(t, whole.dir)
	for i, name := range contents(t, whole.dir) {
		if i%stride != 0 {
			continue
		}
		for _, torn := range []string{"twin", "original"} {
			st := whole.lean(t)
			dir, base := filepath.Split(name)
			twin := dir + "0.1"
			if strings.HasPrefix(name, "xorbs/") {
				twin = dir + base[:62] + ".0.1"
			}
			b, err := os.ReadFile(filepath.Join(st.dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(st.dir, twin), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			damage := map[string]string{"twin": twin, "original": name}[torn]
			st.change(t, damage, func(b []byte) []byte { b[20] ^= 1; return b }) // in the first record
			alone := st.lean(t)
			if err := os.Remove(filepath.Join(alone.dir, "catalog.db")); err != nil {
				t.Fatal(err)
			}
			h := mustRebuild(t, alone.dir, RebuildOptions{Adopt: "found"})
			if h.Keys != h.Orphans || len(h.reports) > 0 {
				t.Errorf("%s, %s torn: %+v", name, torn, h.Rebuilt)
			}
			mustRebuild(t, st.dir, RebuildOptions{})
			after := dump(t, st.dir)
			if same := slices.Equal(after["xorbs"], clean["xorbs"]); same != (torn == "twin") {
				t.Errorf("%s, %s torn: the places are the same: %v", name, torn, same)
			}
			if hurt, _ := st.verify(t, name); hurt > 0 {
				t.Errorf("%s, %s torn: %d keys are hurt", name, torn, hurt)
			}
			d := opened(t, st.dir, Options{idle: true})
			_, err = d.Check(t.Context(), CheckOptions{}, func(p Problem) {
				if !p.Orphan { // the other twin is one
					t.Errorf("%s, %s torn: check: %s", name, torn, p)
				}
			})
			closed(t, d)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRebuildNamesOfBuckets loses both copies of the names of buckets: keys stay, and a backup says what the name was.
func TestRebuildNamesOfBuckets(t *testing.T) {
	st := newRotStore(t)
	backup := st.backup(t)
	d := opened(t, st.dir, Options{idle: true})
	roots, err := anyRows(t.Context(), d.reads.db, `SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'buckets'`)
	if err != nil || len(roots) != 2 {
		t.Fatal(roots, err)
	}
	closed(t, d)
	st.change(t, "catalog.db", func(b []byte) []byte {
		for _, row := range roots {
			b[(row[0].(int64)-1)*dbPage+99] ^= 1 //nolint:forcetypeassert,errcheck // SQLite's own
		}
		return b
	})
	other := st.lean(t)
	h := mustRebuild(t, st.dir, RebuildOptions{})
	d = opened(t, st.dir, Options{idle: true})
	s := object.New(d, object.Config{})
	for key, body := range st.want {
		f, err := s.Open(t.Context(), "recovered-1", key)
		if err != nil {
			t.Fatalf("%.20s: %v; %q", key, err, h.reports)
		}
		got := new(bytes.Buffer)
		_, err = got.ReadFrom(f)
		if err = errors.Join(err, f.Close()); err != nil || !bytes.Equal(got.Bytes(), body) {
			t.Errorf("%.20s: %d bytes, %v", key, got.Len(), err)
		}
	}
	closed(t, d)
	if h = mustRebuild(t, other.dir, RebuildOptions{Catalog: backup}); h.Buckets != 1 || h.Lost > 0 {
		t.Errorf("rebuilt %+v", h)
	}
	if hurt, found := other.verify(t, "with a backup"); hurt+found > 0 {
		t.Errorf("with a backup: %d keys are hurt, %d problems", hurt, found)
	}
}
