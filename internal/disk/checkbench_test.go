package disk

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// BenchmarkCheck checks 256 MiB of content that does not compress, in large objects and in small ones, and compares with what it
// is made of: reading the same files, and reading and hashing them on one core.
func BenchmarkCheck(b *testing.B) {
	const total = 256 << 20
	for _, size := range []int64{64 << 20, 64 << 10} {
		b.Run(fmt.Sprint("objects=", size), func(b *testing.B) {
			s, d := benchDriver(b)
			for i := range total / size {
				r := newContentOf(size, uint64(i))
				if _, err := s.Put(b.Context(), "bucket", fmt.Sprint(i), r, object.PutOptions{Size: size}); err != nil {
					b.Fatal(err)
				}
			}
			d.index.flush(b.Context())
			var read, hashed time.Duration
			b.SetBytes(total)
			for b.Loop() {
				b.StopTimer()
				read += readFiles(b, d.dir, func([]byte) {})
				hashed += readFiles(b, d.dir, func(p []byte) {
					for ; len(p) > 64<<10; p = p[64<<10:] {
						xet.ChunkHash(p[:64<<10])
					}
				})
				b.StartTimer()
				if _, err := d.Check(b.Context(), CheckOptions{}, func(p Problem) { b.Error(p) }); err != nil {
					b.Fatal(err)
				}
			}
			mib := float64(b.N) * total / (1 << 20)
			b.ReportMetric(mib/b.Elapsed().Seconds(), "MiB/s")
			b.ReportMetric(mib/read.Seconds(), "read-MiB/s")
			b.ReportMetric(mib/hashed.Seconds(), "read+hash-MiB/s")
		})
	}
	b.Run("rows", func(b *testing.B) {
		s, d := benchDriver(b)
		const keys = 20_000
		for i := range keys {
			benchPut(b, s, fmt.Sprint(i), bytes.Repeat([]byte(fmt.Sprint(i, " ")), 30))
		}
		for b.Loop() {
			if _, err := d.Check(b.Context(), CheckOptions{Quick: true}, func(p Problem) { b.Error(p) }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N)/keys, "us/key")
	})
}

// readFiles reads all files of content, and has f do something with each piece.
func readFiles(b *testing.B, dir string, f func([]byte)) time.Duration {
	b.Helper()
	start := time.Now()
	buf := make([]byte, 1<<20)
	for _, glob := range []string{"packs/*", "xorbs/*/*"} {
		names, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range names {
			file, err := os.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			n := 1
			for n > 0 {
				if n, err = file.Read(buf); err != nil && err != io.EOF { //nolint:errorlint // as os.File has it
					b.Fatal(err)
				}
				f(buf[:n])
			}
			if err := file.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
	return time.Since(start)
}
