package xet

// Sizes of chunks in bytes (Xet specification, chunking parameters). Only the
// last chunk of a file is smaller than MinChunkSize when cut here; other
// clients have cut smaller ones, so readers accept any size from 1 on.
const (
	MinChunkSize    = TargetChunkSize / 8
	TargetChunkSize = 64 << 10
	MaxChunkSize    = TargetChunkSize * 2
)

// Splitter finds the ends of chunks in data that the caller holds. The zero
// value is ready for the beginning of a file.
type Splitter struct {
	done int // no cut up to here in the chunk at hand
}

// Next gives the size of the first chunk of data, which must begin where a
// chunk does: at the beginning of the file, or where the previous result that
// was not 0 ended. The result is 0 when data ends before the chunk does; then
// Next wants the same data with more after it, of which it looks at what is
// new. When final is set nothing follows data, and the rest of it is a chunk.
// For empty data the result is 0.
//
// Where the chunks end does not depend on how much data each call brings, but
// a call costs about as much as 64 bytes more.
func (s *Splitter) Next(data []byte, final bool) int {
	to := min(len(data), MaxChunkSize)
	from := max(MinChunkSize, s.done+1)
	n := 0
	if from <= to {
		n = scan(data, from, to)
	}
	if n == 0 && (to == MaxChunkSize || final) {
		n = to
	}
	if n != 0 {
		s.done = 0
	} else {
		s.done = to
	}
	return n
}

// Reset makes s ready for the beginning of a file.
func (s *Splitter) Reset() { s.done = 0 }

// NextStableBoundary gives the first end of a chunk at or after p from which
// on an edit of the file before p cannot have moved the cuts, and false when
// there is none. ends are the ends of the chunks of the file, ascending.
//
// The cuts come together again after two chunks in a row that are neither
// near the smallest nor near the largest size, since then the gear hash alone
// has made them.
func NextStableBoundary(ends []uint64, p uint64) (uint64, bool) {
	const low, high = 2 * MinChunkSize, MaxChunkSize - MinChunkSize
	settled := 0 // chunks in a row of such a size
	for i, end := range ends {
		if i == 0 || ends[i-1] < p {
			continue // the chunk begins before p's boundary
		}
		if size := end - ends[i-1]; low <= size && size < high {
			settled++
		} else {
			settled = 0
		}
		if settled == 2 {
			return end, true
		}
	}
	return 0, false
}
