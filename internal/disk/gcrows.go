package disk

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"

	"hugbucket/internal/object"
)

const (
	// nameless says of a row of files that nothing names it.
	nameless = `NOT EXISTS (SELECT 1 FROM keys WHERE file = files.id) AND NOT EXISTS (SELECT 1 FROM parts WHERE file = files.id)`
	// unneeded says of a row of xorbs that only doomed files refer to it.
	unneeded = `NOT EXISTS (SELECT 1 FROM refs r JOIN files f ON f.id = r.file WHERE r.xorb = xorbs.id AND f.doomed = 0)`
	// unreferred says of a row of xorbs that no file refers to it.
	unreferred = `NOT EXISTS (SELECT 1 FROM refs WHERE xorb = xorbs.id)`
	// mayGo says of a doomed row that all processes have come to its epoch.
	mayGo = `doomed <> 0 AND doomed <= (SELECT epoch FROM meta) AND doomed <= (SELECT ifnull(min(epoch), 0) FROM procs)`
)

// undated says of a row that it has no date that must be kept; ?1 is now. The date of orphans counts unless they are to go.
func (c *collector) undated() string {
	if c.opts.Orphans {
		return fmt.Sprintf(`(keep_until <= ?1 OR keep_until = %d)`, keepOrphan)
	}
	return `keep_until <= ?1`
}

// fileIsLoose says of a row of files that nothing names it, nor keeps it.
func (c *collector) fileIsLoose() string { return c.undated() + ` AND ` + nameless }

// doomFiles dooms the files that nothing names.
func (c *collector) doomFiles(ctx context.Context) error {
	return c.doom(ctx, "files", "looking for files that nothing names", c.fileIsLoose())
}

// doomXorbs dooms the xorbs that only doomed files refer to.
func (c *collector) doomXorbs(ctx context.Context) error {
	return c.doom(ctx, "xorbs", "looking for xorbs that no file needs", c.undated()+` AND `+unneeded)
}

func (c *collector) doom(ctx context.Context, table, name, loose string) error {
	return c.windows(ctx, table, name, func(ctx context.Context, from, to int64) error {
		ids, err := collect(ctx, c.d.reads.db, scanID,
			`SELECT id FROM `+table+` WHERE id > ?2 AND id <= ?3 AND doomed = 0 AND `+loose, c.now, from, to)
		if err != nil {
			return err
		}
		return slicesOf(ctx, c, ids, func(ctx context.Context, few []int64) error {
			_, err := c.d.commit.conn.ExecContext(ctx, `UPDATE `+table+` SET doomed = (SELECT epoch FROM meta) + 1
				WHERE id IN `+these+` AND doomed = 0 AND `+loose, c.now, idList(few))
			return err
		})
	})
}

// these are the ids in the parameter ?2, which idList makes.
const these = `(SELECT value FROM json_each(?2))`

// idList makes a parameter of ids or names.
func idList[T any](few []T) string {
	b, err := json.Marshal(few)
	if err != nil {
		panic(err) // numbers and strings cannot fail
	}
	return string(b)
}

// returned runs a statement of the transaction under way that changes rows, and returns what it says of them.
func returned[T any](ctx context.Context, c *collector, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := c.d.commit.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scan)
}

// doomed returns some ids of doomed rows behind one that may be deleted as far as epochs go.
func (c *collector) doomed(ctx context.Context, table string, from int64) ([]int64, error) {
	return collect(ctx, c.d.reads.db, scanID,
		`SELECT id FROM `+table+` WHERE id > ? AND `+mayGo+` ORDER BY id LIMIT ?`, from, gcWindow)
}

// deleteFiles deletes the rows of files that were doomed and are still not named.
func (c *collector) deleteFiles(ctx context.Context) error {
	for from := int64(0); ; {
		ids, err := c.doomed(ctx, "files", from)
		if err != nil || len(ids) == 0 {
			return err
		}
		from = ids[len(ids)-1]
		err = slicesOf(ctx, c, ids, func(ctx context.Context, few []int64) error {
			gone, err := returned(ctx, c, scanID, `DELETE FROM files WHERE id IN `+these+` AND `+mayGo+` AND `+c.fileIsLoose()+`
				RETURNING id`, c.now, idList(few))
			if err != nil || len(gone) == 0 {
				return err
			}
			c.out.Files += int64(len(gone))
			_, err = c.d.commit.conn.ExecContext(ctx, `DELETE FROM refs WHERE file IN `+these, nil, idList(gone))
			return err
		})
		if err != nil {
			return err
		}
		c.opts.Progress.tell(Step{Name: "deleting files", Done: c.out.Files})
	}
}

