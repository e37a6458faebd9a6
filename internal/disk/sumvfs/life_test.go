package sumvfs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

func integrity(t *testing.T, db *sql.DB, when string) {
	t.Helper()
	var answer string
	if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&answer); err != nil || answer != "ok" {
		t.Errorf("%s: integrity_check: %s, %v", when, answer, err)
	}
}

// checkPages reads a closed database past SQLite: each page that was ever written has its checksum.
func checkPages(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 || len(b)%pageSize != 0 || b[20] != Reserved {
		t.Fatalf("%s has %d bytes, %v", path, len(b), b[:min(len(b), 32)])
	}
	for off := 0; off < len(b); off += pageSize {
		if page := b[off : off+pageSize]; !Whole(page, int64(off)) && !Blank(page) { // pages that were free at once are left out
			t.Errorf("page %d has no checksum", off/pageSize+1)
		}
	}
}

// TestLife churns a database through checkpoints, free pages that are used again, vacuum and reopening: nothing is taken for
// damage.
func TestLife(t *testing.T) {
	vfs := plainLayer(t)
	path := filepath.Join(t.TempDir(), "db")
	db := create(t, path, vfs)
	exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL)`)
	for round, then := range []string{
		`PRAGMA wal_checkpoint(PASSIVE)`, `PRAGMA wal_checkpoint(TRUNCATE)`, `VACUUM`, `PRAGMA cache_size = 5`,
		`PRAGMA wal_checkpoint(RESTART)`, `REINDEX`, `VACUUM`,
	} {
		exec(t, db, `BEGIN`)
		for i := range 40 / stride {
			exec(t, db, `INSERT INTO t (body) VALUES (randomblob(?))`, 10+(i%4)*i*3000)
		}
		exec(t, db, `DELETE FROM t WHERE id % 3 = ?`, round%3) // also pages that were never written
		exec(t, db, `COMMIT`)
		exec(t, db, then)
		integrity(t, db, then)
		if round%2 == 0 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			checkPages(t, path)
			db = open(t, path, vfs)
		}
	}
}

// TestManyConnections reads and writes from several goroutines, each with a connection of its own.
func TestManyConnections(t *testing.T) {
	vfs := plainLayer(t)
	path := filepath.Join(t.TempDir(), "db")
	db := create(t, path, vfs)
	exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL)`)
	exec(t, db, `INSERT INTO t VALUES (1, randomblob(50000))`)
	work := func(ctx context.Context, n int) (err error) {
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)&vfs="+vfs)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		for i := range 20 {
			query := `SELECT sum(length(body)) FROM t`
			if n%2 == 0 {
				query = `INSERT INTO t (body) VALUES (randomblob(9000))`
				if i%5 == 4 {
					query = `PRAGMA wal_checkpoint(PASSIVE)`
				}
			}
			if _, err := db.ExecContext(ctx, query); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
		}
		return nil
	}
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() { errs[n] = work(t.Context(), n) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	integrity(t, db, "after all")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	checkPages(t, path)
}

// fault is a hook that fails the nth operation.
type fault struct {
	mu  sync.Mutex
	n   int
	err error
	hit string
}

func (f *fault) hook(op Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 {
		f.hit = op.Do + " " + op.File
		return f.err
	}
	return nil
}

func (f *fault) set(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.err, f.hit = n, err, ""
}

func (f *fault) fired() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

