package objecttest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"hugbucket/internal/object"
)

func testBuckets(e *env) {
	ctx := e.Context()
	before := time.Now().Truncate(time.Millisecond)
	e.ok(e.store.CreateBucket(ctx, "one", "somebody"))
	b, err := e.store.Bucket(ctx, "one")
	e.ok(err)
	if b.Name != "one" || b.Owner != "somebody" {
		e.Errorf("got bucket %+v", b)
	}
	if b.Created.Before(before) || b.Created.After(time.Now()) || !b.Created.Equal(b.Created.Truncate(time.Millisecond)) {
		e.Errorf("bucket made after %v was made at %v", before, b.Created)
	}
	err = e.store.CreateBucket(ctx, "one", "somebody else")
	e.is("create a bucket again", err, object.ErrBucketExists)
	e.is("create a bucket again", err, fs.ErrExist)
	if b, err := e.store.Bucket(ctx, "one"); err != nil || b.Owner != "somebody" {
		e.Errorf("after a second creation: %+v, %v", b, err)
	}
	for _, name := range []string{"", "ab", "No", "a_b", "-ab", "ab.", "a..b", "1.2.3.4", "a/b", "xn--a"} {
		err := e.store.CreateBucket(ctx, name, "")
		e.is(fmt.Sprintf("create %q", name), err, object.ErrInvalid)
		if _, ok := errors.AsType[*object.InvalidError](err); !ok {
			e.Errorf("create %q: %v does not say which rule", name, err)
		}
	}

	e.put("one", "key", nil)
	e.is("delete a full bucket", e.store.DeleteBucket(ctx, "one"), object.ErrBucketNotEmpty)
	e.holds("one", "key", nil)
	e.ok(e.store.Delete(ctx, "one", "key", object.Condition{}))
	e.is("delete an empty bucket", e.store.DeleteBucket(ctx, "one"), nil)
	_, err = e.store.Bucket(ctx, "one")
	e.is("a deleted bucket", err, object.ErrNoBucket)
	e.is("delete a bucket again", e.store.DeleteBucket(ctx, "one"), object.ErrNoBucket)

	e.ok(e.store.CreateBucket(ctx, "one", "a third"))
	if b, err := e.store.Bucket(ctx, "one"); err != nil || b.Owner != "a third" {
		e.Errorf("a bucket made again: %+v, %v", b, err)
	}
	e.lacks("one", "key")
}

func testBucketPages(e *env) {
	ctx := e.Context()
	page, more, err := e.store.Buckets(ctx, "", 10)
	if err != nil || more || len(page) != 0 {
		e.Errorf("buckets of an empty store: %v, %v, %v", page, more, err)
	}
	var want []string
	for i := range 23 {
		want = append(want, fmt.Sprintf("bucket-%02d", i))
	}
	for i := range want { // in another order than theirs
		e.bucket(want[i*7%len(want)])
	}
	for _, limit := range []int{1, 7, 22, 23, 24, 1000} {
		var got []string
		start, more := "", true
		for more {
			var page []object.Bucket
			page, more, err = e.store.Buckets(ctx, start, limit)
			e.ok(err)
			if len(page) > limit || more && len(page) != limit {
				e.Fatalf("a page of %d has %d buckets", limit, len(page))
			}
			for _, b := range page {
				got = append(got, b.Name)
				start = b.Name + "\x00"
			}
		}
		e.sameStrings(fmt.Sprintf("buckets by %d", limit), got, want)
	}
	for start, want := range map[string]string{"bucket-05": "bucket-05", "bucket-055": "bucket-06", "a": "bucket-00"} {
		page, _, err := e.store.Buckets(ctx, start, 1)
		if err != nil || len(page) != 1 || page[0].Name != want {
			e.Errorf("bucket from %q on: %v, %v, want %s", start, page, err, want)
		}
	}
	if page, more, err := e.store.Buckets(ctx, "bucket-23", 1); err != nil || more || len(page) != 0 {
		e.Errorf("buckets behind the last: %v, %v, %v", page, more, err)
	}
}

// testNoBucket asks for everything in buckets that do not, or could not, exist.
func testNoBucket(e *env) {
	ctx := e.Context()
	e.bucket("here")
	e.put("here", "key", []byte("data"))
	for _, name := range []string{"nowhere", "No", ""} {
		ops := map[string]func() error{
			"bucket":  func() error { _, err := e.store.Bucket(ctx, name); return err },
			"arrived": func() error { _, err := e.store.Arrived(ctx, name); return err },
			"delete":  func() error { return e.store.DeleteBucket(ctx, name) },
			"stat":    func() error { _, err := e.store.Stat(ctx, name, "key"); return err },
			"open":    func() error { _, err := e.store.Open(ctx, name, "key"); return err },
			"list":    func() error { _, err := e.store.List(ctx, name, object.ListOptions{}); return err },
			"put": func() error {
				_, err := e.store.Put(ctx, name, "key", bytes.NewReader([]byte("x")), object.PutOptions{})
				return err
			},
			"put if absent": func() error {
				_, err := e.store.Put(ctx, name, "key", bytes.NewReader(nil), object.PutOptions{
					If: object.Condition{IfNoneMatch: []string{"*"}},
				})
				return err
			},
			"delete key":    func() error { return e.store.Delete(ctx, name, "key", object.Condition{}) },
			"delete many":   func() error { _, err := e.store.DeleteMany(ctx, name, []string{"key"}); return err },
			"delete none":   func() error { _, err := e.store.DeleteMany(ctx, name, nil); return err },
			"delete no key": func() error { _, err := e.store.DeleteMany(ctx, name, []string{""}); return err },
			"copy from": func() error {
				_, err := e.store.Copy(ctx, object.CopyOptions{FromBucket: name, FromKey: "key", ToBucket: "here", ToKey: "b"})
				return err
			},
			"copy to": func() error {
				_, err := e.store.Copy(ctx, object.CopyOptions{FromBucket: "here", FromKey: "key", ToBucket: name, ToKey: "b"})
				return err
			},
		}
		for op, f := range ops {
			e.Run(op+" "+name, func(t *testing.T) {
				err := f()
				if !errors.Is(err, object.ErrNoBucket) || !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("got %v, want %v", err, object.ErrNoBucket)
				}
				if _, ok := errors.AsType[*object.Error](err); !ok {
					t.Errorf("%v does not say what failed", err)
				}
			})
		}
	}
	if n := e.count("here"); n != 1 {
		e.Errorf("%d keys are left, want 1", n)
	}
}
