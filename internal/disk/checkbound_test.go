package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hugbucket/internal/xet"
)

// TestIDSet compares a set with a map.
func TestIDSet(t *testing.T) {
	var s idSet
	in := make(map[int64]bool)
	ids := []int64{0, 1, 63, 64, idsPerPage - 1, idsPerPage, 5 * idsPerPage, 1 << 40, 1<<40 + 1}
	for _, id := range ids {
		if s.has(id) || !s.add(id) || s.add(id) {
			t.Errorf("%d is taken for one that was there", id)
		}
		in[id] = true
		for _, other := range ids {
			if s.has(other) != in[other] {
				t.Errorf("after %d: %d: %v", id, other, s.has(other))
			}
		}
	}
	s.remove(64)
	s.remove(1 << 50)
	if s.has(64) || !s.has(63) || len(s.pages) != 4 {
		t.Errorf("%v, %v, %d pages", s.has(64), s.has(63), len(s.pages))
	}
}

// TestLimiter reads for a while: it takes as long as the rate says, a pause is not made up for, and a context ends a wait.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limiter{rate: 1 << 20}
		read := func(n int) time.Duration {
			start := time.Now()
			for range n {
				if err := l.wait(t.Context(), 256<<10); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start)
		}
		if took := read(41); took != 10*time.Second {
			t.Errorf("the first 10 MiB took %v", took)
		}
		<-time.After(time.Hour)
		if took := read(41); took != 10*time.Second {
			t.Errorf("10 MiB after a pause took %v", took)
		}
		ctx, stop := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(time.Second, func() { stop(enough) })
		start := time.Now()
		err := errors.Join(l.wait(t.Context(), 1<<30), l.wait(ctx, 1))
		if took := time.Since(start); !errors.Is(err, enough) || took > 2*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestHintsInTurns compares the index with one xorb at a time, as if there were room for no more: each wrong row is found, and
// counted once.
func TestHintsInTurns(t *testing.T) {
	d := checkedStore(t)
	put(t, newStore(t, d), "more", randomBytes(2<<20, 9))
	d.index.flush(t.Context())
	for keep, turns := range map[int]int{1: 2, chunkListBytes: 1} {
		var found []Problem
		c := d.newChecker(CheckOptions{}, func(p Problem) { found = append(found, p) })
		c.keep = keep
		if err := c.run(t.Context()); err != nil || len(found) > 0 || c.turns < turns || turns == 1 && c.turns > 1 {
			t.Fatal(found, err, c.turns)
		}
	}
	_, err := d.index.db.Load().write.ExecContext(t.Context(), `UPDATE chunks SET loc = loc + 1 WHERE loc % 8192 = 0`)
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []int{1, chunkListBytes} {
		var found []Problem
		c := d.newChecker(CheckOptions{}, func(p Problem) { found = append(found, p) })
		c.keep = keep
		if err := c.run(t.Context()); err != nil || len(found) != 1 || c.wrong != 4 {
			t.Errorf("%d are wrong: %q, %v", c.wrong, found, err)
		}
	}
}

// TestCheckKeepsLittle looks at what a check keeps: footers within a bound, chunks until they were compared, and a page of rows.
func TestCheckKeepsLittle(t *testing.T) {
	info := &xet.XorbInfo{Chunks: make([]xet.XorbChunk, 8192)}
	var seen seenXorbs
	most := 0
	for i := range 1000 {
		seen.put(&seenXorb{xorbRow: xorbRow{hash: xet.ChunkHash(fmt.Append(nil, i))}, info: info})
		most = max(most, len(seen.byHash))
	}
	if bytes := most * 40 * 8192; bytes > xorbCacheBytes+2*40*8192 || most < 10 {
		t.Errorf("%d footers are kept", most)
	}

	d := checkedStore(t)
	c := d.newChecker(CheckOptions{}, func(p Problem) { t.Error(p) })
	if err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.bad)+len(c.hurt) > 0 || c.chunks.byXorb != nil {
		t.Errorf("of a whole store %d xorbs, %d files and the chunks of %d are kept", len(c.bad), len(c.hurt), len(c.chunks.byXorb))
	}

	for i := range 20 {
		write(t, d, `INSERT INTO uploads (id, bucket, key, created, info) VALUES (?, 1, x'', 0, zeroblob(1000000))`, fmt.Sprint(i))
	}
	rows, err := anyRows(t.Context(), d.reads.db, `SELECT id, info FROM uploads ORDER BY id`)
	if err != nil || len(rows) != 5 || !bytes.Equal(rows[0][1].([]byte), make([]byte, 1000000)) { //nolint:errcheck,forcetypeassert // it would panic
		t.Errorf("%d rows of 1 MB were read at once: %v", len(rows), err)
	}
	write(t, d, `DELETE FROM uploads`)
}
