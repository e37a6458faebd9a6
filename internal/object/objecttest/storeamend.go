package objecttest

import (
	"bytes"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"hugbucket/internal/object"
)

// testAmend changes attributes: nothing else changes.
func testAmend(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	data := random(140, 100_000)
	want, err := e.store.Put(ctx, "bucket", "key", bytes.NewReader(data), object.PutOptions{
		Attrs:   object.Attrs{Headers: map[string]string{"content-type": "a/b"}},
		ModTime: time.UnixMilli(1_000_000_000_001), WantSHA256: true, Note: func() string { return "a note" },
	})
	e.ok(err)
	got, err := e.store.Amend(ctx, "bucket", "key", func(a *object.Attrs) {
		a.Headers["content-language"], a.Meta["mtime"] = "da", "12.25"
	})
	e.ok(err)
	want.Attrs = object.Attrs{
		Headers: map[string]string{"content-type": "a/b", "content-language": "da"}, Meta: map[string]string{"mtime": "12.25"},
	}
	e.sameInfo("amended", got, want)
	e.sameInfo("stored", e.holds("bucket", "key", data), want)

	m := e.multi("parts")
	m.put(1, random(141, 70_000))
	m.put(2, nil)
	want = m.complete(1, 2)
	_, err = e.store.Amend(ctx, "bucket", "parts", func(a *object.Attrs) { a.Meta = nil })
	e.ok(err)
	got, err = e.store.Stat(ctx, "bucket", "parts")
	e.ok(err)
	want.Attrs = object.Attrs{}
	e.sameInfo("what has parts", got, want)

	nothing := func(*object.Attrs) {}
	_, err = e.store.Amend(ctx, "bucket", "missing", nothing)
	e.is("amend a missing key", err, fs.ErrNotExist)
	_, err = e.store.Amend(ctx, "none", "key", nothing)
	e.is("amend in no bucket", err, object.ErrNoBucket)
	_, err = e.store.Amend(ctx, "bucket", "parts", func(a *object.Attrs) { a.Meta["k"] = "\xff" })
	e.is("amend by what is no text", err, object.ErrInvalid)
	got, err = e.store.Stat(ctx, "bucket", "parts")
	e.ok(err)
	e.sameInfo("after what was refused", got, want)
}

// testAmendTogether amends at the same time: nothing of what anybody said is lost, and what is put meanwhile stays.
func testAmendTogether(e *env) {
	e.bucket("bucket")
	e.put("bucket", "key", []byte("old"))
	first := true
	_, err := e.store.Amend(e.Context(), "bucket", "key", func(a *object.Attrs) {
		if first {
			e.put("bucket", "key", []byte("new"))
		}
		first, a.Meta["by"] = false, "me"
	})
	e.ok(err)
	if info := e.holds("bucket", "key", []byte("new")); info.Attrs.Meta["by"] != "me" {
		e.Errorf("after a put meanwhile: %v", info.Attrs)
	}
	e.put("bucket", "gone", nil)
	_, err = e.store.Amend(e.Context(), "bucket", "gone", func(*object.Attrs) {
		e.ok(e.store.Delete(e.Context(), "bucket", "gone", object.Condition{}))
	})
	e.is("amend what is deleted meanwhile", err, fs.ErrNotExist)
	e.lacks("bucket", "gone")
	const workers, each = 6, 5
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				_, err := e.store.Amend(e.Context(), "bucket", "key", func(a *object.Attrs) { a.Meta[fmt.Sprint(w, i)] = "x" })
				if err != nil {
					e.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if info := e.holds("bucket", "key", []byte("new")); len(info.Attrs.Meta) != workers*each+1 {
		e.Errorf("%d of %d amendments are there", len(info.Attrs.Meta), workers*each+1)
	}
}
