package disk

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// TestMovedMeanwhile has content that is damaged stored again by somebody else while Check is about to read it: it is whole where
// it lies now.
func TestMovedMeanwhile(t *testing.T) {
	d := checkedStore(t)
	other := newStore(t, opened(t, d.dir, Options{idle: true}))
	flip(t, filepath.Join(d.dir, "packs", "1.1"), func(int) int { return 1000 })
	move := sync.OnceFunc(func() {
		write(t, d, `INSERT INTO damaged SELECT id FROM xorbs WHERE raw = 200000`)
		put(t, other, "again", randomBytes(200_000, 1))
	})
	d.fs = moveHook{d.fs, move}
	done, found, _ := problems(t, d, CheckOptions{})
	if done.Keys != 6 || slices.ContainsFunc(found, func(p Problem) bool { return !isPiece(p) }) {
		t.Errorf("%+v, %q", done, found)
	}
	if n := count(t, d, `SELECT count(*) FROM xorbs WHERE file = 'packs/1.1'`); n != 1 {
		t.Errorf("nothing has moved: %d rows name the pack", n)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

// moveHook is called before a file of content is opened.
type moveHook struct {
	fsys
	before func()
}

func (h moveHook) open(name string) (file, error) {
	h.before()
	return h.fsys.open(name)
}

// TestReadBefore has rows be others by now than when Check read them: nothing is wrong with what is there, or gone.
func TestReadBefore(t *testing.T) {
	for _, quick := range []bool{false, true} {
		d := checkedStore(t)
		c := d.newChecker(CheckOptions{Quick: quick}, func(p Problem) { t.Error(p) })
		s := newStore(t, d)
		c.steps = append(c.steps, func(ctx context.Context) error {
			rows, err := anyRows(ctx, c.db, `SELECT `+fileColumns+` FROM files ORDER BY id`)
			if err != nil {
				return err
			}
			if err := c.file(ctx, 2, rows[0]); err != nil { // refs are others by now
				return err
			}
			keys, err := collect(ctx, c.db, scanKey, `SELECT `+keyColumns+`, 1 FROM keys k JOIN files f ON f.id = k.file ORDER BY k.key`)
			if err != nil {
				return err
			}
			put(t, s, "new", randomBytes(100_000, 7))
			if err := s.CreateBucket(ctx, "newer", ""); err != nil {
				return err
			}
			write(t, d, `UPDATE keys SET bucket = 99 WHERE key = CAST('copy' AS BLOB)`) // as if it were gone
			before := c.done.Keys
			for _, k := range keys {
				k.info, k.byFile = nil, false
				if err := c.key(ctx, k); err != nil {
					return err
				}
			}
			if n := c.done.Keys - before; n != int64(len(keys)-1) {
				t.Errorf("%d of %d keys were looked at again", n, len(keys))
			}
			after, err := collect(ctx, c.db, scanKey, `SELECT `+keyColumns+`, 1 FROM keys k JOIN files f ON f.id = k.file
				WHERE k.key = CAST('new' AS BLOB)`)
			if err != nil || len(after) != 1 {
				t.Fatal(after, err)
			}
			return c.key(ctx, after[0]) // its file and xorb were never looked at
		})
		if err := c.run(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
