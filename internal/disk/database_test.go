package disk

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDatabaseWithoutChecksums: a catalog that another program has made, without room for checksums, is refused; an index is
// replaced.
func TestDatabaseWithoutChecksums(t *testing.T) {
	dir := filled(t, indexBody)
	replace := func(name string) {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), `CREATE TABLE t (id INTEGER PRIMARY KEY)`); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	replace("index.db")
	d := opened(t, dir, Options{})
	settleIndex(t, d)
	known(t, d, indexBody)
	closed(t, d)
	replace("catalog.db")
	if d, err := Open(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "not a database of this program") {
		t.Errorf("open: %v, %v", d, err)
	}
}
