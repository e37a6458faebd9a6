package disk

import (
	"context"
	"database/sql"
	"fmt"

	"hugbucket/internal/object"
)

// Glance is what can be told of a store without following each object to its chunks, in bytes where nothing else is said.
type Glance struct {
	Objects int64 // how many
	Logical int64 // what the objects are long, each counted
	Used    int64 // of the xorbs that objects and parts of uploads refer to, not compressed
	Stored  int64 // of all xorbs, as they lie on disk
	Loose   int64 // of Stored, the xorbs to which nothing refers: about what gc would free
}

// DedupRatio is how many times the room of their xorbs the objects would take without deduplication; 0 when there are none.
func (g *Glance) DedupRatio() float64 { return ratio(g.Logical, g.Used) }

var _ object.Reserve = (*Driver)(nil)

// Free implements object.Reserve: how many bytes of the file system are free, and how many of these are kept free for deletions.
func (d *Driver) Free() (free, floor int64, err error) {
	free, _, err = d.fs.free()
	return free, d.floor, ioError(err)
}

// Glance reads the rows of files and xorbs, in pages, and counts keys by their index. Collect with DryRun says exactly what could be
// freed, and takes much longer: it finds what is used of xorbs in part.
func (d *Driver) Glance(ctx context.Context, p Progress) (Glance, error) {
	var g Glance
	err := d.glanceFiles(ctx, p, &g)
	if err == nil {
		err = d.glanceXorbs(ctx, p, &g)
	}
	if err != nil {
		return Glance{}, fmt.Errorf("look over store %s: %w", d.dir, err)
	}
	return g, nil
}

func (d *Driver) glanceFiles(ctx context.Context, p Progress, g *Glance) error {
	type file struct{ id, size, keys int64 }
	scan := func(rows *sql.Rows) (f file, err error) {
		err = rows.Scan(&f.id, &f.size, &f.keys)
		return f, err
	}
	last, err := d.lastID(ctx, "files")
	if err != nil {
		return err
	}
	for at := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := collect(brief(ctx), d.reads.db, scan, `SELECT id, size, (SELECT count(*) FROM keys k WHERE k.file = f.id AND k.version = 0)
			FROM files f WHERE id > ? ORDER BY id LIMIT ?`, at, statsPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, f := range page {
			g.Objects += f.keys
			g.Logical += f.keys * f.size
			at = f.id
		}
		p.tell(Step{Name: "counting objects", Done: at, Total: max(at, last)})
	}
}

func (d *Driver) glanceXorbs(ctx context.Context, p Progress, g *Glance) error {
	type xorb struct {
		id, raw, len int64
		used         bool
	}
	scan := func(rows *sql.Rows) (x xorb, err error) {
		err = rows.Scan(&x.id, &x.raw, &x.len, &x.used)
		return x, err
	}
	last, err := d.lastID(ctx, "xorbs")
	if err != nil {
		return err
	}
	for at := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := collect(brief(ctx), d.reads.db, scan, `SELECT id, raw, len, EXISTS (SELECT 1 FROM refs r WHERE r.xorb = x.id
				AND (EXISTS (SELECT 1 FROM keys WHERE file = r.file) OR EXISTS (SELECT 1 FROM parts WHERE file = r.file)))
			FROM xorbs x WHERE id > ? ORDER BY id LIMIT ?`, at, statsPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, x := range page {
			g.Stored += x.len
			if x.used {
				g.Used += x.raw
			} else {
				g.Loose += x.len
			}
			at = x.id
		}
		p.tell(Step{Name: "counting xorbs", Done: at, Total: max(at, last)})
	}
}
