package sumvfs

import (
	"path/filepath"
	"testing"
)

// TestGatherMakesOneWrite: the log of a database that is opened so gets what a transaction wrote at once, before its sync.
func TestGatherMakesOneWrite(t *testing.T) {
	for how, most := range map[string]int{"": 1000, gathering: 1} {
		var ops []string
		vfs := register(t, func(op Op) error {
			if op.File == "db-wal" {
				ops = append(ops, op.Do)
			}
			return nil
		})
		db := create(t, filepath.Join(t.TempDir(), "db"), vfs+how)
		exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL)`)
		for range 3 {
			ops = nil
			exec(t, db, `INSERT INTO t (body) VALUES (randomblob(30000))`)
			writes := len(ops) - 1
			if writes < 1 || writes > most || ops[writes] != "sync" || how == "" && writes < 8 {
				t.Errorf("with %q the log saw %v", how, ops)
			}
		}
	}
}

// TestGatherSpills: a transaction that is larger than SQLite's memory for it reads back what it has written to the log, and one
// that is rolled back leaves nothing.
func TestGatherSpills(t *testing.T) {
	db := create(t, filepath.Join(t.TempDir(), "db"), plainLayer(t)+gathering)
	db.SetMaxOpenConns(1)
	exec(t, db, `PRAGMA cache_size = 10`)
	exec(t, db, `CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL)`)
	for round, end := range []string{`COMMIT`, `ROLLBACK`, `COMMIT`} {
		exec(t, db, `BEGIN`)
		for i := range 60 {
			exec(t, db, `INSERT INTO t (body) VALUES (randomblob(?))`, 100+i*300)
			exec(t, db, `UPDATE t SET body = randomblob(length(body)) WHERE id % 7 = ?`, i%7)
		}
		exec(t, db, end)
		integrity(t, db, end)
		var n int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM t`).Scan(&n); err != nil || n != []int{60, 60, 120}[round] {
			t.Errorf("after %s there are %d rows, %v", end, n, err)
		}
	}
}
