package disk

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"hugbucket/internal/disk/sumvfs"
	"hugbucket/internal/object"
)

// busyTimeout in ms. Transactions that write take turns by a lock file; this is for checkpoints and for other programs.
const busyTimeout = "10000"

// checkpointPages is how many pages a log has when SQLite copies what it holds into its database, which all commits wait for. At its
// own 1,000 pages of small commits, a tenth of their time goes there; at 16,000 no less does than here, and each lasts longer.
const checkpointPages = 4000

// sums is the name of the layer under SQLite that checks each page.
const sums = "sumvfs"

var registerSums = sync.OnceValue(func() error { return sumvfs.Register(sums, nil) })

// database is where a database lies and how it is opened.
type database struct {
	path        string
	vfs         string // sums, or a test's layer in its place
	synchronous string
}

func (d *Driver) database(name, synchronous string) database {
	return database{path: filepath.Join(d.dir, name), vfs: d.vfs, synchronous: synchronous}
}

// ensure creates the database if there is none, and refuses what cannot be one. The caller holds the lock of the database.
func (b database) ensure() error {
	name := filepath.Base(b.path)
	if err := registerSums(); err != nil {
		return err
	}
	_, journal := os.Stat(b.path + "-journal") // is left when creation was cut short
	st, err := os.Stat(b.path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing {
		err = b.removeLog()
	}
	if err == nil && (missing || st.Size() == 0 || journal == nil) {
		err = sumvfs.Create(b.path, b.vfs)
	}
	if err != nil {
		return ioError(err)
	}
	f, err := os.Open(b.path)
	if err != nil {
		return ioError(err)
	}
	head := make([]byte, headerSize)
	_, err = io.ReadFull(f, head)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%w: %s: %v", object.ErrCorrupt, name, err) //nolint:errorlint // io.EOF would be taken for the end
	}
	if !isOurs(head) {
		return fmt.Errorf("%w: %s is not a database of this program", object.ErrCorrupt, name)
	}
	return nil
}

// headerSize is how much of a database's first page isOurs looks at, at least.
const headerSize = 32

// isOurs says whether a database begins as SQLite has it, with room for the checksums of pages.
func isOurs(head []byte) bool {
	return bytes.HasPrefix(head, []byte("SQLite format 3\x00")) && head[20] == sumvfs.Reserved
}

// removeLog removes the log of a database that is gone: SQLite would play it into the next one.
func (b database) removeLog() error {
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(b.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dsn names the database with the settings that each connection gets.
func (b database) dsn(cacheKiB int) string {
	q := url.Values{}
	q.Add("vfs", b.vfs)
	q.Add("_pragma", "busy_timeout("+busyTimeout+")")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous("+b.synchronous+")")
	q.Add("_pragma", "wal_autocheckpoint("+strconv.Itoa(checkpointPages)+")")
	q.Add("_pragma", "journal_size_limit("+strconv.Itoa(walLimit)+")")
	q.Add("_pragma", "secure_delete(FAST)") // a backup should not hold what was deleted
	q.Add("_pragma", "cache_size(-"+strconv.Itoa(cacheKiB)+")")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: b.path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// open opens the database with at most conns connections, which stay open.
func (b database) open(conns, cacheKiB int) (*sql.DB, error) {
	if err := registerSums(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", b.dsn(cacheKiB))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// openReadOnly is open for who must not change anything. The database must be there, and open for writing elsewhere.
func (b database) openReadOnly(conns, cacheKiB int) (*sql.DB, error) {
	if err := registerSums(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", b.dsn(cacheKiB)+"&mode=ro")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// prepareDB creates the schema in an empty database and refuses one of another format. The caller holds the lock of the
// database.
func prepareDB(ctx context.Context, db *sql.DB, name, schema string) error {
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("%s: %w", name, sqlError(err))
	}
	switch {
	case have == format:
		return nil
	case have > format:
		return newerFormat(name, have)
	case have != 0:
		return olderFormat(name, have)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", name, sqlError(err))
	}
	_, err = tx.ExecContext(ctx, schema+"PRAGMA user_version = "+strconv.Itoa(format))
	if err != nil {
		return fmt.Errorf("create %s: %w", name, sqlError(errors.Join(err, tx.Rollback())))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("create %s: %w", name, sqlError(err))
	}
	return nil
}

// newerFormat and olderFormat refuse a database.
func newerFormat(name string, have int) error {
	return fmt.Errorf("%s has format %d, this program knows up to %d: use a newer version of the program", name, have, format)
}

func olderFormat(name string, have int) error {
	return fmt.Errorf("%s has format %d, this program knows %d: begin with a new store", name, have, format)
}

// collect returns what scan makes of each row of an answer.
func collect[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, sqlError(err)
	}
	return scanAll(rows, scan)
}

// scanAll is collect for an answer that has begun.
func scanAll[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) (out []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, sqlError(err)
		}
		out = append(out, v)
	}
	return out, sqlError(rows.Err())
}

// scanID scans rows of one id.
func scanID(rows *sql.Rows) (id int64, err error) {
	err = rows.Scan(&id)
	return id, err
}

// scanName scans rows of one name.
func scanName(rows *sql.Rows) (name string, err error) {
	err = rows.Scan(&name)
	return name, err
}

// sqlError gives SQLite's full disk and damaged file their names.
func sqlError(err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code() {
	case sqlite3.SQLITE_IOERR_DATA:
		return fmt.Errorf("%w: checksum of a page: %w", object.ErrCorrupt, err)
	case sqlite3.SQLITE_IOERR_CORRUPTFS: // a bad sector
		return fmt.Errorf("%w: %w", object.ErrCorrupt, err)
	case sqlite3.SQLITE_IOERR_SHMSIZE: // the file of shared memory could not be made longer
		return fmt.Errorf("%w: %w", object.ErrNoSpace, err)
	}
	switch se.Code() & 0xFF {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", object.ErrNoSpace, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", object.ErrCorrupt, err)
	}
	return err
}
