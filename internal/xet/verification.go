package xet

import "github.com/zeebo/blake3"

// RangeHash computes the verification hash of a term, the hash over the raw
// hashes of its chunks in order (Xet specification, term verification hashes),
// as the chunks stream by. The zero value is ready. It holds one BLAKE3 state,
// about 11 kB.
type RangeHash struct {
	b *blake3.Hasher // nil until the first Add
}

// Add appends the hash of a chunk.
func (r *RangeHash) Add(h Hash) {
	if r.b == nil {
		r.b = newKeyed(verificationKey)
	}
	_, _ = r.b.Write(h[:]) // never fails
}

// Sum gives the hash over the chunks so far. More may be added afterwards.
func (r *RangeHash) Sum() Hash {
	if r.b == nil {
		return VerificationHash(nil)
	}
	var out Hash
	r.b.Sum(out[:0])
	return out
}

// Reset makes r stand for no chunks again.
func (r *RangeHash) Reset() {
	if r.b != nil {
		r.b.Reset()
	}
}

// VerificationHash gives the verification hash of the term that consists of
// chunks. A term has at least one chunk; the hash of none means nothing.
func VerificationHash(chunks []Hash) Hash {
	s := verificationHasher.get()
	for i := range chunks {
		_, _ = s.b.Write(chunks[i][:]) // never fails
	}
	return verificationHasher.put(s)
}
