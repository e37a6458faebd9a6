package disk

import (
	"context"

	"hugbucket/internal/object"
)

var _ object.Usage = (*Driver)(nil)

// Totals implements object.Usage with a Glance.
func (d *Driver) Totals(ctx context.Context, rest func()) (object.Totals, error) {
	g, err := d.Glance(ctx, func(Step) {
		if rest != nil {
			rest()
		}
	})
	return object.Totals{Objects: g.Objects, Logical: g.Logical, Used: g.Used, Stored: g.Stored}, err
}

// Space implements object.Usage.
func (d *Driver) Space() (free, size int64, err error) {
	free, size, err = d.fs.free()
	return free, size, ioError(err)
}

// Room implements object.Usage. What is kept free is no room.
func (d *Driver) Room(n int64) error { return d.room(n) }
