package disk

import (
	"context"
	"errors"
	"testing"

	"hugbucket/internal/object"
)

// beginFS calls begin before each transaction.
type beginFS struct {
	fsys
	begin *func()
}

func (f beginFS) reach(step string) error {
	if step == "begin" && *f.begin != nil {
		(*f.begin)()
	}
	return f.fsys.reach(step)
}

// crowdedBucket opens a store with a bucket of more uploads, and parts of one, than a slice takes.
func crowdedBucket(t *testing.T, begin *func()) *Driver {
	t.Helper()
	dir := t.TempDir()
	d := openWith(t, dir, Options{idle: true, fs: beginFS{osFS(dir), begin}})
	s := newStore(t, d)
	uploadIn(t, s, "key", randomBytes(100, 1))
	write(t, d, `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
		INSERT INTO parts (upload, number, file, info) SELECT upload, i, file, info FROM parts, n WHERE number = 1`)
	write(t, d, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
		INSERT INTO uploads (id, bucket, key, created, done, info) SELECT 'more' || i, 1, x'61', 5, i % 2, x'' FROM n`)
	return d
}

func noUploads(t *testing.T, d *Driver) {
	t.Helper()
	for _, table := range []string{"uploads", "parts"} {
		if n := count(t, d, `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
}

// TestDeleteBucketInSlices deletes a bucket with more uploads than one transaction takes, and one that begins meanwhile.
func TestDeleteBucketInSlices(t *testing.T) {
	var begin func()
	d := crowdedBucket(t, &begin)
	began := 0
	begin = func() {
		if began++; began == 2 {
			_, err := d.commit.conn.ExecContext(t.Context(), `INSERT INTO uploads VALUES ('meanwhile', 1, x'61', 5, 0, x'')`)
			if err != nil {
				t.Error(err)
			}
		}
	}
	if err := d.DeleteBucket(t.Context(), "bucket"); err != nil {
		t.Fatal(err)
	}
	begin = nil
	if began < 4 {
		t.Errorf("%d transactions have deleted it all", began)
	}
	noUploads(t, d)
	if _, err := d.Bucket(t.Context(), "bucket"); !errors.Is(err, object.ErrNoBucket) {
		t.Errorf("the bucket is there: %v", err)
	}
}

// TestDeleteBucketMeanwhile has something happen between two slices that a bucket must outlive.
func TestDeleteBucketMeanwhile(t *testing.T) {
	for what, c := range map[string]struct {
		rows string
		want error
	}{
		"an object comes": {`INSERT INTO keys (bucket, key, version, file, info) VALUES (1, x'61', 0, 1, x'')`, object.ErrBucketNotEmpty},
		"another has the name": {`UPDATE buckets SET name = 'gone'; INSERT INTO buckets (name, owner, created) VALUES ('bucket', 'other', 7);
			INSERT INTO uploads VALUES ('others', 2, x'61', 5, 0, x'')`, object.ErrNoBucket},
	} {
		t.Run(what, func(t *testing.T) {
			var begin func()
			d := crowdedBucket(t, &begin)
			began := 0
			begin = func() {
				if began++; began == 2 {
					if _, err := d.commit.conn.ExecContext(context.Background(), c.rows); err != nil {
						t.Error(err)
					}
				}
			}
			if err := d.DeleteBucket(t.Context(), "bucket"); !errors.Is(err, c.want) {
				t.Errorf("delete the bucket: %v", err)
			}
			begin = nil
			if _, err := d.Bucket(t.Context(), "bucket"); err != nil {
				t.Errorf("the bucket: %v", err)
			}
			if n := count(t, d, `SELECT count(*) FROM uploads WHERE bucket = 2`); c.want == object.ErrNoBucket && n != 1 { //nolint:errorlint // it is one
				t.Errorf("%d uploads of the other bucket are left", n)
			}
			write(t, d, `DELETE FROM keys; DELETE FROM uploads; DELETE FROM parts`)
		})
	}
}
