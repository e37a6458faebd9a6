package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

func benchStore(b *testing.B) *object.Store {
	b.Helper()
	s, _ := benchDriver(b)
	return s
}

func benchDriver(b *testing.B) (*object.Store, *Driver) {
	b.Helper()
	d, err := Open(b.Context(), b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	s := object.New(d, object.Config{})
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := s.CreateBucket(b.Context(), "bucket", ""); err != nil {
		b.Fatal(err)
	}
	return s, d
}

func benchPut(b *testing.B, s *object.Store, key string, body []byte) {
	b.Helper()
	if _, err := s.Put(b.Context(), "bucket", key, bytes.NewReader(body), object.PutOptions{}); err != nil {
		b.Fatal(err)
	}
}

// reportCPU reports the CPU time that the process takes for each operation, which depends less on who else is at work.
func reportCPU(b *testing.B) (report func()) {
	b.Helper()
	before := cpuTime(b)
	return func() { b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op") }
}

// BenchmarkPutSmall puts new content of 4 KiB from 16 writers, durably.
func BenchmarkPutSmall(b *testing.B) {
	s := benchStore(b)
	var n atomic.Uint64
	b.SetBytes(4096)
	b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
	defer reportCPU(b)()
	b.RunParallel(func(pb *testing.PB) {
		body := randomBytes(4096, 1)
		for pb.Next() {
			i := n.Add(1)
			binary.LittleEndian.PutUint64(body, i)
			opts := object.PutOptions{Size: int64(len(body))}
			if _, err := s.Put(b.Context(), "bucket", fmt.Sprint(i), bytes.NewReader(body), opts); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkPutStream puts 64 MiB of new content in one stream; again is the same content each time.
func BenchmarkPutStream(b *testing.B) {
	const size = 64 << 20
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "new", true: "again"}[again], func(b *testing.B) {
			s := benchStore(b)
			body := randomBytes(size, 3)
			benchPut(b, s, "k", body)
			b.SetBytes(size)
			for i := uint64(1); b.Loop(); i++ {
				for off := 0; !again && off < size; off += 4096 {
					binary.LittleEndian.PutUint64(body[off:], i)
				}
				benchPut(b, s, "k", body)
			}
		})
	}
}

// BenchmarkPutGiB puts 1 GiB of new content, in one stream and in eight, and says what CPU time that took.
func BenchmarkPutGiB(b *testing.B) {
	const size = 1 << 30
	for _, streams := range []int{1, 8} {
		b.Run(fmt.Sprint("streams=", streams), func(b *testing.B) {
			s := benchStore(b)
			block := randomBytes(1<<20, 1)
			b.SetBytes(size)
			defer reportCPU(b)()
			var pages uint64
			for b.Loop() {
				g, ctx := errgroup.WithContext(b.Context())
				for range streams {
					r := &freshReader{block: block, page: pages, end: pages + size/freshPage/uint64(streams)}
					pages = r.end
					g.Go(func() error {
						_, err := s.Put(ctx, "bucket", fmt.Sprint(r.end), r, object.PutOptions{})
						return err
					})
				}
				if err := g.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// cpuTime is what this process has used so far, of all cores, in user mode and in the kernel.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMachine measures what the others are made of: the sync of an append, copying memory, and the content
// of BenchmarkPutGiB.
func BenchmarkMachine(b *testing.B) {
	b.Run("fdatasync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "f"))
		if err != nil {
			b.Fatal(err)
		}
		block := randomBytes(4<<10, 1)
		for b.Loop() {
			if _, err := f.Write(block); err != nil {
				b.Fatal(err)
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("memcpy", func(b *testing.B) {
		from := randomBytes(64<<20, 1) // larger than caches
		to := slices.Clone(from)       // pages that were touched
		b.SetBytes(int64(len(from)))
		for b.Loop() {
			copy(to, from)
		}
	})
	b.Run("content", func(b *testing.B) {
		r, p := &freshReader{block: randomBytes(1<<20, 1), end: 1 << 60}, make([]byte, 384<<10)
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			if _, err := io.ReadFull(r, p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// freshPage is shorter than any chunk but the last of a file.
const freshPage = 4 << 10

// freshReader yields new content at the price of copying it: a block over and over, with a number that was never there in
// each page of it.
type freshReader struct {
	block     []byte // whole pages; not changed
	page, end uint64 // what is yielded, in pages
}

// Read wants room for a page.
func (r *freshReader) Read(p []byte) (n int, err error) {
	if r.page == r.end {
		return 0, io.EOF
	}
	if len(p) < freshPage {
		return 0, io.ErrShortBuffer
	}
	for ; len(p)-n >= freshPage && r.page < r.end; r.page++ {
		at := int(r.page*freshPage) % len(r.block)
		copy(p[n:], r.block[at:at+freshPage])
		binary.LittleEndian.PutUint64(p[n:], r.page)
		n += freshPage
	}
	return n, nil
}

// BenchmarkGet reads objects whole, verified.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := benchStore(b)
			benchPut(b, s, "k", randomBytes(size, 3))
			b.SetBytes(int64(size))
			for b.Loop() {
				f, err := s.Open(b.Context(), "bucket", "k")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := f.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
				if err := f.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNames asks for one key, and for a page of 1000, among 20,000.
func BenchmarkNames(b *testing.B) {
	s, d := benchDriver(b)
	benchPut(b, s, "k/00000", []byte("x"))
	var sess object.Session
	info, err := s.Stat(b.Context(), "bucket", "k/00000")
	if err == nil {
		sess, err = d.Begin(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	var changes []object.Change
	for i := range 20_000 {
		changes = append(changes, object.Change{Bucket: "bucket", Key: fmt.Sprintf("k/%05d", i), New: &info})
	}
	if err := sess.Commit(b.Context(), changes); err != nil {
		b.Fatal(err)
	}
	if err := sess.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("stat", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Stat(b.Context(), "bucket", "k/10000"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list1000", func(b *testing.B) {
		for b.Loop() {
			l, err := s.List(b.Context(), "bucket", object.ListOptions{StartAfter: "k/10000"})
			if err != nil || len(l.Objects) != 1000 {
				b.Fatal(len(l.Objects), err)
			}
		}
	})
}
