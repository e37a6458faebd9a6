package objecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// session stages in fields of its own and touches the Memory at Commit.
type session struct {
	m      *Memory
	xorbs  map[xet.Hash]*xorb
	files  map[xet.Hash]xet.Reconstruction
	chunks map[xet.Hash]object.Place // of xorbs
	open   *openXorb                 // or nil
	err    error                     // once set, only Close is allowed
	closed bool
}

var _ object.Session = (*session)(nil)

// Begin implements object.Contents.
func (m *Memory) Begin(ctx context.Context) (object.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users++
	s := &session{m: m}
	s.reset()
	return s, nil
}

// reset forgets what is staged.
func (s *session) reset() {
	s.xorbs = make(map[xet.Hash]*xorb)
	s.files = make(map[xet.Hash]xet.Reconstruction)
	s.chunks = make(map[xet.Hash]object.Place)
}

// usable says what forbids a method, and so forbids all later ones.
func (s *session) usable(ctx context.Context) error {
	if s.err == nil {
		s.err = ctx.Err()
	}
	return s.err
}

// fail ends the session but for Close.
func (s *session) fail(err error) error {
	s.err = err
	return err
}

// Known implements object.Session.
func (s *session) Known(ctx context.Context, chunks []xet.Hash, places []object.Place) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if len(places) != len(chunks) {
		return s.fail(fmt.Errorf("known: %d places for %d chunks", len(places), len(chunks)))
	}
	s.m.mu.RLock()
	defer s.m.mu.RUnlock()
	for i, h := range chunks {
		if i > 0 {
			next := object.Place{Xorb: places[i-1].Xorb, Index: places[i-1].Index + 1}
			if x := s.xorb(next.Xorb); x != nil && int(next.Index) < len(x.info.Chunks) && x.info.Chunks[next.Index].Hash == h {
				places[i] = next
				continue
			}
		}
		p, ok := s.m.chunks[h]
		if !ok {
			p = s.chunks[h]
		}
		places[i] = p
	}
	return nil
}

// xorb gives a xorb that is stored or staged, or nil. The caller holds the lock of the Memory.
func (s *session) xorb(h xet.Hash) *xorb {
	if x, ok := s.m.xorbs[h]; ok {
		return x
	}
	return s.xorbs[h]
}

// NewXorb implements object.Session.
func (s *session) NewXorb(ctx context.Context) (object.Xorb, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if s.open != nil {
		return nil, s.fail(errors.New("new xorb: another one is open"))
	}
	s.open = &openXorb{s: s}
	s.open.w = xet.NewXorbWriter(&s.open.buf)
	return s.open, nil
}

// openXorb is a xorb in the making.
type openXorb struct {
	s   *session
	buf bytes.Buffer
	w   *xet.XorbWriter
}

// Fits implements object.Xorb.
func (x *openXorb) Fits(raw int) bool { return x.w.Fits(raw) }

// Add implements object.Xorb.
func (x *openXorb) Add(ctx context.Context, c xet.Chunk, record []byte) error {
	if err := x.s.usable(ctx); err != nil {
		return err
	}
	if err := x.w.Add(c, record); err != nil {
		return x.s.fail(err)
	}
	return nil
}

// Close implements object.Xorb.
func (x *openXorb) Close(ctx context.Context) (xet.Hash, error) {
	if err := x.s.usable(ctx); err != nil {
		return xet.Hash{}, err
	}
	if _, err := x.w.Close(); err != nil {
		return xet.Hash{}, x.s.fail(err)
	}
	done := &xorb{data: x.buf.Bytes()} // nobody writes to it from here on
	// What is kept is read back, so that it is known to be readable.
	info, err := xet.ReadXorbInfo(bytes.NewReader(done.data), int64(len(done.data)))
	if err != nil {
		return xet.Hash{}, x.s.fail(err)
	}
	done.info = info
	x.s.open = nil
	x.s.xorbs[info.Hash] = done
	for i, c := range info.Chunks {
		x.s.chunks[c.Hash] = object.Place{Xorb: info.Hash, Index: uint32(i)}
	}
	return info.Hash, nil
}

// PutFile implements object.Session.
func (s *session) PutFile(ctx context.Context, f xet.Reconstruction) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.m.mu.RLock()
	defer s.m.mu.RUnlock()
	if _, stored := s.m.files[f.Hash]; stored {
		return nil
	}
	if err := checkFile(f, s.xorb); err != nil {
		return s.fail(err)
	}
	f.Terms = append([]xet.Term(nil), f.Terms...)
	s.files[f.Hash] = f
	return nil
}

