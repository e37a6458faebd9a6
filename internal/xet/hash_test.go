package xet

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestParseHash(t *testing.T) {
	h := ChunkHash([]byte("x"))
	got, err := ParseHash(strings.ToUpper(h.String()))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "upper case", got, h)
	digits := strings.Repeat("0", 64)
	for _, s := range []string{
		"", digits[1:], digits + "0", "+" + digits[1:], digits[1:] + "g", digits[2:] + "é", " " + digits[1:],
		"0x" + digits[2:], digits[1:] + "\x00", digits[1:] + "/", digits[1:] + ":", digits[1:] + "@", digits[1:] + "`",
	} {
		if h, err := ParseHash(s); !errors.Is(err, ErrFormat) || !h.IsZero() {
			t.Errorf("%q: %v, %v", s, h, err)
		}
	}
}

func TestHashText(t *testing.T) {
	want := map[Hash][]Hash{ChunkHash(nil): {ChunkHash([]byte("a")), {}}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := decode[map[Hash][]Hash](t, b)
	if !slices.Equal(got[ChunkHash(nil)], want[ChunkHash(nil)]) {
		t.Errorf("got %v from %s", got, b)
	}
	h := ChunkHash(nil)
	if err := h.UnmarshalText([]byte("short")); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	equal(t, "hash after an error", h, ChunkHash(nil))
}

func TestHashOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var hashes []Hash
	for range 300 {
		var h Hash
		for i := range h {
			h[i] = byte(random.IntN(2)) // so that words are often equal
		}
		hashes = append(hashes, h)
	}
	hashes = append(hashes, Hash{}, shardBookend)
	for _, a := range hashes {
		for _, b := range hashes {
			equal(t, "order", a.Compare(b), strings.Compare(a.String(), b.String()))
		}
		equal(t, "truncated", a.Truncated(), binary.LittleEndian.Uint64(a[:8]))
	}
}

func TestZeroKey(t *testing.T) {
	h := ChunkHash([]byte("x"))
	var want Hash
	b := newKeyed(Hash{})
	if _, err := b.Write(h[:]); err != nil {
		t.Fatal(err)
	}
	b.Sum(want[:0])
	equal(t, "under the zero key", h.Keyed(Hash{}), want)
}

// TestTreeHash compares the streaming tree with the letter of the rule, after
// every chunk of lists in which groups end often, rarely and never.
func TestTreeHash(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, share := range []int{0, 1, 4, 10, 1000} { // one hash in so many ends a group
		var tree TreeHash
		var list []hashSize
		var chunks []Chunk
		for n := range 260 {
			if n > 0 {
				h := ChunkHash(binary.LittleEndian.AppendUint64(nil, random.Uint64()))
				h[24] |= 1
				if share > 0 && random.IntN(share) == 0 {
					h[24] &^= 3
				}
				size := random.Uint32N(MaxChunkSize) + 1
				list = append(list, hashSize{h, uint64(size)})
				chunks = append(chunks, Chunk{h, size})
				tree.Add(h, uint64(size))
			}
			_, root := naiveTree(list)
			if got := tree.Root(); got != root {
				t.Fatalf("share %d, %d chunks: root %v, want %v", share, n, got, root)
			}
			file := root.Keyed(Hash{})
			if n == 0 {
				file = Hash{}
			}
			equal(t, "file", tree.FileHash(), file)
			equal(t, "xorb of a list", XorbHash(chunks), root)
			equal(t, "file of a list", FileHash(chunks), file)
		}
		tree.Reset()
		equal(t, "after reset", tree.FileHash(), Hash{})
		tree.Add(list[0].Hash, list[0].Size)
		equal(t, "one after reset", tree.Root(), list[0].Hash)
	}
}

func TestTreeHashMemory(t *testing.T) {
	var tree TreeHash
	for i := range 100_000 {
		tree.Add(ChunkHash(binary.LittleEndian.AppendUint32(nil, uint32(i))), 1)
	}
	// Groups have three nodes or more, and 3^11 is more than 100000.
	if n := len(tree.levels); n > 12 {
		t.Errorf("%d levels", n)
	}
	var last treeNode
	for _, l := range tree.levels {
		for _, node := range l.open[:l.n] {
			last.size += node.size
		}
	}
	equal(t, "bytes below the open nodes", last.size, 100_000)
}

func TestRangeHash(t *testing.T) {
	var r RangeHash
	var hashes []Hash
	for i := range 600 {
		equal(t, "range", r.Sum(), VerificationHash(hashes))
		h := ChunkHash([]byte{byte(i), byte(i >> 8)})
		hashes = append(hashes, h)
		r.Add(h)
	}
	equal(t, "twice", r.Sum(), r.Sum())
	r.Reset()
	r.Add(hashes[0])
	equal(t, "after reset", r.Sum(), VerificationHash(hashes[:1]))
}
