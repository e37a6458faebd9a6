package sumvfs

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// layers are the registered names; SQLite keeps them for ever.
var layers struct {
	sync.Mutex
	n int
}

// register registers a layer under a name of its own.
func register(t *testing.T, hook func(Op) error) string {
	t.Helper()
	layers.Lock()
	defer layers.Unlock()
	layers.n++
	name := fmt.Sprint("sumvfs-test-", layers.n)
	if err := Register(name, hook); err != nil {
		t.Fatal(err)
	}
	return name
}

// plain is the layer without a hook, registered once.
var plain = sync.OnceValues(func() (string, error) { return "sumvfs-plain", Register("sumvfs-plain", nil) })

func plainLayer(t *testing.T) string {
	t.Helper()
	name, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t *testing.T, path, vfs string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?vfs="+vfs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func create(t *testing.T, path, vfs string) *sql.DB {
	t.Helper()
	if err := Create(path, vfs); err != nil {
		t.Fatal(err)
	}
	return open(t, path, vfs)
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

const rows = 300

// row is what row i holds: some are long enough for overflow pages.
func row(i int) (name string, body []byte) {
	body = make([]byte, 20)
	if i%40 == 0 {
		body = make([]byte, 9000)
	}
	var key [32]byte
	key[0], key[1] = byte(i), byte(i>>8)
	_, _ = rand.NewChaCha8(key).Read(body)
	return fmt.Sprintf("name-%04d", i*7%rows), body
}

// fill makes a database whose pages are all in its file.
func fill(t *testing.T, path, vfs string) {
	t.Helper()
	db := create(t, path, vfs)
	exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BLOB NOT NULL)`)
	exec(t, db, `CREATE TABLE w (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID`)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		name, body := row(i)
		for _, query := range []string{`INSERT INTO t VALUES (?1, ?2, ?3)`, `INSERT INTO w SELECT ?2, ?3 WHERE ?1 IS NOT NULL`} {
			if _, err := tx.ExecContext(t.Context(), query, i, name, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(tx.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// readAll reads all rows by both tables and the index, and compares them with what was written: an error says that
// something could not be read, wrong what was read and is not right.
func readAll(ctx context.Context, db *sql.DB) (wrong string, err error) {
	for _, query := range []string{
		`SELECT id, name, body FROM t ORDER BY id`,
		`SELECT t.id, i.name, t.body FROM t AS i INDEXED BY sqlite_autoindex_t_1 JOIN t ON t.id = i.id WHERE i.name >= '' ORDER BY t.id`,
		`SELECT t.id, w.name, w.body FROM t JOIN w ON w.name = t.name ORDER BY t.id`,
		`SELECT t.id, w.name, w.body FROM w CROSS JOIN t ON w.name = t.name ORDER BY t.id`,
	} {
		if wrong, err := readRows(ctx, db, query); wrong != "" || err != nil {
			return wrong, err
		}
	}
	var answer string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check`).Scan(&answer); err != nil {
		return "", err
	}
	if answer != "ok" {
		return "integrity_check: " + answer, nil
	}
	return "", nil
}

func readRows(ctx context.Context, db *sql.DB, query string) (wrong string, err error) {
	r, err := db.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	n := 0
	for r.Next() {
		var id int
		var name string
		var body []byte
		if err := r.Scan(&id, &name, &body); err != nil {
			return "", err
		}
		if wantName, wantBody := row(id); id != n || name != wantName || !bytes.Equal(body, wantBody) {
			return fmt.Sprintf("%s: row %d is %d %s %x", query, n, id, name, body), nil
		}
		n++
	}
	if r.Err() == nil && n != rows {
		return fmt.Sprintf("%s: %d rows without an error", query, n), nil
	}
	return "", r.Err()
}

// detected says whether an error is one of a damaged database.
func detected(err error) bool {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	return se.Code() == sqlite3.SQLITE_IOERR_DATA || se.Code()&0xFF == sqlite3.SQLITE_CORRUPT ||
		se.Code()&0xFF == sqlite3.SQLITE_NOTADB
}

// damages are what may happen to page n of a file; it returns the damaged file.
var damages = map[string]func(file []byte, page int) []byte{
	"first bit":      func(f []byte, p int) []byte { f[p*pageSize] ^= 1; return f },
	"near the start": func(f []byte, p int) []byte { f[p*pageSize+21] ^= 0x80; return f },
	"middle":         func(f []byte, p int) []byte { f[p*pageSize+pageSize/2] ^= 0x10; return f },
	"last of data":   func(f []byte, p int) []byte { f[(p+1)*pageSize-9] ^= 2; return f },
	"checksum":       func(f []byte, p int) []byte { f[(p+1)*pageSize-8] ^= 1; return f },
	"mark":           func(f []byte, p int) []byte { f[(p+1)*pageSize-1] ^= 1; return f },
	"zeros":          func(f []byte, p int) []byte { clear(f[p*pageSize:][:pageSize]); return f },
	"another page":   func(f []byte, p int) []byte { copy(f[p*pageSize:][:pageSize], f[(p+1)*pageSize%len(f):]); return f },
	"cut inside":     func(f []byte, p int) []byte { return f[:p*pageSize+pageSize/3] },
	"cut in header":  func(f []byte, p int) []byte { return f[:p*pageSize+40] },
	"cut before":     func(f []byte, p int) []byte { return f[:p*pageSize] },
}

const pageSize = 4096

// TestDamageIsFound damages each page of a database in several ways: what is read is right, or an error says that it is
// damaged, and reading everything meets that error.
func TestDamageIsFound(t *testing.T) {
	vfs := plainLayer(t)
	path := filepath.Join(t.TempDir(), "db")
	fill(t, path, vfs)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if wrong, err := readAll(t.Context(), open(t, path, vfs)); wrong != "" || err != nil {
		t.Fatal(wrong, err)
	}
	pages := len(whole) / pageSize
	t.Logf("%d pages", pages)
	for name, damage := range damages {
		for p := range pages {
			if p == 0 && name == "cut before" || p%stride != 0 {
				continue // an empty file is an empty database: whoever opens it knows whether there was one
			}
			path := filepath.Join(t.TempDir(), "db")
			if err := os.WriteFile(path, damage(bytes.Clone(whole), p), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", "file:"+path+"?vfs="+vfs)
			if err != nil {
				t.Fatal(err)
			}
			wrong, err := readAll(t.Context(), db)
			if cerr := db.Close(); cerr != nil {
				t.Error(cerr)
			}
			if wrong != "" || !detected(err) {
				t.Errorf("page %d, %s: %s, error %v", p+1, name, wrong, err)
			}
		}
	}
}
