// Package sumvfs puts a layer between SQLite and the file system that gives each page of a database a checksum: a page
// that has changed on disk, is cut off or lies in the wrong place is an error of the statement that reads it, never an
// answer. SQLite has a place for this in its format (bytes reserved at the end of each page,
// https://www.sqlite.org/fileformat2.html#resbyte), and does the same in its optional cksumvfs.
//
// The last 8 bytes of a page are a CRC-32C of its offset in the file (u64) and of all before (u32), and a mark (u32), all
// little-endian. They are written when a page gets into the database file. Frames of the write-ahead log have checksums of
// their own, which SQLite checks when it recovers; this layer checks them whenever a page is read from there, also on its way into the
// database. Programs without this layer can read such a database; what they write into it will be taken for damage.
package sumvfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// Reserved is how many bytes at the end of a page are kept for its checksum; byte 20 of a database says so.
	Reserved = 8
	// mark ends each page; it keeps a page of zeros from being right by chance.
	mark = 0x31734270
	// leastPage is SQLite's smallest page; what is read or written in other sizes are headers.
	leastPage = 512
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(page []byte, off int64) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(off))
	return crc32.Update(crc32.Checksum(at[:], castagnoli), castagnoli, page[:len(page)-Reserved])
}

// Stamp puts the checksum into a page that is going to lie at an offset of a database.
func Stamp(page []byte, off int64) {
	end := page[len(page)-Reserved:]
	binary.LittleEndian.PutUint32(end, sum(page, off))
	binary.LittleEndian.PutUint32(end[4:], mark)
}

// Whole says whether a page that was read from a database at an offset is as it was written.
func Whole(page []byte, off int64) bool {
	end := page[len(page)-Reserved:]
	return binary.LittleEndian.Uint32(end[4:]) == mark && binary.LittleEndian.Uint32(end) == sum(page, off)
}

// Blank says whether a page holds nothing but zeros.
func Blank(page []byte) bool {
	for _, b := range page {
		if b != 0 {
			return false
		}
	}
	return true
}

// isPage says whether n bytes are a page of a database, by SQLite's rule that its size is a power of two.
func isPage(n int32) bool { return n >= leastPage && n&(n-1) == 0 }

// Op is something that SQLite is about to do to a file.
type Op struct {
	Do   string // "open", "write", "sync", "truncate" or "remove"
	File string // its name without the directory
	Data []byte // of a write; valid until the hook returns
	Off  int64  // of a write; the new size of a truncate
}

// vfs is one registered layer.
type vfs struct {
	hook  func(Op) error
	below sqlite3.Tsqlite3_vfs // the system's
	here  uintptr              // what SQLite knows

	mu     sync.Mutex
	tables map[kind]*table
	opened map[uintptr]string // names of open files, when there is a hook
	keep   []any              // functions that SQLite knows by address

	databases map[uintptr]*frames // by the name that SQLite has given
	logs      map[uintptr]*frames // by open file, of databases and of their logs
}

// kind of a file: by which methods the system handles it, and whether it is a database or the log of one.
type kind struct {
	system     uintptr
	paged, log bool
}

// table holds the methods of one kind of file.
type table struct {
	v     *vfs
	below sqlite3.Tsqlite3_io_methods // the system's
	here  uintptr                     // what SQLite knows
}

// registered keeps the functions that SQLite knows by address.
var registered struct {
	mu   sync.Mutex
	list []*vfs
}

// Register makes the layer known to SQLite under a name, for a database's ?vfs= parameter. hook, when it is not nil, is
// called before each operation that changes something, and fails it with the error that it returns.
func Register(name string, hook func(Op) error) error {
	tls := libc.NewTLS()
	defer tls.Close()
	system := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if system == 0 {
		return errors.New("SQLite has no file system")
	}
	v := &vfs{
		hook: hook, tables: make(map[kind]*table), opened: make(map[uintptr]string),
		databases: make(map[uintptr]*frames), logs: make(map[uintptr]*frames),
	}
	v.below = *(*sqlite3.Tsqlite3_vfs)(pointer(system))
	here := v.below
	here.FpNext = 0
	var err error
	if here.FzName, err = libc.CString(name); err != nil {
		return err
	}
	here.FxOpen = v.function(v.open)
	here.FxDelete = v.function(v.remove)
	if v.here, err = keep(tls, here); err != nil {
		return err
	}
	registered.mu.Lock()
	defer registered.mu.Unlock()
	registered.list = append(registered.list, v)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, v.here, 0); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("register %s with SQLite: code %d", name, rc)
	}
	return nil
}

