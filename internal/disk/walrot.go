package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hugbucket/internal/object"
)

// SQLite takes a frame of the log whose checksum is wrong for the end of what was written before a power cut, and drops all
// that follows. A bit that flips on disk would so take back what was acknowledged, without a word. The two can be told apart:
// with synchronous=FULL the log is synced at the end of each transaction, before anything is written behind it. So a bad frame
// was whole once if a whole frame behind it ends a transaction, and a whole frame comes after that. What a bad frame says of
// itself is not believed: it may be torn.
//
// https://www.sqlite.org/fileformat2.html#the_write_ahead_log: a header of 32 bytes (magic, version, page size, sequence, salt
// [8], checksum [8]), then frames: a header of 24 bytes (page, size of the database after a commit or 0, salt [8], checksum
// [8]) and the page. A frame's checksum goes on from that of the one before.

const (
	walHeader   = 32
	frameHeader = 24
	// pageSize is that of the catalog.
	pageSize = 4096
	walMagic = 0x377f0682 // | 1 when checksums take words as big-endian
)

// walSum is the checksum of the log.
type walSum [2]uint32

// add goes on over p, whose length is a multiple of 8.
func (s walSum) add(order binary.ByteOrder, p []byte) walSum {
	for ; len(p) > 0; p = p[8:] {
		s[0] += order.Uint32(p) + s[1]
		s[1] += order.Uint32(p[4:]) + s[0]
	}
	return s
}

// storedSum is a checksum as it stands in a header.
func storedSum(p []byte) walSum {
	return walSum{binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:])}
}

// checkLog returns an object.ErrCorrupt when the log of a database has lost transactions that were synced. The caller keeps
// those out who write to it.
func (b database) checkLog() error {
	f, err := os.Open(b.path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioError(err)
	}
	bad, err := lostFrame(f)
	_ = f.Close() // it was only read
	if err == nil && bad >= 0 {
		err = fmt.Errorf("%w: %s-wal: frame %d, with transactions behind it", object.ErrCorrupt, filepath.Base(b.path), bad)
	}
	return ioError(err)
}

// lostFrame returns the first frame (0 is the header) of a log that is damaged and was synced once; -1 when there is none.
func lostFrame(r io.Reader) (int, error) {
	head := make([]byte, walHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return -1, ignoreEnd(err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if binary.BigEndian.Uint32(head)&1 != 0 {
		order = binary.BigEndian
	}
	salt := string(head[16:24])
	sum := storedSum(head[24:])
	bad := -1
	if binary.BigEndian.Uint32(head)&^1 != walMagic || (walSum{}).add(order, head[:24]) != sum {
		bad, salt = 0, "" // that of the first frame
	}
	ended := false // with the frame before, which is whole and behind the bad one, a transaction has ended
	frame := make([]byte, frameHeader+pageSize)
	for n := 1; ; n++ {
		if _, err := io.ReadFull(r, frame); err != nil {
			return -1, ignoreEnd(err)
		}
		if salt == "" {
			salt = string(frame[8:16])
		}
		stored := storedSum(frame[16:24])
		whole := string(frame[8:16]) == salt && sum.add(order, frame[:8]).add(order, frame[frameHeader:]) == stored
		sum = stored
		if whole && ended {
			return bad, nil
		}
		if !whole && bad < 0 {
			bad = n
		}
		ended = bad >= 0 && whole && binary.BigEndian.Uint32(frame[4:]) != 0
	}
}

// ignoreEnd makes no error of the end of a file.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
