package xet

// Chunk names one chunk: its hash and its uncompressed size in bytes, 1 to
// MaxChunkSize.
type Chunk struct {
	Hash Hash
	Size uint32
}

// Range is a range of chunks of a xorb: the index of the first one and that
// after the last one.
type Range struct {
	Start, End uint32
}

// Len gives the number of chunks in r, and 0 when r is upside down.
func (r Range) Len() int { return max(0, int(r.End)-int(r.Start)) }

// Term is a run of chunks of one xorb, a piece of a file (Xet specification,
// file reconstruction).
type Term struct {
	Xorb  Hash
	Range Range
	// Bytes is the uncompressed size of the chunks together. It fits because
	// a xorb holds no more than MaxXorbSize.
	Bytes uint32
	// Verification is the verification hash of the chunks, see [RangeHash],
	// or zero when it is not known.
	Verification Hash
}

// Reconstruction says how a file is made: the uncompressed chunks of its terms
// in order. The empty file has the zero hash and no terms.
type Reconstruction struct {
	Hash  Hash
	Size  uint64 // bytes; the sum over the terms
	Terms []Term
}
