package disk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hugbucket/internal/object"
)

// CollectOptions of Collect. The zero value is ready to use.
type CollectOptions struct {
	// DryRun changes nothing, and says what would be done.
	DryRun bool
	// Live is the part of a pack or a xorb, from 0 to 1, that must still be needed: when it is less, the rest is stored anew.
	// 0 means a half.
	Live float64
	// Wait is how long to wait for sessions and readers that still need what was deleted. What they need then is left to the
	// next time. 0 means a minute; less than 0 not to wait.
	Wait time.Duration
	// Recompress stores all that was not yet compressed as well as can be, smaller, where it gets smaller. It does so only while
	// no other process writes.
	Recompress bool
	// Orphans removes content, too, that no row names and that is not being written: what came after the backup from which
	// the catalog was restored.
	Orphans bool
	// Backups is how old the backups of the catalog are that must stay of use: for so long the old xorbs stay of which what
	// lives was stored anew, because these backups name them. 0 means a week; less than 0 that there are no backups.
	Backups time.Duration
	// Progress is told how far it is.
	Progress Progress
}

// Collected is what Collect did.
type Collected struct {
	Files, Xorbs int64 // rows that were deleted
	Packs        int64 // files of the store, packs or single xorbs, that were removed
	Freed        int64 // bytes of the files that were removed, less those of new ones
	Rewritten    int64 // bytes that were stored anew
	Waiting      int64 // bytes of what nothing names any more, and somebody or a backup still needs
	Recompressed int64 // xorbs that were made smaller,
	Saved        int64 // and by how many bytes in all
	Orphans      int64 // of what was removed: files that no row named,
	OrphanBytes  int64 // and their bytes
}

const (
	// gcLive, gcWait and gcBackups are what the zero CollectOptions mean.
	gcLive    = 0.5
	gcWait    = time.Minute
	gcBackups = 7 * 24 * time.Hour
	// gcSlice is how long a transaction of a collection may take before it is committed. It then gives way for as long as both
	// took. Others wait for it: with 20 ms, one put in a hundred beside it took twice as long as with 5.
	gcSlice = 5 * time.Millisecond
	// gcBatch is how many rows one statement changes.
	gcBatch = 64
	// gcWindow is how many rows are looked at in one read.
	gcWindow = 2048
	// gcPoll is how often it looks whether all processes have come to an epoch, and gcSweep after how many looks it looks for
	// some that died.
	gcPoll  = 50 * time.Millisecond
	gcSweep = 20
)

// collector is one run of Collect.
type collector struct {
	d     *Driver
	opts  CollectOptions
	out   Collected
	now   int64 // Unix seconds, which dates are compared with
	short error // there was no room to store anew what is worth it
}

// Collect frees what nothing names any more, beside processes that write and read. One process at a time does: ErrBusy. It
// may be stopped at any moment, by its context or by a crash: nothing is lost, and the next one goes on.
//
// First it dooms files that no key refers to and xorbs that no other file refers to, and begins a new epoch. When no session and
// no open content is older than that, what was doomed and is not needed again is deleted, and so are the files that hold
// nothing else. Xorbs and packs of which little lives are stored anew, and the old ones are removed an epoch later.
func (d *Driver) Collect(ctx context.Context, opts CollectOptions) (Collected, error) {
	release, err := d.holdStill(!opts.DryRun)
	if err != nil {
		return Collected{}, err
	}
	if opts.Live == 0 {
		opts.Live = gcLive
	}
	if opts.Wait == 0 {
		opts.Wait = gcWait
	}
	if opts.Backups == 0 {
		opts.Backups = gcBackups
	}
	c := &collector{d: d, opts: opts, now: time.Now().Unix()}
	if opts.DryRun {
		err = c.estimate(ctx)
	} else {
		err = c.run(ctx)
	}
	if err = errors.Join(err, release()); err != nil {
		return c.out, fmt.Errorf("collect in %s: %w", d.dir, err)
	}
	return c.out, nil
}

