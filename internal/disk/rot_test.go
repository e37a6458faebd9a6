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

// rotStore is a closed store, and what is in it.
type rotStore struct {
	dir  string
	want map[string][]byte // by key; nothing else is there
	rows bool              // only rows are going to be damaged
}

// newRotStore fills a store with keys of all kinds: in packs and in files of their own, with shared and with no content,
// attributes that take pages of their own, overwritten and deleted ones.
func newRotStore(t *testing.T) rotStore {
	t.Helper()
	st := rotStore{dir: ramDir(t), want: make(map[string][]byte)}
	d, err := Open(t.Context(), st.dir, Options{packSize: 300_000})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, d)
	big := randomBytes(1_300_000, 1)
	put := func(key string, body []byte, attrs object.Attrs) {
		_, err := s.Put(t.Context(), "bucket", key, bytes.NewReader(body), object.PutOptions{Attrs: attrs})
		if err != nil {
			t.Fatal(err)
		}
		st.want[key] = body
	}
	for i := range 150 / stride {
		put(fmt.Sprintf("small/%03d", i), randomBytes(500+i, uint64(i)), object.Attrs{})
	}
	for i := range 10 {
		put(fmt.Sprintf("copy/%d", i), randomBytes(500, 0), object.Attrs{})
		put(fmt.Sprintf("empty/%d", i), nil, object.Attrs{})
		put(strings.Repeat("long", 200)+fmt.Sprint(i), randomBytes(20_000, uint64(300+i)),
			object.Attrs{Meta: map[string]string{"m": strings.Repeat("x", 2000)}})
	}
	put("big", big, object.Attrs{})
	put("longer", append(slices.Clip(big), randomBytes(700_000, 2)...), object.Attrs{})
	put("small/000", randomBytes(9000, 3), object.Attrs{})
	for _, key := range []string{"small/001", "copy/3"} {
		if err := s.Delete(t.Context(), "bucket", key, object.Condition{}); err != nil {
			t.Fatal(err)
		}
		delete(st.want, key)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return st
}

// clone copies the store, so that the copy can be damaged.
func (st rotStore) clone(t *testing.T) rotStore {
	t.Helper()
	dir := filepath.Join(ramDir(t), "store")
	if err := os.CopyFS(dir, os.DirFS(st.dir)); err != nil {
		t.Fatal(err)
	}
	return rotStore{dir, st.want, st.rows}
}

// verify opens a damaged store and asks for everything in every way: each answer is right or an ErrCorrupt. Check names each
// key that could not be read, and no other; a quick one does when the damage is in the rows. It returns how many keys that are, and how many problems there were at all.
func (st rotStore) verify(t *testing.T, what string) (hurt, problems int) {
	t.Helper()
	d, err := Open(t.Context(), st.dir, Options{})
	if err != nil {
		if !strings.Contains(err.Error(), "restore catalog.db from a backup with file-bucketctl re") { // build or store
			t.Errorf("%s: open: %v", what, err)
		}
		return len(st.want), 1
	}
	defer func() {
		if err := d.Close(); err != nil && !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("%s: close: %v", what, err)
		}
	}()
	quick, _ := st.check(t, d, CheckOptions{Quick: true}, what+", quick")
	named, seen := st.check(t, d, CheckOptions{}, what)
	bad := st.read(t, d, what)
	for key := range bad {
		if !named[key] || st.rows && !quick[key] {
			t.Errorf("%s: %.20s cannot be read, and check names %d others: %q", what, key, len(named), slices.Collect(maps.Keys(seen)))
		}
	}
	for _, named := range []map[string]bool{named, quick} {
		for key := range named {
			if !bad[key] {
				t.Errorf("%s: check names %.20s, which is read as it should be: %q", what, key, slices.Collect(maps.Keys(seen)))
			}
		}
	}
	return len(bad), len(seen)
}

// check returns the keys that Check names, and all that it says.
func (st rotStore) check(t *testing.T, d *Driver, opts CheckOptions, what string) (named, seen map[string]bool) {
	t.Helper()
	named, seen = make(map[string]bool), make(map[string]bool)
	_, err := d.Check(t.Context(), opts, func(p Problem) {
		if isKept(p) {
			return
		}
		if seen[p.String()] || p.What == "" {
			t.Errorf("%s: check says %q twice", what, p)
		}
		seen[p.String()] = true
		for _, key := range p.Keys {
			named[strings.TrimPrefix(key, "bucket/")] = true
		}
	})
	if err != nil {
		t.Errorf("%s: check: %v", what, err)
	}
	return named, seen
}

