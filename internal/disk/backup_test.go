package disk

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/disk/sumvfs"
	"hugbucket/internal/object"
)

// writing is content that writers put while something else happens.
type writing struct {
	t    *testing.T
	stop context.CancelFunc
	done chan map[string][]byte // what was acknowledged
}

// writers lets two of them put under a prefix, until acknowledged is called, and returns when each has begun.
func writers(t *testing.T, prefix string, drivers ...*Driver) *writing {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &writing{t, stop, make(chan map[string][]byte, len(drivers))}
	begun := make(chan bool, len(drivers))
	for n, d := range drivers {
		s := object.New(d, object.Config{})
		go func() {
			acked := make(map[string][]byte)
			for i := 0; ctx.Err() == nil || i < 2; i++ {
				key := fmt.Sprintf("%s/%d/%d", prefix, n, i)
				body := append([]byte(key), randomBytes(200+i%7*900, uint64(i))...)
				if i%50 == 3 {
					body = append(body, randomBytes(1_200_000, uint64(i))...)
				}
				if _, err := s.Put(context.WithoutCancel(ctx), "bucket", key, bytes.NewReader(body), object.PutOptions{}); err != nil {
					t.Error(err)
					break
				}
				acked[key] = body
				if i == 4 {
					begun <- true
				}
			}
			w.done <- acked
		}()
	}
	for range drivers {
		<-begun
	}
	return w
}

// acknowledged ends the writers.
func (w *writing) acknowledged() map[string][]byte {
	w.stop()
	all := make(map[string][]byte)
	for range cap(w.done) {
		maps.Copy(all, <-w.done)
	}
	return all
}

// between is a writer that does something before its nth write.
type between struct {
	bytes.Buffer
	n  int
	do func()
}

func (w *between) Write(p []byte) (int, error) {
	if w.n--; w.n == 0 {
		w.do()
	}
	return w.Buffer.Write(p)
}

