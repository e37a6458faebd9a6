package objecttest

import (
	"bytes"
	"time"

	"hugbucket/internal/object"
)

// arrived notes a failure unless something has come into the bucket since a time, or nothing ever if that is zero.
func (e *env) arrived(what, bucket string, since time.Time) {
	e.Helper()
	at, err := e.store.Arrived(e.Context(), bucket)
	switch {
	case err != nil:
		e.Errorf("%s: %v", what, err)
	case since.IsZero() && !at.IsZero():
		e.Errorf("%s: something arrived at %v, want nothing", what, at)
	case !since.IsZero() && (at.Before(since.Add(-object.ArrivedWithin)) || at.After(time.Now())):
		e.Errorf("%s: something arrived at %v, want a time after %v", what, at, since)
	}
}

// testArrived lets things come in each of the ways that there are, each into a bucket of its own.
func testArrived(e *env) {
	ctx, start, never := e.Context(), time.Now(), time.Time{}
	past := time.UnixMilli(1)
	e.bucket("put", "copy", "complete", "append", "renamed", "refused", "deleted")

	_, err := e.store.Put(ctx, "put", "key", bytes.NewReader([]byte("x")), object.PutOptions{ModTime: past})
	e.ok(err)
	e.arrived("a put", "put", start)
	_, err = e.store.Copy(ctx, object.CopyOptions{FromBucket: "put", FromKey: "key", ToBucket: "copy", ToKey: "key", ModTime: past})
	e.ok(err)
	e.arrived("a copy", "copy", start)

	_, err = e.store.Put(ctx, "refused", "key", bytes.NewReader(nil), object.PutOptions{If: object.Condition{IfMatch: []string{"*"}}})
	e.is("put onto nothing", err, errNotExist)
	e.arrived("a put that was refused", "refused", never)
	e.ok(e.store.Delete(ctx, "deleted", "key", object.Condition{}))
	e.arrived("a deletion", "deleted", never)

	up, err := e.store.CreateUpload(ctx, "complete", "key", object.UploadOptions{})
	e.ok(err)
	name := object.UploadName{Bucket: "complete", Key: "key", ID: up.ID}
	part, err := e.store.PutPart(ctx, name, 1, bytes.NewReader([]byte("x")), object.PartOptions{})
	e.ok(err)
	e.arrived("a part", "complete", never)
	_, err = e.store.Complete(ctx, name, []object.PartRef{{Number: 1, ETag: part.ETag()}}, object.CompleteOptions{ModTime: past})
	e.ok(err)
	e.arrived("a completion", "complete", start)

	_, err = e.store.Append(ctx, "append", "key", -1, bytes.NewReader([]byte("x")), object.PutOptions{ModTime: past})
	e.ok(err)
	e.arrived("an append", "append", start)
	e.renames("into another bucket", object.RenameOptions{FromBucket: "copy", From: "key", ToBucket: "renamed", To: "key"}, 1)
	e.arrived("a rename from another bucket", "renamed", start)

	e.ok(e.store.Delete(ctx, "put", "key", object.Condition{}))
	e.arrived("after its object was deleted", "put", start)
	e.ok(e.store.DeleteBucket(ctx, "put"))
	e.bucket("put")
	e.arrived("a bucket that was made again", "put", never)
}

// testNoArrival renames, amends, makes directories and leaves one in a bucket: nothing comes into it by that.
func testNoArrival(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	e.put("bucket", "a", nil)
	e.put("bucket", "d/b", nil)
	before, err := e.store.Arrived(ctx, "bucket")
	e.ok(err)
	e.renames("a key", within("a", "b"), 1)
	e.renames("a directory", within("d/", "e/"), 1)
	e.put("bucket", "made/", nil)
	e.ok(e.store.Remove(ctx, "bucket", "e/b", object.Condition{}))
	_, err = e.store.Amend(ctx, "bucket", "b", func(a *object.Attrs) { a.Meta["k"] = "v" })
	e.ok(err)
	after, err := e.store.Arrived(ctx, "bucket")
	e.ok(err)
	if !after.Equal(before) {
		e.Errorf("something arrived at %v, and by a rename at %v", before, after)
	}
}
