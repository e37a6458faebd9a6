package sumvfs

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// writers are two connections to one database, with so little memory that they write pages into the log before they commit, and what
// should be in it.
type writers struct {
	t     *testing.T
	rng   *rand.Rand
	conns [2]*sql.Conn
	want  map[int][]byte
}

func newWriters(t *testing.T, vfs, synchronous string, seed uint64) *writers {
	t.Helper()
	w := &writers{t: t, rng: rand.New(rand.NewPCG(seed, 1)), want: make(map[int][]byte)}
	db := create(t, filepath.Join(t.TempDir(), "db"), vfs)
	exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL)`)
	for i := range w.conns {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		w.conns[i] = c
		for _, set := range []string{"synchronous = " + synchronous, "cache_size = 5", "wal_autocheckpoint = 200"} {
			w.exec(c, "PRAGMA "+set)
		}
	}
	return w
}

func (w *writers) exec(c *sql.Conn, query string, args ...any) {
	w.t.Helper()
	if _, err := c.ExecContext(w.t.Context(), query, args...); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

// change changes some rows, and says of those what they are then.
func (w *writers) change(c *sql.Conn) (map[int][]byte, error) {
	changed := make(map[int][]byte)
	for range w.rng.IntN(60) {
		id, body := w.rng.IntN(80), make([]byte, w.rng.IntN(9000))
		for i := range body {
			body[i] = byte(w.rng.Uint32())
		}
		if _, err := c.ExecContext(w.t.Context(), `INSERT OR REPLACE INTO t VALUES (?, ?)`, id, body); err != nil {
			return nil, err
		}
		changed[id] = body
	}
	return changed, nil
}

func (w *writers) same(c *sql.Conn, want ...map[int][]byte) {
	w.t.Helper()
	all := make(map[int][]byte)
	for _, m := range want {
		maps.Copy(all, m)
	}
	rows, err := c.QueryContext(w.t.Context(), `SELECT id, body FROM t`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for ; rows.Next(); n++ {
		var id int
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			w.t.Fatal(err)
		}
		if string(all[id]) != string(body) {
			w.t.Fatalf("row %d is %d other bytes", id, len(body))
		}
	}
	if rows.Err() != nil || n != len(all) {
		w.t.Fatalf("%d rows of %d, %v", n, len(all), rows.Err())
	}
}

// TestWritersTakeTurns lets two connections write by turns, read what they have not committed yet, and roll back all of it or some.
func TestWritersTakeTurns(t *testing.T) {
	for _, synchronous := range []string{"FULL", "NORMAL", "OFF"} {
		t.Run(synchronous, func(t *testing.T) {
			w := newWriters(t, plainLayer(t), synchronous, 7)
			for range 150 {
				c := w.conns[w.rng.IntN(2)]
				w.exec(c, "BEGIN IMMEDIATE")
				first, err := w.change(c)
				if err != nil {
					t.Fatal(err)
				}
				w.exec(c, "SAVEPOINT s")
				second, err := w.change(c)
				if err != nil {
					t.Fatal(err)
				}
				if w.rng.IntN(2) == 0 { // reading has all written
					w.same(c, w.want, first, second)
				}
				if w.rng.IntN(3) == 0 {
					w.exec(c, "ROLLBACK TO s")
					second = nil
				}
				if w.rng.IntN(3) == 0 {
					w.exec(c, "ROLLBACK")
				} else {
					w.exec(c, "COMMIT")
					for _, m := range []map[int][]byte{first, second} {
						maps.Copy(w.want, m)
					}
				}
				w.same(w.conns[0], w.want)
				w.same(w.conns[1], w.want)
			}
			var said string
			if err := w.conns[0].QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&said); err != nil || said != "ok" {
				t.Errorf("%s, %v", said, err)
			}
		})
	}
}

// TestLogThatCannotBeWritten fails the k-th write into the log, for all k of a transaction, and all until that is rolled back, or that one
// alone: nothing of it is there then, and the next one is whole.
func TestLogThatCannotBeWritten(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		left, full := -1, false
		vfs := register(t, func(op Op) error {
			if op.Do != "write" || !strings.HasSuffix(op.File, "-wal") {
				return nil
			}
			if left == 0 || full {
				left, full = -1, lasting
				return unix.ENOSPC
			}
			left = max(left-1, -1)
			return nil
		})
		w := newWriters(t, vfs, "NORMAL", 8)
		failed := 0
		for k, survived := 0, false; !survived; k++ {
			c := w.conns[k%2]
			w.exec(c, "BEGIN IMMEDIATE")
			left = k
			changed, err := w.change(c)
			if err == nil {
				_, err = c.ExecContext(t.Context(), "COMMIT")
			}
			survived = left >= 0
			if err != nil {
				failed++
				_, _ = c.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK") // SQLite may have done it
			} else {
				maps.Copy(w.want, changed)
			}
			left, full = -1, false
			w.same(w.conns[0], w.want)
			w.same(w.conns[1], w.want)
		}
		if failed == 0 {
			t.Error("no write failed")
		}
	}
}

// TestLogIsWrittenInFewPieces: a transaction that changes many pages takes a few writes and a sync; a log that is begun anew has its
// header synced first.
func TestLogIsWrittenInFewPieces(t *testing.T) {
	var did []string
	written := 0
	vfs := register(t, func(op Op) error {
		if strings.HasSuffix(op.File, "-wal") {
			did = append(did, fmt.Sprint(op.Do, " ", len(op.Data)/1000))
			written += len(op.Data)
		}
		return nil
	})
	db := create(t, filepath.Join(t.TempDir(), "db"), vfs)
	exec(t, db, "PRAGMA synchronous = FULL")
	exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL)`)
	exec(t, db, "PRAGMA wal_checkpoint(RESTART)")
	did, written = nil, 0
	exec(t, db, fmt.Sprintf(`INSERT INTO t VALUES (1, zeroblob(%d))`, 400<<10))
	got := strings.Join(did, "; ")
	if !strings.HasPrefix(got, "write 0; sync 0; write 119; ") || !strings.HasSuffix(got, "; write 4; sync 0") || len(did) > 9 || written < 400<<10 {
		t.Errorf("%s", got)
	}
}