// Create makes an empty database with room for checksums. The layer must be registered as vfs. A database that is there
// already stays as it is, unless it is empty. A full disk is ENOSPC.
func Create(path, vfs string) (err error) {
	tls := libc.NewTLS()
	defer tls.Close()
	var strings [4]uintptr
	for i, s := range []string{path, vfs, "main", "PRAGMA journal_mode = WAL"} {
		if strings[i], err = libc.CString(s); err != nil {
			return err
		}
		defer libc.Xfree(tls, strings[i])
	}
	handle, room := libc.Xcalloc(tls, 1, 8), libc.Xcalloc(tls, 1, 4)
	if handle == 0 || room == 0 {
		return errors.New("out of memory")
	}
	defer libc.Xfree(tls, handle)
	defer libc.Xfree(tls, room)
	*(*int32)(pointer(room)) = Reserved
	rc := sqlite3.Xsqlite3_open_v2(tls, strings[0], handle, sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_CREATE, strings[1])
	db := *(*uintptr)(pointer(handle))
	if rc == sqlite3.SQLITE_OK {
		rc = sqlite3.Xsqlite3_file_control(tls, db, strings[2], sqlite3.SQLITE_FCNTL_RESERVE_BYTES, room)
	}
	if rc == sqlite3.SQLITE_OK {
		rc = sqlite3.Xsqlite3_exec(tls, db, strings[3], 0, 0, 0)
	}
	if rc != sqlite3.SQLITE_OK {
		err = fmt.Errorf("create %s: %s", filepath.Base(path), libc.GoString(sqlite3.Xsqlite3_errstr(tls, rc)))
		if rc&0xFF == sqlite3.SQLITE_FULL {
			err = fmt.Errorf("%w: %w", unix.ENOSPC, err)
		}
	}
	if rc := sqlite3.Xsqlite3_close(tls, db); rc != sqlite3.SQLITE_OK && err == nil {
		err = fmt.Errorf("close %s: code %d", filepath.Base(path), rc)
	}
	return err
}

// open implements xOpen.
//
//nolint:revive // as many arguments as SQLite gives
func (v *vfs) open(tls *libc.TLS, _, name, file uintptr, flags int32, out uintptr) int32 {
	base := ""
	if v.hook != nil && name != 0 {
		base = filepath.Base(libc.GoString(name))
		if rc := v.ask(Op{Do: "open", File: base}, sqlite3.SQLITE_CANTOPEN); rc != sqlite3.SQLITE_OK {
			*(*uintptr)(pointer(file)) = 0 // no methods: there is nothing to close
			return rc
		}
	}
	rc := call[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](v.below.FxOpen)(
		tls, v.here, name, file, flags, out)
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	methods := &(*sqlite3.Tsqlite3_file)(pointer(file)).FpMethods
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.hook != nil {
		v.opened[file] = base
	}
	paired := v.pair(tls, name, file, flags)
	paged := flags&sqlite3.SQLITE_OPEN_MAIN_DB != 0
	if !paged && !paired && v.hook == nil {
		return rc
	}
	t, err := v.table(tls, kind{*methods, paged, paired && !paged})
	if err != nil {
		delete(v.opened, file)
		v.unpair(tls, file)
		call[func(*libc.TLS, uintptr) int32]((*sqlite3.Tsqlite3_io_methods)(pointer(*methods)).FxClose)(tls, file)
		*methods = 0
		return sqlite3.SQLITE_NOMEM
	}
	*methods = t.here
	return rc
}

// table returns the methods for a kind of file, and makes them for the first.
func (v *vfs) table(tls *libc.TLS, k kind) (*table, error) {
	if t := v.tables[k]; t != nil {
		return t, nil
	}
	t := &table{v: v, below: *(*sqlite3.Tsqlite3_io_methods)(pointer(k.system))}
	here := t.below
	here.FxClose = v.function(t.close)
	if v.hook != nil {
		here.FxWrite = v.function(t.write)
		here.FxSync = v.function(t.sync)
		here.FxTruncate = v.function(t.truncate)
	}
	if k.log {
		here.FxRead = v.function(t.readFrames)
		here.FxWrite = v.function(t.writeFrames)
		here.FxSync = v.function(t.syncFrames)
		here.FxTruncate = v.function(t.truncateFrames)
		here.FxFileSize = v.function(t.sizeOfFrames)
	}
	if k.paged {
		here.FxShmLock = v.function(t.lockShared)
		here.FxRead = v.function(t.readPage)
		here.FxWrite = v.function(t.writePage)
		here.FxDeviceCharacteristics = v.function(t.characteristics)
		// Pages are never mapped into memory: that would go past the check.
		here.FiVersion = min(here.FiVersion, 2)
	}
	var err error
	if t.here, err = keep(tls, here); err != nil {
		return nil, err
	}
	v.tables[k] = t
	return t, nil
}

