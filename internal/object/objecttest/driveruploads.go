package objecttest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// upload makes an upload of bucket/key that was begun so many ms after a certain moment.
func (e *env) upload(id, bucket, key string, ms int64) object.Upload {
	e.Helper()
	u := object.Upload{
		ID: id, Bucket: bucket, Key: key, Created: uploadsBegin.Add(time.Duration(ms) * time.Millisecond),
		Attrs: object.Attrs{Meta: map[string]string{"id": id}}, Note: "note of " + id,
	}
	e.ok(e.driver.CreateUpload(e.Context(), u))
	return u
}

var uploadsBegin = time.UnixMilli(1_600_000_000_000).UTC()

// sameUpload compares two uploads; done says whether they are.
func (e *env) sameUpload(what string, got, want object.Upload) {
	e.Helper()
	if got.ID != want.ID || got.Bucket != want.Bucket || got.Key != want.Key || !got.Created.Equal(want.Created) ||
		got.Note != want.Note || (got.Done == nil) != (want.Done == nil) {
		e.Errorf("%s: got %+v, want %+v", what, got, want)
		return
	}
	e.sameInfo(what, object.Info{Attrs: got.Attrs}, object.Info{Attrs: want.Attrs})
	if want.Done != nil {
		e.sameInfo(what, *got.Done, *want.Done)
	}
}

// uploadIDs gives a listing of uploads.
func (e *env) uploadIDs(bucket string, q object.UploadPage) (ids []string, more bool) {
	e.Helper()
	page, more, err := e.driver.ListUploads(e.Context(), bucket, q)
	e.ok(err)
	for _, u := range page {
		ids = append(ids, u.ID)
	}
	return ids, more
}

func (e *env) noUpload(id string) {
	e.Helper()
	_, err := e.driver.Upload(e.Context(), id)
	e.is("upload "+id+", which is gone", err, object.ErrNoUpload)
	_, _, err = e.driver.Parts(e.Context(), id, 0, 10)
	e.is("parts of "+id+", which is gone", err, object.ErrNoUpload)
	e.is("abort of "+id+", which is gone", e.driver.AbortUpload(e.Context(), id), object.ErrNoUpload)
}

func testUploads(e *env) {
	ctx := e.Context()
	e.is("create in no bucket", e.driver.CreateUpload(ctx, object.Upload{ID: "x", Bucket: "nowhere", Key: "k"}), object.ErrNoBucket)
	_, _, err := e.driver.ListUploads(ctx, "nowhere", object.UploadPage{Limit: 1})
	e.is("list no bucket", err, object.ErrNoBucket)
	e.noUpload("x")
	e.bucket("bucket", "other")
	// By key, then by time, then by id.
	want := []object.Upload{
		e.upload("u3", "bucket", "a", 5), e.upload("u9", "bucket", "a/", 9), e.upload("u1", "bucket", "a/b", 1),
		e.upload("u0", "bucket", "a/b", 2), e.upload("u2", "bucket", "a/b", 2), e.upload("u5", "bucket", "a0", 0),
		e.upload("u4", "bucket", "\x00é\U0010ffff", 3),
	}
	want = append(want[6:], want[:6]...)
	e.upload("v1", "other", "a/b", 1)
	if err := e.driver.CreateUpload(ctx, want[0]); err == nil {
		e.Error("an id was given to two uploads")
	}
	for _, u := range want {
		got, err := e.driver.Upload(ctx, u.ID)
		e.ok(err)
		e.sameUpload("upload", got, u)
	}
	for _, asked := range []object.UploadPage{
		{},
		{Prefix: "a"},
		{Prefix: "a/"},
		{Prefix: "a/b"},
		{Prefix: "\x00"},
		{Prefix: "b"},
		{Prefix: "a/\xff"},
		{Key: "a"},
		{Key: "a/b"},
		{Key: "a/b", Prefix: "a0"},
		{Key: "\x00é\U0010ffff"},
		{Key: "\x00"},
		{Key: "a/\xff"},
	} {
		for at := -1; at < len(want); at++ {
			for _, alone := range []bool{false, true} { // AfterKey without AfterID
				q := asked
				if at >= 0 {
					q.AfterKey, q.AfterID = want[at].Key, want[at].ID
				}
				if alone {
					q.AfterID = ""
				}
				var ids []string
				for i, u := range want {
					of := q.Key == "" && strings.HasPrefix(u.Key, q.Prefix) || u.Key == q.Key
					if of && i > at && (!alone || u.Key != q.AfterKey) {
						ids = append(ids, u.ID)
					}
				}
				for _, limit := range []int{1, 2, max(1, len(ids)), 1000} {
					q.Limit = limit
					got, more := e.uploadIDs("bucket", q)
					e.sameStrings(fmt.Sprintf("uploads %+v", q), got, ids[:min(limit, len(ids))])
					if more != (len(ids) > limit) {
						e.Errorf("uploads %+v: more is %v", q, more)
					}
				}
			}
		}
	}
	page, _, err := e.driver.ListUploads(ctx, "bucket", object.UploadPage{Limit: 1000})
	e.ok(err)
	for i, u := range page {
		e.sameUpload("listed upload", u, want[i])
	}
	// What is gone is no place to go on from, but its key is.
	e.ok(e.driver.AbortUpload(ctx, "u0"))
	e.noUpload("u0")
	got, _ := e.uploadIDs("bucket", object.UploadPage{AfterKey: "a/b", AfterID: "u0", Limit: 10})
	e.sameStrings("uploads behind one that is gone", got, []string{"u1", "u2", "u5"})
	// Those of a bucket do not keep it, and are gone with it.
	e.ok(e.driver.DeleteBucket(ctx, "bucket"))
	for _, u := range want {
		e.noUpload(u.ID)
	}
	e.bucket("bucket")
	if got, _ := e.uploadIDs("bucket", object.UploadPage{Limit: 10}); got != nil {
		e.Errorf("a new bucket has uploads %q", got)
	}
	if got, _ := e.uploadIDs("other", object.UploadPage{Limit: 10}); !slices.Equal(got, []string{"v1"}) {
		e.Errorf("another bucket has uploads %q", got)
	}
}

