package object_test

import (
	"hash/crc32"
	"hash/crc64"
	"math/rand/v2"
	"testing"

	"hugbucket/internal/object"
)

// TestCombineCRC cuts content at random and combines the CRCs of the pieces: that is the CRC of the whole.
func TestCombineCRC(t *testing.T) {
	sums := map[object.CRCPoly]func([]byte) uint64{
		object.PolyCRC32:  func(b []byte) uint64 { return uint64(crc32.ChecksumIEEE(b)) },
		object.PolyCRC32C: func(b []byte) uint64 { return uint64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))) },
		object.PolyCRC64NVME: func(b []byte) uint64 {
			return crc64.Checksum(b, crc64.MakeTable(uint64(object.PolyCRC64NVME)))
		},
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		whole := make([]byte, rng.IntN(5000))
		for i := range whole {
			whole[i] = byte(rng.Uint32())
		}
		for poly, sum := range sums {
			got := sum(nil)
			for rest := whole; len(rest) > 0; {
				n := 1 + rng.IntN(len(rest))
				got = object.CombineCRC(poly, got, sum(rest[:n]), int64(n))
				got = object.CombineCRC(poly, got, sum(nil), 0)
				rest = rest[n:]
			}
			if want := sum(whole); got != want {
				t.Errorf("seed %d, polynomial %x: the pieces of %d bytes make %x, want %x", seed, poly, len(whole), got, want)
			}
		}
	}
}

// TestCombineCRCOfMuch knows the CRC-32 of zeros that are more than a test can hold: by squaring their number.
func TestCombineCRCOfMuch(t *testing.T) {
	block := make([]byte, 1<<20)
	sum, size := uint64(crc32.ChecksumIEEE(block)), int64(len(block))
	for range 22 { // to 4 TiB
		sum = object.CombineCRC(object.PolyCRC32, sum, sum, size)
		size *= 2
	}
	// A second way: 4 TiB are 2^20 times 4 MiB.
	four := uint64(crc32.ChecksumIEEE(make([]byte, 4<<20)))
	other := uint64(0)
	for range 1 << 10 {
		other = object.CombineCRC(object.PolyCRC32, other, four, 4<<20)
	}
	gib := other // 4 GiB
	other = 0
	for range 1 << 10 {
		other = object.CombineCRC(object.PolyCRC32, other, gib, 4<<30)
	}
	if sum != other {
		t.Errorf("%d zeros: %08x or %08x", size, sum, other)
	}
}
