package disk

import (
	"bytes"
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// badSectors fails reads of a file's first bytes.
type badSectors struct {
	fsys
	on *atomic.Bool
}

type badFile struct {
	file
	on *atomic.Bool
}

func (f badSectors) open(name string) (file, error) {
	opened, err := f.fsys.open(name)
	return badFile{opened, f.on}, err
}

func (f badFile) ReadAt(p []byte, off int64) (int, error) {
	if f.on.Load() && off < 4096 {
		return 0, &os.PathError{Op: "read", Path: "pack", Err: unix.EIO}
	}
	return f.file.ReadAt(p, off)
}

// TestBadSector reads what a bad sector holds, and stores the same again: that mends it.
func TestBadSector(t *testing.T) {
	dir := t.TempDir()
	bad := badSectors{osFS(dir), new(atomic.Bool)}
	d := openWith(t, dir, Options{fs: bad})
	s := newStore(t, d)
	body := randomBytes(300_000, 1)
	put(t, s, "old", body)
	put(t, s, "other", randomBytes(10, 2))
	bad.on.Store(true)
	if _, err := readAll(t.Context(), s, "old"); !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("reading a bad sector: %v", err)
	}
	put(t, s, "new", body)
	for _, key := range []string{"new", "old"} {
		if got, err := readAll(t.Context(), s, key); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s after it was stored again: %d bytes, %v", key, len(got), err)
		}
	}
	bad.on.Store(false)
}

// TestDamagedMeanwhile has a file refer to a xorb that was found to be damaged before the commit.
func TestDamagedMeanwhile(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	put(t, s, "old", randomBytes(300_000, 1))
	f, err := s.Open(t.Context(), "bucket", "old")
	if err != nil {
		t.Fatal(err)
	}
	part := f.Terms()[0]
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	ref, err := d.xorb(t.Context(), part.Xorb)
	if err != nil {
		t.Fatal(err)
	}
	part.Range.End--
	_, part.Bytes = ref.info.Raw(int(part.Range.End) - 1)
	var tree xet.TreeHash
	addTerm(&tree, part, ref.info)
	sess, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := xet.Reconstruction{Hash: tree.FileHash(), Size: uint64(part.Bytes), Terms: []xet.Term{part}}
	if err := sess.PutFile(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	write(t, d, `INSERT INTO damaged SELECT id FROM xorbs`)
	info := object.Info{Size: int64(file.Size), File: file.Hash}
	err = sess.Commit(t.Context(), []object.Change{{Bucket: "bucket", Key: "new", New: &info}})
	if !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("commit of a file that refers to a damaged xorb: %v", err)
	}
	if err := sess.Close(); err != nil {
		t.Error(err)
	}
	write(t, d, `DELETE FROM damaged`)
}

// TestMendedElsewhere reads in one process what another has mended.
func TestMendedElsewhere(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	b := openTest(t, dir)
	sa, sb := newStore(t, a), newStore(t, b)
	body := randomBytes(50_000, 1)
	put(t, sa, "k", body)
	if !bytes.Equal(get(t, sb, "k"), body) {
		t.Fatal("content differs")
	}
	flip(t, dir+"/packs/1.1", func(n int) int { return n / 2 })
	if _, err := readAll(t.Context(), sa, "k"); !errors.Is(err, object.ErrCorrupt) {
		t.Fatal(err)
	}
	put(t, sa, "again", body)
	if got, err := readAll(t.Context(), sb, "k"); err != nil || !bytes.Equal(got, body) {
		t.Errorf("after another process has mended it: %d bytes, %v", len(got), err)
	}
	if n := count(t, a, `SELECT count(*) FROM damaged`); n != 0 {
		t.Errorf("%d xorbs are noted as damaged", n)
	}
}

// TestStoredButNotReadable damages each page of the catalog that says where content lies, and stores what is stored already once
// more: what is answered can be read.
func TestStoredButNotReadable(t *testing.T) {
	st := newRotStore(t)
	d := opened(t, st.dir, Options{})
	pages, err := collect(t.Context(), d.reads.db, scanID, `SELECT pageno FROM dbstat
		WHERE name IN ('xorbs', 'files', 'refs', 'sqlite_autoindex_xorbs_1', 'sqlite_autoindex_files_1', 'refs_file')`)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, d)
	stored, refused := 0, 0
	for i, page := range pages {
		if i%stride != 0 {
			continue
		}
		at := (page-1)*dbPage + 2000
		damaged := st.clone(t)
		damaged.change(t, "catalog.db", func(b []byte) []byte { b[at] ^= 1; return b })
		d, err := Open(t.Context(), damaged.dir, Options{})
		if errors.Is(err, object.ErrCorrupt) {
			continue // nothing is stored then
		}
		if err != nil {
			t.Fatal(err)
		}
		s := object.New(d, object.Config{})
		for key, body := range st.want {
			if _, err := s.Put(t.Context(), "bucket", "again/"+key, bytes.NewReader(body), object.PutOptions{}); err != nil {
				refused++
				continue
			}
			stored++
			if got, err := readAll(t.Context(), s, "again/"+key); err != nil || !bytes.Equal(got, body) {
				t.Errorf("page %d: %s was stored again, and reads as %d bytes: %v", page, key, len(got), err)
			}
		}
		if err := d.Close(); err != nil {
			t.Log(err) // the catalog is damaged
		}
	}
	t.Logf("%d puts were answered, %d refused", stored, refused)
	if stride == 1 && (stored == 0 || refused == 0) {
		t.Error("nothing was tried")
	}
}
