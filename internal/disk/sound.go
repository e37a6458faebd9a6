package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

const (
	// soundFor is for how long a chunk that was read and verified, or written, counts as readable.
	soundFor = 24 * time.Hour
	// soundXorbs is of how many xorbs that is remembered.
	soundXorbs = 16 << 10
	// soundAhead is how many bytes of whole xorbs a session may read before it has used any of them, and soundShare how many for each
	// byte that it has.
	soundAhead = 64 << 20
	soundShare = 4
)

// soundChunks remembers which chunks were verified lately. Who stores content again that is stored already is answered without
// its bytes being written: before that, the old bytes are read once a day, for rot that nobody has met so far would only be found
// by a restore.
type soundChunks struct {
	mu    sync.Mutex
	now   func() time.Time
	xorbs map[int64]*soundXorb // by row
}

type soundXorb struct {
	since  time.Time
	chunks *chunkSet // nil means all
}

// all takes note of a xorb that was written.
func (s *soundChunks) all(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roomLocked()
	s.xorbs[id] = &soundXorb{since: s.now()}
}

func (s *soundChunks) has(id int64, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.xorbs[id]
	return x != nil && s.now().Sub(x.since).Abs() < soundFor && (x.chunks == nil || x.chunks.has(n))
}

// add takes note of a chunk that was read.
func (s *soundChunks) add(id int64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.xorbs[id]
	if x == nil || s.now().Sub(x.since).Abs() >= soundFor {
		s.roomLocked()
		x = &soundXorb{since: s.now(), chunks: new(chunkSet)}
		s.xorbs[id] = x
	}
	if x.chunks != nil {
		x.chunks.add(xet.Range{Start: uint32(n), End: uint32(n) + 1})
	}
}

// roomLocked forgets everything when there is too much to remember.
func (s *soundChunks) roomLocked() {
	if s.xorbs == nil || len(s.xorbs) >= soundXorbs {
		s.xorbs = make(map[int64]*soundXorb)
	}
}

// sounds says whether a chunk of a stored xorb can be read. Damage is noted: nothing of the xorb counts as known then, and a
// session that was told of some of it before fails. So the whole xorb is read when the session comes to it, unless it uses so
// little of those before that this would be a waste.
func (s *session) sounds(ctx context.Context, ref *xorbRef, n int) bool {
	d := s.d
	s.used += xet.TargetChunkSize
	if d.sound.has(ref.id, n) {
		return true
	}
	read := func(ref *xorbRef) error { return d.readChunk(ref, n) }
	whole := s.proved+ref.place.len <= soundAhead+soundShare*s.used
	if whole {
		s.proved += ref.place.len
		read = func(ref *xorbRef) error { return d.verifyXorb(ref.info.Hash, ref.place) }
	}
	err := read(ref)
	if errors.Is(err, object.ErrCorrupt) { // it may have moved since its place was cached
		d.xorbs.drop(ref.info.Hash)
		if moved, merr := d.xorbByID(ctx, ref.id); merr == nil && moved != nil {
			err = read(moved)
		}
	}
	switch {
	case err != nil:
		d.noteDamage(ctx, ref.info.Hash, err)
		return false
	case whole:
		d.sound.all(ref.id)
	default:
		d.sound.add(ref.id, n)
	}
	return true
}

// chunkScratch is what reading a chunk takes, and has the record that was read last.
type chunkScratch struct{ record, raw []byte }

// read reads a chunk of a xorb that lies in f, and verifies it. What it returns is valid until the next call.
func (s *chunkScratch) read(f io.ReaderAt, at place, info *xet.XorbInfo, n int) ([]byte, error) {
	start, end := info.Record(n)
	s.record = grown(s.record, int(end-start))
	_, err := f.ReadAt(s.record, at.off+int64(start))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	raw, size, err := xet.DecodeRecord(s.raw, s.record)
	if err == nil && size != len(s.record) {
		err = xet.ErrFormat
	}
	if err == nil && xet.ChunkHash(raw) != info.Chunks[n].Hash {
		err = xet.ErrHash
	}
	if err != nil {
		return nil, fmt.Errorf("chunk %d: %w", n, err)
	}
	if len(raw) > len(s.record) {
		s.raw = raw
	}
	return raw, nil
}

var chunkScratches = sync.Pool{New: func() any { return new(chunkScratch) }}

// readChunk reads and verifies a chunk.
func (d *Driver) readChunk(ref *xorbRef, n int) error {
	f, err := d.files.open(ref.place.file)
	if err != nil {
		return damaged(ref.info.Hash, ref.place, err)
	}
	defer f.release()
	s := chunkScratches.Get().(*chunkScratch) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	defer chunkScratches.Put(s)
	if _, err := s.read(f, ref.place, ref.info, n); err != nil {
		return damaged(ref.info.Hash, ref.place, err)
	}
	return nil
}

func grown(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
