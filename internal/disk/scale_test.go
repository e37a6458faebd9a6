package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// scaleEnv sets how many keys and chunks TestScale goes up to.
const scaleEnv = "DISK_SCALE"

const (
	scaleXorb  = 1000 // chunks a xorb, as many as there are in 64 MiB of ordinary content
	scaleBatch = 20   // thousands of chunks or keys a commit
	scaleFiles = 1e6  // keys that have a file of their own
	scaleTops  = 16   // directories at the top of the bucket,
	scaleDirs  = 1024 // and in all
)

// indexRow is how many bytes of index.db a chunk may take, and indexFew below how many chunks that cannot be told.
const (
	indexRow = 24
	indexFew = 10_000
)

// TestScale grows a store to 10^4, 10^5, … keys in one bucket and as many chunks. At each size answers are right and the index
// is small; what they cost is printed.
//
// Up to 10^6 each key has a file of its own, a chunk long, which is what keys cost most. Those that come later share these
// files: inserting hashes is slow, and nothing that is asked here depends on how many files there are.
func TestScale(t *testing.T) {
	most := size(t, scaleEnv, 20_000/stride)
	s := &scale{t: t, dir: t.TempDir(), rand: rand.New(rand.NewPCG(1, 2))}
	s.open()
	for _, name := range []string{"bucket", "xorbs"} {
		if err := s.store.CreateBucket(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	most = max(most/scaleXorb, 2) * scaleXorb // less is no test
	for n := min(10_000, most); ; n = min(10*n, most) {
		s.column(fmt.Sprint(n))
		s.grow(n)
		s.lookUp(n)
		s.print(t) // at each size, because the next takes ten times as long
		if n == most {
			break
		}
	}
	s.close()
	if os.Getenv(scaleEnv) == "" {
		openTest(t, s.dir) // checks on cleanup
	}
}

// scale is a store that grows. Chunk i, of eight bytes, lies in xorb i / scaleXorb, and is file i if i < scaleFiles.
type scale struct {
	t     *testing.T
	dir   string
	d     *Driver
	store *object.Store
	rand  *rand.Rand

	chunks, keys int        // how many there are
	xorbs        []xet.Hash // all of them
	wal          map[string]int64

	figures
}

func scaleHash(i int) xet.Hash { return xet.ChunkHash(scaleRaw(i)) }

func scaleRaw(i int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(i)) }

// scaleKey names key i: one directory after the other gets one, so that the order of coming is not that of the names.
func scaleKey(i int) string {
	top, dir := i%scaleTops, i%scaleDirs/scaleTops
	return fmt.Sprintf("host-%02d/backup-%02d/part-%08d.tar", top, dir, i/scaleDirs)
}

// scaleNext is the key behind key i in a bucket of n keys; false when it is the last.
func scaleNext(i, n int) (int, bool) {
	if i+scaleDirs < n {
		return i + scaleDirs, true
	}
	top, dir := i%scaleTops, i%scaleDirs/scaleTops
	for {
		if dir++; dir == scaleDirs/scaleTops {
			if top, dir = top+1, 0; top == scaleTops {
				return 0, false
			}
		}
		if first := dir*scaleTops + top; first < n {
			return first, true
		}
	}
}

func (s *scale) open() {
	s.t.Helper()
	d, err := Open(s.t.Context(), s.dir, Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.d, s.store = d, object.New(d, object.Config{})
}

func (s *scale) close() {
	s.t.Helper()
	if err := s.d.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// grow brings the store to n chunks and n keys. The last tenth is timed from one opening to the closing, because chunks are
// indexed after the commit that brings them.
func (s *scale) grow(n int) {
	s.t.Helper()
	s.wal = make(map[string]int64)
	tail := max(n/10, min(n, 10_000))
	tail = min(tail, n-s.chunks)
	s.putChunks(n - tail)
	s.reopen()
	start := time.Now()
	s.putChunks(n)
	s.close()
	s.note("new chunks, to the end of indexing", "1/s", float64(tail)/time.Since(start).Seconds())

	s.open()
	s.putKeys(n - tail)
	start = time.Now()
	s.putKeys(n)
	s.note("new keys", "1/s", float64(tail)/time.Since(start).Seconds())
	start = time.Now()
	s.close()
	s.note("close", "ms", 1e3*time.Since(start).Seconds())

	perChunk := float64(s.size("index.db")) / float64(n)
	s.note("index.db for a chunk", "bytes", perChunk)
	s.note("catalog.db for a key", "bytes", float64(s.size("catalog.db"))/float64(n))
	if n >= indexFew && perChunk > indexRow {
		s.t.Errorf("at %d chunks index.db takes %.1f bytes for each, more than %d", n, perChunk, indexRow)
	}
	for _, name := range []string{"index.db-wal", "catalog.db-wal"} {
		s.note("longest "+name, "MiB", float64(s.wal[name])/(1<<20))
	}
	start = time.Now()
	s.open()
	s.note("open", "ms", 1e3*time.Since(start).Seconds())
}

func (s *scale) reopen() {
	s.t.Helper()
	s.close()
	s.open()
}

// size is the length of a database that is closed.
func (s *scale) size(name string) int64 {
	s.t.Helper()
	st, err := os.Stat(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return st.Size()
}

// session runs f in a session of its own, and remembers how long the write-ahead logs are behind it.
func (s *scale) session(f func(ctx context.Context, sess object.Session) error) {
	s.t.Helper()
	ctx := s.t.Context()
	sess, err := s.d.Begin(ctx)
	if err == nil {
		err = errors.Join(f(ctx, sess), sess.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"index.db-wal", "catalog.db-wal"} {
		if st, err := os.Stat(filepath.Join(s.dir, name)); err == nil {
			s.wal[name] = max(s.wal[name], st.Size())
		}
	}
}

// putChunks brings the store to n chunks. A xorb is stored because a file refers to it, which is all of it here.
func (s *scale) putChunks(n int) {
	s.t.Helper()
	for s.chunks < n {
		s.session(func(ctx context.Context, sess object.Session) error {
			var changes []object.Change
			for end := min(n, s.chunks+scaleBatch*scaleXorb); s.chunks < end; {
				file, err := s.putXorb(ctx, sess)
				if err != nil {
					return err
				}
				info := scaleInfo("xorbs", fmt.Sprint(len(s.xorbs)), file)
				changes = append(changes, object.Change{Bucket: info.Bucket, Key: info.Key, New: info})
			}
			return sess.Commit(ctx, changes)
		})
	}
}

func (s *scale) putXorb(ctx context.Context, sess object.Session) (file xet.Reconstruction, err error) {
	x, err := sess.NewXorb(ctx)
	if err != nil {
		return file, err
	}
	var tree xet.TreeHash
	var record []byte
	for range scaleXorb {
		raw := scaleRaw(s.chunks)
		c := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
		record = xet.AppendRecord(record[:0], raw, xet.SchemeNone)
		if err := x.Add(ctx, c, record); err != nil {
			return file, err
		}
		tree.Add(c.Hash, uint64(c.Size))
		file.Size += uint64(c.Size)
		s.chunks++
	}
	h, err := x.Close(ctx)
	if err != nil {
		return file, err
	}
	s.xorbs = append(s.xorbs, h)
	file.Hash = tree.FileHash()
	file.Terms = []xet.Term{{Xorb: h, Range: xet.Range{End: scaleXorb}, Bytes: uint32(file.Size)}}
	return file, sess.PutFile(ctx, file)
}

// scaleInfo describes a file as a door does: with an MD5 and a CRC.
func scaleInfo(bucket, key string, file xet.Reconstruction) *object.Info {
	digests := object.Digests{MD5: file.Hash[:16], CRC64NVME: file.Hash[16:24]}
	return &object.Info{
		Bucket: bucket, Key: key, Size: int64(file.Size), File: file.Hash, Digests: digests,
		ETag: object.ETagOf(digests.MD5, file.Hash), ModTime: time.Unix(1_700_000_000, 0).UTC(),
	}
}

// fileOf is the content of key i.
func (s *scale) fileOf(i int) xet.Reconstruction {
	const size = 8
	i %= scaleFiles
	var tree xet.TreeHash
	tree.Add(scaleHash(i), size)
	at := uint32(i % scaleXorb)
	return xet.Reconstruction{Hash: tree.FileHash(), Size: size, Terms: []xet.Term{{
		Xorb: s.xorbs[i/scaleXorb], Range: xet.Range{Start: at, End: at + 1}, Bytes: size,
	}}}
}

// putKeys brings the store to n keys.
func (s *scale) putKeys(n int) {
	s.t.Helper()
	for s.keys < n {
		s.session(func(ctx context.Context, sess object.Session) error {
			var changes []object.Change
			for end := min(n, s.keys+scaleBatch*1000); s.keys < end; s.keys++ {
				file := s.fileOf(s.keys)
				if s.keys < scaleFiles {
					if err := sess.PutFile(ctx, file); err != nil {
						return err
					}
				}
				info := scaleInfo("bucket", scaleKey(s.keys), file)
				changes = append(changes, object.Change{Bucket: info.Bucket, Key: info.Key, New: info})
			}
			return sess.Commit(ctx, changes)
		})
	}
}

// lookUp asks the store what it must know, and notes what that took.
func (s *scale) lookUp(n int) {
	s.t.Helper()
	ctx := s.t.Context()
	s.sample("stat", 2000, func() time.Duration {
		i := s.rand.IntN(n)
		key, want := scaleKey(i), s.fileOf(i).Hash
		start := time.Now()
		info, err := s.store.Stat(ctx, "bucket", key)
		took := time.Since(start)
		if err != nil || info.File != want {
			s.t.Fatalf("key %d of %d is file %s, not %s: %v", i, n, info.File, want, err)
		}
		return took
	})
	s.sample("page of 1000 keys", 50, func() time.Duration { return s.page(n, s.rand.IntN(n)) })
	s.sample("page of 16 prefixes that hold all keys", 50, func() time.Duration {
		start := time.Now()
		l, err := s.store.List(ctx, "bucket", object.ListOptions{Delimiter: "/"})
		took := time.Since(start)
		if err != nil || len(l.Prefixes) != scaleTops || len(l.Objects) > 0 || l.Truncated {
			s.t.Fatalf("the top of %d keys is %q and %d objects: %v", n, l.Prefixes, len(l.Objects), err)
		}
		return took
	})
	s.sample("known chunk, index alone", 5000, func() time.Duration {
		i := s.rand.IntN(n)
		h := scaleHash(i).Truncated()
		start := time.Now()
		_, ok := s.d.index.lookup(ctx, h)
		took := time.Since(start)
		if !ok {
			s.t.Fatalf("chunk %d of %d is not in the index", i, n)
		}
		return took
	})
	s.sample("known chunk, with row and footer", 1000, func() time.Duration {
		s.d.xorbs = newXorbCache() // each footer is read anew
		i := s.rand.IntN(n)
		got, took := s.known(scaleHash(i))
		if want := (object.Place{Xorb: s.xorbs[i/scaleXorb], Index: uint32(i % scaleXorb)}); got != want {
			s.t.Fatalf("chunk %d of %d is at %v, not %v", i, n, got, want)
		}
		return took
	})
	s.sample("unknown chunk", 5000, func() time.Duration {
		got, took := s.known(scaleHash(n + int(s.rand.Int64N(1<<40))))
		if !got.Xorb.IsZero() {
			s.t.Fatalf("a chunk that was never stored is at %v among %d", got, n)
		}
		return took
	})
}

// page lists from key i on and compares with what must be there.
func (s *scale) page(n, i int) time.Duration {
	s.t.Helper()
	start := time.Now()
	l, err := s.store.List(s.t.Context(), "bucket", object.ListOptions{Start: scaleKey(i)})
	took := time.Since(start)
	if err != nil {
		s.t.Fatal(err)
	}
	more := true
	for _, info := range l.Objects {
		if !more || info.Key != scaleKey(i) {
			s.t.Fatalf("%s is listed where %s belongs, of %d", info.Key, scaleKey(i), n)
		}
		i, more = scaleNext(i, n)
	}
	if l.Truncated != more || more && len(l.Objects) != 1000 {
		s.t.Fatalf("a page of %d, truncated: %v; more: %v", len(l.Objects), l.Truncated, more)
	}
	return took
}

// known asks for one chunk in a session of its own.
func (s *scale) known(h xet.Hash) (object.Place, time.Duration) {
	s.t.Helper()
	var places [1]object.Place
	start := time.Now()
	sess, err := s.d.Begin(s.t.Context())
	if err == nil {
		err = errors.Join(sess.Known(s.t.Context(), []xet.Hash{h}, places[:]), sess.Close())
	}
	took := time.Since(start)
	if err != nil {
		s.t.Fatal(err)
	}
	return places[0], took
}
