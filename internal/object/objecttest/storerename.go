package objecttest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// within renames in one bucket.
func within(from, to string) object.RenameOptions {
	return object.RenameOptions{FromBucket: "bucket", From: from, ToBucket: "bucket", To: to}
}

// renames notes a failure unless so many keys are renamed.
func (e *env) renames(what string, opts object.RenameOptions, want int) {
	e.Helper()
	if n, err := e.store.Rename(e.Context(), opts); err != nil || n != want {
		e.Errorf("rename %s: %d keys, %v; want %d", what, n, err, want)
	}
}

// testRename renames single keys: all that is said of them stays, but the name.
func testRename(e *env) {
	ctx := e.Context()
	e.bucket("bucket", "other")
	data := random(130, 300_000)
	want, err := e.store.Put(ctx, "bucket", ".tmp.x", bytes.NewReader(data), object.PutOptions{
		Attrs:   object.Attrs{Headers: map[string]string{"content-type": "a/b"}, Meta: map[string]string{"mtime": "1.5"}},
		ModTime: time.UnixMilli(1_000_000_000_001), WantSHA256: true, Note: func() string { return "a note" },
	})
	e.ok(err)
	e.put("bucket", "x", []byte("what was there"))
	for _, step := range []object.RenameOptions{
		within(".tmp.x", "x"), // replaces
		within("x", "d/x"),
		within("d/x", "d/x"), // does nothing
		{FromBucket: "bucket", From: "d/x", ToBucket: "other", To: "d/x"},
		{FromBucket: "other", From: "d/x", ToBucket: "bucket", To: "back"},
	} {
		e.renames(fmt.Sprintf("%+v", step), step, 1)
		if !step.Same() {
			e.lacks(step.FromBucket, step.From)
		}
		want.Bucket, want.Key = step.ToBucket, step.To
		e.sameInfo("renamed", e.holds(step.ToBucket, step.To, data), want)
	}
	if n := e.count("bucket") + e.count("other"); n != 1 {
		e.Errorf("there are %d keys, want 1", n)
	}
	m := e.multi("parts")
	m.put(1, random(131, 70_000))
	m.put(2, random(132, 10))
	want = m.complete(1, 2)
	e.renames("what has parts", within("parts", "renamed"), 1)
	want.Key = "renamed"
	got, err := e.store.Stat(ctx, "bucket", "renamed")
	e.ok(err)
	e.sameInfo("what has parts", got, want)
}

// testRenameMany renames all keys below a name, and no others.
func testRenameMany(e *env) {
	ctx := e.Context()
	e.bucket("bucket", "other")
	e.put("bucket", "d", []byte("no part of it"))
	e.put("bucket", "d-", []byte("nor this"))
	e.put("bucket", "d0", []byte("nor this"))
	e.put("bucket", "d/", nil)
	e.put("bucket", "d//", []byte("two slashes"))
	e.put("bucket", "d/a\nb", []byte("a line break"))
	want := e.put("bucket", "d/e/f", []byte("deep"))
	left := e.multi("d/left")
	left.put(1, []byte("a part"))
	e.renames("a directory", within("d/", "new/dir/"), 4)
	want.Key = "new/dir/e/f"
	e.sameInfo("below the new name", e.holds("bucket", "new/dir/e/f", []byte("deep")), want)
	e.listed("bucket", "d", "d-", "d0", "new/dir/", "new/dir//", "new/dir/a\nb", "new/dir/e/f")
	e.renames("a directory to itself", within("new/dir/", "new/dir/"), 4)
	e.renames("into another bucket", object.RenameOptions{FromBucket: "bucket", From: "new/", ToBucket: "other", To: "n/"}, 4)
	e.listed("bucket", "d", "d-", "d0")
	e.listed("other", "n/dir/", "n/dir//", "n/dir/a\nb", "n/dir/e/f")
	left.complete(1) // an upload keeps the name that it was begun for
	e.listed("bucket", "d", "d-", "d/left", "d0")

	// More than fit a page, to a name that sorts before the old one and to one behind it.
	var keys, renamed []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("m/%04d", i))
		renamed = append(renamed, fmt.Sprintf("a/z/%04d", i))
	}
	e.keys("bucket", keys)
	e.renames("many keys", within("m/", "z/"), 2500)
	e.renames("many keys", within("z/", "a/z/"), 2500)
	e.listed("bucket", append(renamed, "d", "d-", "d/left", "d0")...)
	_, err := e.store.Stat(ctx, "bucket", "z/0000")
	e.is("the old name", err, fs.ErrNotExist)
}

// listed notes a failure unless a bucket has just these keys.
func (e *env) listed(bucket string, want ...string) {
	e.Helper()
	var got []string
	for opts := (object.ListOptions{}); ; {
		l, err := e.store.List(e.Context(), bucket, opts)
		e.ok(err)
		for _, info := range l.Objects {
			got = append(got, info.Key)
		}
		if !l.Truncated {
			break
		}
		opts.Start = l.Next
	}
	e.sameStrings("keys of "+bucket, got, want)
}