// TestHookFails fails each operation of a run in turn. A transaction that failed has left nothing, one that did not is there,
// and the database is whole, also when it is opened again.
func TestHookFails(t *testing.T) {
	f := &fault{}
	vfs := register(t, f.hook)
	plain := plainLayer(t)
	hits := make(map[string]bool)
	for k := 1; ; k += stride {
		path := filepath.Join(t.TempDir(), "db")
		f.set(0, nil)
		db := create(t, path, vfs)
		exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL)`)
		f.set(k, unix.EIO)
		sum := 0 // of ids that are there for sure
		for i, then := range []string{`PRAGMA wal_checkpoint(TRUNCATE)`, `SELECT 1`, `VACUUM`} {
			id := 1 << i
			if _, err := db.ExecContext(t.Context(), `INSERT INTO t VALUES (?, randomblob(20000))`, id); err == nil {
				sum += id
			} else if f.fired() == "" {
				t.Fatal(err)
			}
			if _, err := db.ExecContext(t.Context(), then); err != nil && f.fired() == "" {
				t.Fatalf("%s: %v", then, err)
			}
		}
		if err := db.Close(); err != nil && f.fired() == "" {
			t.Fatal(err)
		}
		hit := f.fired()
		f.set(0, nil)
		db = open(t, path, plain)
		integrity(t, db, hit)
		var got int
		if err := db.QueryRowContext(t.Context(), `SELECT sum(id) FROM t`).Scan(&got); err != nil || got != sum {
			t.Errorf("operation %d (%s): rows %b, %v, want %b", k, hit, got, err, sum)
		}
		if hit == "" {
			break
		}
		hits[hit] = true
	}
	for _, op := range []string{"write db", "write db-wal", "sync db", "truncate db", "truncate db-wal", "remove db-wal"} {
		if !hits[op] && stride == 1 {
			t.Errorf("%s was never failed, only %v", op, hits)
		}
	}
}

// TestHookNamesTheError: no room is SQLITE_FULL, anything else an error of I/O.
func TestHookNamesTheError(t *testing.T) {
	f := &fault{}
	db := create(t, filepath.Join(t.TempDir(), "db"), register(t, f.hook))
	exec(t, db, `CREATE TABLE first (id INTEGER PRIMARY KEY)`) // opens the log
	for err, want := range map[error]int{unix.ENOSPC: sqlite3.SQLITE_FULL, unix.EIO: sqlite3.SQLITE_IOERR_WRITE} {
		f.set(1, err)
		_, got := db.ExecContext(t.Context(), `CREATE TABLE t (id INTEGER PRIMARY KEY)`)
		var se *sqlite.Error
		if !errors.As(got, &se) || se.Code() != want {
			t.Errorf("%v comes out as %v, want code %d", err, got, want)
		}
	}
}

// TestCreateCutShort fails, and separately stops at, each operation of creating a database. Creating it again works, keeps the
// room for checksums, and once more changes nothing.
func TestCreateCutShort(t *testing.T) {
	plain := plainLayer(t)
	for _, stops := range []bool{false, true} {
		k := 1
		for ; ; k++ {
			f := &fault{n: k, err: unix.EIO}
			hook := f.hook
			if stops {
				hook = func(op Op) error {
					if f.fired() != "" {
						return unix.EIO
					}
					return f.hook(op)
				}
			}
			path := filepath.Join(t.TempDir(), "db")
			err := Create(path, register(t, hook))
			if (err != nil) != (f.fired() != "") && !optional(f.fired()) {
				t.Errorf("operation %d (%s): %v", k, f.fired(), err)
			}
			if err := Create(path, plain); err != nil {
				t.Fatalf("again after %s: %v", f.fired(), err)
			}
			checkPages(t, path)
			db := open(t, path, plain)
			exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)`)
			exec(t, db, `INSERT INTO t VALUES (1, randomblob(100000))`)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := Create(path, plain); err != nil {
				t.Errorf("of one that is there: %v", err)
			}
			checkPages(t, path)
			db = open(t, path, plain)
			integrity(t, db, f.fired())
			var mode string
			if err := db.QueryRowContext(t.Context(), `PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
				t.Errorf("the journal is a %s, %v", mode, err)
			}
			if f.fired() == "" {
				break
			}
		}
		if k < 5 {
			t.Errorf("only %d operations were failed", k-1)
		}
	}
}

// optional says whether SQLite gets on without an operation.
func optional(op string) bool { return op == "sync db-journal" || op == "open db-wal" }