func (c *collector) run(ctx context.Context) error {
	steps := []func(context.Context) error{
		c.d.sweep, c.doomFiles, c.doomXorbs, c.advance, c.deleteFiles, c.deleteXorbs, c.unlink,
		c.thinXorbs, c.recompress, c.repack, c.advanceForTrash, c.unlink, c.removeOrphans, c.sweepIndex, c.countWaiting,
	}
	for _, step := range steps {
		if err := live(ctx); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return c.short
}

// roomFor takes note of a lack of room, which only ends the storing anew.
func (c *collector) roomFor(err error) error {
	if errors.Is(err, object.ErrNoSpace) {
		c.short = fmt.Errorf("to store anew what is left of xorbs and packs: %w", err)
		return nil
	}
	return err
}

// windows calls f for all ids of a table, a range (from, to] of existing ones at a time.
func (c *collector) windows(ctx context.Context, table, name string, f func(ctx context.Context, from, to int64) error) error {
	last, err := c.d.lastID(ctx, table)
	if err != nil {
		return err
	}
	for from := int64(0); from < last; {
		if err := live(ctx); err != nil {
			return err
		}
		var to int64
		err := c.d.reads.db.QueryRowContext(ctx,
			`SELECT ifnull(max(id), 0) FROM (SELECT id FROM `+table+` WHERE id > ? ORDER BY id LIMIT ?)`, from, gcWindow).Scan(&to)
		if err != nil {
			return sqlError(err)
		}
		if to == 0 {
			break
		}
		if err := f(ctx, from, to); err != nil {
			return err
		}
		from = to
		c.opts.Progress.tell(Step{Name: name, Done: from, Total: last})
	}
	return nil
}

// slicesOf calls f for some things, a few at a time, in transactions that are short, and gives way to others after each.
func slicesOf[T any](ctx context.Context, c *collector, things []T, f func(ctx context.Context, few []T) error) error {
	return slicesBy(ctx, c, gcBatch, things, f)
}

// slicesBy is slicesOf for at most n things at a time.
func slicesBy[T any](ctx context.Context, c *collector, most int, things []T, f func(ctx context.Context, few []T) error) error {
	for len(things) > 0 {
		if err := live(ctx); err != nil {
			return err
		}
		n, start := 0, time.Time{}
		err := c.d.commit.tx(ctx, func(ctx context.Context) error {
			start = time.Now()
			for n = 0; n < len(things) && (n == 0 || time.Since(start) < gcSlice); {
				few := things[n:min(n+most, len(things))]
				if err := f(ctx, few); err != nil {
					return err
				}
				n += len(few)
			}
			return nil
		})
		if err != nil {
			return err
		}
		things = things[n:]
		if err := pause(ctx, time.Since(start)); err != nil {
			return err
		}
	}
	return nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// advance begins a new epoch and waits until no session and no open content is older, but not longer than opts.Wait.
func (c *collector) advance(ctx context.Context) error {
	err := c.d.commit.tx(ctx, func(ctx context.Context) error {
		_, err := c.d.commit.conn.ExecContext(ctx, `UPDATE meta SET epoch = epoch + 1`)
		return err
	})
	if err != nil {
		return err
	}
	start := time.Now()
	for n := 1; ; n++ {
		c.d.commit.tick(ctx)
		var behind int64
		err := c.d.reads.db.QueryRowContext(ctx, `SELECT count(*) FROM procs WHERE epoch < (SELECT epoch FROM meta)`).Scan(&behind)
		if err != nil {
			return sqlError(err)
		}
		if behind == 0 || time.Since(start) >= c.opts.Wait {
			return nil
		}
		c.opts.Progress.tell(Step{Name: "waiting for what others still read and write", Done: int64(time.Since(start).Seconds())})
		if n%gcSweep == 0 { // who died meanwhile must not be waited for
			if err := c.d.sweep(ctx); err != nil {
				return err
			}
		}
		if err := pause(ctx, gcPoll); err != nil {
			return err
		}
	}
}

// advanceForTrash begins a new epoch when there is something in the trash that waits for it.
func (c *collector) advanceForTrash(ctx context.Context) error {
	var waits bool
	err := c.d.reads.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM trash WHERE epoch > (SELECT epoch FROM meta))`).Scan(&waits)
	if err != nil || !waits {
		return sqlError(err)
	}
	return c.advance(ctx)
}

// countWaiting says what has to be left to the next time.
func (c *collector) countWaiting(ctx context.Context) error {
	for from := int64(0); ; {
		if err := live(ctx); err != nil {
			return err
		}
		var to, doomed int64
		err := c.d.reads.db.QueryRowContext(ctx, `SELECT ifnull(max(id), 0), ifnull(sum(len), 0) FROM
			(SELECT id, len FROM xorbs WHERE id > ? AND doomed <> 0 ORDER BY id LIMIT ?)`, from, gcWindow).Scan(&to, &doomed)
		if err != nil || to == 0 {
			return sqlError(err)
		}
		c.out.Waiting += doomed
		from = to
	}
}
