package sumvfs

import (
	"encoding/binary"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// LogHeader is how long the header of a log is.
	LogHeader = 32
	// FrameHeader is how long what is written before each page of a log is, https://www.sqlite.org/fileformat2.html#the_wal_file_format
	FrameHeader = 24
	// framesRoom is how many bytes of a log are gathered: 29 pages of 4 KiB. SQLite's system layer cannot write 128 KiB at once.
	framesRoom = 120 << 10
)

// frames gathers what a connection writes into its log: SQLite writes headers and pages one by one, 60 small writes for a transaction that
// changes 30 pages. They are written before anybody may need them: with the header of the frame that commits, before the connection reads
// them, syncs the log or cuts it. From the header that commits on nothing is held back, so that an error is one of the commit. What a
// transaction has written that is rolled back belongs to nobody when the connection lets others write, and is dropped.
type frames struct {
	name, database uintptr // by which SQLite knows the database, and the open file

	room    uintptr // SQLite's memory, as everything that the system is given
	n       int32   // how much of it is waiting
	off     int64   // where it belongs
	through bool    // nothing is held back

	wrote bool    // the transaction under way has written,
	from  int64   // from here on: what lies there has no checksums before it is committed
	check uintptr // SQLite's memory for a frame that is read,
	page  int32   // with a page of so many bytes
}

// commits says whether SQLite writes the header of a frame that ends a transaction: it has the size of the database then.
func commits(b []byte) bool { return len(b) == FrameHeader && binary.BigEndian.Uint32(b[4:]) != 0 }

func (f *frames) drop() { f.n, f.through, f.wrote = 0, false, false }

// framesOf returns what is gathered of an open file: a log, or the database that it is of. It is nil for others.
func (v *vfs) framesOf(file uintptr) *frames {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.logs[file]
}

// pair makes a database and its log, of the same connection, find each other. The caller holds the lock. It says whether the file has
// found its frames.
func (v *vfs) pair(tls *libc.TLS, name, file uintptr, flags int32) bool {
	switch {
	case name == 0:
		return false
	case flags&sqlite3.SQLITE_OPEN_MAIN_DB != 0:
		f := &frames{name: name, database: file}
		v.databases[name], v.logs[file] = f, f
		return true
	case flags&sqlite3.SQLITE_OPEN_WAL != 0:
		f := v.databases[sqlite3.Xsqlite3_filename_database(tls, name)]
		if f != nil {
			v.logs[file] = f
		}
		return f != nil
	}
	return false
}

// unpair is for a file that is being closed. The caller holds the lock.
func (v *vfs) unpair(tls *libc.TLS, file uintptr) {
	f := v.logs[file]
	if f == nil {
		return
	}
	delete(v.logs, file)
	libc.Xfree(tls, f.room) // the log is closed first, and what it had not written was committed by nobody
	libc.Xfree(tls, f.check)
	f.room, f.check, f.page = 0, 0, 0
	f.drop()
	if f.database == file {
		delete(v.databases, f.name)
	}
}

func (t *table) writeFrames(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	f := t.v.framesOf(file)
	if f.room == 0 {
		f.room = libc.Xmalloc(tls, framesRoom)
	}
	if !f.wrote || off < f.from {
		f.wrote, f.from = true, off
	}
	b := memory(buf, n)
	f.through = f.through || commits(b)
	if f.n > 0 && (off != f.off+int64(f.n) || f.n+n > framesRoom) {
		if rc := t.flush(tls, file, f); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	if f.room == 0 || n > framesRoom {
		return t.write(tls, file, buf, n, off)
	}
	if f.n == 0 {
		f.off = off
	}
	copy(memory(f.room+uintptr(f.n), n), b)
	f.n += n
	if f.through {
		return t.flush(tls, file, f)
	}
	return sqlite3.SQLITE_OK
}

// flush writes what is gathered. After an error it is still there: SQLite believes that it was written.
func (t *table) flush(tls *libc.TLS, file uintptr, f *frames) int32 {
	if f.n == 0 {
		return sqlite3.SQLITE_OK
	}
	rc := t.write(tls, file, f.room, f.n, f.off)
	if rc == sqlite3.SQLITE_OK {
		f.n = 0
	}
	return rc
}

func (t *table) readFrames(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	f := t.v.framesOf(file)
	// What was written before is read also when there is no room for more, as by a rollback.
	if off < f.off+int64(f.n) && f.off < off+int64(n) {
		if rc := t.flush(tls, file, f); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	if isPage(n) && off >= LogHeader+FrameHeader && (!f.wrote || off < f.from) {
		return t.readFrame(tls, file, f, memory(buf, n), off)
	}
	return t.read(tls, file, buf, n, off)
}

// readFrame reads a page that was committed, and compares it with the checksum in the header of its frame, which SQLite does only when
// it recovers a log.
func (t *table) readFrame(tls *libc.TLS, file uintptr, f *frames, page []byte, off int64) int32 {
	const sumAt, sumSize = 16, 8 // in the header of a frame
	n := int32(len(page))
	if f.page != n {
		libc.Xfree(tls, f.check)
		if f.check, f.page = libc.Xmalloc(tls, sumSize+FrameHeader+libc.Tsize_t(n)), n; f.check == 0 {
			f.page = 0
			return sqlite3.SQLITE_IOERR_NOMEM
		}
	}
	before := off - FrameHeader - int64(n) - FrameHeader + sumAt
	if off == LogHeader+FrameHeader {
		before = LogHeader - sumSize
	}
	if rc := t.read(tls, file, f.check, sumSize, before); rc != sqlite3.SQLITE_OK {
		return rc
	}
	if rc := t.read(tls, file, f.check+sumSize, FrameHeader+n, off-FrameHeader); rc != sqlite3.SQLITE_OK {
		return rc
	}
	sum, frame := StoredLogSum(memory(f.check, sumSize)), memory(f.check+sumSize, FrameHeader+n)
	stored := StoredLogSum(frame[sumAt:])
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if sum.Add(order, frame[:8]).Add(order, frame[FrameHeader:]) == stored {
			copy(page, frame[FrameHeader:])
			return sqlite3.SQLITE_OK
		}
	}
	return sqlite3.SQLITE_IOERR_DATA
}

func (t *table) read(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	return call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](t.below.FxRead)(tls, file, buf, n, off)
}

func (t *table) syncFrames(tls *libc.TLS, file uintptr, flags int32) int32 {
	if rc := t.flush(tls, file, t.v.framesOf(file)); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return t.sync(tls, file, flags)
}

func (t *table) truncateFrames(tls *libc.TLS, file uintptr, size int64) int32 {
	if rc := t.flush(tls, file, t.v.framesOf(file)); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return t.truncate(tls, file, size)
}

func (t *table) sizeOfFrames(tls *libc.TLS, file, out uintptr) int32 {
	if rc := t.flush(tls, file, t.v.framesOf(file)); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return call[func(*libc.TLS, uintptr, uintptr) int32](t.below.FxFileSize)(tls, file, out)
}

// lockShared is about the locks in the memory that connections share; the first is that of who writes into the log.
func (t *table) lockShared(tls *libc.TLS, file uintptr, first, n, flags int32) int32 {
	const giveBack = sqlite3.SQLITE_SHM_UNLOCK | sqlite3.SQLITE_SHM_EXCLUSIVE
	if first == 0 && flags == giveBack {
		if f := t.v.framesOf(file); f != nil {
			f.drop()
		}
	}
	return call[func(*libc.TLS, uintptr, int32, int32, int32) int32](t.below.FxShmLock)(tls, file, first, n, flags)
}
