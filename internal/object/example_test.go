package object_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// exampleStore gives a store with a bucket "photos", where it is always the same time.
func exampleStore(ctx context.Context) *object.Store {
	noon := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	store := object.New(objecttest.NewMemory(), object.Config{Now: func() time.Time { return noon }})
	if err := store.CreateBucket(ctx, "photos", ""); err != nil {
		panic(err)
	}
	return store
}

// show prints a line of the output that is compared.
func show(a ...any) { _, _ = fmt.Fprintln(os.Stdout, a...) }

func closeIt(c io.Closer) {
	if err := c.Close(); err != nil {
		show(err)
	}
}

func ExampleStore_Put() {
	ctx := context.Background()
	store := exampleStore(ctx)
	defer closeIt(store)

	// Store an object, unless there is one already.
	opts := object.PutOptions{
		Attrs: object.Attrs{Headers: map[string]string{"content-type": "text/plain"}},
		If:    object.Condition{IfNoneMatch: []string{"*"}},
	}
	info, err := store.Put(ctx, "photos", "2025/readme", strings.NewReader("hello world\n"), opts)
	if err != nil {
		show(err)
		return
	}
	show(info.Size, info.ETag, info.ModTime)
	show(info.File)

	_, err = store.Put(ctx, "photos", "2025/readme", strings.NewReader("other"), opts)
	show(errors.Is(err, object.ErrPrecondition), err)
	// Output:
	// 12 6f5902ac237024bdd0c176cb93063dc4 2025-06-01 12:00:00 +0000 UTC
	// a302d931b8763df0bfb9926b9ff26b11c2a77d5be8dde4ce1c8bb7202a6a8681
	// true put photos/"2025/readme": if-none-match: not modified: precondition failed
}

func ExampleStore_List() {
	ctx := context.Background()
	store := exampleStore(ctx)
	defer closeIt(store)
	for _, key := range []string{"2024/a.jpg", "2024/b.jpg", "2025/a.jpg", "index", "index/old"} {
		if _, err := store.Put(ctx, "photos", key, strings.NewReader(key), object.PutOptions{}); err != nil {
			show(err)
			return
		}
	}

	// What a directory would show, two entries at a time.
	opts := object.ListOptions{Delimiter: "/", Limit: 2}
	for {
		page, err := store.List(ctx, "photos", opts)
		if err != nil {
			show(err)
			return
		}
		for _, prefix := range page.Prefixes {
			show(prefix)
		}
		for _, info := range page.Objects {
			show(info.Key, info.Size)
		}
		if !page.Truncated {
			return
		}
		show("more from", page.Next)
		opts.Start = page.Next
	}
	// Output:
	// 2024/
	// 2025/
	// more from index
	// index/
	// index 5
}

func ExampleStore_Open() {
	ctx := context.Background()
	store := exampleStore(ctx)
	defer closeIt(store)
	if _, err := store.Put(ctx, "photos", "key", strings.NewReader("0123456789"), object.PutOptions{}); err != nil {
		show(err)
		return
	}

	f, err := store.Open(ctx, "photos", "key")
	if err != nil {
		show(err)
		return
	}
	defer closeIt(f)
	if _, err := f.Seek(-3, io.SeekEnd); err != nil {
		show(err)
		return
	}
	tail, err := io.ReadAll(f)
	show(string(tail), err)
	var part strings.Builder
	_, err = f.WriteRange(&part, 2, 4) // does not move the offset of Read
	show(part.String(), err)
	// Output:
	// 789 <nil>
	// 2345 <nil>
}