// testRenameRefused renames what cannot be: nothing changes.
func testRenameRefused(e *env) {
	e.bucket("bucket", "other")
	long := strings.Repeat("x", object.MaxKeyLen-len("d/"))
	all := []string{"c/", "c/d/x", "c/x", "d/b", "d/" + long, "f"}
	e.keys("bucket", all)
	e.keys("other", []string{"taken/x"})
	for name, c := range map[string]struct {
		opts object.RenameOptions
		want error
	}{
		"a missing key":            {within("no", "b"), fs.ErrNotExist},
		"a missing key, to itself": {within("no", "no"), fs.ErrNotExist},
		"a missing directory":      {within("no/", "b/"), fs.ErrNotExist},
		"a directory, as a key":    {within("d", "b"), fs.ErrNotExist},
		"a key, as a directory":    {within("f/", "b/"), fs.ErrNotExist},
		"onto keys":                {within("c/", "d/"), fs.ErrExist},
		"to where it lies":         {within("c/d/", "c/"), object.ErrTaken},
		"onto keys, which is told": {within("c/", "d/"), object.ErrTaken},
		"onto another bucket's":    {object.RenameOptions{FromBucket: "bucket", From: "c/", ToBucket: "other", To: "taken/"}, object.ErrTaken},
		"below itself":             {within("c/", "c/d/"), object.ErrInvalid},
		"a directory to a key":     {within("c/", "b"), object.ErrInvalid},
		"a key to a directory":     {within("f", "b/"), object.ErrInvalid},
		"to no name":               {within("f", ""), object.ErrInvalid},
		"no name":                  {within("", "f"), object.ErrInvalid},
		"to what is no key":        {within("f", "\xff"), object.ErrInvalid},
		"to a name too long":       {within("f", "d/x"+long), object.ErrInvalid},
		"to a name just too long":  {within("d/", "dd/"), object.ErrInvalid},
		"from no bucket":           {object.RenameOptions{FromBucket: "none", From: "f", ToBucket: "bucket", To: "b"}, object.ErrNoBucket},
		"to no bucket":             {object.RenameOptions{FromBucket: "bucket", From: "f", ToBucket: "none", To: "b"}, object.ErrNoBucket},
		"to what can be no bucket": {object.RenameOptions{FromBucket: "bucket", From: "c/", ToBucket: "NONE", To: "b/"}, object.ErrNoBucket},
		"a missing key to nowhere": {object.RenameOptions{FromBucket: "bucket", From: "no", ToBucket: "none", To: "b"}, object.ErrNoBucket},
	} {
		n, err := e.store.Rename(e.Context(), c.opts)
		if e.is("rename "+name, err, c.want); n != 0 {
			e.Errorf("rename %s: %d keys", name, n)
		}
	}
	if _, err := e.store.Rename(e.canceled(), within("f", "b")); err == nil {
		e.Error("rename with a canceled context has no error")
	}
	e.listed("bucket", all...)
	e.listed("other", "taken/x")
	e.renames("to names as long as they may be", within("d/", "e/"), 2)

	s := e.begin()
	_, err := s.Rename(e.Context(), within("no", "b"), nil)
	e.is("rename in a session", err, fs.ErrNotExist)
	if err := s.Commit(e.Context(), []object.Change{change("bucket", "late", xet.Reconstruction{})}); err == nil {
		e.Error("a session commits after a refused rename")
	}
	e.ok(s.Close())
	if _, err := s.Rename(e.Context(), within("f", "b"), nil); err == nil {
		e.Error("a session that is closed renames")
	}
}

// testRenameWhilePut has a directory renamed again and again while clients put keys into it: each key comes to lie somewhere, with
// what was put.
func testRenameWhilePut(e *env) {
	e.bucket("bucket")
	const workers, each = 4, 30
	ctx, cancel := context.WithCancel(e.Context())
	var putting, renaming sync.WaitGroup
	renaming.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			if _, err := e.store.Rename(e.Context(), within("d/", fmt.Sprintf("old/%d/", n))); err != nil {
				e.is("rename", err, fs.ErrNotExist)
			}
		}
	})
	for w := range workers {
		putting.Go(func() {
			for i := range each {
				data := tagged(uint64(w*each+i), 1000)
				if _, err := e.store.Put(e.Context(), "bucket", fmt.Sprintf("d/%d-%d", w, i), bytes.NewReader(data), object.PutOptions{}); err != nil {
					e.Error(err)
				}
			}
		})
	}
	putting.Wait()
	cancel()
	renaming.Wait()
	found := make(map[string]bool)
	l, err := e.store.List(e.Context(), "bucket", object.ListOptions{})
	e.ok(err)
	for _, info := range l.Objects {
		found[info.Key[strings.LastIndexByte(info.Key, '/'):]] = true
		if err := e.readWhole(info.Key); err != nil {
			e.Errorf("%s: %v", info.Key, err)
		}
	}
	if len(found) != workers*each || len(l.Objects) != len(found) {
		e.Errorf("%d keys, %d of them different, want %d", len(l.Objects), len(found), workers*each)
	}
}
