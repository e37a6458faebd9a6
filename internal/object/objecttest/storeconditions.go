package objecttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hugbucket/internal/object"
)

// conditions gives every combination of what a Condition may ask of an object with this ETag and time.
func conditions(etag string, mod time.Time) []object.Condition {
	lists := [][]string{nil, {etag}, {"wrong"}, {"*"}, {"wrong", etag}, {}}
	times := []time.Time{{}, mod.Add(-time.Hour), mod.Truncate(time.Second), mod.Add(time.Hour)}
	var out []object.Condition
	for _, match := range lists {
		for _, none := range lists {
			for _, since := range times {
				for _, until := range times {
					out = append(out, object.Condition{
						IfMatch: match, IfNoneMatch: none, IfModifiedSince: since, IfUnmodifiedSince: until,
					})
				}
			}
		}
	}
	return out
}

// someConditions gives about n of them, each single question among them.
func someConditions(etag string, mod time.Time, n int) []object.Condition {
	all := conditions(etag, mod)
	every := max(1, len(all)/n) | 1 // odd, so that it does not keep in step with the lists
	var out []object.Condition
	for i, c := range all {
		asked := 0
		for _, is := range []bool{c.IfMatch != nil, c.IfNoneMatch != nil, !c.IfModifiedSince.IsZero(), !c.IfUnmodifiedSince.IsZero()} {
			if is {
				asked++
			}
		}
		if asked <= 1 || i%every == 0 {
			out = append(out, c)
		}
	}
	return out
}

// testConditions compares what operations do with what Condition.Check says of the object.
func testConditions(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	e.put("bucket", "source", []byte("copied"))
	mod := time.Date(2020, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	data := []byte("what is there")
	there, err := e.store.Put(ctx, "bucket", "there", bytes.NewReader(data), object.PutOptions{ModTime: mod})
	e.ok(err)
	ops := map[string]func(key string, c object.Condition) error{
		"put": func(key string, c object.Condition) error {
			_, err := e.store.Put(ctx, "bucket", key, strings.NewReader("new"), object.PutOptions{If: c})
			return err
		},
		"copy": func(key string, c object.Condition) error {
			_, err := e.store.Copy(ctx, object.CopyOptions{
				FromBucket: "bucket", FromKey: "source", ToBucket: "bucket", ToKey: key, If: c,
			})
			return err
		},
		"delete": func(key string, c object.Condition) error { return e.store.Delete(ctx, "bucket", key, c) },
	}
	results := map[string][]byte{"put": []byte("new"), "copy": []byte("copied"), "delete": nil}
	for _, c := range someConditions(there.ETag, mod, 60) {
		for name, op := range ops {
			what := fmt.Sprintf("%s if %+v", name, c)
			e.is(what+" of a missing key", op("missing", c), kind(c.Check(nil)))
			if c.Check(nil) != nil || name == "delete" {
				e.lacks("bucket", "missing")
			} else {
				e.holds("bucket", "missing", results[name])
				e.ok(e.store.Delete(ctx, "bucket", "missing", object.Condition{}))
			}
			e.is(what, op("there", c), kind(c.Check(&there)))
			switch {
			case c.Check(&there) != nil:
				e.sameInfo(what, e.holds("bucket", "there", data), there)
				continue
			case name == "delete":
				e.lacks("bucket", "there")
			default:
				e.holds("bucket", "there", results[name])
			}
			_, err := e.store.Put(ctx, "bucket", "there", bytes.NewReader(data), object.PutOptions{ModTime: mod})
			e.ok(err)
		}
	}
}

// kind gives the sentinel in an error of Condition.Check.
func kind(err error) error {
	for _, k := range []error{object.ErrNotModified, object.ErrPrecondition, errNotExist} {
		if errors.Is(err, k) {
			return k
		}
	}
	return err
}

// testConditionBeforeBody wants a refusal before a body is read that would be thrown away.
func testConditionBeforeBody(e *env) {
	e.bucket("bucket")
	e.put("bucket", "key", []byte("data"))
	for key, c := range map[string]object.Condition{
		"key":     {IfNoneMatch: []string{"*"}},
		"missing": {IfMatch: []string{"*"}},
	} {
		body := &countingReader{r: strings.NewReader("body")}
		_, err := e.store.Put(e.Context(), "bucket", key, body, object.PutOptions{If: c})
		e.is("put "+key, err, kind(c.Check(map[string]*object.Info{"key": {}}[key])))
		if body.n != 0 {
			e.Errorf("put %s: %d bytes of the body were read first", key, body.n)
		}
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// testOneWinner lets many create a key at once, each only if it is missing.
func testOneWinner(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	const writers = 100
	var wins atomic.Int64
	var winner atomic.Int64
	var wg, arrived sync.WaitGroup
	started := make(chan struct{})
	arrived.Add(writers)
	for i := range writers {
		wg.Go(func() {
			arrive := sync.OnceFunc(arrived.Done)
			defer arrive() // if it fails before
			body := func() io.Reader {
				arrive()
				<-started // all have looked by now, and seen no key
				return bytes.NewReader(random(uint64(i), 1000+i))
			}
			_, err := e.store.Put(ctx, "bucket", "key", &lazyReader{open: body}, object.PutOptions{
				If: object.Condition{IfNoneMatch: []string{"*"}},
			})
			if err == nil {
				wins.Add(1)
				winner.Store(int64(i))
				return
			}
			e.is("a loser", err, object.ErrNotModified)
		})
	}
	arrived.Wait()
	close(started)
	wg.Wait()
	if wins.Load() != 1 {
		e.Fatalf("%d writers have created the same key", wins.Load())
	}
	i := int(winner.Load())
	e.holds("bucket", "key", random(uint64(i), 1000+i))
}

// lazyReader opens its source at the first Read.
type lazyReader struct {
	open func() io.Reader
	r    io.Reader
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		l.r = l.open()
	}
	return l.r.Read(p)
}

// testCompareAndSwap has several writers count in one object, each sure by If-Match that nobody came between.
func testCompareAndSwap(e *env) {
	e.bucket("bucket")
	e.put("bucket", "count", []byte("0"))
	const writers, steps = 8, 6
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < steps; {
				switch err := e.increment("bucket", "count"); {
				case err == nil:
					done++
				case !errors.Is(err, object.ErrPrecondition):
					e.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	e.holds("bucket", "count", []byte(strconv.Itoa(writers*steps)))
}

func (e *env) increment(bucket, key string) error {
	f, err := e.store.Open(e.Context(), bucket, key)
	if err != nil {
		return err
	}
	text, err := readAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	_, err = e.store.Put(e.Context(), bucket, key, strings.NewReader(strconv.Itoa(n+1)), object.PutOptions{
		If: object.Condition{IfMatch: []string{f.Info().ETag}},
	})
	return err
}
