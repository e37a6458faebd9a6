package xet

import (
	"fmt"
	"math"
	"math/bits"
)

// Scheme says how the payload of a record is compressed. The values are those
// of the Xet xorb format; no others may be stored.
type Scheme uint8

// The schemes.
const (
	SchemeNone   Scheme = 0 // the chunk itself
	SchemeLZ4    Scheme = 1 // an LZ4 frame of the chunk
	SchemeBG4LZ4 Scheme = 2 // an LZ4 frame of the chunk with its bytes grouped by position modulo 4
)

// String gives the name of the scheme in the Xet specification.
func (s Scheme) String() string {
	switch s {
	case SchemeNone:
		return "none"
	case SchemeLZ4:
		return "lz4"
	case SchemeBG4LZ4:
		return "bg4-lz4"
	}
	return fmt.Sprintf("scheme(%d)", uint8(s))
}

// bg4Threshold is the divergence above which grouping is expected to pay.
const bg4Threshold = 0.02

// ChooseScheme gives the scheme that is expected to store raw best, SchemeLZ4
// or SchemeBG4LZ4. It is a guess from bit counts, made as the reference
// implementation makes it; any choice is valid. Neighbours are alike, so
// asking for one chunk in 32 is enough.
func ChooseScheme(raw []byte) Scheme {
	if bg4Divergence(raw) > bg4Threshold {
		return SchemeBG4LZ4
	}
	return SchemeLZ4
}

// bg4Divergence measures how differently the bits of the four lanes of raw
// (bytes by position modulo 4) are set: the largest Kullback-Leibler
// divergence of the bit counts of a lane from those of all.
//
// A lane that lacks one of the nine possible bit counts does not take part.
// That is how the reference computes it (0 times a logarithm of 0 is no
// number, and no number is never the maximum), so sizes stay comparable.
func bg4Divergence(raw []byte) float64 {
	lanes := laneBitCounts(raw)
	var base [9]float64
	for j := range base {
		base[j] = 1
		for i := range lanes {
			base[j] += float64(lanes[i][j])
		}
	}
	total := float64(len(raw))
	best := 0.0
	for i := range lanes {
		sum := 0.0
		for _, n := range lanes[i] {
			sum += float64(n)
		}
		kl := 0.0
		for j, n := range lanes[i] {
			p, q := float64(n)/sum, base[j]/total
			kl += p * math.Log(p/q)
		}
		if kl > best { // false for no number
			best = kl
		}
	}
	return best
}

// laneBitCounts counts, for each lane, the bytes with 0 to 8 bits set.
func laneBitCounts(raw []byte) (lanes [4][9]uint32) {
	var values [4][256]uint32
	rest := raw
	for len(rest) >= 4 {
		values[0][rest[0]]++
		values[1][rest[1]]++
		values[2][rest[2]]++
		values[3][rest[3]]++
		rest = rest[4:]
	}
	for i, b := range rest {
		values[i][b]++
	}
	for i := range values {
		for b, n := range values[i] {
			lanes[i][bits.OnesCount8(uint8(b))] += n
		}
	}
	return lanes
}
