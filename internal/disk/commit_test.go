package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// TestCommitAgainNeedsWhatWasSpared commits a file that is stored already, so that its xorb is not appended, and then in the
// same session another file that needs the xorb.
func TestCommitAgainNeedsWhatWasSpared(t *testing.T) {
	d := openTest(t, t.TempDir())
	body := randomBytes(600_000, 1)
	put(t, newStore(t, d), "stored", body)
	d.commit.lookedAt.Store(nil) // there may be others
	sess, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &staging{Session: sess}
	x, chunks, err := s.fill(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	h, err := x.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	commit := func(key string, n int) {
		t.Helper()
		var size uint32
		for _, c := range chunks[:n] {
			size += c.Size
		}
		f := xet.Reconstruction{
			Hash: xet.FileHash(chunks[:n]), Size: uint64(size),
			Terms: []xet.Term{{Xorb: h, Range: xet.Range{End: uint32(n)}, Bytes: size}},
		}
		info := object.Info{Bucket: "bucket", Key: key, Size: int64(size), File: f.Hash}
		err := sess.PutFile(t.Context(), f)
		if err == nil {
			err = sess.Commit(t.Context(), []object.Change{{Bucket: "bucket", Key: key, New: &info}})
		}
		if err != nil {
			t.Fatalf("commit of %s: %v", key, err)
		}
	}
	commit("whole", len(chunks))
	commit("part", len(chunks)-1)
	if err := sess.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFailedConditionTakesNoRoom puts small objects under a condition that does not hold.
func TestFailedConditionTakesNoRoom(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	s := newStore(t, d)
	put(t, s, "lock", []byte("held"))
	before := diskUse(t, dir)
	for range 20 {
		body := randomBytes(100_000, 7)
		_, err := s.Put(t.Context(), "bucket", "lock", bytes.NewReader(body),
			object.PutOptions{Size: int64(len(body)), Sized: true, If: object.Condition{IfNoneMatch: []string{"*"}}})
		if !errors.Is(err, object.ErrPrecondition) {
			t.Fatal(err)
		}
	}
	if grown := diskUse(t, dir) - before; grown > 0 {
		t.Errorf("puts that failed take %d bytes", grown)
	}
}

// goneTmp removes what is to be renamed.
type goneTmp struct{ fsys }

func (f goneTmp) rename(from, to string) error {
	if err := f.remove(from); err != nil {
		return err
	}
	return f.fsys.rename(from, to)
}

// TestTmpCleaner has somebody else remove a file in tmp: that is no missing key.
func TestTmpCleaner(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{fs: goneTmp{osFS(dir)}})
	s := newStore(t, d)
	_, err := s.Put(t.Context(), "bucket", "k", bytes.NewReader(randomBytes(3<<20, 1)), object.PutOptions{})
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("put: %v; a door says that there is no such key", err)
	}
	closed(t, d)
}