// part stages data and makes it a part.
func (e *env) part(upload string, number int, data []byte) object.Part {
	e.Helper()
	s := e.begin()
	f := e.stage(s, data)
	p := partOf(number, f, data)
	e.ok(s.CommitPart(e.Context(), upload, p))
	e.ok(s.Close())
	return p
}

func partOf(number int, f xet.Reconstruction, data []byte) object.Part {
	return object.Part{
		Number: number, Size: int64(f.Size), File: f.Hash, ModTime: uploadsBegin.Add(time.Duration(number) * time.Second),
		Digests: object.Digests{SHA256: sha256Of(data), CRC64NVME: crc64NVME(data)}, Note: "part " + strconv.Itoa(number),
	}
}

// partsAre asks for all parts of an upload, a few at a time.
func (e *env) partsAre(upload string, want ...object.Part) {
	e.Helper()
	var got []object.Part
	for more := true; more; {
		after := 0
		if len(got) > 0 {
			after = got[len(got)-1].Number
		}
		var page []object.Part
		var err error
		page, more, err = e.driver.Parts(e.Context(), upload, after, 2)
		e.ok(err)
		if len(page) > 2 || more && len(page) != 2 {
			e.Fatalf("a page of %d parts", len(page))
		}
		got = append(got, page...)
	}
	if len(got) != len(want) {
		e.Errorf("upload %s has %d parts, want %d", upload, len(got), len(want))
		return
	}
	for i, p := range got {
		w := want[i]
		if p.Number != w.Number || p.Note != w.Note || !p.ModTime.Equal(w.ModTime) {
			e.Errorf("part: got %+v, want %+v", p, w)
		}
		e.sameInfo("part", object.Info{Size: p.Size, File: p.File, Digests: p.Digests}, object.Info{Size: w.Size, File: w.File, Digests: w.Digests})
	}
}