func (t *table) readPage(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	rc := t.read(tls, file, buf, n, off)
	switch {
	case !isPage(n):
	case rc == sqlite3.SQLITE_OK && !Whole(memory(buf, n), off):
		return sqlite3.SQLITE_IOERR_DATA
	case rc == sqlite3.SQLITE_IOERR_SHORT_READ && (off > 0 || !Blank(memory(buf, n))):
		return sqlite3.SQLITE_IOERR_DATA // SQLite would take what is missing for zeros; only an empty file has no first page
	}
	return rc
}

func (t *table) writePage(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	if isPage(n) {
		Stamp(memory(buf, n), off) // reserved for this: SQLite itself neither reads nor keeps these bytes
	}
	return t.write(tls, file, buf, n, off)
}

func (t *table) write(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	op := Op{Do: "write", File: t.v.nameOf(file), Data: memory(buf, n), Off: off}
	if rc := t.v.ask(op, sqlite3.SQLITE_IOERR_WRITE); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](t.below.FxWrite)(tls, file, buf, n, off)
}

// characteristics says that the file is not to be read in parts of pages, which could not be checked.
func (t *table) characteristics(tls *libc.TLS, file uintptr) int32 {
	is := call[func(*libc.TLS, uintptr) int32](t.below.FxDeviceCharacteristics)(tls, file)
	return is &^ sqlite3.SQLITE_IOCAP_SUBPAGE_READ
}

func (t *table) sync(tls *libc.TLS, file uintptr, flags int32) int32 {
	if rc := t.v.ask(Op{Do: "sync", File: t.v.nameOf(file)}, sqlite3.SQLITE_IOERR_FSYNC); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return call[func(*libc.TLS, uintptr, int32) int32](t.below.FxSync)(tls, file, flags)
}

func (t *table) truncate(tls *libc.TLS, file uintptr, size int64) int32 {
	op := Op{Do: "truncate", File: t.v.nameOf(file), Off: size}
	if rc := t.v.ask(op, sqlite3.SQLITE_IOERR_TRUNCATE); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return call[func(*libc.TLS, uintptr, int64) int32](t.below.FxTruncate)(tls, file, size)
}

func (t *table) close(tls *libc.TLS, file uintptr) int32 {
	t.v.mu.Lock()
	delete(t.v.opened, file)
	t.v.unpair(tls, file)
	t.v.mu.Unlock()
	return call[func(*libc.TLS, uintptr) int32](t.below.FxClose)(tls, file)
}

// remove implements xDelete.
func (v *vfs) remove(tls *libc.TLS, _, name uintptr, syncDir int32) int32 {
	if v.hook != nil {
		op := Op{Do: "remove", File: filepath.Base(libc.GoString(name))}
		if rc := v.ask(op, sqlite3.SQLITE_IOERR_DELETE); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	return call[func(*libc.TLS, uintptr, uintptr, int32) int32](v.below.FxDelete)(tls, v.here, name, syncDir)
}

// ask asks the hook, if there is one, and returns code when it says no.
func (v *vfs) ask(op Op, code int32) int32 {
	if v.hook == nil {
		return sqlite3.SQLITE_OK
	}
	err := v.hook(op)
	switch {
	case err == nil:
		return sqlite3.SQLITE_OK
	case errors.Is(err, unix.ENOSPC):
		return sqlite3.SQLITE_FULL
	}
	return code
}

// nameOf is the name of an open file, when there is a hook.
func (v *vfs) nameOf(file uintptr) string {
	if v.hook == nil {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.opened[file]
}

// function returns the address by which SQLite calls a Go function: functions are passed about as addresses of Go's
// function values, as modernc.org/sqlite/vfs does it.
func (v *vfs) function(f any) uintptr {
	v.keep = append(v.keep, f)
	return (*[2]uintptr)(unsafe.Pointer(&f))[1]
}

// call is the reverse of function.
func call[F any](at uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{at})) }

// keep copies something to where SQLite may have it for ever: it does arithmetic with addresses, which those in Go's memory
// do not bear.
func keep[T any](tls *libc.TLS, v T) (uintptr, error) {
	at := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(v)))
	if at == 0 {
		return 0, errors.New("out of memory")
	}
	*(*T)(pointer(at)) = v
	return at, nil
}

// pointer turns an address that SQLite gave into a pointer. It is not Go's memory.
func pointer(at uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }

func memory(at uintptr, n int32) []byte { return unsafe.Slice((*byte)(pointer(at)), n) }
