package disk

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// TestErrorsOfTheFileSystem says nothing of keys to a door.
func TestErrorsOfTheFileSystem(t *testing.T) {
	for _, errno := range []error{unix.EEXIST, unix.ENOENT, unix.EACCES, unix.EIO, unix.ENOSPC, unix.EDQUOT} {
		err := ioError(&os.PathError{Op: "open", Path: "packs/1.1", Err: errno})
		for _, sentinel := range []error{fs.ErrExist, fs.ErrNotExist, fs.ErrPermission} {
			if errors.Is(err, sentinel) {
				t.Errorf("%v passes for %v", err, sentinel)
			}
		}
		full := errors.Is(errno, unix.ENOSPC) || errors.Is(errno, unix.EDQUOT)
		if errors.Is(err, object.ErrNoSpace) != full {
			t.Errorf("%v: no space is %v", err, !full)
		}
	}
	if ioError(nil) != nil {
		t.Error("no error is an error")
	}
}

// TestRenameReplacesNothing: a name that is taken stays what it is.
func TestRenameReplacesNothing(t *testing.T) {
	root := osFS(t.TempDir())
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(root.path(name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := root.rename("a", "b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("rename onto a file: %v", err)
	}
	if b, err := os.ReadFile(root.path("b")); err != nil || string(b) != "b" {
		t.Errorf("b holds %q, %v", b, err)
	}
}

// TestLogIsCutBack fills the write-ahead log past its limit, with and without a reader in the way: with one the log stays
// and the next attempt is put off; without, it is empty.
func TestLogIsCutBack(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	size := func() int64 {
		st, err := os.Stat(d.commit.walPath)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	put(t, s, "a", []byte("a"))
	rows, err := d.reads.db.QueryContext(t.Context(), `SELECT key FROM keys`)
	if err != nil || !rows.Next() {
		t.Fatal("no rows", err, rows.Err())
	}
	put(t, s, "b", []byte("b"))
	d.commit.mu.Lock()
	d.commit.walNext = 1
	d.commit.mu.Unlock()
	put(t, s, "c", []byte("c"))
	if size() == 0 {
		t.Error("the log was cut under a reader")
	}
	d.commit.mu.Lock()
	if d.commit.walNext < walLimit {
		t.Errorf("the next attempt is at %d bytes already", d.commit.walNext)
	}
	d.commit.mu.Unlock()
	if err := errors.Join(rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // it is open until here on purpose
		t.Fatal(err)
	}
	// The store's own looks at the catalog may be in the way once, but not each time.
	for range 10 {
		d.commit.mu.Lock()
		d.commit.walNext = 1
		d.commit.mu.Unlock()
		put(t, s, "d", []byte("d"))
		if size() == 0 {
			break
		}
	}
	if n := size(); n != 0 {
		t.Errorf("the log has %d bytes after it was cut back", n)
	}
	var timeout string
	d.commit.mu.Lock()
	defer d.commit.mu.Unlock()
	if err := d.commit.conn.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&timeout); err != nil || timeout != busyTimeout {
		t.Errorf("the connection waits %s ms from then on, %v", timeout, err)
	}
}
