package object_test

import (
	"bytes"
	"context"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
	"hugbucket/internal/xet"
)

// TestAppendIsAsOnePiece goes on from anywhere in random content, several times: the file is the one that the same bytes are in one
// piece, and so is the CRC.
func TestAppendIsAsOnePiece(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 60 {
		s := joinStore(t)
		whole := joinBody(rng)
		joinPut(t, s, "key", whole)
		for step := range 1 + rng.IntN(4) {
			at, more := len(whole), joinBody(rng)
			if rng.IntN(2) == 0 {
				at = rng.IntN(at + 1)
			}
			whole = slices.Concat(whole[:at], more)
			got, err := s.Append(t.Context(), "bucket", "key", int64(at), bytes.NewReader(more), object.PutOptions{})
			if err != nil {
				t.Fatalf("seed %d, round %d: %v", seed, round, err)
			}
			want := joinPut(t, joinStore(t), "whole", whole)
			if got.File != want.File || got.Size != want.Size || !bytes.Equal(got.Digests.CRC64NVME, want.Digests.CRC64NVME) {
				t.Fatalf("seed %d, round %d, step %d: %d bytes at %d make %v of %d bytes, want %v of %d",
					seed, round, step, len(more), at, got.File, got.Size, want.File, want.Size)
			}
		}
		f, err := s.Open(t.Context(), "bucket", "key")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(body, whole) {
			t.Fatalf("seed %d, round %d: bytes differ, %v", seed, round, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// readCounter counts the bytes that contents hand out.
type readCounter struct {
	object.Driver
	read int64
}

func (d *readCounter) Open(ctx context.Context, bucket, key string) (object.Info, object.Content, error) {
	info, c, err := d.Driver.Open(ctx, bucket, key)
	return info, readContent{c, &d.read}, err
}

type readContent struct {
	object.Content
	read *int64
}

func (c readContent) Block(ctx context.Context, off, want int64) ([]byte, error) {
	b, err := c.Content.Block(ctx, off, want)
	*c.read += min(int64(len(b)), want)
	return b, err
}

// TestAppendReadsOnlyTheSeam appends to much: no more than a chunk is read, and, when a little is cut off, that.
func TestAppendReadsOnlyTheSeam(t *testing.T) {
	d := &readCounter{Driver: objecttest.NewMemory()}
	s := object.New(d, object.Config{})
	if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	for _, c := range []struct{ at, most int64 }{
		{int64(len(data)), xet.MaxChunkSize},
		{int64(len(data)) - 1000, xet.MaxChunkSize + 1000},
		{1000, 2000},
	} {
		joinPut(t, s, "key", data)
		d.read = 0
		if _, err := s.Append(t.Context(), "bucket", "key", c.at, bytes.NewReader(data[c.at:]), object.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if d.read > c.most {
			t.Errorf("to go on at %d, %d bytes were read, want at most %d", c.at, d.read, c.most)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFirstCRC takes back what CombineCRC does.
func TestFirstCRC(t *testing.T) {
	for _, poly := range []object.CRCPoly{object.PolyCRC32, object.PolyCRC32C, object.PolyCRC64NVME} {
		for range 50 {
			first, second, size := rand.Uint64(), rand.Uint64(), rand.Int64N(object.MaxSize)
			if poly != object.PolyCRC64NVME {
				first, second = first>>32, second>>32
			}
			if got := object.FirstCRC(poly, object.CombineCRC(poly, first, second, size), second, size); got != first {
				t.Errorf("polynomial %x, %d bytes: %x, want %x", poly, size, got, first)
			}
		}
	}
	data := []byte("some content")
	sum := func(b []byte) uint64 { return crc64.Checksum(b, crc64.MakeTable(uint64(object.PolyCRC64NVME))) }
	if got := object.FirstCRC(object.PolyCRC64NVME, sum(data), sum(data[4:]), int64(len(data)-4)); got != sum(data[:4]) {
		t.Errorf("of %q: %x, want %x", data, got, sum(data[:4]))
	}
}