func testParts(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	e.upload("u", "bucket", "key", 0)
	e.upload("v", "bucket", "key", 0)
	e.partsAre("u")
	small, large := random(80, 3000), random(81, 1_500_000)
	s := e.begin()
	f := e.stage(s, small)
	e.is("a part of no upload", s.CommitPart(ctx, "w", partOf(1, f, small)), object.ErrNoUpload)
	if err := s.CommitPart(ctx, "u", partOf(1, f, small)); err == nil {
		e.Error("a session that has failed goes on")
	}
	e.ok(s.Close())
	if _, err := e.driver.OpenFile(ctx, f.Hash); err == nil {
		e.Error("what was staged for no upload is stored")
	}
	s = e.begin()
	e.is("a part of no file", s.CommitPart(ctx, "u", partOf(1, f, small)), object.ErrInvalid)
	e.ok(s.Close())
	s = e.begin()
	wrong := partOf(1, e.stage(s, small), small)
	wrong.Size++
	e.is("a part of another size", s.CommitPart(ctx, "u", wrong), object.ErrInvalid)
	e.ok(s.Close())
	e.partsAre("u")

	seven := e.part("u", 7, small)
	max := e.part("u", object.MaxParts, large)
	other := e.part("v", 7, nil)
	one := e.part("u", 1, nil)
	e.partsAre("u", one, seven, max)
	seven = e.part("u", 7, large)
	two := e.part("u", 2, small)
	e.partsAre("u", one, two, seven, max)
	e.partsAre("v", other)
	e.contentIs("a part", e.file(seven.File), large)
	// A session commits several, also what is stored already.
	s = e.begin()
	three, four := partOf(3, e.stage(s, text(1, 200_000)), nil), partOf(4, xet.Reconstruction{Hash: seven.File, Size: uint64(seven.Size)}, large)
	e.ok(s.CommitPart(ctx, "v", three))
	e.ok(s.CommitPart(ctx, "v", four))
	e.ok(s.Close())
	e.partsAre("v", three, four, other)
	e.ok(e.driver.AbortUpload(ctx, "u"))
	e.noUpload("u")
	s = e.begin()
	e.is("a part of an upload that was aborted", s.CommitPart(ctx, "u", partOf(1, xet.Reconstruction{}, nil)), object.ErrNoUpload)
	e.ok(s.Close())
	_, _, err := e.driver.Parts(e.canceled(), "v", 0, 1)
	e.is("parts with a canceled context", err, e.canceled().Err())
}

// completeWith is a change that completes an upload of bucket/key to a file that is stored.
func completeWith(upload string, to object.Part, parts ...object.Part) object.Change {
	c := change("bucket", "key", xet.Reconstruction{Hash: to.File, Size: uint64(to.Size)})
	c.New.Parts = []object.PartRun{{Count: 3, Size: 7}, {Count: 1, Size: 1}}
	c.New.Note = "note of an object"
	c.Complete = &object.Completion{Upload: upload, Parts: parts}
	return c
}

