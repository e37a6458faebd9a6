package xet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/zeebo/blake3"
)

const (
	// HashSize is the size of a Hash in bytes.
	HashSize = 32
	// hashTextSize is the length of the text form of a Hash.
	hashTextSize = 2 * HashSize
	// globalDedupModulus: one chunk in this many is worth a question to the
	// server, by the last word of its hash (Xet specification, deduplication).
	globalDedupModulus = 1024
)

// The BLAKE3 keys of the Xet specification. One key for each use keeps a hash
// of one kind from passing for another.
var (
	dataKey = Hash{
		102, 151, 245, 119, 91, 149, 80, 222, 49, 53, 203, 172, 165, 151, 24, 28,
		157, 228, 33, 16, 155, 235, 43, 88, 180, 208, 176, 75, 147, 173, 242, 41,
	}
	internalNodeKey = Hash{
		1, 126, 197, 199, 165, 71, 41, 150, 253, 148, 102, 102, 180, 138, 2, 230,
		93, 221, 83, 111, 55, 199, 109, 210, 248, 99, 82, 230, 74, 83, 113, 63,
	}
	verificationKey = Hash{
		127, 24, 87, 214, 206, 86, 237, 102, 18, 127, 249, 19, 231, 165, 195, 243,
		164, 205, 38, 213, 181, 219, 73, 230, 65, 36, 152, 127, 40, 251, 148, 195,
	}
)

// Hash is a Xet hash in the raw form, which is the one inside of xorbs,
// shards and other hashes. The text form (URLs, JSON) is that of
// [Hash.String]. The zero Hash is the hash of the empty file and of nothing
// else.
type Hash [HashSize]byte

// ParseHash reads the text form of a hash: exactly 64 hex digits, four words
// of 16 digits, each the little-endian value of 8 raw bytes (Xet
// specification, hash string format). Upper case digits are accepted, since
// they can mean nothing else; String never writes them. Anything else is
// ErrFormat.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != hashTextSize {
		return Hash{}, fmt.Errorf("hash: %w: %d characters instead of %d", ErrFormat, len(s), hashTextSize)
	}
	for i := range h {
		hi, lo := unhex(s[2*i]), unhex(s[2*i+1])
		if hi|lo > 0x0f {
			return Hash{}, fmt.Errorf("hash: %w: %q is not hexadecimal", ErrFormat, s)
		}
		h[swapped(i)] = hi<<4 | lo
	}
	return h, nil
}

// swapped gives the place in the raw form of byte i of the text form, and the
// other way round: the bytes of each 8-byte word are reversed.
func swapped(i int) int { return i ^ 7 }

// unhex gives the value of a hex digit, and 0xff for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// String gives the text form of h: 64 lower case hex digits, see [ParseHash].
func (h Hash) String() string {
	var b [hashTextSize]byte
	return string(h.appendText(b[:0]))
}

func (h Hash) appendText(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for i := range h {
		b := h[swapped(i)]
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// MarshalText gives the text form of h, so that hashes are strings in JSON.
// The error is always nil.
func (h Hash) MarshalText() ([]byte, error) {
	return h.appendText(make([]byte, 0, hashTextSize)), nil
}

// UnmarshalText sets h from its text form. It fails as [ParseHash] does and
// then leaves h alone.
func (h *Hash) UnmarshalText(text []byte) error {
	p, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = p
	return nil
}

// IsZero tells whether h is the zero hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// Compare orders hashes by their four words, which is the order of their text
// forms and of the sections of a shard. It is not the order of the raw bytes.
// The result is -1, 0 or +1.
func (h Hash) Compare(o Hash) int {
	for i := range HashSize / 8 {
		if c := cmp.Compare(h.word(i), o.word(i)); c != 0 {
			return c
		}
	}
	return 0
}

// Truncated gives the first word of h, the key of the lookup tables in a
// shard.
func (h Hash) Truncated() uint64 { return h.word(0) }

func (h Hash) word(i int) uint64 { return binary.LittleEndian.Uint64(h[8*i : 8*i+8]) }

// last gives the last word of h, the one that decides about tree groups and
// deduplication.
func (h Hash) last() uint64 { return h.word(3) }

// GlobalDedupEligible tells whether h, a chunk hash, is one of the 1 in 1024
// that a client asks the server about wherever it meets them (Xet
// specification, deduplication).
func (h Hash) GlobalDedupEligible() bool { return h.last()%globalDedupModulus == 0 }

// Keyed gives the BLAKE3 hash of h under key: the form of chunk hashes in a
// shard that has an HMAC key, and the file hash of a tree root under a salt.
func (h Hash) Keyed(key Hash) Hash {
	if key.IsZero() {
		return zeroHasher.sum(h[:])
	}
	var out Hash
	b := newKeyed(key)
	_, _ = b.Write(h[:]) // never fails
	b.Sum(out[:0])
	return out
}

// ChunkHash gives the hash of a chunk from its uncompressed bytes. It is also
// the hash that names a whole shard file.
func ChunkHash(data []byte) Hash { return dataHasher.sum(data) }

// hasher hashes under one key. It keeps BLAKE3 states for reuse, since each is
// more than 10 kB. It is for concurrent use.
type hasher struct {
	key  Hash
	pool sync.Pool // of *hashState
}

// hashState is a BLAKE3 state and the place where its result goes.
type hashState struct {
	b   *blake3.Hasher
	out Hash
}

var (
	dataHasher         = &hasher{key: dataKey}
	nodeHasher         = &hasher{key: internalNodeKey}
	verificationHasher = &hasher{key: verificationKey}
	zeroHasher         = &hasher{} // a key of 32 zero bytes, not the unkeyed mode
)

func newKeyed(key Hash) *blake3.Hasher {
	b, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic("xet: " + err.Error()) // only for a key that is not 32 bytes
	}
	return b
}

// get gives a fresh state, to be given back by put.
func (k *hasher) get() *hashState {
	if s, ok := k.pool.Get().(*hashState); ok {
		s.b.Reset()
		return s
	}
	return &hashState{b: newKeyed(k.key)}
}

// put takes the state back and gives its hash.
func (k *hasher) put(s *hashState) Hash {
	s.b.Sum(s.out[:0])
	h := s.out
	k.pool.Put(s)
	return h
}

func (k *hasher) sum(data []byte) Hash {
	s := k.get()
	_, _ = s.b.Write(data) // never fails
	return k.put(s)
}
