package disk

// idSet is a set of ids of rows. These are dense: a bit each takes 1.25 MB for ten million.
type idSet []uint64

func (s *idSet) add(id int64) {
	if n := int(id/64) + 1; n > len(*s) {
		*s = append(*s, make([]uint64, n-len(*s))...)
	}
	(*s)[id/64] |= 1 << (id % 64)
}

func (s idSet) has(id int64) bool { return int(id/64) < len(s) && s[id/64]&(1<<(id%64)) != 0 }
