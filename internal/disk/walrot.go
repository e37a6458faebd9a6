package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hugbucket/internal/disk/sumvfs"
	"hugbucket/internal/object"
)

// SQLite takes a frame of the log whose checksum is wrong for the end of what was written before a power cut, and drops all
// that follows. A bit that flips on disk would so take back what was acknowledged, without a word. The two can be told apart:
// with synchronous=FULL the log is synced at the end of each transaction, before anything is written behind it, and by who opens
// it, because a process that was killed may not have come to that. So a bad frame was whole once if a whole frame behind it ends a
// transaction, and a whole frame comes after that. What a bad frame says of itself is not believed: it may be torn.
//
// https://www.sqlite.org/fileformat2.html#the_write_ahead_log: a header of 32 bytes (magic, version, page size, sequence, salt
// [8], checksum [8]), then frames: a header of 24 bytes (page, size of the database after a commit or 0, salt [8], checksum
// [8]) and the page. A frame's checksum goes on from that of the one before.

const (
	walHeader   = sumvfs.LogHeader
	frameHeader = sumvfs.FrameHeader
	// pageSize is that of the catalog.
	pageSize = 4096
	walMagic = 0x377f0682 // | 1 when checksums take words as big-endian
)

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
func lostFrame(r io.ReadSeeker) (int, error) {
	head := make([]byte, walHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return -1, ignoreEnd(err)
	}
	stored := sumvfs.StoredLogSum(head[24:])
	orders := []binary.ByteOrder{binary.LittleEndian, binary.BigEndian}
	for i, order := range orders {
		if binary.BigEndian.Uint32(head) == uint32(walMagic|i) && (sumvfs.LogSum{}).Add(order, head[:24]) == stored {
			scan := logScan{order: order, salt: string(head[16:24]), before: [2]sumvfs.LogSum{stored, stored}, bad: -1}
			return scan.run(r)
		}
	}
	// A header that is damaged does not say how the frames are to be read.
	for _, order := range orders {
		if _, err := r.Seek(walHeader, io.SeekStart); err != nil {
			return -1, err
		}
		scan := logScan{order: order, before: [2]sumvfs.LogSum{stored, (sumvfs.LogSum{}).Add(order, head[:24])}}
		if bad, err := scan.run(r); bad >= 0 || err != nil {
			return bad, err
		}
	}
	return -1, nil
}

// logScan goes over the frames of a log.
type logScan struct {
	order binary.ByteOrder
	salt  string // that of all frames; empty until it is known
	// before is what the checksum of the frame before may be, if that is damaged: what it says, or what its content makes.
	before [2]sumvfs.LogSum
	bad    int  // the first that is damaged; -1 for none
	ended  bool // the frame before is whole and behind the bad one, and a transaction has ended with it
}

// run is lostFrame for the frames.
func (s *logScan) run(r io.Reader) (int, error) {
	frame := make([]byte, frameHeader+pageSize)
	for n := 1; ; n++ {
		if _, err := io.ReadFull(r, frame); err != nil {
			return -1, ignoreEnd(err)
		}
		whole := s.whole(frame)
		if whole && s.ended {
			return s.bad, nil
		}
		if !whole && s.bad < 0 {
			s.bad = n
		}
		s.ended = s.bad >= 0 && whole && binary.BigEndian.Uint32(frame[4:]) != 0
	}
}

// whole says whether the next frame is as it was written. The first that goes on from the one before tells the salt, when the header
// does not; no frame is of page 0, which keeps zeros from being one.
func (s *logScan) whole(frame []byte) bool {
	stored, salt := sumvfs.StoredLogSum(frame[16:24]), string(frame[8:16])
	made := stored
	if s.salt == "" || s.salt == salt { // checksums do not cover it
		for _, sum := range s.before {
			made = sum.Add(s.order, frame[:8]).Add(s.order, frame[frameHeader:])
			if made == stored && binary.BigEndian.Uint32(frame) != 0 {
				s.before, s.salt = [2]sumvfs.LogSum{stored, stored}, salt
				return true
			}
		}
	}
	s.before = [2]sumvfs.LogSum{stored, made}
	return false
}

// ignoreEnd makes no error of the end of a file.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
