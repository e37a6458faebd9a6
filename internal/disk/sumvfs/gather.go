package sumvfs

import (
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Gather is the parameter of a database's name that makes what is written to its log one after the other one write, at the
// latest before the log is synced: SQLite writes two pieces for each page. It is for connections with synchronous=FULL,
// where each transaction ends with a sync; without, others would be told of pages that are not in the log yet.
const Gather = "gather"

// gatherRoom is how much of a log is gathered at most. SQLite writes at most 128 KiB at once.
const gatherRoom = 64 << 10

// gathered is what was written to a log and has not come to the system. Like the file, it is for one thread at a time.
type gathered struct {
	at  uintptr // gatherRoom bytes
	n   int
	off int64 // in the file
}

// gathers says whether a log's writes are to be gathered. A log's name leads SQLite to the parameters of its database.
func gathers(tls *libc.TLS, name uintptr, flags int32) bool {
	if flags&sqlite3.SQLITE_OPEN_WAL == 0 || name == 0 {
		return false
	}
	param := append([]byte(Gather), 0)
	return sqlite3.Xsqlite3_uri_boolean(tls, name, uintptr(unsafe.Pointer(&param[0])), 0) != 0
}

func (t *table) gatherOf(file uintptr) *gathered {
	t.v.mu.Lock()
	defer t.v.mu.Unlock()
	return t.v.logs[file]
}

func (t *table) gatherWrite(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	g := t.gatherOf(file)
	if g.n > 0 && (off != g.off+int64(g.n) || g.n+int(n) > gatherRoom) {
		if rc := t.flush(tls, file, g); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	if int(n) > gatherRoom {
		return t.write(tls, file, buf, n, off)
	}
	if g.n == 0 {
		g.off = off
	}
	copy(memory(g.at, gatherRoom)[g.n:], memory(buf, n))
	g.n += int(n)
	return sqlite3.SQLITE_OK
}

// flush writes what was gathered. After an error it is gone: SQLite gives the transaction up, and writes in its place.
func (t *table) flush(tls *libc.TLS, file uintptr, g *gathered) int32 {
	if g.n == 0 {
		return sqlite3.SQLITE_OK
	}
	n := g.n
	g.n = 0
	return t.write(tls, file, g.at, int32(n), g.off)
}

func (t *table) gatherSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	if rc := t.flush(tls, file, t.gatherOf(file)); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return t.sync(tls, file, flags)
}

func (t *table) gatherRead(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	if rc := t.flush(tls, file, t.gatherOf(file)); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](t.below.FxRead)(tls, file, buf, n, off)
}

func (t *table) gatherTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	if rc := t.flush(tls, file, t.gatherOf(file)); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return t.truncate(tls, file, size)
}

func (t *table) gatherSize(tls *libc.TLS, file, size uintptr) int32 {
	if rc := t.flush(tls, file, t.gatherOf(file)); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return call[func(*libc.TLS, uintptr, uintptr) int32](t.below.FxFileSize)(tls, file, size)
}

// gatherClose drops what was gathered: it is of a transaction that has not ended.
func (t *table) gatherClose(tls *libc.TLS, file uintptr) int32 {
	t.v.mu.Lock()
	g := t.v.logs[file]
	delete(t.v.logs, file)
	t.v.mu.Unlock()
	libc.Xfree(tls, g.at)
	return t.close(tls, file)
}
