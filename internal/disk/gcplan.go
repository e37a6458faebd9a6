package disk

import (
	"context"
	"errors"
	"io/fs"
	"strings"
)

// xorbWillGo says of a row of xorbs that no file will refer to it once those are gone that nothing names.
func (c *collector) xorbWillGo() string {
	return strings.ReplaceAll(c.undated(), "keep_until", "xorbs.keep_until") + ` AND NOT EXISTS (SELECT 1 FROM refs r
		JOIN files ON files.id = r.file WHERE r.xorb = xorbs.id AND NOT (` + c.fileIsLoose() + `))`
}

// estimate counts what run would do, when nobody writes meanwhile and nobody is waited for.
func (c *collector) estimate(ctx context.Context) error {
	err := c.windows(ctx, "files", "looking for files that nothing names", func(ctx context.Context, from, to int64) error {
		var n int64
		err := c.d.reads.db.QueryRowContext(ctx, `SELECT count(*) FROM files WHERE id > ?2 AND id <= ?3 AND `+c.fileIsLoose(),
			c.now, from, to).Scan(&n)
		c.out.Files += n
		return sqlError(err)
	})
	if err != nil {
		return err
	}
	var goes, thin idSet
	err = c.windows(ctx, "xorbs", "looking for xorbs that no file needs", func(ctx context.Context, from, to int64) error {
		page, err := c.xorbsThatGo(ctx, from, to)
		for _, x := range page {
			goes.add(x.id)
			c.out.Xorbs++
			c.removed(x.at)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = c.poorXorbs(ctx, `NOT (`+c.fileIsLoose()+`)`, func(page []poorXorb) error {
		for _, x := range page {
			c.out.Rewritten += x.small
			c.out.Freed -= x.small
			if c.opts.Backups > 0 {
				c.out.Waiting += x.at.len
				continue
			}
			thin.add(x.id)
			c.out.Xorbs++
			c.removed(x.at)
		}
		return nil
	})
	if err != nil {
		return err
	}
	lives := make(map[string]int64)
	err = c.windows(ctx, "xorbs", "looking for packs of which little lives", func(ctx context.Context, from, to int64) error {
		page, err := collect(ctx, c.d.reads.db, scanStored, storedColumns+`WHERE id > ? AND id <= ?`, from, to)
		for _, x := range page {
			if strings.HasPrefix(x.at.file, "packs/") && !goes.has(x.id) && !thin.has(x.id) {
				lives[x.at.file] += x.at.len
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	ended, err := c.endedPacks(ctx)
	if err != nil {
		return err
	}
	err = c.poorPacks(ctx, ended, lives, func(name string, size int64) error {
		c.out.Packs++
		c.out.Rewritten += lives[name]
		c.out.Freed += size - lives[name]
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.estimateTrash(ctx); err != nil || !c.opts.Orphans {
		return err
	}
	return c.orphans(ctx, func(name string) error {
		c.out.Orphans++
		size, err := c.d.fs.size(name)
		c.out.OrphanBytes += size
		return errors.Join(err, c.removedFile(name))
	})
}

// xorbsThatGo returns the xorbs with ids in (from, to] that no file will refer to.
func (c *collector) xorbsThatGo(ctx context.Context, from, to int64) ([]storedXorb, error) {
	return collect(ctx, c.d.reads.db, scanStored, storedColumns+`WHERE id > ?2 AND id <= ?3 AND `+c.xorbWillGo(), c.now, from, to)
}

// removed counts the file of a xorb that has one of its own.
func (c *collector) removed(at place) {
	if !strings.HasPrefix(at.file, "packs/") {
		c.out.Packs++
		c.out.Freed += at.len
	}
}

func (c *collector) removedFile(name string) error {
	size, err := c.d.fs.size(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.out.Packs++
	c.out.Freed += size
	return ioError(err)
}

// estimateTrash counts what is in the trash already.
func (c *collector) estimateTrash(ctx context.Context) error {
	for from := ""; ; {
		names, err := collect(ctx, c.d.reads.db, scanName, `SELECT file FROM trash WHERE file > ? ORDER BY file LIMIT ?`, from, gcWindow)
		if err != nil || len(names) == 0 {
			return err
		}
		from = names[len(names)-1]
		for _, name := range names {
			if err := c.removedFile(name); err != nil {
				return err
			}
		}
	}
}
