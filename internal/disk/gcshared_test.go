package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// sharedEnv sets how many chunks TestCollectShared makes.
const sharedEnv = "DISK_COLLECT_CHUNKS"

const (
	sharedFiles  = 8       // that stay, and as many that go; each refers to most xorbs
	sharedPeriod = 16      // chunks: of each so many a file that stays uses the same number
	sharedXorb   = 5 << 19 // bytes of a xorb's records at least: what is stored anew of it lies in a file of its own, or in a pack
	sharedXorbs  = 25      // at least
	sharedReads  = 50      // xorbs of which each file that stays is read at least
)

// TestCollectShared deletes half of the files that share large xorbs by reference, and collects in another process: xorbs that
// no file refers to any more go, those of which less than half is used are stored anew, and others stay. What that frees and
// how much memory it takes is asserted; how long it takes is printed.
func TestCollectShared(t *testing.T) {
	n := size(t, sharedEnv, 20_000/stride)
	dir := t.TempDir()
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newShared(t, d, n)
	start := time.Now()
	s.load()
	t.Logf("%d xorbs of %d chunks of %d bytes, and %d files, stored in %v", s.count, s.chunks, s.body, s.count/len(sharedUse())+2*sharedFiles,
		time.Since(start).Round(time.Millisecond))
	s.delete()

	c := startChild(t, "collectonce", dir, "0.5", "-1ns")
	c.hear() // it has opened the store
	start = time.Now()
	c.tell("go\n")
	var got Collected
	var peak int64
	if _, err := fmt.Sscan(c.hear(), &got.Files, &got.Xorbs, &got.Packs, &got.Freed, &got.Rewritten, &peak); err != nil {
		t.Error(err)
	}
	took := time.Since(start)
	if err := c.end(func(steps string) { t.Log(steps) }); err != nil {
		t.Fatal(err)
	}
	t.Logf("collected in %v: %+v, %d MiB resident at most", took.Round(time.Millisecond), got, peak>>20)
	if want := s.collected(); got != want {
		t.Errorf("collected %+v, want %+v", got, want)
	}
	if peak == 0 || peak >= collectMemory && stride == 1 {
		t.Errorf("%d bytes were resident, the bound is %d", peak, collectMemory)
	}
	s.read() // by a process that has seen the old xorbs
	_, err = d.Check(t.Context(), CheckOptions{Quick: true}, func(p Problem) { t.Errorf("check: %v", p) })
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(sharedEnv) == "" {
		bare(t, dir)
	}
}

// shared is a store of xorbs that files share. Xorb i is of kind i % len(sharedUse()).
type shared struct {
	t     *testing.T
	d     *Driver
	store *object.Store

	count, chunks, body int // xorbs, chunks of each, and bytes of each chunk
	xorbs               []xet.Hash
	hashes              [][]xet.Hash // of the chunks, by xorb
}

// sharedUse is how many of sharedPeriod chunks files that stay use of each kind of xorb: none, so little that it fits a pack, less
// than half, more than half, and all.
func sharedUse() []int { return []int{0, 2, 7, 12, sharedPeriod} }

func newShared(t *testing.T, d *Driver, n int) *shared {
	t.Helper()
	const all = sharedPeriod * sharedFiles
	s := &shared{t: t, d: d, store: newStore(t, d)}
	s.chunks = max(min(n/sharedXorbs, xet.MaxXorbChunks)/all, 1) * all
	kinds := len(sharedUse())
	s.count = max(n/s.chunks/kinds, 2) * kinds
	s.body = sharedXorb/s.chunks + 1
	return s
}

// raw appends chunk n of xorb i.
func (s *shared) raw(dst []byte, i, n int) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(i*xet.MaxXorbChunks+n))
	return append(dst, make([]byte, s.body-8)...)
}

// size is how long a xorb of n chunks is.
func (s *shared) size(n int) int64 {
	x := xet.XorbInfo{Chunks: make([]xet.XorbChunk, n)}
	return int64(n*len(xet.AppendRecord(nil, make([]byte, s.body), xet.SchemeNone))) + x.FooterSize()
}

// uses calls f for the chunks of xorb i that a file uses, as ranges. Those that stay use what sharedUse says between them, those
// that go use all; each chunk is used by two of either.
func (s *shared) uses(file, i int, stays bool, f func(xet.Range)) {
	use := sharedPeriod
	if stays {
		use = sharedUse()[i%len(sharedUse())]
	}
	for p := range s.chunks / sharedPeriod {
		if far := (p + sharedFiles - file) % sharedFiles; far < 2 && use > 0 {
			f(xet.Range{Start: uint32(p * sharedPeriod), End: uint32(p*sharedPeriod + use)})
		}
	}
}

func sharedKey(file int, stays bool) string { return fmt.Sprintf("%d stays %t", file, stays) }

// load stores xorbs, each few of them as a file, and then the files that refer to many.
func (s *shared) load() {
	s.t.Helper()
	kinds := len(sharedUse())
	for i := 0; i < s.count; i += kinds {
		s.put(fmt.Sprint("whole ", i), func(ctx context.Context, sess object.Session, f *sharedFile) error {
			for j := i; j < i+kinds; j++ {
				if err := s.putXorb(ctx, sess, j); err != nil {
					return err
				}
				f.add(s, j, xet.Range{End: uint32(s.chunks)})
			}
			return nil
		})
	}
	for _, stays := range []bool{true, false} {
		for file := range sharedFiles {
			s.put(sharedKey(file, stays), func(_ context.Context, _ object.Session, f *sharedFile) error {
				for i := range s.count {
					s.uses(file, i, stays, func(r xet.Range) { f.add(s, i, r) })
				}
				return nil
			})
		}
	}
}