// TestRotInTheLog flips bits in the log while connections are open: who reads a page from there has an error, and so has who would
// copy it into the database.
func TestRotInTheLog(t *testing.T) {
	vfs := plainLayer(t)
	path := filepath.Join(t.TempDir(), "db")
	db := create(t, path, vfs)
	exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT NOT NULL)`)
	exec(t, db, `INSERT INTO t VALUES (1, 'MARKMARKMARK')`)
	log, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	b, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	mark := bytes.LastIndex(b, []byte("MARKMARKMARK"))
	frame := LogHeader + (mark-LogHeader)/(FrameHeader+pageSize)*(FrameHeader+pageSize)
	read := func() error {
		other := open(t, path, vfs)
		defer func() { _ = other.Close() }()
		var body string
		err := other.QueryRowContext(t.Context(), `SELECT body FROM t`).Scan(&body)
		if err == nil && body != "MARKMARKMARK" {
			t.Errorf("read %q", body)
		}
		return err
	}
	for what, at := range map[string]int{"content": mark, "stored sum": frame + 16, "page": frame + 3, "sum before": frame - FrameHeader - pageSize + 23} {
		flipped := []byte{b[at] ^ 4}
		if _, err := log.WriteAt(flipped, int64(at)); err != nil {
			t.Fatal(err)
		}
		if err := read(); !isDamage(err) {
			t.Errorf("%s: a reader has %v", what, err)
		}
		if _, err := db.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); !isDamage(err) {
			t.Errorf("%s: a checkpoint has %v", what, err)
		}
		if _, err := log.WriteAt(b[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := read(); err != nil {
		t.Error(err)
	}
	exec(t, db, `PRAGMA wal_checkpoint(TRUNCATE)`)
	if err := read(); err != nil {
		t.Error(err)
	}
	integrity(t, db, "after a checkpoint of what is whole")
}

func isDamage(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) && se.Code() == sqlite3.SQLITE_IOERR_DATA
}
