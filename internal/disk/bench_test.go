package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

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
	spent := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	return func() { b.ReportMetric(float64((spent()-before).Microseconds())/float64(b.N), "cpu-us/op") }
}

// BenchmarkPutSmall puts new content of 4 KiB from 16 writers, durably.
func BenchmarkPutSmall(b *testing.B) {
	s := benchStore(b)
	var n atomic.Uint64
	b.SetBytes(4096)
	b.SetParallelism(8) // times GOMAXPROCS
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
