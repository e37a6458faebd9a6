package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// listing is a driver whose List can wait before it looks and afterwards, or fail.
type listing struct {
	object.Driver
	before func() error
	after  func()
}

func (l *listing) List(ctx context.Context, bucket string, q object.Page) ([]object.Info, bool, error) {
	if l.before != nil {
		if err := l.before(); err != nil {
			return nil, false, err
		}
	}
	page, more, err := l.Driver.List(ctx, bucket, q)
	if l.after != nil {
		l.after()
	}
	return page, more, err
}

// TestCountMissesNothing: what is stored behind the place where a count is, is not given away.
func TestCountMissesNothing(t *testing.T) {
	d := &listing{Driver: objecttest.OpenMemory(t)}
	r, clock := quotaRig(t, object.New(d, object.Config{}))
	wantAnswer(t, r.push(nameToken, "m", bytesOf(10)), 200, "m 10 ")
	end := r.heldPut(nameToken, "a", 0, 40)
	clock.forward(countStale + 1)
	d.after = func() {
		d.after = nil
		wantAnswer(t, end(bytesOf(20)), 200, "a 40 ")
	}
	wantAnswer(t, r.push(nameToken, "b", bytesOf(51)), 507, overQuota)
	wantAnswer(t, r.push(nameToken, "b", bytesOf(50)), 200, "b 50 ")
}

// TestCountedTwice: what may have been counted twice, because it was stored while the bucket was counted, is not held against
// anybody.
func TestCountedTwice(t *testing.T) {
	for name, early := range map[string]bool{"begun before the count": true, "begun during the count": false} {
		t.Run(name, func(t *testing.T) {
			d := &listing{Driver: objecttest.OpenMemory(t)}
			r, clock := quotaRig(t, object.New(d, object.Config{}))
			wantAnswer(t, r.push(nameToken, "m", bytesOf(10)), 200, "m 10 ")
			end := func() { wantAnswer(t, r.push(nameToken, "a", bytesOf(40)), 200, "a 40 ") }
			if early {
				held := r.heldPut(nameToken, "a", 0, 40)
				end = func() { wantAnswer(t, held(bytesOf(20)), 200, "a 40 ") }
			}
			clock.forward(countFresh + 1)
			d.before = func() error {
				d.before = nil
				end()
				return nil
			}
			wantAnswer(t, r.push(nameToken, "b", bytesOf(95)), 507, overQuota)
			wantAnswer(t, r.push(nameToken, "b", bytesOf(50)), 200, "b 50 ")
		})
	}
}

// TestCountFails: a bucket that cannot be counted takes nothing, and is counted at the next push.
func TestCountFails(t *testing.T) {
	fault := errors.New("cause")
	d := &listing{Driver: objecttest.OpenMemory(t), before: func() error { return fault }}
	r, _ := quotaRig(t, object.New(d, object.Config{}))
	wantAnswer(t, r.push(nameToken, "a", bytesOf(10)), 500, "internal error")
	d.before = nil
	wantAnswer(t, r.push(nameToken, "a", bytesOf(10)), 200, "a 10 ")
	r.wantStored(map[string]string{"db01/a": bytesOf(10)})
}

// TestQuotaUnderLoad: however many push at once, of known and unknown size, new and over each other, a bucket never holds more than
// its quota, and no less is counted than there is; however often it is counted meanwhile.
func TestQuotaUnderLoad(t *testing.T) {
	for i, token := range []string{overToken, bareOver, overToken, bareOver, overToken, bareOver} {
		r, _ := quotaRig(t, objecttest.NewStore(t))
		var passed atomic.Int64
		r.door.quotas.now = func() time.Time { return time.Unix(0, passed.Add(int64(i/2)*int64(time.Second))) }
		var work sync.WaitGroup
		for worker := range 16 {
			rnd := rand.New(rand.NewPCG(uint64(i), uint64(worker)))
			work.Go(func() {
				for range 40 {
					name, size := fmt.Sprint("f", rnd.IntN(5)), rnd.IntN(70)
					length := size
					if rnd.IntN(2) == 0 {
						length = -1
					}
					if w := r.do(put("/"+token+"/"+name, bytesOf(size), length)); w.Code != 200 && w.Code != 507 {
						t.Errorf("answer %d %q", w.Code, w.Body)
					}
				}
			})
		}
		work.Wait()
		n := r.total(token)
		if n > 100 {
			t.Errorf("%d bytes are stored", n)
		}
		u := r.door.quotas.usage(map[string]string{overToken: "over", bareOver: "/" + bareOver}[token])
		if u.reserved != 0 || u.used < int64(n) {
			t.Errorf("%d bytes reserved, %d counted of %d", u.reserved, u.used, n)
		}
	}
}

// heap is a place that is nothing but names and sizes.
type heap map[string]int64

func (heap) prepare(context.Context, string) error                 { return nil }
func (heap) put(context.Context, file, io.Reader) (receipt, error) { return receipt{}, nil }
func (heap) sha256(context.Context, string) (string, error)        { return "", nil }
func (heap) room(int64) error                                      { return nil }
func (h heap) size(_ context.Context, name string) (int64, error)  { return h[name], nil }
func (h heap) used(context.Context) (n int64, err error) {
	for _, size := range h {
		n += size
	}
	return n, nil
}

// TestCountBetweenCommitAndItsNews: a count that sees a file which has replaced a larger one, before the push has told of it, is not
// made smaller again by that, and who else would replace the file has less room of it.
func TestCountBetweenCommitAndItsNews(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	q := newQuotas(func() time.Time { return at })
	b, h := Bucket{Name: "db01", Quota: 100, Overwrite: true}, heap{"x": 50, "y": 40}
	claim := func(name string, n int64) *claim {
		t.Helper()
		c, err := q.claim(t.Context(), b, h, want{name: name, size: n})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := claim("x", 50), claim("x", 10)
	h["x"] = 10 // second's commit
	at = at.Add(countStale + 1)
	if err := q.look(t.Context(), b, h, 1); !errors.Is(err, errQuota) { // first may make 50 of it yet, and 10 count twice
		t.Errorf("look: %v", err)
	}
	second.stored(t.Context(), 10)
	second.release()
	if u := q.usage(b.key()); u.used < 50 || u.used+u.reserved < 90 {
		t.Errorf("%d used, %d reserved", u.used, u.reserved)
	}
	h["x"] = 50
	first.stored(t.Context(), 50)
	first.release()
	if err := q.look(t.Context(), b, h, 11); !errors.Is(err, errQuota) {
		t.Errorf("look: %v", err)
	}
	if err := q.look(t.Context(), b, h, 10); err != nil {
		t.Errorf("look: %v", err)
	}
}
