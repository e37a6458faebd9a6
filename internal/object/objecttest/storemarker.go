package objecttest

import (
	"fmt"
	"io/fs"
	"sync"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// testRemove deletes keys as a file system does: what is taken out of a directory leaves the directory.
func testRemove(e *env) {
	e.bucket("bucket", "other")
	e.keys("bucket", []string{"a/b/one", "a/b/two", "a/b0", "top"})
	e.keys("other", []string{"a/b/other"})
	remove := func(key string, want error, left ...string) {
		e.Helper()
		e.is("remove "+key, e.store.Remove(e.Context(), "bucket", key, object.Condition{}), want)
		e.listed("bucket", left...)
	}
	remove("a/b/none", fs.ErrNotExist, "a/b/one", "a/b/two", "a/b0", "top")
	remove("a/b/one", nil, "a/b/two", "a/b0", "top")
	remove("a/b/two", nil, "a/b/", "a/b0", "top")
	if info := e.holds("bucket", "a/b/", nil); !info.IsMarker() || info.ModTime.IsZero() {
		e.Errorf("the marker is %+v", info)
	}
	e.put("bucket", "a/b/again", []byte("x"))
	remove("a/b/again", nil, "a/b/", "a/b0", "top")
	remove("a/b/", nil, "a/b0", "top")
	remove("a/b/", fs.ErrNotExist, "a/b0", "top")
	remove("a/b0", nil, "a/", "top")
	remove("a/", nil, "top")
	remove("top", nil)
	e.listed("other", "a/b/other")
	first := object.Condition{IfMatch: []string{e.put("other", "c/d", []byte("first")).ETag}}
	e.put("other", "c/d", []byte("second"))
	e.is("remove what it was", e.store.Remove(e.Context(), "other", "c/d", first), object.ErrPrecondition)
	e.is("remove what was not", e.store.Remove(e.Context(), "other", "c/e", first), fs.ErrNotExist)
	e.listed("other", "a/b/other", "c/d")
	e.is("remove from no bucket", e.store.Remove(e.Context(), "none", "a/b", object.Condition{}), object.ErrNoBucket)
	e.is("remove no key", e.store.Remove(e.Context(), "bucket", "", object.Condition{}), object.ErrInvalid)

	// What a commit brings after a removal is there before the next change of it.
	e.keys("bucket", []string{"c/d"})
	s := e.begin()
	gone := object.Change{Bucket: "bucket", Key: "c/d", Leave: &object.Info{Bucket: "bucket", Key: "c/", ETag: object.ETagOf(nil, xet.Hash{})}}
	e.ok(s.Commit(e.Context(), []object.Change{gone, change("bucket", "c/e", xet.Reconstruction{})}))
	e.ok(s.Close())
	e.listed("bucket", "c/", "c/e")
}

// testRenameKeepsDir renames the last out of directories.
func testRenameKeepsDir(e *env) {
	e.bucket("bucket", "other")
	e.keys("bucket", []string{"a/b/c", "a/d/e/f", "x"})
	keeping := func(from, bucket, to string, left ...string) {
		e.Helper()
		e.renames(from, object.RenameOptions{FromBucket: "bucket", From: from, ToBucket: bucket, To: to, KeepDir: true}, 1)
		e.listed("bucket", left...)
	}
	keeping("a/b/c", "bucket", "a/b/c", "a/b/c", "a/d/e/f", "x")
	keeping("a/b/c", "bucket", "a/b/g", "a/b/g", "a/d/e/f", "x")
	keeping("a/b/g", "bucket", "a/b/h/i", "a/b/h/i", "a/d/e/f", "x")
	keeping("a/b/h/i", "bucket", "x", "a/b/h/", "a/d/e/f", "x")
	keeping("a/d/e/", "bucket", "e/", "a/b/h/", "a/d/", "e/f", "x")
	keeping("a/d/", "other", "d/", "a/b/h/", "e/f", "x")
	keeping("a/b/h/", "other", "h/", "a/b/", "e/f", "x")
	keeping("x", "other", "x", "a/b/", "e/f")
	e.listed("other", "d/", "h/", "x")
	e.renames("without it", object.RenameOptions{FromBucket: "bucket", From: "e/f", ToBucket: "bucket", To: "f"}, 1)
	e.listed("bucket", "a/b/", "f")
	_, err := e.store.Rename(e.Context(), object.RenameOptions{FromBucket: "bucket", From: "g/none", ToBucket: "bucket", To: "f", KeepDir: true})
	e.is("rename what is not there", err, fs.ErrNotExist)
	e.listed("bucket", "a/b/", "f")
}

// testRemoveAtOnce clears directories by several clients at the same time: whoever takes the last leaves the directory.
func testRemoveAtOnce(e *env) {
	e.bucket("bucket")
	const dirs, files = 10, 4
	for d := range dirs {
		for f := range files {
			e.put("bucket", fmt.Sprintf("%d/%d", d, f), nil)
		}
	}
	var removing sync.WaitGroup
	for f := range files {
		removing.Go(func() {
			for d := range dirs {
				if err := e.store.Remove(e.Context(), "bucket", fmt.Sprintf("%d/%d", d, f), object.Condition{}); err != nil {
					e.Error(err)
				}
			}
		})
	}
	removing.Wait()
	var want []string
	for d := range dirs {
		want = append(want, fmt.Sprintf("%d/", d))
	}
	e.listed("bucket", want...)
}
