package objecttest

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"hugbucket/internal/object"
)

func testCopy(e *env) {
	ctx := e.Context()
	e.bucket("one", "two")
	data := random(20, 500_000)
	attrs := object.Attrs{Headers: map[string]string{"content-type": "a/b"}, Meta: map[string]string{"k": "v"}}
	src, err := e.store.Put(ctx, "one", "src", onlyReader{strings.NewReader(string(data))}, object.PutOptions{
		Attrs: attrs, WantSHA256: true, ModTime: time.UnixMilli(1_000_000_000_001),
	})
	e.ok(err)
	other := object.Attrs{Headers: map[string]string{"content-type": "c/d"}}
	mod := time.UnixMilli(1_111_111_111_111).UTC()
	e.put("two", "over", []byte("what was there"))
	for name, opts := range map[string]object.CopyOptions{
		"same bucket":    {ToBucket: "one", ToKey: "dst"},
		"another bucket": {ToBucket: "two", ToKey: "src"},
		"over another":   {ToBucket: "two", ToKey: "over"},
		"new attributes": {ToBucket: "one", ToKey: "attrs", Attrs: &other, ModTime: mod},
		"no attributes":  {ToBucket: "one", ToKey: "none", Attrs: &object.Attrs{}},
		"if it holds":    {ToBucket: "one", ToKey: "if", FromIf: object.Condition{IfMatch: []string{src.ETag}}},
	} {
		before := time.Now().Truncate(time.Millisecond)
		opts.FromBucket, opts.FromKey = "one", "src"
		got, err := e.store.Copy(ctx, opts)
		e.ok(err)
		want := src
		want.Bucket, want.Key, want.ModTime = opts.ToBucket, opts.ToKey, got.ModTime
		if opts.Attrs != nil {
			want.Attrs = *opts.Attrs
		}
		if !opts.ModTime.IsZero() {
			want.ModTime = opts.ModTime
		} else if got.ModTime.Before(before) {
			e.Errorf("copy, %s: made at %v, before %v", name, got.ModTime, before)
		}
		e.sameInfo("copy, "+name, got, want)
		e.sameInfo("open after copy, "+name, e.holds(opts.ToBucket, opts.ToKey, data), want)
		e.sameInfo("source after copy, "+name, e.holds("one", "src", data), src)
	}

	// Onto itself, which is how clients change attributes.
	got, err := e.store.Copy(ctx, object.CopyOptions{
		FromBucket: "one", FromKey: "src", ToBucket: "one", ToKey: "src", Attrs: &other, ModTime: mod,
	})
	e.ok(err)
	want := src
	want.Attrs, want.ModTime = other, mod
	e.sameInfo("copy onto itself", got, want)
	e.sameInfo("open after copy onto itself", e.holds("one", "src", data), want)

	// The copy does not need its source.
	e.ok(e.store.Delete(ctx, "one", "src", object.Condition{}))
	e.holds("two", "src", data)
	e.put("one", "empty", nil)
	_, err = e.store.Copy(ctx, object.CopyOptions{FromBucket: "one", FromKey: "empty", ToBucket: "two", ToKey: "empty"})
	e.ok(err)
	e.holds("two", "empty", nil)
}

func testCopyRefused(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	src := e.put("bucket", "src", []byte("source"))
	dst := e.put("bucket", "dst", []byte("destination"))
	match := func(etag string) object.Condition { return object.Condition{IfMatch: []string{etag}} }
	noneMatch := func(etag string) object.Condition { return object.Condition{IfNoneMatch: []string{etag}} }
	type options = object.CopyOptions
	for name, c := range map[string]struct {
		opts options
		want error // nil is a canceled context
	}{
		"missing source":   {options{FromKey: "missing", ToKey: "dst"}, fs.ErrNotExist},
		"source changed":   {options{FromKey: "src", ToKey: "dst", FromIf: match("x")}, object.ErrPrecondition},
		"source the same":  {options{FromKey: "src", ToKey: "dst", FromIf: noneMatch(src.ETag)}, object.ErrPrecondition},
		"exists":           {options{FromKey: "src", ToKey: "dst", If: noneMatch("*")}, object.ErrPrecondition},
		"changed":          {options{FromKey: "src", ToKey: "dst", If: match(src.ETag)}, object.ErrPrecondition},
		"does not exist":   {options{FromKey: "src", ToKey: "missing", If: match("*")}, fs.ErrNotExist},
		"canceled context": {options{FromKey: "src", ToKey: "dst"}, nil},
	} {
		c.opts.FromBucket, c.opts.ToBucket = "bucket", "bucket"
		if c.want == nil {
			_, err := e.store.Copy(e.canceled(), c.opts)
			if err == nil {
				e.Errorf("copy, %s: done", name)
			}
			continue
		}
		_, err := e.store.Copy(ctx, c.opts)
		e.is("copy, "+name, err, c.want)
	}
	e.sameInfo("source", e.holds("bucket", "src", []byte("source")), src)
	e.sameInfo("destination", e.holds("bucket", "dst", []byte("destination")), dst)
	e.lacks("bucket", "missing")
}

func testDelete(e *env) {
	ctx := e.Context()
	e.bucket("bucket", "other")
	e.put("bucket", "a", []byte("1"))
	e.put("bucket", "a/b", []byte("2"))
	e.put("other", "a", []byte("3"))
	e.ok(e.store.Delete(ctx, "bucket", "a", object.Condition{}))
	e.lacks("bucket", "a")
	e.holds("bucket", "a/b", []byte("2"))
	e.holds("other", "a", []byte("3"))
	e.ok(e.store.Delete(ctx, "bucket", "a", object.Condition{}))
	e.ok(e.store.Delete(ctx, "bucket", "never was", object.Condition{}))
	if err := e.store.Delete(e.canceled(), "bucket", "a/b", object.Condition{}); err == nil {
		e.Error("delete with a canceled context has no error")
	}
	e.holds("bucket", "a/b", []byte("2"))
	e.put("bucket", "a", []byte("4"))
	e.holds("bucket", "a", []byte("4"))
}

func testDeleteMany(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	errs, err := e.store.DeleteMany(ctx, "bucket", nil)
	if len(errs) != 0 || err != nil {
		e.Errorf("delete no keys: %v, %v", errs, err)
	}
	e.put("bucket", "a", nil)
	e.put("bucket", "b", []byte("b"))
	e.put("bucket", "c", nil)
	keys := []string{"a", "", "missing", "\xff", "c", "a", strings.Repeat("x", 1025), "c/"}
	errs, err = e.store.DeleteMany(ctx, "bucket", keys)
	e.ok(err)
	if len(errs) != len(keys) {
		e.Fatalf("%d errors for %d keys", len(errs), len(keys))
	}
	for i, key := range keys {
		var want error
		if object.ValidKey(key) != nil {
			want = object.ErrInvalid
		}
		e.is(fmt.Sprintf("delete %.10q among many", key), errs[i], want)
	}
	e.holds("bucket", "b", []byte("b"))
	if n := e.count("bucket"); n != 1 {
		e.Errorf("%d keys are left, want 1", n)
	}

	var many []string
	for i := range 2500 {
		many = append(many, fmt.Sprintf("many/%04d", i))
	}
	e.keys("bucket", many)
	errs, err = e.store.DeleteMany(ctx, "bucket", many[:2400])
	if err != nil || slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		e.Errorf("delete 2400 keys: %v, %v", errs, err)
	}
	if n := e.count("bucket"); n != 101 {
		e.Errorf("%d keys are left, want 101", n)
	}
}