// TestBackup copies a catalog while two processes write to it, and while it is being copied: the copy is of one moment, whole
// page by page, and plain SQLite finds nothing wrong.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	a, b := openTest(t, dir), openTest(t, dir)
	s := newStore(t, a)
	for i := range 30 {
		put(t, s, fmt.Sprint("before/", i), randomBytes(300+i, uint64(i)))
	}
	w := writers(t, "during", a, b)
	var steps []Step
	out := &between{n: 3, do: func() {
		for i := range 30 {
			put(t, s, fmt.Sprint("after/", i), randomBytes(400+i, uint64(i)))
		}
	}}
	if err := a.Backup(t.Context(), out, func(s Step) { steps = append(steps, s) }); err != nil {
		t.Fatal(err)
	}
	w.acknowledged()
	copied := out.Bytes()
	if last := steps[len(steps)-1]; last.Done != last.Total || last.Done != int64(len(copied)) || !last.Bytes {
		t.Errorf("the last step was %+v of %d bytes", last, len(copied))
	}
	for off := 0; off < len(copied); off += pageSize {
		if !sumvfs.Whole(copied[off:off+pageSize], int64(off)) {
			t.Fatalf("page %d has no right checksum", off/pageSize+1)
		}
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	ask := func(query string) (answer string) {
		if err := db.QueryRowContext(t.Context(), query).Scan(&answer); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		return answer
	}
	for query, want := range map[string]string{
		`PRAGMA integrity_check`: "ok",
		`SELECT count(*) FROM keys WHERE CAST(key AS TEXT) LIKE 'before/%'`:                                        "30",
		`SELECT count(*) FROM keys WHERE CAST(key AS TEXT) LIKE 'after/%'`:                                         "0",
		`SELECT count(*) > 0 FROM keys WHERE CAST(key AS TEXT) LIKE 'during/%'`:                                    "1",
		`SELECT count(*) FROM keys WHERE file NOT IN (SELECT id FROM files)`:                                       "0",
		`SELECT count(*) FROM files WHERE size > 0 AND id NOT IN (SELECT file FROM refs)`:                          "0",
		`SELECT count(*) FROM refs WHERE xorb NOT IN (SELECT id FROM xorbs) OR file NOT IN (SELECT id FROM files)`: "0",
		`SELECT count(*) FROM xorbs WHERE file LIKE 'packs/%' AND file NOT IN (SELECT file FROM packs)`:            "0",
	} {
		if got := ask(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// TestBackupOfDamage does not copy what cannot be read, but what holds nothing need not be read, and is not copied.
func TestBackupOfDamage(t *testing.T) {
	st := newRotStore(t)
	d := opened(t, st.dir, Options{idle: true})
	s := object.New(d, object.Config{})
	secret := strings.Repeat("secret", 300)
	for i := range 40 {
		_, err := s.Put(t.Context(), "bucket", fmt.Sprint("z", i), bytes.NewReader(nil),
			object.PutOptions{Attrs: object.Attrs{Meta: map[string]string{"m": secret}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		if err := s.Delete(t.Context(), "bucket", fmt.Sprint("z", i), object.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	var used int64
	err := d.reads.db.QueryRowContext(t.Context(), `SELECT pageno FROM dbstat WHERE name = 'keys' AND pagetype = 'leaf' LIMIT 1`).Scan(&used)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, d)
	d = opened(t, st.dir, Options{idle: true})
	free := freeIn(t, d)
	closed(t, d)
	st.change(t, "catalog.db", func(b []byte) []byte {
		for n := range free {
			b[(n-1)*pageSize+99] ^= 1
		}
		return b
	})
	copied, err := os.ReadFile(st.backup(t))
	if err != nil || len(copied) == 0 {
		t.Fatal(err)
	}
	for n := range free {
		if bytes.Contains(copied[(n-1)*pageSize:n*pageSize], []byte("secret")) {
			t.Errorf("page %d holds nothing, and was copied", n)
		}
	}
	st.change(t, "catalog.db", func(b []byte) []byte { b[(used-1)*pageSize+99] ^= 1; return b })
	d = opened(t, st.dir, Options{idle: true})
	var out bytes.Buffer
	if err := d.Backup(t.Context(), &out, nil); !errors.Is(err, object.ErrCorrupt) || !strings.Contains(err.Error(), "catalog.db") {
		t.Errorf("of a damaged page: %v", err)
	}
	closed(t, d)
}

// freeIn returns the pages of a catalog that hold nothing.
func freeIn(t *testing.T, d *Driver) map[int64]bool {
	t.Helper()
	read, err := d.reads.db.PrepareContext(t.Context(), `SELECT data FROM sqlite_dbpage WHERE pgno = ?`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := read.Close(); err != nil {
			t.Error(err)
		}
	}()
	free, err := freePages(t.Context(), read, 1<<30)
	if err != nil || len(free) == 0 {
		t.Fatalf("%d free pages, %v", len(free), err)
	}
	return free
}

// TestBackupEnds when its context does, or when what it writes to fails; the store goes on.
func TestBackupEnds(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	put(t, s, "key", randomBytes(300, 1))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	out := &between{n: 2, do: func() { cancel(why) }}
	if err := d.Backup(ctx, out, nil); !errors.Is(err, why) || out.Len() != 2*pageSize {
		t.Errorf("after %d bytes: %v", out.Len(), err)
	}
	if err := d.Backup(t.Context(), badWriter{why}, nil); !errors.Is(err, why) {
		t.Errorf("of a writer that fails: %v", err)
	}
	put(t, s, "key", randomBytes(301, 1))
	d.commit.cutLog(t.Context())
	if st, err := os.Stat(filepath.Join(d.dir, "catalog.db-wal")); err != nil || st.Size() > 0 {
		t.Errorf("the log cannot be cut after a backup that ended: %v", err)
	}
}

// badWriter is a writer that fails.
type badWriter struct{ err error }

func (w badWriter) Write([]byte) (int, error) { return 0, w.err }