// deleteXorbs deletes the rows of xorbs that were doomed and that nothing refers to, and puts files into the trash that hold
// no other. Rows of the index that lead to them are hints to nothing then; sweepIndex takes them.
func (c *collector) deleteXorbs(ctx context.Context) error {
	for from := int64(0); ; {
		ids, err := c.doomed(ctx, "xorbs", from)
		if err != nil || len(ids) == 0 {
			return err
		}
		from = ids[len(ids)-1]
		if err := slicesOf(ctx, c, ids, c.deleteSomeXorbs); err != nil {
			return err
		}
		c.opts.Progress.tell(Step{Name: "deleting xorbs", Done: c.out.Xorbs})
	}
}

// deleteSomeXorbs deletes rows in the transaction under way, those that may go.
func (c *collector) deleteSomeXorbs(ctx context.Context, few []int64) error {
	type deleted struct {
		id   int64
		file string
	}
	gone, err := returned(ctx, c, func(rows *sql.Rows) (x deleted, err error) {
		err = rows.Scan(&x.id, &x.file)
		return x, err
	}, `DELETE FROM xorbs WHERE id IN `+these+` AND `+mayGo+` AND `+c.undated()+` AND `+unreferred+` RETURNING id, file`, c.now, idList(few))
	if err != nil || len(gone) == 0 {
		return err
	}
	c.out.Xorbs += int64(len(gone))
	files := make(map[string]bool)
	ids := make([]int64, len(gone))
	for i, x := range gone {
		files[x.file] = true
		ids[i] = x.id
	}
	if _, err := c.d.commit.conn.ExecContext(ctx, `DELETE FROM damaged WHERE xorb IN `+these, nil, idList(ids)); err != nil {
		return err
	}
	for file := range files {
		if err := c.emptied(ctx, file, 0); err != nil {
			return err
		}
	}
	return nil
}

// sweepIndex deletes rows of the index that lead to xorbs which are gone.
func (c *collector) sweepIndex(ctx context.Context) error {
	last, err := c.d.lastXorb(ctx)
	if err != nil {
		return err
	}
	var there idSet
	err = c.windows(ctx, "xorbs", "listing xorbs", func(ctx context.Context, from, to int64) error {
		ids, err := collect(ctx, c.d.reads.db, scanID, `SELECT id FROM xorbs WHERE id > ? AND id <= ?`, from, to)
		for _, id := range ids {
			there.add(id)
		}
		return err
	})
	if err != nil {
		return err
	}
	looked := int64(0)
	for from := int64(math.MinInt64); ; {
		if err := live(ctx); err != nil {
			return err
		}
		page, err := c.d.index.rows(ctx, from, 8*gcWindow)
		if errors.Is(err, object.ErrCorrupt) {
			return nil // it is made anew, from what is there
		}
		if err != nil || len(page) == 0 {
			return err
		}
		var stale []entry
		for _, row := range page {
			if id, _ := row.at.split(); id <= last && !there.has(id) {
				stale = append(stale, row)
			}
		}
		if err := c.d.index.drop(ctx, stale); err != nil {
			return err
		}
		looked += int64(len(page))
		c.opts.Progress.tell(Step{Name: "sweeping the index", Done: looked})
		if from = page[len(page)-1].h; from == math.MaxInt64 {
			return nil
		}
		from++
	}
}

