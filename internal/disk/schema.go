package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"hugbucket/internal/object"
)

// format is the version of the layout and of both databases. A store of a newer one is refused.
//
//	1  the first
const format = 1

// catalogSchema. Ids are never reused (AUTOINCREMENT), so that a stale hint cannot hit something new.
//
// doomed is 0, or the epoch in which the row may go. keep_until is 0, or Unix seconds before which the row must not be
// doomed, because somebody outside was told of it. damaged are xorbs that could not be read: their chunks do not count as
// known, and the same content coming again takes their place. info and terms are drawn in row.go.
const catalogSchema = `
CREATE TABLE meta (
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	epoch  INTEGER NOT NULL
);
INSERT INTO meta VALUES (1, 1);
CREATE TABLE procs (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	epoch  INTEGER NOT NULL
);
CREATE TABLE buckets (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	name       TEXT NOT NULL UNIQUE,
	owner      TEXT NOT NULL,
	created    INTEGER NOT NULL,
	versioning INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE xorbs (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	hash       BLOB NOT NULL UNIQUE,
	file       TEXT NOT NULL,
	off        INTEGER NOT NULL,
	len        INTEGER NOT NULL,
	doomed     INTEGER NOT NULL DEFAULT 0,
	keep_until INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX xorbs_file ON xorbs (file);
CREATE TABLE files (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	hash       BLOB NOT NULL UNIQUE,
	size       INTEGER NOT NULL,
	terms      BLOB NOT NULL,
	doomed     INTEGER NOT NULL DEFAULT 0,
	keep_until INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE refs (
	xorb INTEGER NOT NULL,
	file INTEGER NOT NULL,
	PRIMARY KEY (xorb, file)
) WITHOUT ROWID;
CREATE INDEX refs_file ON refs (file);
CREATE TABLE damaged (
	xorb INTEGER PRIMARY KEY
);
CREATE TABLE packs (
	file   TEXT PRIMARY KEY,
	proc   INTEGER NOT NULL,
	sealed INTEGER NOT NULL,
	size   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE trash (
	file  TEXT PRIMARY KEY,
	epoch INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE keys (
	bucket  INTEGER NOT NULL,
	key     BLOB NOT NULL,
	version INTEGER NOT NULL,
	file    INTEGER NOT NULL,
	info    BLOB NOT NULL,
	PRIMARY KEY (bucket, key, version)
) WITHOUT ROWID;
CREATE INDEX keys_file ON keys (file);
CREATE TABLE uploads (
	id      TEXT PRIMARY KEY,
	bucket  INTEGER NOT NULL,
	key     BLOB NOT NULL,
	created INTEGER NOT NULL,
	done    INTEGER NOT NULL DEFAULT 0,
	info    BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE parts (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	upload TEXT NOT NULL,
	number INTEGER NOT NULL,
	file   INTEGER NOT NULL,
	info   BLOB NOT NULL,
	UNIQUE (upload, number)
);
CREATE INDEX parts_file ON parts (file);
`

// indexSchema: h is the first 64 bits of a chunk hash, loc the xorb's id × 8192 plus the chunk's index in it. Two chunks
// that share h share the row: a hint leads to one of them, and the full hash decides.
const indexSchema = `
CREATE TABLE chunks (
	h   INTEGER PRIMARY KEY,
	loc INTEGER NOT NULL
);
`

// busyTimeout in ms. Transactions that write take turns by a lock file; this is for checkpoints and for other programs.
const busyTimeout = "10000"

// dsn names a database with the settings that each connection gets.
func dsn(path, synchronous string, cacheKiB int) string {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout("+busyTimeout+")")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous("+synchronous+")")
	q.Add("_pragma", "journal_size_limit("+strconv.Itoa(walLimit)+")")
	q.Add("_pragma", "cache_size(-"+strconv.Itoa(cacheKiB)+")")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// openDB opens a database with at most conns connections, which stay open.
func openDB(path, synchronous string, conns, cacheKiB int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, synchronous, cacheKiB))
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
		return fmt.Errorf("%s has format %d, this program knows up to %d: use a newer version of the program", name, have, format)
	case have != 0:
		return fmt.Errorf("%s has the unknown format %d", name, have)
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

// sqlError gives SQLite's full disk and damaged file their names.
func sqlError(err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code() & 0xFF {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", object.ErrNoSpace, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", object.ErrCorrupt, err)
	}
	return err
}
