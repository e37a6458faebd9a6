package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

const dbPage = 4096

// rotOffsets are where in a page a bit is flipped.
var rotOffsets = []int{0, 5, 30, dbPage / 2, dbPage - 200, dbPage - 9, dbPage - 8, dbPage - 1}

// TestRotOfDatabases flips a bit in each page of both databases, and cuts them.
func TestRotOfDatabases(t *testing.T) {
	whole := newRotStore(t)
	whole.rows = true
	for _, name := range []string{"catalog.db", "index.db"} {
		t.Run(name, func(t *testing.T) {
			st, err := os.Stat(filepath.Join(whole.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			pages := int(st.Size() / dbPage)
			opened, hurt, found := 0, 0, 0
			verify := func(what string, f func([]byte) []byte) {
				st := whole.clone(t)
				st.change(t, name, f)
				n, problems := st.verify(t, what+" of "+name)
				if n < len(whole.want) {
					opened++
				}
				hurt += n
				found += min(problems, 1)
				if name == "index.db" && n > 0 {
					t.Errorf("%s of %s hurts %d keys", what, name, n)
				}
			}
			for p := range pages {
				if p%stride != 0 {
					continue
				}
				at := p*dbPage + rotOffsets[p%len(rotOffsets)]
				verify(fmt.Sprintf("bit flipped in page %d at %d", p+1, at%dbPage), func(b []byte) []byte { b[at] ^= 4; return b })
			}
			t.Logf("%d pages, one damaged each time: %d stores opened, on average %d keys hurt, %d found by check or Open",
				pages, opened, hurt/max(1, opened), found)
			if name == "catalog.db" && (opened < pages/stride/2 || found < pages/stride) {
				t.Errorf("of %d pages %d were found to be damaged, %d opened", pages, found, opened)
			}
			for i, at := range []int{0, 1, 40, dbPage - 1, dbPage, dbPage * 3 / 2, pages / 2 * dbPage, (pages-1)*dbPage + 7, pages*dbPage - 1} {
				if i%stride == 0 {
					verify(fmt.Sprint("cut at ", at), func(b []byte) []byte { return b[:at] })
				}
			}
		})
	}
}

// TestZeroedPages makes zeros of one page after the other of the catalog: Check finds that, but for pages that are free.
func TestZeroedPages(t *testing.T) {
	whole := newRotStore(t)
	whole.rows = true
	d := opened(t, whole.dir, Options{Quiet: true})
	write(t, d, `CREATE TABLE gone (x); INSERT INTO gone VALUES (zeroblob(100000)); DROP TABLE gone`)
	pages, free := int(count(t, d, `PRAGMA page_count`)), int(count(t, d, `PRAGMA freelist_count`))
	closed(t, d)
	missed := 0
	for p := range pages {
		if p%stride != 0 {
			continue
		}
		st := whole.clone(t)
		st.change(t, "catalog.db", func(b []byte) []byte { clear(b[p*dbPage:][:dbPage]); return b })
		if _, problems := st.verify(t, fmt.Sprintf("zeros in page %d", p+1)); problems == 0 {
			missed++
		}
	}
	t.Logf("of %d pages %d are free, %d were missed", pages, free, missed)
	if missed > free || stride == 1 && (free < 20 || missed == 0) {
		t.Errorf("%d pages of zeros were missed, %d are free", missed, free)
	}
}

// TestRotOfBothCopiesOfNames damages a page of keys and one of their index: the names that are on neither are still checked,
// and Check says that there may be more.
func TestRotOfBothCopiesOfNames(t *testing.T) {
	st := newRotStore(t)
	d, err := Open(t.Context(), st.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(table string) (page int) {
		err := d.reads.db.QueryRowContext(t.Context(),
			`SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path LIMIT 1`, table).Scan(&page)
		if err != nil {
			t.Fatal(err)
		}
		return page - 1
	}
	keys, index := leaf("keys"), leaf("keys_file")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	st.change(t, "catalog.db", func(b []byte) []byte {
		b[keys*dbPage+100] ^= 1
		b[index*dbPage+100] ^= 1
		return b
	})
	if d, err = Open(t.Context(), st.dir, Options{}); err != nil {
		t.Fatal(err)
	}
	var found []string
	if _, err := d.Check(t.Context(), CheckOptions{}, func(p Problem) { found = append(found, p.String()) }); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(found, "\n")
	unnamed, bad := 0, st.read(t, d, "both copies damaged")
	for key := range bad {
		if !strings.Contains(all, "bucket/"+key) {
			unnamed++
		}
	}
	if !strings.Contains(all, mendCatalog) || !strings.Contains(mendCatalog, "file-bucketctl rebuild") {
		t.Errorf("nothing says what to do: %.2000s", all)
	}
	if !strings.Contains(all, "more keys may be damaged") || unnamed == len(bad) {
		t.Errorf("%d of %d keys that cannot be read are not named: %.2000s", unnamed, len(bad), all)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestRotOfTheLog flips a bit in each transaction of the log that a killed process left. SQLite takes what is behind the bit
// for what a crash cut off. That is only believed of the last transaction, and of the frame before it. Else the store is
// refused.
func TestRotOfTheLog(t *testing.T) {
	dir := ramDir(t)
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, d)
	want := make(map[string][]byte)
	const n = 12
	for i := range n {
		key := fmt.Sprintf("key-%02d", i)
		want[key] = randomBytes(3000+i, uint64(i))
		put(t, s, key, want[key])
	}
	d.index.flush(t.Context())
	whole := rotStore{dir: filepath.Join(ramDir(t), "store"), want: want}
	if err := os.CopyFS(whole.dir, os.DirFS(dir)); err != nil { // as a power cut leaves it
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"catalog.db-wal", "index.db-wal"} {
		log, err := os.ReadFile(filepath.Join(whole.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		frames := (len(log) - 32) / (24 + dbPage)
		lost, refused := 0, 0
		for _, at := range []int{2, 3, 17, 27} { // of the header
			st := whole.clone(t)
			st.change(t, name, func(b []byte) []byte { b[at] ^= 1; return b })
			d, err := Open(t.Context(), st.dir, Options{})
			if err == nil {
				err = d.Close()
			}
			if name == "catalog.db-wal" != errors.Is(err, object.ErrCorrupt) {
				t.Errorf("header of %s: open: %v", name, err)
			}
		}
		for f := range frames {
			if f%stride != 0 {
				continue
			}
			what := fmt.Sprintf("bit flipped in frame %d of %s", f+1, name)
			st := whole.clone(t)
			at := 32 + f*(24+dbPage) + []int{9, 24, 1000, 24 + dbPage - 1}[f%4]
			st.change(t, name, func(b []byte) []byte { b[at] ^= 1; return b })
			if d, err := Open(t.Context(), st.dir, Options{}); errors.Is(err, object.ErrCorrupt) {
				refused++
				continue
			} else if err := errors.Join(err, d.Close()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			switch n - st.prefix(t, what) {
			case 0:
			case 1, 2: // 2 when it ends the last but one
				lost++
			default:
				t.Errorf("%s: more than the end of the log is lost", what)
			}
		}
		t.Logf("%s: of %d frames %d were refused, %d lost the end", name, frames, refused, lost)
		if isCatalog := name == "catalog.db-wal"; isCatalog != (refused > 0) || !isCatalog && lost > 0 {
			t.Errorf("%s: %d refused, %d lost", name, refused, lost)
		}
	}
}

// prefix opens the store, which must hold the first n of its keys, whole, and nothing else; it returns n.
func (st rotStore) prefix(t *testing.T, what string) int {
	t.Helper()
	d, err := Open(t.Context(), st.dir, Options{})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}()
	if _, err := d.Bucket(t.Context(), "bucket"); err != nil {
		return 0 // not even the bucket
	}
	keys, err := st.list(t.Context(), d)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	for i, key := range keys {
		got, err := readAll(t.Context(), object.New(d, object.Config{}), key)
		if err != nil || key != fmt.Sprintf("key-%02d", i) || !bytes.Equal(got, st.want[key]) {
			t.Errorf("%s: object %d is %s with %d bytes, %v", what, i, key, len(got), err)
		}
	}
	return len(keys)
}

// TestGroupWithDamage commits a group of which one request meets a damaged page, when it is planned or when it is written:
// it fails, the others are stored.
func TestGroupWithDamage(t *testing.T) {
	for name, cond := range map[string]object.Condition{"planned": {IfMatch: []string{"*"}}, "written": {}} {
		t.Run(name, func(t *testing.T) {
			st := newRotStore(t)
			d := opened(t, st.dir, Options{})
			var first int // the page that holds the first keys
			err := d.reads.db.QueryRowContext(t.Context(),
				`SELECT pageno FROM dbstat WHERE name = 'keys' AND pagetype = 'leaf' ORDER BY path LIMIT 1`).Scan(&first)
			if err != nil {
				t.Fatal(err)
			}
			closed(t, d)
			st.change(t, "catalog.db", func(b []byte) []byte { b[(first-1)*dbPage+99] ^= 1; return b })
			d = opened(t, st.dir, Options{})
			var requests []*request
			for i, change := range []object.Change{
				{Bucket: "bucket", Key: "z1", New: &object.Info{}},
				{Bucket: "bucket", Key: "big", If: cond},
				{Bucket: "bucket", Key: "z2", New: &object.Info{}},
			} {
				sess, err := d.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				requests = append(requests, &request{sess: sess.(*session), changes: []object.Change{change}, done: make(chan struct{})}) //nolint:forcetypeassert,errcheck // a driver's own
				defer func() {
					if err := sess.Close(); err != nil {
						t.Errorf("session %d: %v", i, err)
					}
				}()
			}
			d.commit.commit(t.Context(), &group{requests: requests})
			if requests[0].err != nil || !errors.Is(requests[1].err, object.ErrCorrupt) || requests[2].err != nil {
				t.Errorf("errors: %v, %v, %v", requests[0].err, requests[1].err, requests[2].err)
			}
			closed(t, d)
			d = opened(t, st.dir, Options{})
			for _, key := range []string{"z1", "z2"} {
				if _, err := d.Stat(t.Context(), "bucket", key); err != nil {
					t.Errorf("%s: %v", key, err)
				}
			}
			closed(t, d)
		})
	}
}
