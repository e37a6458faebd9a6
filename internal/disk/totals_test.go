package disk

import (
	"errors"
	"testing"

	"hugbucket/internal/object"
)

// checkTotals compares Totals with Stats. Nobody may write meanwhile.
func checkTotals(t *testing.T, d *Driver, s Stats) {
	t.Helper()
	rests := int64(0)
	got, err := d.Totals(t.Context(), func() { rests++ })
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.Glance(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (object.Totals{Objects: s.Objects, Logical: s.Logical, Used: g.Used, Stored: s.Stored}); got != want {
		t.Errorf("totals are %+v, statistics %+v", got, want)
	}
	if rests < 2 || rests == 0 {
		t.Errorf("%d rests for %d objects", rests, s.Objects)
	}
	if _, err := d.Totals(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if free, size, err := d.Space(); err != nil || free <= 0 || free > size {
		t.Errorf("%d of %d free, %v", free, size, err)
	}
}

// TestRoom: what is kept free is no room.
func TestRoom(t *testing.T) {
	d := openTest(t, t.TempDir())
	if err := d.Room(1); err != nil {
		t.Error(err)
	}
	d.floor = 1 << 60
	if err := d.Room(1); !errors.Is(err, object.ErrNoSpace) {
		t.Errorf("above a floor of %d: %v", d.floor, err)
	}
}
