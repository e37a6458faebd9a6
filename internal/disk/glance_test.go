package disk

import (
	"math"
	"testing"

	"hugbucket/internal/object"
)

// TestGlanceSaysWhatStatsAndCollectSay compares the quick count with the exact ones, where nothing is used in part.
func TestGlanceSaysWhatStatsAndCollectSay(t *testing.T) {
	d := openWith(t, t.TempDir(), Options{idle: true})
	s := newStore(t, d)
	if g, err := d.Glance(t.Context(), nil); err != nil || g != (Glance{}) {
		t.Errorf("of an empty store: %+v, %v", g, err)
	}
	put(t, s, "twice", randomBytes(2<<20, 1))
	put(t, s, "twice too", randomBytes(2<<20, 1))
	put(t, s, "once", randomBytes(3<<20, 2))
	put(t, s, "gone", randomBytes(4<<20, 3))
	if err := s.Delete(t.Context(), "bucket", "gone", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	uploadIn(t, s, "upload", randomBytes(1<<20, 4))
	g, err := d.Glance(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := d.Stats(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if g.Objects != st.Objects || g.Logical != st.Logical || g.Stored != st.Stored || g.Used != st.Referenced+1<<20 {
		t.Errorf("got %+v, and stats say %+v", g, st)
	}
	c, err := d.Collect(t.Context(), CollectOptions{DryRun: true, Wait: -1})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(float64(g.Loose-c.Freed-c.Waiting)) > 100_000 || g.Loose < 4<<20 {
		t.Errorf("%d bytes are loose, and gc would free %d and %d", g.Loose, c.Freed, c.Waiting)
	}
}
