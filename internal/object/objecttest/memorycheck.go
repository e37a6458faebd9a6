package objecttest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// NewStore gives a store over an empty Memory. When the test ends the store is closed and the Memory checked.
func NewStore(tb testing.TB) *object.Store {
	tb.Helper()
	return object.New(OpenMemory(tb), object.Config{})
}

// OpenMemory gives an empty Memory. When the test ends, nothing in it may be open, and it is checked.
func OpenMemory(tb testing.TB) *Memory {
	tb.Helper()
	m := NewMemory()
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
		if err := m.Check(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

// Check verifies the whole store: every byte of every xorb, that files are made of chunks that there are, that keys
// name files that there are, and that what is sorted is sorted.
func (m *Memory) Check() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for h, x := range m.xorbs {
		if err := x.check(h); err != nil {
			return fmt.Errorf("check xorb %v: %w", h, err)
		}
	}
	for h, p := range m.chunks {
		x, ok := m.xorbs[p.Xorb]
		if !ok || int(p.Index) >= len(x.info.Chunks) || x.info.Chunks[p.Index].Hash != h {
			return fmt.Errorf("check chunk %v: it is not in xorb %v at %d", h, p.Xorb, p.Index)
		}
	}
	for h, f := range m.files {
		if h != f.Hash {
			return fmt.Errorf("check file %v: stored as %v", f.Hash, h)
		}
		if err := checkFile(f, func(h xet.Hash) *xorb { return m.xorbs[h] }); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	if names := slices.Sorted(maps.Keys(m.buckets)); !slices.Equal(names, m.names) {
		return fmt.Errorf("check buckets: %q are listed as %q", names, m.names)
	}
	for name, b := range m.buckets {
		if err := m.checkBucket(name, b); err != nil {
			return fmt.Errorf("check bucket %s: %w", name, err)
		}
	}
	for id, u := range m.uploads {
		if u.ID != id || m.buckets[u.Bucket] == nil {
			return fmt.Errorf("check upload %s: it is %s in bucket %s", id, u.ID, u.Bucket)
		}
		for n, p := range u.parts {
			if f, ok := m.files[p.File]; !ok || int64(f.Size) != p.Size || p.Number != n {
				return fmt.Errorf("check upload %s: part %d is %d, of file %v of %d bytes", id, n, p.Number, p.File, p.Size)
			}
		}
	}
	return nil
}

func (m *Memory) checkBucket(name string, b *bucket) error {
	if b.Name != name || object.ValidBucket(name) != nil {
		return fmt.Errorf("it is called %q", b.Name)
	}
	if keys := slices.Sorted(maps.Keys(b.infos)); !slices.Equal(keys, b.keys) {
		return fmt.Errorf("%d keys are listed as %d others", len(keys), len(b.keys))
	}
	for key, info := range b.infos {
		if info.Bucket != name || info.Key != key || object.ValidKey(key) != nil {
			return fmt.Errorf("key %q: it is called %s/%q", key, info.Bucket, info.Key)
		}
		f, ok := m.files[info.File]
		if !ok || int64(f.Size) != info.Size {
			return fmt.Errorf("key %q: no file %v of %d bytes", key, info.File, info.Size)
		}
	}
	return nil
}

// check verifies a xorb that is stored as h.
func (x *xorb) check(h xet.Hash) error {
	info, err := xet.ReadXorbInfo(bytes.NewReader(x.data), int64(len(x.data)))
	if err != nil {
		return err
	}
	if info.Hash != h || !slices.Equal(info.Chunks, x.info.Chunks) {
		return fmt.Errorf("%w: the footer is that of %v", object.ErrCorrupt, info.Hash)
	}
	buf := make([]byte, xet.MaxChunkSize)
	for i := range info.Chunks {
		if _, err := x.chunk(buf, uint32(i)); err != nil {
			return err
		}
	}
	return nil
}

// Size gives what the stored xorbs take, in bytes.
func (m *Memory) Size() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var n int64
	for _, x := range m.xorbs {
		n += int64(len(x.data))
	}
	return n
}

// Damage flips a bit in the stored form of the chunk that holds byte off of a file. Contents opened before do not see it.
// It panics when there is no such byte.
func (m *Memory) Damage(file xet.Hash, off int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.open(file)
	if err != nil {
		panic(err)
	}
	m.users-- // c needs no closing
	p := c.find(off)
	whole := c.xorbs[p.term]
	start, end := whole.info.Record(int(p.index))
	data := bytes.Clone(whole.data)
	data[(start+xet.RecordHeaderSize+end)/2] ^= 1
	m.xorbs[whole.info.Hash] = &xorb{info: whole.info, data: data}
}
