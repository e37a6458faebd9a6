package disk

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"hugbucket/internal/object"
)

// Arrived implements object.Catalog.
func (d *Driver) Arrived(ctx context.Context, bucket string) (time.Time, error) {
	if err := live(ctx); err != nil {
		return time.Time{}, err
	}
	var ms int64
	err := d.reads.arrived.QueryRowContext(brief(ctx), bucket).Scan(&ms)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, object.ErrNoBucket
	case err != nil:
		return time.Time{}, sqlError(err)
	case ms == 0:
		return time.Time{}, nil
	}
	return time.UnixMilli(ms).UTC(), nil
}

// writeArrivals writes down, in the transaction under way, into which buckets a group brings something: once for each bucket, and
// not when this process has done so less than object.ArrivedWithin ago. A clock that went back is followed, or else one that was
// once ahead would hide that nothing comes any more.
func (c *committer) writeArrivals(ctx context.Context, g *group) error {
	now := c.d.now()
	g.arrived = make(map[int64]time.Time)
	for _, r := range g.requests {
		if r.err != nil || r.plan == nil {
			continue
		}
		for bucket := range r.plan.fed {
			if !g.arrived[bucket].IsZero() {
				continue
			}
			if age := now.Sub(c.arrived[bucket]); age >= 0 && age < object.ArrivedWithin {
				continue
			}
			_, err := c.st.arrived.ExecContext(ctx, now.UnixMilli(), bucket)
			if errors.Is(sqlError(err), object.ErrCorrupt) {
				// Nobody shall lose a backup because its alarm is broken. It will look as if nothing came.
				c.arrived[bucket] = now
				return errAgain
			}
			if err != nil {
				return err
			}
			g.arrived[bucket] = now
		}
	}
	return nil
}

// fed yields the buckets into which a plan brings something. A new name in the same bucket brings nothing.
func (p *plan) fed(yield func(int64) bool) {
	for _, k := range p.keys {
		if k.brings && !yield(k.bucket) {
			return
		}
	}
	if r := p.rename; r != nil && r.from != r.to {
		yield(r.to)
	}
}
