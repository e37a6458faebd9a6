package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// disaster is what is left of a store in which two processes were at work: last night's backup, and a copy of the content that
// was made after it, while they went on.
type disaster struct {
	dir    string // with content alone
	backup []byte
	log    []byte            // of the catalog that is lost
	want   map[string][]byte // what was there at the time of the backup
	after  []object.Info     // what was acknowledged between the backup and the copy
}

func newDisaster(t *testing.T) disaster {
	t.Helper()
	old := t.TempDir()
	a, b := opened(t, old, Options{packSize: 300_000}), opened(t, old, Options{packSize: 300_000})
	s := newStore(t, a)
	ds := disaster{dir: filepath.Join(t.TempDir(), "store"), want: make(map[string][]byte)}
	put(t, s, "garbage", randomBytes(2000, 99)) // nobody names it any more
	if err := s.Delete(t.Context(), "bucket", "garbage", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	first := writers(t, "first", a, b)
	maps.Copy(ds.want, first.acknowledged())
	during := writers(t, "during", a, b)
	var out bytes.Buffer
	if err := a.Backup(t.Context(), &out, nil); err != nil {
		t.Fatal(err)
	}
	ds.backup = out.Bytes()
	for key := range during.acknowledged() {
		if i := strings.LastIndexByte(key, '/'); key[i+1:] == "0" { // the backup began after these
			f, err := s.Open(t.Context(), "bucket", key)
			if err != nil {
				t.Fatal(err)
			}
			ds.want[key] = get(t, s, key)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := opened(t, old, Options{}) // of which the backup does not know
	later := object.New(c, object.Config{})
	for i := range 20 {
		ds.after = append(ds.after, put(t, []*object.Store{s, later}[i%2], fmt.Sprint("after/", i), randomBytes(700+i, uint64(1000+i))))
	}
	ds.after = append(ds.after, put(t, s, "after/big", randomBytes(1_500_000, 1100)))
	put(t, s, "garbage again", randomBytes(2000, 99))
	for key := range ds.want {
		if strings.HasSuffix(key, "1") { // their content stays, as long as nobody collects it
			if err := s.Delete(t.Context(), "bucket", key, object.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := writers(t, "copied", a, b)
	for _, sub := range []string{"xorbs", "packs"} {
		if err := os.CopyFS(filepath.Join(ds.dir, sub), os.DirFS(filepath.Join(old, sub))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	last.acknowledged()
	var err error
	if ds.log, err = os.ReadFile(filepath.Join(old, "catalog.db-wal")); err != nil || len(ds.log) == 0 {
		t.Fatalf("the log has %d bytes: %v", len(ds.log), err)
	}
	for _, d := range []*Driver{a, b, c} {
		closed(t, d)
	}
	return ds
}

// verify reads all that was there at the time of the backup.
func (ds disaster) verify(t *testing.T, d *Driver) {
	t.Helper()
	s := object.New(d, object.Config{})
	for key, body := range ds.want {
		if got, err := readAll(t.Context(), s, key); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes, %v", key, len(got), err)
		}
	}
	if _, err := s.Stat(t.Context(), "bucket", "after/1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what came after the backup: %v", err)
	}
}

// goOn has processes come, write, die and sweep: nothing that was there is removed or written over, and no name is used again.
func (ds disaster) goOn(t *testing.T) {
	t.Helper()
	before := make(map[string]os.FileInfo)
	for _, name := range contents(t, ds.dir) {
		st, err := os.Stat(filepath.Join(ds.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		before[name] = st
	}
	last, err := lastNamed(osFS(ds.dir))
	if err != nil || last == 0 {
		t.Fatal(last, err)
	}
	for i := range 4 {
		d := opened(t, ds.dir, Options{idle: true})
		if d.proc.id <= last {
			t.Errorf("process %d, but names bear up to %d", d.proc.id, last)
		}
		if err := d.sweep(t.Context()); err != nil {
			t.Error(err)
		}
		s := newStore(t, d)
		put(t, s, fmt.Sprint("new/small", i), randomBytes(900, uint64(2000+i)))
		put(t, s, fmt.Sprint("new/big", i), randomBytes(1_300_000, uint64(2100+i)))
		if i == 1 {
			abandon(t, d)
			continue
		}
		closed(t, d)
	}
	for name, was := range before {
		st, err := os.Stat(filepath.Join(ds.dir, name))
		if err != nil || st.Size() != was.Size() || !st.ModTime().Equal(was.ModTime()) {
			t.Errorf("%s was touched: %v", name, err)
		}
	}
}

// TestRestore is the drill: a new machine, the content that was copied, and the catalog from last night.
func TestRestore(t *testing.T) {
	ds := newDisaster(t)
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, ds.backup, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), ds.dir, Options{}); err == nil {
		t.Fatal("content without a catalog was taken for a store")
	}
	h := mustRebuild(t, ds.dir, RebuildOptions{Catalog: path})
	if h.Lost > 0 || len(h.reports) > 0 || h.Aside != "" {
		t.Errorf("rebuilt %+v", h)
	}
	for _, info := range ds.after {
		if !slices.ContainsFunc(h.orphans, func(o Orphan) bool { return o.Hash == info.File && o.Size == info.Size }) {
			t.Errorf("%s came after the backup, and is not listed: %s of %d bytes", info.Key, info.File, info.Size)
		}
	}
	if left, err := filepath.Glob(filepath.Dir(path) + "/*"); err != nil || len(left) != 1 {
		t.Errorf("beside the backup lie %q: %v", left, err)
	}
	d := opened(t, ds.dir, Options{idle: true})
	ds.verify(t, d)
	if p := rebuiltProblems(t, d); len(p) > 0 {
		t.Errorf("check: %q", p)
	}
	kept, size := 0, int64(0)
	if _, err := d.Check(t.Context(), CheckOptions{Quick: true}, func(p Problem) {
		if isKept(p) {
			kept, size = kept+1, size+p.Size
		}
	}); err != nil {
		t.Error(err)
	}
	for _, o := range h.orphans {
		size -= o.Size
	}
	if kept != len(h.orphans) || size != 0 {
		t.Errorf("check lists %d of %d orphans, %d bytes more", kept, len(h.orphans), size)
	}
	if n := count(t, d, fmt.Sprintf(`SELECT count(*) FROM xorbs x WHERE keep_until < %d AND NOT EXISTS
		(SELECT 1 FROM refs r JOIN files f ON f.id = r.file WHERE r.xorb = x.id
		AND (f.keep_until = %d OR f.id IN (SELECT file FROM keys)))`, keepOrphan, keepOrphan)); n > 0 {
		t.Errorf("%d xorbs may be collected", n)
	}
	s := object.New(d, object.Config{})
	if err := d.index.reindex(t.Context()); err != nil {
		t.Error(err)
	}
	before := diskUse(t, ds.dir)
	put(t, s, "after/big", randomBytes(1_500_000, 1100))
	put(t, s, "after/1", randomBytes(701, 1001))
	if after := diskUse(t, ds.dir); after != before {
		t.Errorf("what came after the backup is stored again: %d bytes", after-before)
	}
	for _, key := range []string{"after/big", "after/1"} {
		if err := s.Delete(t.Context(), "bucket", key, object.Condition{}); err != nil {
			t.Error(err)
		}
	}
	closed(t, d)
	ds.goOn(t)
	d = opened(t, ds.dir, Options{})
	ds.verify(t, d)
	closed(t, d)
}

// TestRestoreByHand puts the backup where the catalog was, and the log of the old one still lies there. It is not played into
// the backup, and the processes that the backup knows are not swept after.
func TestRestoreByHand(t *testing.T) {
	ds := newDisaster(t)
	for name, b := range map[string][]byte{"catalog.db": ds.backup, "catalog.db-wal": ds.log} {
		if err := os.WriteFile(filepath.Join(ds.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ds.goOn(t)
	d := opened(t, ds.dir, Options{})
	ds.verify(t, d)
	for _, p := range rebuiltProblems(t, d) {
		if !strings.Contains(p, "orphan") {
			t.Errorf("check: %s", p)
		}
	}
	if n := count(t, d, `SELECT count(*) FROM packs WHERE sealed = 0`); n > 0 {
		t.Errorf("%d packs wait for processes that are gone", n)
	}
	closed(t, d)
}

// TestRestoreUnderAProcess is refused, and changes nothing: it would lose what the process has written.
func TestRestoreUnderAProcess(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	s := newStore(t, d)
	put(t, s, "key", randomBytes(3000, 1))
	var out bytes.Buffer
	if err := d.Backup(t.Context(), &out, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Rebuild(t.Context(), dir, RebuildOptions{}); err == nil || !strings.Contains(err.Error(), "stop all") {
		t.Errorf("rebuild under a process: %v", err)
	}
	put(t, s, "more", randomBytes(3001, 1))
	at := filepath.Join(dir, "catalog.db")
	if err := os.Rename(at, at+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "stop all") {
		t.Errorf("open what was put under a process: %v", err)
	}
	if err := os.Rename(at+".kept", at); err != nil {
		t.Fatal(err)
	}
	put(t, s, "and more", randomBytes(3002, 1))
	other := opened(t, dir, Options{})
	if got, err := readAll(t.Context(), object.New(other, object.Config{}), "more"); err != nil || len(got) != 3001 {
		t.Errorf("what was written meanwhile: %d bytes, %v", len(got), err)
	}
	closed(t, other)
}

// TestOpenWhileRebuilt opens a store just when a rebuild begins: the process must not go on with the catalog that was replaced.
func TestOpenWhileRebuilt(t *testing.T) {
	st := newRotStore(t)
	p, done := newTap(t), false
	p.on = func(c call) error {
		if c.String() != "reach begin" || done { // the process is about to make itself known
			return nil
		}
		done = true
		b, err := os.ReadFile(filepath.Join(st.dir, "catalog.db"))
		if err == nil {
			err = os.WriteFile(filepath.Join(st.dir, successorName), b, 0o600)
		}
		return errors.Join(err, os.Rename(filepath.Join(st.dir, successorName), filepath.Join(st.dir, "catalog.db")))
	}
	if _, err := Open(t.Context(), st.dir, p.options(st.dir)); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("open what is being replaced: %v", err)
	}
	if hurt, found := st.verify(t, "replaced"); !done || hurt+found > 0 {
		t.Errorf("%d keys are hurt, %d problems", hurt, found)
	}
}

// TestFreshCatalogPowerCut opens a restored catalog and cuts the power before it is settled: the next one settles it.
func TestFreshCatalogPowerCut(t *testing.T) {
	st := newRotStore(t)
	backup, err := os.ReadFile(st.backup(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(st.dir, "catalog.db"), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	p, n := newTap(t), 0
	for k := 1; ; k += 3 * stride {
		c := st.lean(t)
		f := &fault{kind: "stop", n: k}
		p.on = f.on
		d, err := Open(context.Background(), c.dir, p.options(c.dir))
		if err == nil {
			abandon(t, d)
		}
		if f.fired() == "" {
			break
		}
		n++
		p.on = func(call) error { return nil }
		if hurt, found := c.verify(t, fmt.Sprint("stopped at ", f.fired())); hurt+found > 0 {
			t.Errorf("stopped at %s: %d keys are hurt, %d problems", f.fired(), hurt, found)
		}
	}
	t.Logf("stopped at %d calls", n)
	if n < 15/stride {
		t.Errorf("only %d calls were there to stop at", n)
	}
}
