package object_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
	"hugbucket/internal/xet"
)

func joinStore(t *testing.T) *object.Store {
	t.Helper()
	s := object.New(objecttest.NewMemory(), object.Config{})
	if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func joinPut(t *testing.T, s *object.Store, key string, body []byte) object.Info {
	t.Helper()
	info, err := s.Put(t.Context(), "bucket", key, bytes.NewReader(body), object.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// joinBody is random, or hardly so: with chunks of the largest size, or with many that are alike.
func joinBody(rng *rand.Rand) []byte {
	sizes := []int{0, 1, 100, xet.MinChunkSize, xet.TargetChunkSize, xet.MaxChunkSize, 300_000, 2_000_000}
	n := sizes[rng.IntN(len(sizes))]
	body := make([]byte, n+rng.IntN(n+2))
	switch rng.IntN(4) {
	case 0: // zeros: no cut but at the largest size
	case 1:
		period := rng.IntN(3000) + 1
		for i := range body {
			body[i] = byte(i % period * 7)
		}
	default:
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
	}
	return body
}

// TestJoinIsAsOnePiece joins random pieces of stored files: the file is the one that the same bytes are in one piece, with the
// same chunks.
func TestJoinIsAsOnePiece(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 150 {
		s := joinStore(t)
		var whole []byte
		var pieces []object.Piece
		for i := range 1 + rng.IntN(6) {
			body := joinBody(rng)
			info := joinPut(t, s, fmt.Sprint("part ", i), body)
			from, to := 0, len(body)
			if rng.IntN(3) == 0 {
				from = rng.IntN(len(body) + 1)
				to = from + rng.IntN(len(body)-from+1)
			}
			pieces = append(pieces, object.Piece{File: info.File, From: int64(from), To: int64(to)})
			whole = append(whole, body[from:to]...)
		}
		got, _, err := object.Join(t.Context(), s, "joined", pieces)
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		want := joinPut(t, joinStore(t), "whole", whole)
		if got.Hash != want.File || got.Size != uint64(len(whole)) {
			t.Fatalf("seed %d, round %d: %v make %v of %d bytes, want %v of %d",
				seed, round, pieces, got.Hash, got.Size, want.File, len(whole))
		}
		f, err := s.Open(t.Context(), "bucket", "joined")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(body, whole) {
			t.Fatalf("seed %d, round %d: joined bytes differ, %v", seed, round, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJoinReadsOnlySeams joins parts of random sizes, the largest of them much larger than a chunk: of each, hardly more is read
// than a few chunks, and no byte more than twice.
func TestJoinReadsOnlySeams(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := joinStore(t)
	var pieces []object.Piece
	var size, most int64
	for i := range 120 {
		n := rng.IntN(400_000)
		if i%20 == 0 {
			n = 5 << 20
		}
		body := make([]byte, n)
		for j := range body {
			body[j] = byte(rng.Uint32())
		}
		info := joinPut(t, s, fmt.Sprint(i), body)
		pieces = append(pieces, object.Piece{File: info.File, To: info.Size})
		size += info.Size
		most += min(2*info.Size, 2*xet.TargetChunkSize)
	}
	joined, read, err := object.Join(t.Context(), s, "joined", pieces)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d bytes were read, the bound is %d", read, size, most)
	if read > most || int64(joined.Size) != size {
		t.Errorf("%d of %d bytes were read, more than %d; %d are joined", read, size, most, joined.Size)
	}
}
