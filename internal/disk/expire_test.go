package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
)

// manyUploads begins more uploads long ago than a slice has, each with a part: those with an odd number are busy.
func manyUploads(t *testing.T, d *Driver, n int) {
	t.Helper()
	err := d.commit.tx(t.Context(), func(ctx context.Context) error {
		for i := range n {
			id := "upload" + strings.Repeat("-", 50) + string(rune('A'+i/100%26)) + string(rune('A'+i/10%10)) + string(rune('A'+i%10))
			came := time.UnixMilli(1000)
			if i%2 == 1 {
				came = time.Now()
			}
			info, err := encodePart(id, &object.Part{Number: 1, ModTime: came})
			if err != nil {
				return err
			}
			_, err = d.commit.conn.ExecContext(ctx, `INSERT INTO uploads (id, bucket, key, created, done, info) VALUES (?, 1, x'61', ?, 0, x'')`, id, i)
			if err != nil {
				return err
			}
			_, err = d.commit.conn.ExecContext(ctx, `INSERT INTO parts (upload, number, file, info) VALUES (?, 1, 1, ?)`, id, info)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestExpireUploadsKeepsDamagedRow damages the row of the newest part of a busy upload: its age is not known then, and what is not
// known to be old stays, whereas the others go.
func TestExpireUploadsKeepsDamagedRow(t *testing.T) {
	d := openTest(t, t.TempDir())
	s := newStore(t, d)
	name, _ := uploadIn(t, s, "busy", randomBytes(30_000, 1), randomBytes(300_000, 2))
	write(t, d, `UPDATE parts SET info = substr(info, 1, length(info) - 1) WHERE number = 2`)
	uploadIn(t, s, "older", randomBytes(100, 3))
	uploadIn(t, s, "newer", randomBytes(100, 4))
	write(t, d, `UPDATE uploads SET created = 5 WHERE key = CAST('older' AS BLOB)`)
	got, err := s.ExpireUploads(t.Context(), -time.Hour)
	if got != 2 || !errors.Is(err, object.ErrCorrupt) || !strings.Contains(err.Error(), name.ID) {
		t.Errorf("%d uploads have expired, %v", got, err)
	}
	if n := count(t, d, `SELECT count(*) FROM parts WHERE upload = '`+name.ID+`'`); n != 2 {
		t.Errorf("%d parts are left of the upload that is hurt", n)
	}
	if err := s.AbortUpload(t.Context(), name); err != nil {
		t.Errorf("abort what is hurt: %v", err)
	}
}

// TestExpireUploadsBeyondDamagedPage damages a page of parts: the uploads that it hides stay, the old ones before and behind it go, and
// the error says what is damaged. So it is the next time.
func TestExpireUploadsBeyondDamagedPage(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, Options{idle: true})
	newStore(t, d)
	const all = 1200
	manyUploads(t, d, all)
	var page int
	err := d.reads.db.QueryRowContext(t.Context(),
		`SELECT pageno FROM dbstat WHERE name = 'parts' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 5`).Scan(&page)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, d)
	path := filepath.Join(dir, "catalog.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[(page-1)*dbPage+100] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d = opened(t, dir, Options{idle: true})
	s := object.New(d, object.Config{})
	got, err := s.ExpireUploads(t.Context(), time.Hour)
	if got < all/2-50 || got >= all/2 || !errors.Is(err, object.ErrCorrupt) || !strings.Contains(err.Error(), "upload") {
		t.Errorf("%d uploads have expired, %v", got, err)
	}
	if n := count(t, d, `SELECT count(*) FROM uploads`); int(n) != all-got {
		t.Errorf("%d uploads are left of %d", n, all)
	}
	if n := count(t, d, `SELECT count(*) FROM uploads WHERE created % 2 = 1`); n != all/2 {
		t.Errorf("%d busy uploads are left", n)
	}
	if again, err := s.ExpireUploads(t.Context(), time.Hour); again != 0 || !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("%d uploads have expired the second time, %v", again, err)
	}
	closed(t, d)
}