func testCompletion(e *env) {
	ctx := e.Context()
	e.bucket("bucket", "other")
	u := e.upload("u", "bucket", "key", 0)
	e.upload("v", "bucket", "key", 0)
	e.upload("elsewhere", "other", "key", 0)
	e.upload("another", "bucket", "other", 0)
	data := random(83, 40_000)
	one, two := e.part("u", 1, data), e.part("u", 5, random(84, 50_000))
	old := two
	two = e.part("u", 5, random(85, 60_000))
	ghost, between := two, two // the same file under a number that is not there
	ghost.Number, between.Number = 6, 4
	refuse := func(what string, want error, changes ...object.Change) {
		e.Helper()
		s := e.begin()
		err := s.Commit(ctx, changes)
		e.is(what, err, want)
		var part *object.PartError
		if errors.As(err, &part) && part.Number != map[string]int{"a missing part": 6, "a missing part between others": 4, "a part that was replaced": 5}[what] {
			e.Errorf("%s: part %d", what, part.Number)
		}
		e.ok(s.Close())
		e.lacks("bucket", "key")
		e.partsAre("u", one, two)
	}
	refuse("no upload", object.ErrNoUpload, completeWith("w", one, one))
	refuse("an upload of another bucket", object.ErrNoUpload, completeWith("elsewhere", one))
	refuse("an upload of another key", object.ErrNoUpload, completeWith("another", one))
	refuse("a missing part", object.ErrPart, completeWith("u", one, one, two, ghost))
	refuse("a missing part between others", object.ErrPart, completeWith("u", one, one, between))
	refuse("a part that was replaced", object.ErrPart, completeWith("u", one, one, old))
	conditional := completeWith("u", one, one)
	conditional.If.IfMatch = []string{"*"}
	refuse("a condition", errNotExist, conditional)
	refuse("a change after it", object.ErrNoBucket, completeWith("u", one, one), change("nowhere", "k", xet.Reconstruction{}))
	refuse("twice in a commit", object.ErrNoUpload, completeWith("u", one, one), completeWith("u", one, one))
	deletes := completeWith("u", one, one)
	deletes.New = nil
	refuse("a deletion", object.ErrInvalid, deletes)

	// What is staged and what is completed come together; not all parts are named.
	s := e.begin()
	staged := random(86, 70_000)
	f := e.stage(s, staged)
	c := completeWith("u", object.Part{File: f.Hash, Size: int64(f.Size)}, two)
	e.ok(s.Commit(ctx, []object.Change{c}))
	e.ok(s.Close())
	e.sameInfo("completed", e.holds("bucket", "key", staged), *c.New)
	page, _, err := e.driver.List(ctx, "bucket", object.Page{Limit: 1})
	e.ok(err)
	listed := *c.New
	listed.Parts = nil
	e.sameInfo("listed", page[0], listed)
	u.Done = c.New
	got, err := e.driver.Upload(ctx, "u")
	e.ok(err)
	e.sameUpload("an upload that is done", got, u)
	e.partsAre("u")
	ids, _ := e.uploadIDs("bucket", object.UploadPage{Limit: 10})
	e.sameStrings("open uploads", ids, []string{"v", "another"})
	ids, _ = e.uploadIDs("bucket", object.UploadPage{AfterKey: "key", AfterID: "u", Limit: 10})
	e.sameStrings("open uploads behind one that is done", ids, []string{"v", "another"})
	e.is("abort of one that is done", e.driver.AbortUpload(ctx, "u"), object.ErrNoUpload)
	for what, try := range map[string]func(object.Session) error{
		"a part of one that is done": func(s object.Session) error { return s.CommitPart(ctx, "u", one) },
		"completing one that is done": func(s object.Session) error {
			return s.Commit(ctx, []object.Change{completeWith("u", one)})
		},
	} {
		s := e.begin()
		e.is(what, try(s), object.ErrNoUpload)
		e.ok(s.Close())
	}
	// It outlives the object.
	e.ok(e.store.Delete(ctx, "bucket", "key", object.Condition{}))
	got, err = e.driver.Upload(ctx, "u")
	e.ok(err)
	e.sameUpload("an upload whose object was deleted", got, u)
}

func testExpireUploads(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	for i := range 30 {
		e.upload(fmt.Sprintf("u%02d", i), "bucket", fmt.Sprint("key ", i%3), int64(i))
	}
	var parts []object.Part
	for n := 1; n <= 5; n++ {
		parts = append(parts, e.part("u04", n, random(uint64(n), 100)))
	}
	kept := e.part("u10", 1, random(1, 100))
	c := completeWith("u03", parts[0])
	c.Key, c.New.Key, c.New.ModTime = "key 0", "key 0", uploadsBegin.Add(20*time.Millisecond)
	s := e.begin()
	e.ok(s.Commit(ctx, []object.Change{c}))
	e.ok(s.Close())
	expire := func(ms int64, want int) {
		e.Helper()
		n, err := e.driver.ExpireUploads(ctx, uploadsBegin.Add(time.Duration(ms)*time.Millisecond))
		if e.ok(err); n != want {
			e.Errorf("%d uploads have expired at %d, want %d", n, ms, want)
		}
	}
	expire(0, 0)
	expire(5, 3) // the next were completed, and got parts, later than that
	expire(10, 5)
	for i := range 10 {
		if id := fmt.Sprintf("u%02d", i); i != 3 && i != 4 {
			e.noUpload(id)
		}
	}
	_, err := e.driver.Upload(ctx, "u03")
	e.is("an upload that was completed since", err, nil)
	e.partsAre("u04", parts...)
	ids, _ := e.uploadIDs("bucket", object.UploadPage{Limit: 1000})
	if len(ids) != 21 {
		e.Errorf("%d uploads are left, want 21", len(ids))
	}
	expire(1000, 19) // and one that is done
	e.noUpload("u03")
	e.partsAre("u10", kept) // came at that moment
	if _, err := e.store.Stat(ctx, "bucket", "key 0"); err != nil {
		e.Errorf("what an upload was completed to has gone with it: %v", err)
	}
	expire(5000, 1)
	e.partsAre("u04", parts...)
	expire(5001, 1)
	expire(5001, 0)
	e.ok(e.store.Delete(ctx, "bucket", "key 0", object.Condition{}))
	e.ok(e.driver.DeleteBucket(ctx, "bucket"))
}
