package xet

// RangeHash computes the verification hash of a term, the hash over the raw
// hashes of its chunks in order (Xet specification, term verification hashes),
// as the chunks stream by. The zero value is ready. From the first Add to Reset
// it holds one BLAKE3 state, about 11 kB.
type RangeHash struct {
	s *hashState // nil until the first Add
}

// Add appends the hash of a chunk.
func (r *RangeHash) Add(h Hash) {
	if r.s == nil {
		r.s = verificationHasher.get()
	}
	_, _ = r.s.b.Write(h[:]) // never fails
}

// Sum gives the hash over the chunks so far. More may be added afterwards.
func (r *RangeHash) Sum() Hash {
	if r.s == nil {
		return VerificationHash(nil)
	}
	r.s.b.Sum(r.s.out[:0])
	return r.s.out
}

// Reset makes r stand for no chunks again.
func (r *RangeHash) Reset() {
	if r.s != nil {
		verificationHasher.pool.Put(r.s)
		r.s = nil
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