// emptied puts a file into the trash, in the transaction under way, when no xorb lies in it any more: a pack that does not grow
// any more, or a xorb's own. later is added to the epoch in which an own one may go: 0 when nobody can read it any more.
func (c *collector) emptied(ctx context.Context, file string, later int64) error {
	conn := c.d.commit.conn
	var used bool
	var sealed sql.NullInt64
	err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM xorbs WHERE file = ?1), (SELECT sealed FROM packs WHERE file = ?1)`,
		file).Scan(&used, &sealed)
	if err != nil || used || sealed.Valid && !c.ended(sealed.Int64) {
		return err
	}
	if sealed.Valid {
		later = 1
		if _, err := conn.ExecContext(ctx, `DELETE FROM packs WHERE file = ?`, file); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO trash (file, epoch)
		SELECT ?1, CASE ?2 WHEN 0 THEN 0 ELSE epoch + ?2 END FROM meta WHERE true ON CONFLICT (file) DO NOTHING`, file, later)
	return err
}

// ended says of packs.sealed that the pack may be stored anew and removed.
func (c *collector) ended(sealed int64) bool { return sealed == 1 || sealed == 2 && c.opts.Orphans }

// unlink removes the files in the trash that nobody can be reading any more.
func (c *collector) unlink(ctx context.Context) error {
	for from := ""; ; {
		names, err := collect(ctx, c.d.reads.db, scanName, `SELECT file FROM trash WHERE file > ?1 AND epoch <= (SELECT epoch FROM meta)
			AND epoch <= (SELECT ifnull(min(epoch), 0) FROM procs)
			AND NOT EXISTS (SELECT 1 FROM xorbs WHERE file = trash.file) ORDER BY file LIMIT ?2`, from, gcWindow)
		if err != nil || len(names) == 0 {
			return err
		}
		from = names[len(names)-1]
		for _, name := range names {
			if err := c.removeFile(name); err != nil {
				return err
			}
		}
		if err := c.syncDirs(names); err != nil {
			return err
		}
		err = slicesOf(ctx, c, names, func(ctx context.Context, few []string) error {
			_, err := c.d.commit.conn.ExecContext(ctx, `DELETE FROM trash WHERE file IN `+these, nil, idList(few))
			return err
		})
		if err != nil {
			return err
		}
		c.opts.Progress.tell(Step{Name: "removing files", Done: c.out.Packs})
	}
}

// removeFile removes a file of the store, and counts it.
func (c *collector) removeFile(name string) error {
	size, err := c.d.fs.size(name)
	if err == nil {
		err = c.d.fs.remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // by who was stopped before it came to say so
	}
	if err != nil {
		return ioError(err)
	}
	c.out.Packs++
	c.out.Freed += size
	return nil
}

// syncDirs keeps files that were removed from coming again after a power cut, when no row names them any more.
func (c *collector) syncDirs(names []string) error {
	done := make(map[string]bool)
	for _, name := range names {
		if dir := path.Dir(name); !done[dir] {
			done[dir] = true
			if err := c.d.fs.syncDir(dir); err != nil {
				return ioError(err)
			}
		}
	}
	c.d.files.closeRemoved()
	return nil
}

// removeOrphans removes files that no row names and that belong to no process that the catalog knows: the sweep sees to those.
func (c *collector) removeOrphans(ctx context.Context) error {
	if !c.opts.Orphans {
		return nil
	}
	return c.orphans(ctx, func(name string) error {
		before := c.out.Freed
		if err := c.removeFile(name); err != nil {
			return err
		}
		c.out.Orphans++
		c.out.OrphanBytes += c.out.Freed - before
		return c.syncDirs([]string{name})
	})
}

// orphans calls f for each file that no row names and that no process writes which the catalog knows.
func (c *collector) orphans(ctx context.Context, f func(name string) error) error {
	dirs := contentDirs()
	for i, dir := range dirs {
		c.opts.Progress.tell(Step{Name: "looking for orphans", Done: int64(i), Total: int64(len(dirs))})
		if err := live(ctx); err != nil {
			return err
		}
		// Who registers from now on writes files that are not in this list.
		names, err := c.d.fs.list(dir)
		if err != nil {
			return ioError(err)
		}
		procs, err := collect(ctx, c.d.reads.db, scanID, `SELECT id FROM procs`)
		if err != nil {
			return err
		}
		for _, name := range names {
			name = path.Join(dir, name)
			named, err := c.d.named(ctx, name)
			if err != nil {
				return err
			}
			if !named && !madeByAny(name, procs) {
				if err := f(name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func madeByAny(name string, procs []int64) bool {
	for _, id := range procs {
		if madeBy(name, id) {
			return true
		}
	}
	return false
}
