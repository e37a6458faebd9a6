package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Stats is what a store holds and what that takes, in bytes where nothing else is said. Beside writers each figure is of some
// moment while they were counted, not all of the same one.
type Stats struct {
	Buckets []BucketStats // by name

	Objects    int64 // how many
	Logical    int64 // what the objects are long, each counted
	Uploads    int64 // how many are under way; their parts are no objects, and count in none of the other figures but Unique and Stored
	Parts      int64 // how many have come for them
	PartBytes  int64 // what the parts are long, each counted
	Unique     int64 // of all xorbs, not compressed; also of those that no object refers to
	Referenced int64 // of the xorbs that an object refers to, not compressed
	Stored     int64 // of all xorbs, as they lie on disk
	OnDisk     int64 // of the files in packs, xorbs and tmp
	Catalog    int64 // of catalog.db and its log
	Index      int64 // of index.db and its log
	Free       int64 // what may still be written to the file system
}

// BucketStats are those of one bucket. Unique and Stored count each xorb once that an object of the bucket refers to, if only to
// a chunk of it. A xorb that several buckets refer to counts in each of them: their sums may be more than there is.
type BucketStats struct {
	Name, Owner string

	Objects int64 // how many
	Logical int64 // what the objects are long, each counted
	Unique  int64 // of their xorbs, not compressed
	Stored  int64 // of their xorbs, as they lie on disk
}

// DedupRatio is how many times the room of their xorbs the objects would take without deduplication; 0 when there are none.
// Chunks of a xorb that nothing refers to any more count as used.
func (s *Stats) DedupRatio() float64 { return ratio(s.Logical, s.Referenced) }

// CompressionRatio is how many times the room that they take xorbs would take without compression; 0 when there are none.
func (s *Stats) CompressionRatio() float64 { return ratio(s.Unique, s.Stored) }

// DedupRatio is that of Stats, of one bucket.
func (s *BucketStats) DedupRatio() float64 { return ratio(s.Logical, s.Unique) }

// CompressionRatio is that of Stats, of one bucket.
func (s *BucketStats) CompressionRatio() float64 { return ratio(s.Unique, s.Stored) }

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// statsPage is how many rows are read at once.
const statsPage = 1000

// Stats counts what is stored. It reads all rows, in pages, and no content.
func (d *Driver) Stats(ctx context.Context, p Progress) (Stats, error) {
	c := &counter{d: d, progress: p}
	for _, step := range []func(context.Context) error{c.buckets, c.uploads, c.parts, c.xorbs, c.files} {
		if err := step(ctx); err != nil {
			return Stats{}, fmt.Errorf("count what is in store %s: %w", d.dir, err)
		}
	}
	return c.Stats, nil
}

// counter carries what Stats knows so far.
type counter struct {
	Stats
	d        *Driver
	progress Progress
	seen     idSet // xorbs that some object refers to
}

