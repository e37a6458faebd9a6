package objecttest_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestDamage has each byte of an object damaged in turn: what comes before is served, and then the error.
func TestDamage(t *testing.T) {
	data := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	for _, off := range []int64{0, 100_000, 299_999} {
		m := objecttest.NewMemory()
		store := object.New(m, object.Config{})
		if err := store.CreateBucket(t.Context(), "bucket", ""); err != nil {
			t.Fatal(err)
		}
		info, err := store.Put(t.Context(), "bucket", "key", bytes.NewReader(data), object.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(); err != nil {
			t.Error(err)
		}
		m.Damage(info.File, off)
		if err := m.Check(); !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("check of a damaged store: %v", err)
		}
		f, err := store.Open(t.Context(), "bucket", "key")
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		n, err := f.WriteTo(&out)
		if !errors.Is(err, object.ErrCorrupt) || n > off || !bytes.Equal(out.Bytes(), data[:n]) {
			t.Errorf("damaged at %d: %d bytes were read, error %v", off, n, err)
		}
		if _, err := io.ReadAll(f); !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("damaged at %d: read again, error %v", off, err)
		}
		if err := errors.Join(f.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestCloseTellsOfLeaks leaves open what must be closed.
func TestCloseTellsOfLeaks(t *testing.T) {
	m := objecttest.NewMemory()
	s, err := m.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.Close() == nil {
		t.Error("a session is open, and Close does not tell")
	}
	if err := errors.Join(s.Close(), m.Close()); err != nil {
		t.Error(err)
	}
}