// sharedFile is a file in the making.
type sharedFile struct {
	rec  xet.Reconstruction
	tree xet.TreeHash
}

// add adds chunks of xorb i.
func (f *sharedFile) add(s *shared, i int, r xet.Range) {
	for _, h := range s.hashes[i][r.Start:r.End] {
		f.tree.Add(h, uint64(s.body))
	}
	long := uint32(r.Len() * s.body)
	f.rec.Size += uint64(long)
	f.rec.Terms = append(f.rec.Terms, xet.Term{Xorb: s.xorbs[i], Range: r, Bytes: long})
}

// stage stages the file, and returns the change that gives it a key.
func (f *sharedFile) stage(ctx context.Context, sess object.Session, key string) (object.Change, error) {
	f.rec.Hash = f.tree.FileHash()
	info := object.Info{Size: int64(f.rec.Size), File: f.rec.Hash, ETag: object.ETagOf(nil, f.rec.Hash)}
	return object.Change{Bucket: "bucket", Key: key, New: &info}, sess.PutFile(ctx, f.rec)
}

// put stores a file that f makes.
func (s *shared) put(key string, f func(ctx context.Context, sess object.Session, f *sharedFile) error) {
	s.t.Helper()
	ctx := s.t.Context()
	sess, err := s.d.Begin(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	var file sharedFile
	err = f(ctx, sess, &file)
	var change object.Change
	if err == nil {
		change, err = file.stage(ctx, sess, key)
	}
	if err == nil {
		err = sess.Commit(ctx, []object.Change{change})
	}
	if err := errors.Join(err, sess.Close()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shared) putXorb(ctx context.Context, sess object.Session, i int) error {
	x, err := sess.NewXorb(ctx)
	if err != nil {
		return err
	}
	var raw, record []byte
	hashes := make([]xet.Hash, s.chunks)
	for n := range hashes {
		raw = s.raw(raw[:0], i, n)
		hashes[n] = xet.ChunkHash(raw)
		record = xet.AppendRecord(record[:0], raw, xet.SchemeNone)
		if err := x.Add(ctx, xet.Chunk{Hash: hashes[n], Size: uint32(len(raw))}, record); err != nil {
			return err
		}
	}
	h, err := x.Close(ctx)
	s.xorbs, s.hashes = append(s.xorbs, h), append(s.hashes, hashes)
	return err
}

// delete deletes the files that do not stay.
func (s *shared) delete() {
	s.t.Helper()
	var keys []string
	for i := 0; i < s.count; i += len(sharedUse()) {
		keys = append(keys, fmt.Sprint("whole ", i))
	}
	for file := range sharedFiles {
		keys = append(keys, sharedKey(file, false))
	}
	errs, err := s.store.DeleteMany(s.t.Context(), "bucket", keys)
	if err = errors.Join(append(errs, err)...); err != nil {
		s.t.Fatal(err)
	}
}

// collected is what a collection does then.
func (s *shared) collected() (c Collected) {
	of := int64(s.count / len(sharedUse())) // xorbs of each kind
	c.Files = of + sharedFiles
	for _, use := range sharedUse() {
		if use >= sharedPeriod/2 {
			continue
		}
		c.Xorbs += of
		c.Packs += of
		c.Freed += of * s.size(s.chunks)
		if n := s.chunks / sharedPeriod * use; n > 0 {
			c.Freed -= of * s.size(n)
			c.Rewritten += of * s.size(n)
		}
	}
	return c
}

// read compares what the files that stay use of some xorbs, of all when they are few.
func (s *shared) read() {
	s.t.Helper()
	step := max(1, s.count/sharedReads)
	if step%len(sharedUse()) == 0 {
		step++ // all kinds
	}
	var want, got []byte
	for file := range sharedFiles {
		f, err := s.store.Open(s.t.Context(), "bucket", sharedKey(file, true))
		if err != nil {
			s.t.Fatal(err)
		}
		var off int64
		for i := range s.count {
			want = want[:0]
			var long int64
			s.uses(file, i, true, func(r xet.Range) {
				long += int64(r.Len() * s.body)
				for n := r.Start; n < r.End && i%step == 0; n++ {
					want = s.raw(want, i, int(n))
				}
			})
			if i%step == 0 {
				got = append(got[:0], make([]byte, len(want))...)
				_, err := f.Seek(off, io.SeekStart)
				if err == nil {
					_, err = io.ReadFull(f, got)
				}
				if err != nil || !bytes.Equal(got, want) {
					s.t.Fatalf("file %d has other bytes of xorb %d: %v", file, i, err)
				}
			}
			off += long
		}
		if info := f.Info(); info.Size != off {
			s.t.Errorf("file %d has %d bytes, want %d", file, info.Size, off)
		}
		if err := f.Close(); err != nil {
			s.t.Fatal(err)
		}
	}
}
