package disk

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"hugbucket/internal/xet"
)

// Compressing is the name of the step in which Collect makes xorbs smaller.
const Compressing = "compressing"

// recompress stores anew what gets smaller by the slow level of LZ4.
func (c *collector) recompress(ctx context.Context) error {
	if !c.opts.Recompress {
		return nil
	}
	var total, looked int64
	err := c.windows(ctx, "xorbs", "measuring what is not compressed yet", func(ctx context.Context, from, to int64) error {
		var n int64
		err := c.d.reads.db.QueryRowContext(ctx, `SELECT ifnull(sum(len), 0) FROM xorbs WHERE id > ? AND id <= ? AND packed = 0 AND doomed = 0`,
			from, to).Scan(&n)
		total += n
		return sqlError(err)
	})
	if err != nil {
		return err
	}
	others, err := c.newOthers(ctx)
	if err != nil {
		return err
	}
	err = c.windows(ctx, "xorbs", Compressing, func(ctx context.Context, from, to int64) error {
		page, err := collect(ctx, c.d.reads.db, scanStored, storedColumns+`WHERE id > ? AND id <= ? AND doomed = 0 AND packed = 0
			AND id NOT IN (SELECT xorb FROM damaged)`, from, to)
		if err != nil {
			return err
		}
		var tried []int64
		err = c.moving(ctx, func(m *mover) error {
			for _, x := range page {
				if err := others.wait(ctx); err != nil {
					return err
				}
				if err := c.compress(ctx, m, x); err != nil {
					return err
				}
				tried = append(tried, x.id)
				looked += x.at.len
				c.opts.Progress.tell(Step{Name: Compressing, Done: looked, Total: total, Bytes: true})
			}
			return nil
		})
		if err != nil || c.short != nil {
			return err // without room not all of them were stored
		}
		return slicesOf(ctx, c, tried, func(ctx context.Context, few []int64) error {
			_, err := c.d.commit.conn.ExecContext(ctx, `UPDATE xorbs SET packed = 1 WHERE id IN `+these, nil, idList(few))
			return err
		})
	})
	return errors.Join(err, others.close())
}

// quiet is for how long nobody else may have committed before something is compressed.
const quiet = time.Second

// others tells whether other processes commit.
type others struct {
	c    *collector
	conn *sql.Conn // SQLite's data_version tells a connection of the commits of all others
	last [2]int64  // data_version, and how often this process has committed
}

func (c *collector) newOthers(ctx context.Context) (*others, error) {
	conn, err := c.d.reads.db.Conn(ctx)
	if err != nil {
		return nil, sqlError(err)
	}
	o := &others{c: c, conn: conn}
	if _, err := o.changed(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return o, nil
}

// changed says whether somebody else has committed since it was last called. When this process has, too, nobody can tell: then it
// says no.
func (o *others) changed(ctx context.Context) (bool, error) {
	now := [2]int64{1: o.c.d.commit.commits.Load()}
	if err := o.conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&now[0]); err != nil {
		return false, sqlError(err)
	}
	was := o.last
	o.last = now
	return now[0] != was[0] && now[1] == was[1], nil
}

// wait waits until nobody else has committed for a while.
func (o *others) wait(ctx context.Context) error {
	for busy, err := o.changed(ctx); busy || err != nil; busy, err = o.changed(ctx) {
		if err != nil {
			return err
		}
		o.c.opts.Progress.tell(Step{Name: "waiting until nobody writes"})
		if err := pause(ctx, quiet); err != nil {
			return err
		}
	}
	return nil
}

func (o *others) close() error { return o.conn.Close() }

// compress stores a xorb anew, if that makes it smaller. One that is damaged stays as it is.
func (c *collector) compress(ctx context.Context, m *mover, x storedXorb) error {
	worth, err := c.worthIt(ctx, x)
	if err != nil || !worth || c.short != nil {
		return err
	}
	staged, err := c.copyTo(ctx, m, x, true)
	if errors.Is(err, errUnreadable) {
		return nil
	}
	if err != nil {
		return err
	}
	size := max(staged.at.len, int64(len(staged.body)))
	if size >= x.at.len {
		return m.drop()
	}
	c.out.Recompressed++
	c.out.Saved += x.at.len - size
	return c.move(ctx, m, x, staged, true)
}

const (
	// trySample is how many chunks of a xorb are tried first, evenly spread, and tryGain what part of them must be saved.
	trySample = 16
	tryGain   = 0.01
)

// worthIt says whether some chunks of a xorb get smaller. One that is damaged is not worth it.
func (c *collector) worthIt(ctx context.Context, x storedXorb) (bool, error) {
	step := max(1, x.chunks/trySample)
	var before, after int
	var small []byte
	sample := func(i int) bool { return i%step == 0 }
	err := c.readRecords(ctx, x, sample, func(_ xet.Chunk, record, raw []byte) error {
		small = xet.AppendSmallRecord(small[:0], raw)
		before += len(record)
		after += min(len(small), len(record))
		return nil
	})
	if errors.Is(err, errUnreadable) {
		return false, nil
	}
	return float64(before-after) > tryGain*float64(before), err
}

// isRecordOf returns an error unless a record that was encoded decodes to raw: a restore is too late to learn of a faulty encoder
// or memory. It returns scratch for the next.
func isRecordOf(scratch, record, raw []byte) ([]byte, error) {
	got, _, err := xet.DecodeRecord(scratch, record)
	if err != nil || !bytes.Equal(got, raw) {
		return scratch, errors.New("a chunk does not decode to what was encoded: the memory of this machine may be faulty")
	}
	if len(record) < len(got) {
		scratch = got
	}
	return scratch, nil
}
