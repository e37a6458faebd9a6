package disk

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

const (
	// streamSizeEnv is how many MiB it has.
	streamSizeEnv = "DISK_TEST_STREAM_MIB"
	// streamDefault is the size when nobody asked for another: kept in memory, it would pass the bound.
	streamDefault = 512 / (1 + stride/2)
	// streamMemory bounds by how much the process grows, in KiB, over one that has put some MiB.
	streamMemory = 64 << 10
)

// longBody is a stream of random bytes that says on stdout where it is, once each 32 MiB.
type longBody struct {
	src  *rand.ChaCha8
	n    int64 // how many come
	done int64
}

func (b *longBody) Read(p []byte) (int, error) {
	if b.done >= b.n {
		return 0, io.EOF
	}
	const step = 32 << 20
	before := b.done / step
	n, err := b.src.Read(p[:min(int64(len(p)), b.n-b.done)])
	if b.done += int64(n); err == nil && b.done/step != before {
		_, err = fmt.Fprintln(os.Stdout, "at", b.done>>20)
	}
	return n, err
}

// streamChild puts some MiB, then one long object, and says how much memory it had at most after each.
func streamChild(dir, size string) error {
	mib, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := newChildStore(ctx, dir)
	if err != nil {
		return err
	}
	for i, n := range []int64{16 << 20, mib << 20} {
		body := &longBody{src: rand.NewChaCha8([32]byte{byte(i)}), n: n}
		if _, err := s.Put(ctx, "bucket", fmt.Sprint("k", i), body, object.PutOptions{}); err != nil {
			return err
		}
		peak, err := procStatus("VmHWM")
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, "memory", peak>>10); err != nil {
			return err
		}
	}
	return s.Close()
}

// TestLongUploadTakesLittleMemory streams one long object in a process of its own: its memory does not grow with it.
func TestLongUploadTakesLittleMemory(t *testing.T) {
	mib := size(t, streamSizeEnv, streamDefault)
	dir := t.TempDir()
	var peaks []int
	err := startChild(t, "stream", dir, fmt.Sprint(mib)).end(func(line string) {
		if kib, ok := strings.CutPrefix(line, "memory "); ok {
			n, err := strconv.Atoi(kib)
			if err != nil {
				t.Error(err)
			}
			peaks = append(peaks, n)
		}
	})
	if err != nil || len(peaks) != 2 {
		t.Fatal(peaks, err)
	}
	t.Logf("%d MiB were streamed; the process had %d KiB at most before, and %d KiB after", mib, peaks[0], peaks[1])
	if grown := peaks[1] - peaks[0]; grown > streamMemory {
		t.Errorf("%d MiB in one stream took %d KiB of memory", mib, grown)
	}
	if use := diskUse(t, dir); use < int64(mib)<<20 {
		t.Errorf("%d bytes are stored of %d MiB", use, mib)
	}
}

// TestAbandonedUploadIsSwept kills a process in the middle of a long upload: the next one removes all of it.
func TestAbandonedUploadIsSwept(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, "stream", dir, "1048576")
	for c.hear() != "at 160" {
	}
	c.kill(func(string) {})
	left := func(glob string) []string {
		names, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	// The short object lies in xorbs, too; the upload has made one or two of 64 MiB.
	if xorbs, use := len(left("xorbs/*/*")), diskUse(t, dir); xorbs < 2 || use < 100<<20 {
		t.Fatalf("%d xorbs and %d bytes lie about: too little to sweep", xorbs, use)
	}
	d := openTest(t, dir)
	if err := d.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if use := diskUse(t, dir); use > 17<<20 {
		t.Errorf("%d bytes are left, 16 MiB of them named", use)
	}
	if tmp, xorbs, procs := left("tmp/*"), left("xorbs/*/*"), left("procs/*"); len(tmp) != 0 || len(xorbs) != 1 || len(procs) != 1 {
		t.Errorf("left: %q, %q, %q; want one xorb and this process", tmp, xorbs, procs)
	}
}