// buckets counts one bucket after the other.
func (c *counter) buckets(ctx context.Context) error {
	type bucket struct {
		BucketStats
		id int64
	}
	scan := func(rows *sql.Rows) (b bucket, err error) {
		err = rows.Scan(&b.id, &b.Name, &b.Owner)
		return b, err
	}
	for last := ""; ; {
		page, err := collect(brief(ctx), c.d.reads.db, scan, `SELECT id, name, owner FROM buckets WHERE name > ? ORDER BY name LIMIT ?`,
			last, statsPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, b := range page {
			if err := c.bucket(ctx, b.id, &b.BucketStats); err != nil {
				return err
			}
			c.Buckets = append(c.Buckets, b.BucketStats)
			last = b.Name
		}
	}
}

// bucket counts the objects of a bucket, and each xorb that they refer to once.
func (c *counter) bucket(ctx context.Context, id int64, b *BucketStats) error {
	type object struct {
		key        []byte
		file, size int64
	}
	scan := func(rows *sql.Rows) (o object, err error) {
		err = rows.Scan(&o.key, &o.file, &o.size)
		return o, err
	}
	var files, xorbs idSet
	for last := []byte{}; ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := collect(brief(ctx), c.d.reads.db, scan, `SELECT k.key, k.file, f.size FROM keys k JOIN files f ON f.id = k.file
			WHERE k.bucket = ? AND k.key > ? AND k.version = 0 ORDER BY k.key LIMIT ?`, id, last, statsPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, o := range page {
			b.Objects++
			c.Objects++
			b.Logical += o.size
			c.Logical += o.size
			if files.add(o.file) {
				if err := c.file(ctx, o.file, &xorbs, b); err != nil {
					return err
				}
			}
			last = o.key
		}
		c.progress.tell(Step{Name: "counting objects", Done: c.Objects})
	}
}

// sized is a xorb's row, and how long the xorb is.
type sized struct{ id, raw, len int64 }

func scanSized(rows *sql.Rows) (x sized, err error) {
	err = rows.Scan(&x.id, &x.raw, &x.len)
	return x, err
}

// file counts those xorbs of a file that the bucket has not referred to before.
func (c *counter) file(ctx context.Context, file int64, xorbs *idSet, b *BucketStats) error {
	for last := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := collect(brief(ctx), c.d.reads.db, scanSized, `SELECT x.id, x.raw, x.len FROM refs r JOIN xorbs x ON x.id = r.xorb
			WHERE r.file = ? AND r.xorb > ? ORDER BY r.xorb LIMIT ?`, file, last, statsPage)
		if err != nil {
			return err
		}
		for _, x := range page {
			if xorbs.add(x.id) {
				b.Unique += x.raw
				b.Stored += x.len
			}
			if c.seen.add(x.id) {
				c.Referenced += x.raw
			}
			last = x.id
		}
		if len(page) < statsPage {
			return nil
		}
	}
}

// uploads counts the uploads that are not done.
func (c *counter) uploads(ctx context.Context) error {
	type upload struct {
		id   string
		done bool
	}
	scan := func(rows *sql.Rows) (u upload, err error) {
		err = rows.Scan(&u.id, &u.done)
		return u, err
	}
	for last := ""; ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := collect(brief(ctx), c.d.reads.db, scan, `SELECT id, done FROM uploads WHERE id > ? ORDER BY id LIMIT ?`, last, statsPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, u := range page {
			if !u.done {
				c.Uploads++
			}
			last = u.id
		}
	}
}

// parts counts the parts of uploads.
func (c *counter) parts(ctx context.Context) error {
	type part struct{ id, size int64 }
	scan := func(rows *sql.Rows) (p part, err error) {
		err = rows.Scan(&p.id, &p.size)
		return p, err
	}
	for last := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := collect(brief(ctx), c.d.reads.db, scan, `SELECT p.id, f.size FROM parts p JOIN files f ON f.id = p.file
			WHERE p.id > ? ORDER BY p.id LIMIT ?`, last, statsPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			c.Parts++
			c.PartBytes += p.size
			last = p.id
		}
		c.progress.tell(Step{Name: "counting parts of uploads", Done: c.Parts})
	}
}

// xorbs counts all xorbs.
func (c *counter) xorbs(ctx context.Context) error {
	n := int64(0)
	for last := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := collect(brief(ctx), c.d.reads.db, scanSized, `SELECT id, raw, len FROM xorbs WHERE id > ? ORDER BY id LIMIT ?`,
			last, statsPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, x := range page {
			c.Unique += x.raw
			c.Stored += x.len
			last = x.id
		}
		n += int64(len(page))
		c.progress.tell(Step{Name: "counting xorbs", Done: n})
	}
}

// files measures files.
func (c *counter) files(ctx context.Context) error {
	dirs := contentDirs()
	for i, dir := range dirs {
		if err := live(ctx); err != nil {
			return err
		}
		names, err := c.d.fs.list(dir)
		if err != nil {
			return ioError(err)
		}
		for _, name := range names {
			n, err := c.d.fs.size(dir + "/" + name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have gone meanwhile
				return ioError(err)
			}
			c.OnDisk += n
		}
		c.progress.tell(Step{Name: "measuring files", Done: int64(i + 1), Total: int64(len(dirs))})
	}
	for name, to := range map[string]*int64{"catalog.db": &c.Catalog, "index.db": &c.Index} {
		for _, suffix := range []string{"", "-wal"} {
			st, err := os.Stat(filepath.Join(c.d.dir, name+suffix))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return ioError(err)
			}
			*to += st.Size()
		}
	}
	var err error
	c.Free, _, err = c.d.fs.free()
	return ioError(err)
}
