package sumvfs

import "encoding/binary"

// LogSum is the checksum that a frame of SQLite's log has, which goes on from that of the frame before, and the first one from the
// log's header: https://www.sqlite.org/fileformat2.html#checksum_algorithm.
type LogSum [2]uint32

// Add goes on over p, whose length is a multiple of 8. The order of the bytes is the log's.
func (s LogSum) Add(order binary.ByteOrder, p []byte) LogSum {
	if order == binary.LittleEndian { // nearly always, and half the time
		for ; len(p) >= 8; p = p[8:] {
			s[0] += binary.LittleEndian.Uint32(p) + s[1]
			s[1] += binary.LittleEndian.Uint32(p[4:]) + s[0]
		}
		return s
	}
	for ; len(p) >= 8; p = p[8:] {
		s[0] += order.Uint32(p) + s[1]
		s[1] += order.Uint32(p[4:]) + s[0]
	}
	return s
}

// StoredLogSum is a checksum as it stands in the header of a log or of a frame.
func StoredLogSum(p []byte) LogSum {
	return LogSum{binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:])}
}
