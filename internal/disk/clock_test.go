package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"hugbucket/internal/object"
)

// jumpingClock goes an hour back or forth each time it is asked, or not.
type jumpingClock struct{ n atomic.Int64 }

func (c *jumpingClock) now() time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(c.n.Add(7)%3-1) * time.Hour)
}

// clockTest is a store that two processes use, one with a clock that jumps and one with a clock that is an hour ahead.
type clockTest struct {
	d    [2]*Driver
	s    [2]*object.Store
	want map[string][]byte
}

// TestClockJumps does a bit of everything with such clocks: the later write wins, not the later clock.
func TestClockJumps(t *testing.T) {
	dir := t.TempDir()
	c := &clockTest{want: make(map[string][]byte)}
	clocks := []func() time.Time{
		new(jumpingClock).now,
		func() time.Time { return time.Unix(1_800_000_000, 0).Add(time.Hour) },
	}
	for i, now := range clocks {
		c.d[i] = openTest(t, dir)
		c.s[i] = object.New(c.d[i], object.Config{Now: now})
	}
	if err := c.s[0].CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for i := range 280 / stride {
		key := fmt.Sprint("k", rnd.IntN(12))
		c.step(t, c.s[rnd.IntN(2)], key, i, rnd.IntN(6))
		if i%20 == 19 {
			jumpFiles(t, dir, time.Duration(i%3-1)*time.Hour)
			for _, d := range c.d {
				if err := d.sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			c.verify(t)
		}
	}
	c.verify(t)
}

// step does one thing to a key.
func (c *clockTest) step(t *testing.T, s *object.Store, key string, i, what int) {
	t.Helper()
	old, there := c.want[key]
	switch what {
	case 0: // delete
		if err := s.Delete(t.Context(), "bucket", key, object.Condition{}); err != nil {
			t.Fatal(err)
		}
		delete(c.want, key)
	case 1: // copy
		from := "k0"
		_, err := s.Copy(t.Context(), object.CopyOptions{FromBucket: "bucket", FromKey: from, ToBucket: "bucket", ToKey: key})
		if body, ok := c.want[from]; ok && err == nil {
			c.want[key] = body
		} else if ok || !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	case 2: // conditions name what is there now
		if !there {
			return
		}
		info, err := s.Stat(t.Context(), "bucket", key)
		if err != nil {
			t.Fatal(err)
		}
		body := append([]byte(fmt.Sprint("match", i)), old...)
		for _, test := range []struct {
			cond object.Condition
			want error
		}{
			{object.Condition{IfNoneMatch: []string{"*"}}, object.ErrPrecondition},
			{object.Condition{IfMatch: []string{"another"}}, object.ErrPrecondition},
			{object.Condition{IfUnmodifiedSince: info.ModTime.Add(-time.Hour)}, object.ErrPrecondition},
			{object.Condition{IfMatch: []string{info.ETag}, IfUnmodifiedSince: info.ModTime}, nil},
		} {
			_, err := s.Put(t.Context(), "bucket", key, bytes.NewReader(body), object.PutOptions{If: test.cond})
			if !errors.Is(err, test.want) {
				t.Errorf("%+v: %v", test.cond, err)
			}
		}
		c.want[key] = body
	default:
		body := randomBytes([]int{0, 300, 90_000, 2_500_000}[i%4], uint64(i))
		put(t, s, key, body)
		c.want[key] = body
	}
}

// verify reads and lists all, through both processes.
func (c *clockTest) verify(t *testing.T) {
	t.Helper()
	var keys []string
	for key := range c.want {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for i, s := range c.s {
		page, err := s.List(t.Context(), "bucket", object.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, info := range page.Objects {
			listed = append(listed, info.Key)
			if !bytes.Equal(get(t, s, info.Key), c.want[info.Key]) {
				t.Errorf("process %d: %s is not what was written last", i, info.Key)
			}
		}
		if !slices.Equal(listed, keys) {
			t.Errorf("process %d lists %q, want %q", i, listed, keys)
		}
	}
}

// jumpFiles makes all files look as if they were made so much later.
func jumpFiles(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	at := time.Now().Add(by)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chtimes(path, at, at)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the store goes on meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSweepAsksNoClock sweeps beside an upload of another process, whose files look an hour old or an hour early: it lives,
// so they stay.
func TestSweepAsksNoClock(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			dir := t.TempDir()
			a, b := openTest(t, dir), openTest(t, dir)
			sa, sb := newStore(t, a), newStore(t, b)
			body := randomBytes(12<<20, 3)
			r, w := io.Pipe()
			done := make(chan error, 1)
			go func() {
				_, err := sb.Put(t.Context(), "bucket", "k", r, object.PutOptions{})
				_ = r.CloseWithError(err) // a nil one ends writing, too; it never fails
				done <- err
			}()
			if _, err := w.Write(body[:10<<20]); err != nil { // ends when all but a few batches are in the xorb
				t.Fatal(err)
			}
			jumpFiles(t, dir, by)
			if tmp, err := filepath.Glob(filepath.Join(dir, "tmp", "*")); err != nil || len(tmp) != 1 {
				t.Fatalf("in the making are %q, %v; want one xorb", tmp, err)
			}
			if err := a.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(body[10<<20:]); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.Close(), <-done); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(get(t, sa, "k"), body) {
				t.Error("the content differs")
			}
		})
	}
}
