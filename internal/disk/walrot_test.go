package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hugbucket/internal/disk/sumvfs"
)

const wholeFrame = frameHeader + pageSize

// logOf is the log of a store into which so many objects were put, without what lies behind its end.
func logOf(t *testing.T, objects int) []byte {
	t.Helper()
	dir := ramDir(t)
	d := opened(t, dir, Options{idle: true})
	s := newStore(t, d)
	for i := range objects {
		put(t, s, fmt.Sprintf("key-%02d", i), randomBytes(3000+i, uint64(i)))
	}
	log, err := os.ReadFile(filepath.Join(dir, "catalog.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	closed(t, d)
	ends := recovered(log)
	return log[:walHeader+ends[len(ends)-1]*wholeFrame]
}

// recovered returns the frames (from 1) with which the transactions end that SQLite's recovery takes from a log.
func recovered(log []byte) (ends []int) {
	order := map[uint32]binary.ByteOrder{walMagic: binary.LittleEndian, walMagic | 1: binary.BigEndian}[binary.BigEndian.Uint32(log)]
	if order == nil || (sumvfs.LogSum{}).Add(order, log[:24]) != sumvfs.StoredLogSum(log[24:]) {
		return nil
	}
	sum, salt := sumvfs.StoredLogSum(log[24:]), log[16:24]
	for n, rest := 1, log[walHeader:]; len(rest) >= wholeFrame; n, rest = n+1, rest[wholeFrame:] {
		sum = sum.Add(order, rest[:8]).Add(order, rest[frameHeader:wholeFrame])
		if !bytes.Equal(rest[8:16], salt) || sum != sumvfs.StoredLogSum(rest[16:]) || binary.BigEndian.Uint32(rest) == 0 {
			break
		}
		if binary.BigEndian.Uint32(rest[4:]) != 0 {
			ends = append(ends, n)
		}
	}
	return ends
}

// TestLostFrame damages a log wherever that can be seen, bit by bit and sector by sector: no transaction is lost without a word.
func TestLostFrame(t *testing.T) {
	log := logOf(t, 8)
	all := recovered(log)
	if bad, err := lostFrame(bytes.NewReader(log)); bad != -1 || err != nil || len(all) < 8 {
		t.Fatalf("of a whole log of %d transactions frame %d is bad: %v", len(all), bad, err)
	}
	last := walHeader + all[len(all)-2]*wholeFrame // where the last transaction begins
	try := func(what string, at int, damaged []byte) {
		bad, err := lostFrame(bytes.NewReader(damaged))
		if lost := len(all) - len(recovered(damaged)); err != nil || lost > 0 != (bad >= 0) {
			t.Errorf("%s at %d of %d: %d transactions are lost, frame %d is said to be bad: %v", what, at, last, lost, bad, err)
		}
	}
	b := bytes.Clone(log)
	for at := range last - wholeFrame {
		if in := (at - walHeader) % wholeFrame; at > walHeader && in > frameHeader+2 && in%(97*stride) != 0 {
			continue // of a page one byte is as good as another
		}
		for bit := range 8 {
			if at < walHeader || bit == at%8 {
				b[at] ^= 1 << bit
				try(fmt.Sprintf("bit %d", bit), at, b)
				b[at] ^= 1 << bit
			}
		}
	}
	for _, size := range []int{512, 4096, 16384} {
		for at := 0; at+size <= last-2*wholeFrame; at += size {
			b := bytes.Clone(log)
			clear(b[at:][:size])
			try(fmt.Sprintf("%d zeros", size), at, b)
		}
	}
}

// TestKilledBeforeTheSync: a process is killed when it has written a transaction and not synced it, and SQLite takes that for committed.
// Then power is cut while the next process writes its first one. Nobody takes what is left for damage.
func TestKilledBeforeTheSync(t *testing.T) {
	dir, killed, tap := ramDir(t), filepath.Join(ramDir(t), "killed"), newTap(t)
	log, from := &inode{}, int64(-1) // where what was not synced begins
	recording := false
	tap.on = func(c call) error {
		if !recording || c.name != "catalog.db-wal" {
			return nil
		}
		if c.do == "write" && from < 0 {
			from = c.off
		}
		if c.do == "sync" {
			recording = false
			return os.CopyFS(killed, os.DirFS(dir))
		}
		return nil
	}
	d := opened(t, dir, tap.options(dir))
	s := newStore(t, d)
	put(t, s, "synced", randomBytes(3000, 1))
	recording = true
	put(t, s, "not synced", randomBytes(3000, 2))
	recording = false
	closed(t, d)
	if err := os.Remove(filepath.Join(killed, "catalog.db-shm")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(killed, "catalog.db-wal"))
	if err != nil || from < walHeader {
		t.Fatalf("nothing was written before the sync: %d, %v", from, err)
	}
	log.synced, log.pending = b[:from], []call{{do: "write", off: from, data: b[from:]}}

	errCut := errors.New("power cut")
	cut, wrote := false, false
	tap.on = func(c call) error {
		switch {
		case c.name != "catalog.db-wal" || cut:
		case c.do == "write":
			wrote = true
			c.data = bytes.Clone(c.data)
			log.pending = append(log.pending, c)
		case c.do == "sync" && wrote:
			cut = true
			return errCut
		case c.do == "sync":
			log.synced, log.pending = log.content(func() fate { return kept }, nil), nil
		}
		return nil
	}
	if d, err := Open(t.Context(), killed, tap.options(killed)); err == nil {
		closed(t, d)
	}
	if !cut {
		t.Fatal("the next process has not synced what it has written")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		left := log.content(func() fate { return fate(rng.IntN(3)) }, rng)
		if bad, err := lostFrame(bytes.NewReader(left)); bad >= 0 || err != nil {
			t.Fatalf("after a power cut frame %d is taken for lost: %v", bad, err)
		}
	}
}

// FuzzLostFrame reads any log: it ends, and names a frame that is there or none.
func FuzzLostFrame(f *testing.F) {
	dir := f.TempDir()
	d, err := Open(f.Context(), dir, Options{idle: true})
	if err != nil {
		f.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "catalog.db-wal"))
	if err != nil {
		f.Fatal(err)
	}
	if err := d.Close(); err != nil {
		f.Fatal(err)
	}
	if bad, err := lostFrame(bytes.NewReader(log)); bad != -1 || err != nil {
		f.Fatalf("frame %d of a whole log is bad: %v", bad, err)
	}
	f.Add([]byte{})
	f.Add(make([]byte, walHeader+2*(frameHeader+pageSize)))
	f.Add(log)
	f.Fuzz(func(t *testing.T, b []byte) {
		bad, err := lostFrame(bytes.NewReader(b))
		if err != nil || bad < -1 || bad > len(b)/(frameHeader+pageSize) {
			t.Errorf("frame %d in %d bytes: %v", bad, len(b), err)
		}
	})
}
