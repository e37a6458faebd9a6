package xet

import "encoding/binary"

// bg4Split writes the bytes of src to dst, which has the same length and other
// memory, grouped by their position modulo 4: those at 0, 4, 8 and so on
// first, then those at 1, 5, 9 (Xet specification, byte grouping). When the
// length is not a multiple of 4, the first groups are one longer.
func bg4Split(dst, src []byte) {
	g0, g1, g2, g3 := bg4Groups(dst)
	// Four words at a time, each of which has two bytes for each group.
	le := binary.LittleEndian
	i := 0
	for rest := src; len(rest) >= 32; rest = rest[32:] {
		a, b := bg4Shuffle(le.Uint64(rest)), bg4Shuffle(le.Uint64(rest[8:]))
		c, d := bg4Shuffle(le.Uint64(rest[16:])), bg4Shuffle(le.Uint64(rest[24:]))
		const m = 0xffff
		le.PutUint64(g0[i:], a&m|b&m<<16|c&m<<32|d<<48)
		le.PutUint64(g1[i:], a>>16&m|b>>16&m<<16|c>>16&m<<32|d>>16<<48)
		le.PutUint64(g2[i:], a>>32&m|b>>32&m<<16|c>>32&m<<32|d>>32<<48)
		le.PutUint64(g3[i:], a>>48|b>>48<<16|c>>48<<32|d>>48<<48)
		i += 8
	}
	groups := [4][]byte{g0, g1, g2, g3}
	for j := 4 * i; j < len(src); j++ {
		groups[j%4][j/4] = src[j]
	}
}

// bg4Join undoes bg4Split.
func bg4Join(dst, src []byte) {
	g0, g1, g2, g3 := bg4Groups(src)
	le := binary.LittleEndian
	i := 0
	for rest := dst; len(rest) >= 32; rest = rest[32:] {
		a, b := le.Uint64(g0[i:]), le.Uint64(g1[i:])
		c, d := le.Uint64(g2[i:]), le.Uint64(g3[i:])
		const m = 0xffff
		le.PutUint64(rest, bg4Unshuffle(a&m|b&m<<16|c&m<<32|d<<48))
		le.PutUint64(rest[8:], bg4Unshuffle(a>>16&m|b>>16&m<<16|c>>16&m<<32|d>>16<<48))
		le.PutUint64(rest[16:], bg4Unshuffle(a>>32&m|b>>32&m<<16|c>>32&m<<32|d>>32<<48))
		le.PutUint64(rest[24:], bg4Unshuffle(a>>48|b>>48<<16|c>>48<<32|d>>48<<48))
		i += 8
	}
	groups := [4][]byte{g0, g1, g2, g3}
	for j := 4 * i; j < len(dst); j++ {
		dst[j] = groups[j%4][j/4]
	}
}

// bg4Groups cuts grouped bytes into their four groups.
func bg4Groups(b []byte) (g0, g1, g2, g3 []byte) {
	n0, n1, n2 := (len(b)+3)/4, (len(b)+2)/4, (len(b)+1)/4
	g0, b = b[:n0], b[n0:]
	g1, b = b[:n1], b[n1:]
	return g0, g1, b[:n2], b[n2:]
}

// bg4Shuffle orders the bytes 01234567 of a word as 04152637, so that those of
// one group are together: first the middle pairs change places, then the
// middle bytes of each half.
func bg4Shuffle(x uint64) uint64 {
	t := (x ^ x>>16) & 0x0000_0000_ffff_0000
	x ^= t ^ t<<16
	t = (x ^ x>>8) & 0x0000_ff00_0000_ff00
	return x ^ t ^ t<<8
}

// bg4Unshuffle undoes bg4Shuffle.
func bg4Unshuffle(x uint64) uint64 {
	t := (x ^ x>>8) & 0x0000_ff00_0000_ff00
	x ^= t ^ t<<8
	t = (x ^ x>>16) & 0x0000_0000_ffff_0000
	return x ^ t ^ t<<16
}