// read returns the keys that cannot be read.
func (st rotStore) read(t *testing.T, d *Driver, what string) map[string]bool {
	t.Helper()
	bad := make(map[string]bool)
	fail := func(key string, err error) {
		t.Helper()
		if !errors.Is(err, object.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %.20s: %v", what, key, err)
		}
	}
	s := object.New(d, object.Config{})
	for key, body := range st.want {
		info, err := s.Stat(t.Context(), "bucket", key)
		switch {
		case err != nil:
			fail(key, err)
			bad[key] = true
		case info.Key != key || info.Size != int64(len(body)):
			t.Errorf("%s: stat %.20s: %+v", what, key, info)
		}
		got, err := readAll(t.Context(), s, key)
		if err != nil {
			fail(key, err)
			bad[key] = true
		}
		if err == nil && !bytes.Equal(got, body) || !bytes.HasPrefix(body, got) {
			t.Errorf("%s: %.20s: a wrong byte was served", what, key)
		}
	}
	listed, err := st.list(t.Context(), d)
	if err != nil {
		fail("listing", err)
	} else if want := slices.Sorted(maps.Keys(st.want)); !slices.Equal(listed, want) {
		t.Errorf("%s: %d keys are listed without an error, there are %d", what, len(listed), len(want))
	}
	if _, err := s.Stat(t.Context(), "bucket", "small/001"); !errors.Is(err, fs.ErrNotExist) {
		fail("a deleted key", err)
	}
	return bad
}

func (st rotStore) list(ctx context.Context, d *Driver) (keys []string, err error) {
	for q := (object.Page{Limit: 20}); ; {
		page, more, err := d.List(ctx, "bucket", q)
		if err != nil {
			return nil, err
		}
		for _, info := range page {
			keys = append(keys, info.Key)
		}
		if !more {
			return keys, nil
		}
		q.Start = keys[len(keys)-1] + "\x00"
	}
}

// change rewrites a file of the store.
func (st rotStore) change(t *testing.T, name string, f func([]byte) []byte) {
	t.Helper()
	changeFile(t, filepath.Join(st.dir, name), f)
}

func changeFile(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, f(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ignored returns the offsets in a file of xorbs where readers do not look: 16 bytes before the length at the end of each.
func (st rotStore) ignored(t *testing.T, name string) map[int]bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(st.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[int]bool)
	scan := packScan{r: bytes.NewReader(b), size: int64(len(b)), gap: func(from, to int64, err error) { t.Error(name, from, to, err) }}
	scan.each = func(x packed) error {
		for i := range 16 {
			at[int(x.off+x.len)-20+i] = true
		}
		return nil
	}
	if err := scan.run(); err != nil || len(at) == 0 {
		t.Fatal(name, err)
	}
	return at
}

// TestRotOfContent flips a bit at many places of each pack and xorb, cuts them, and removes them.
func TestRotOfContent(t *testing.T) {
	whole := newRotStore(t)
	if hurt, n := whole.clone(t).verify(t, "nothing"); hurt+n > 0 {
		t.Fatalf("%d keys of a whole store cannot be read, %d problems", hurt, n)
	}
	for _, glob := range []string{"packs/*", "xorbs/*/*"} {
		names, err := filepath.Glob(filepath.Join(whole.dir, glob))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			name, _ = filepath.Rel(whole.dir, name)
			st, err := os.Stat(filepath.Join(whole.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			n, free := int(st.Size()), whole.ignored(t, name)
			damage := func(what string, f func([]byte) []byte) {
				st := whole.clone(t)
				st.change(t, name, f)
				if _, n := st.verify(t, what+" of "+name); n == 0 {
					t.Errorf("%s of %s: check finds nothing", what, name)
				}
			}
			for i := range 8 / stride {
				at := i * (n - 1) / 7
				if free[at] {
					at += 16
				}
				damage(fmt.Sprint("bit flipped at ", at), func(b []byte) []byte { b[at] ^= 1 << (i % 8); return b })
			}
			for _, at := range []int{3, n - 2, n - 30, n - 60}[:max(1, 4/stride)] {
				damage(fmt.Sprint("bit flipped at ", at), func(b []byte) []byte { b[at] ^= 0x40; return b })
			}
			for _, at := range []int{0, n / 2, n - 1}[:max(1, 3/stride)] {
				damage(fmt.Sprint("cut at ", at), func(b []byte) []byte { return b[:at] })
			}
			gone := whole.clone(t)
			if err := os.Remove(filepath.Join(gone.dir, name)); err != nil {
				t.Fatal(err)
			}
			if hurt, _ := gone.verify(t, name+" gone"); hurt == 0 {
				t.Errorf("%s is missing and hurts nobody", name)
			}
		}
	}
}