// checkFile proves that a file is made of chunks that there are, and that it is the one that its hash names.
func checkFile(f xet.Reconstruction, find func(xet.Hash) *xorb) error {
	bad := func(format string, args ...any) error {
		return &object.InvalidError{Field: "file", Rule: fmt.Sprintf("%v: ", f.Hash) + fmt.Sprintf(format, args...)}
	}
	var size uint64
	var tree xet.TreeHash
	for n, t := range f.Terms {
		x := find(t.Xorb)
		if x == nil {
			return bad("term %d: no xorb %v", n, t.Xorb)
		}
		if t.Range.Len() == 0 || int(t.Range.End) > len(x.info.Chunks) {
			return bad("term %d: chunks %d to %d of %d", n, t.Range.Start, t.Range.End, len(x.info.Chunks))
		}
		var bytes uint64
		var rng xet.RangeHash
		for i := t.Range.Start; i < t.Range.End; i++ {
			c := x.info.Chunk(int(i))
			bytes += uint64(c.Size)
			tree.Add(c.Hash, uint64(c.Size))
			rng.Add(c.Hash)
		}
		if bytes != uint64(t.Bytes) {
			return bad("term %d: has %d bytes, not %d", n, bytes, t.Bytes)
		}
		if !t.Verification.IsZero() && t.Verification != rng.Sum() {
			return bad("term %d: wrong verification hash", n)
		}
		size += bytes
	}
	if size != f.Size {
		return bad("it has %d bytes, not %d", size, f.Size)
	}
	if h := tree.FileHash(); h != f.Hash {
		return bad("its chunks make %v", h)
	}
	return nil
}

// Commit implements object.Session.
func (s *session) Commit(ctx context.Context, changes []object.Change) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	// Names after the changes so far; nil is a deleted one.
	after := make(map[[2]string]*object.Info, len(changes))
	done := make(map[string]bool) // uploads that the changes so far complete
	for i, c := range changes {
		err := s.m.checkCompletion(c, done)
		if err == nil {
			err = s.check(c, after)
		}
		if err != nil {
			return s.fail(&object.ChangeError{Index: i, Err: err})
		}
		after[[2]string{c.Bucket, c.Key}] = c.New
	}
	s.land()
	for _, c := range changes {
		b := s.m.buckets[c.Bucket]
		b.put(c.Key, c.New)
		b.leave(c.Leave)
		if c.New != nil && c.Amends == nil && !c.New.IsMarker() {
			b.arrived = time.Now().UTC()
		}
		if c.Complete != nil {
			s.m.uploads[c.Complete.Upload].complete(*c.New)
		}
	}
	return nil
}

// land stores what is staged. The caller holds the lock.
func (s *session) land() {
	for h, x := range s.xorbs {
		s.m.add(h, x)
	}
	for h, f := range s.files {
		if _, stored := s.m.files[h]; !stored {
			s.m.files[h] = f
		}
	}
	s.reset()
}

// check says what forbids a change, given the names that the changes before it leave. The caller holds the lock.
func (s *session) check(c object.Change, after map[[2]string]*object.Info) error {
	cur, changed := after[[2]string{c.Bucket, c.Key}]
	if !changed {
		switch info, err := s.m.stat(c.Bucket, c.Key); {
		case err == nil:
			cur = &info
		case errors.Is(err, object.ErrNoBucket) || !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if err := c.If.Check(cur); err != nil {
		return err
	}
	if c.Amends != nil && (cur == nil || !cur.Same(c.Amends)) {
		return object.ErrPrecondition
	}
	if c.New == nil {
		return nil
	}
	if c.New.Bucket != c.Bucket || c.New.Key != c.Key {
		return fmt.Errorf("change of %s/%q makes %s/%q", c.Bucket, c.Key, c.New.Bucket, c.New.Key)
	}
	return s.checkStored(c.New.File, c.New.Size)
}

// checkStored returns an error unless a file of that size is stored or staged. The caller holds the lock.
func (s *session) checkStored(file xet.Hash, size int64) error {
	f, ok := s.m.files[file]
	if !ok {
		f, ok = s.files[file]
	}
	if !ok || int64(f.Size) != size {
		return &object.InvalidError{Field: "file", Rule: fmt.Sprintf("%v of %d bytes is neither stored nor staged", file, size)}
	}
	return nil
}

// add stores a xorb; one that is stored already stays. The caller holds the lock.
func (m *Memory) add(h xet.Hash, x *xorb) {
	if _, stored := m.xorbs[h]; stored {
		return
	}
	m.xorbs[h] = x
	for i, c := range x.info.Chunks {
		if _, known := m.chunks[c.Hash]; !known {
			m.chunks[c.Hash] = object.Place{Xorb: h, Index: uint32(i)}
		}
	}
}

// Close implements object.Session.
func (s *session) Close() error {
	if !s.closed {
		s.closed = true
		s.err = fmt.Errorf("session: %w", fs.ErrClosed)
		s.reset()
		s.m.leave()
	}
	return nil
}
