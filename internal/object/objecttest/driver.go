package objecttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// TestDriver asks a driver for what the interfaces promise. open gives an empty driver each time; the suite closes it.
func TestDriver(t *testing.T, open func(t *testing.T) object.Driver) {
	t.Helper()
	runParts(t, open, []part{
		{"Catalog", testCatalog},
		{"CatalogPages", testCatalogPages},
		{"CatalogManyBuckets", testCatalogManyBuckets},
		{"Block", testBlock},
		{"ContentChunks", testContentChunks},
		{"ContentTogether", testContentTogether},
		{"Uncommitted", testUncommitted},
		{"Known", testKnown},
		{"KnownRuns", testKnownRuns},
		{"Commit", testCommit},
		{"CommitOrder", testCommitOrder},
		{"CommitAtomic", testCommitAtomic},
		{"CommitConditions", testCommitConditions},
		{"CommitMany", testCommitMany},
		{"Dangling", testDangling},
		{"AfterFailure", testAfterFailure},
		{"AfterClose", testAfterClose},
		{"AfterCommit", testAfterCommit},
		{"TwinSessions", testTwinSessions},
		{"XorbLimits", testXorbLimits},
		{"Races", testRaces},
		{"Uploads", testUploads},
		{"Parts", testParts},
		{"Completion", testCompletion},
		{"ExpireUploads", testExpireUploads},
	})
}

func testCatalog(e *env) {
	ctx := e.Context()
	made := time.UnixMilli(1_234_567_890_123).UTC()
	e.ok(e.driver.CreateBucket(ctx, object.Bucket{Name: "bucket", Owner: "me", Created: made}))
	e.is("create again", e.driver.CreateBucket(ctx, object.Bucket{Name: "bucket"}), object.ErrBucketExists)
	b, err := e.driver.Bucket(ctx, "bucket")
	if err != nil || b.Name != "bucket" || b.Owner != "me" || !b.Created.Equal(made) {
		e.Errorf("bucket: %+v, %v", b, err)
	}
	page, more, err := e.driver.Buckets(ctx, "", 1)
	if err != nil || more || len(page) != 1 || page[0].Name != "bucket" || page[0].Owner != "me" || !page[0].Created.Equal(made) {
		e.Errorf("buckets: %+v, %v, %v", page, more, err)
	}
	_, err = e.driver.Stat(ctx, "nowhere", "key")
	e.is("stat in no bucket", err, object.ErrNoBucket)
	_, err = e.driver.Stat(ctx, "bucket", "key")
	if e.is("stat of no key", err, fs.ErrNotExist); errors.Is(err, object.ErrNoBucket) {
		e.Errorf("stat of no key: %v", err)
	}
	_, _, err = e.driver.Open(ctx, "nowhere", "key")
	e.is("open in no bucket", err, object.ErrNoBucket)
	_, _, err = e.driver.Open(ctx, "bucket", "key")
	e.is("open of no key", err, fs.ErrNotExist)
	_, _, err = e.driver.List(ctx, "nowhere", object.Page{Limit: 1})
	e.is("list no bucket", err, object.ErrNoBucket)
	_, err = e.driver.OpenFile(ctx, xet.ChunkHash(nil))
	e.is("open of no file", err, fs.ErrNotExist)

	s := e.begin()
	c := change("bucket", "key", xet.Reconstruction{})
	c.New.ETag = "anything-7"
	c.New.Digests = object.Digests{SHA256: random(1, 32)}
	c.New.Attrs.Meta = map[string]string{"k": "v"}
	e.ok(s.Commit(ctx, []object.Change{c}))
	e.ok(s.Close())
	got, err := e.driver.Stat(ctx, "bucket", "key")
	e.ok(err)
	e.sameInfo("stat", got, *c.New)
	got, content, err := e.driver.Open(ctx, "bucket", "key")
	e.ok(err)
	e.sameInfo("open", got, *c.New)
	e.ok(content.Close())
	e.is("delete a full bucket", e.driver.DeleteBucket(ctx, "bucket"), object.ErrBucketNotEmpty)
}

// testCatalogPages asks for pages that begin anywhere, also in the middle of a character.
func testCatalogPages(e *env) {
	e.bucket("before", "bucket", "bucket2")
	keys := oddKeys()
	e.keys("bucket", keys)
	e.keys("before", []string{"other"})
	e.keys("bucket2", []string{"other"})
	prefixes := []string{"", "a", "a/", "\xc3", "\xf4", "\xf4\x8f\xbf", "\x00", "\xff", "nothing", "x"}
	starts := []string{"", "a", "a/\xff", "\xc3", "\xf0\x9f", "\xf4\x8f\xbf\xc0", "\xff\xff", "\x00\x00\x00", "a\x00a"}
	for _, prefix := range prefixes {
		for _, start := range append(starts, keys[10:20]...) {
			want := slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
				return key < start || len(key) < len(prefix) || key[:len(prefix)] != prefix
			})
			for _, limit := range []int{1, 5, max(1, len(want)-1), max(1, len(want)), 1000} {
				page, more, err := e.driver.List(e.Context(), "bucket", object.Page{Prefix: prefix, Start: start, Limit: limit})
				e.ok(err)
				var got []string
				for _, info := range page {
					got = append(got, info.Key)
				}
				what := fmt.Sprintf("%d keys with prefix %.20q from %.20q on", limit, prefix, start)
				e.sameStrings(what, got, want[:min(limit, len(want))])
				if more != (len(want) > limit) {
					e.Errorf("%s: more is %v", what, more)
				}
			}
		}
	}
}

func testCatalogManyBuckets(e *env) {
	e.bucket("aaa", "bbb", "ccc")
	page, more, err := e.driver.Buckets(e.Context(), "aab", 1)
	if err != nil || !more || len(page) != 1 || page[0].Name != "bbb" {
		e.Errorf("a bucket from aab on: %v, %v, %v", page, more, err)
	}
	page, more, err = e.driver.Buckets(e.Context(), "bbb", 2)
	if err != nil || more || len(page) != 2 || page[0].Name != "bbb" || page[1].Name != "ccc" {
		e.Errorf("two buckets from bbb on: %v, %v, %v", page, more, err)
	}
	e.is("delete no bucket", e.driver.DeleteBucket(e.Context(), "bb"), object.ErrNoBucket)
	e.ok(e.driver.DeleteBucket(e.Context(), "bbb"))
	page, more, err = e.driver.Buckets(e.Context(), "", 10)
	if err != nil || more || len(page) != 2 || page[0].Name != "aaa" || page[1].Name != "ccc" {
		e.Errorf("buckets after a deletion: %v, %v, %v", page, more, err)
	}
}

// commitFile stages data, names it in "bucket", and ends the session.
func (e *env) commitFile(key string, data []byte) xet.Reconstruction {
	e.Helper()
	s := e.begin()
	f := e.stage(s, data)
	e.ok(s.Commit(e.Context(), []object.Change{change("bucket", key, f)}))
	e.ok(s.Close())
	return f
}

// file opens a file by hash until the test ends.
func (e *env) file(h xet.Hash) object.Content {
	e.Helper()
	c, err := e.driver.OpenFile(e.Context(), h)
	e.ok(err)
	e.closeLater(c)
	return c
}

// contentIs reads content block by block.
func (e *env) contentIs(what string, c object.Content, data []byte) {
	e.Helper()
	if c.Size() != int64(len(data)) {
		e.Errorf("%s has %d bytes, want %d", what, c.Size(), len(data))
		return
	}
	var got []byte
	for len(got) < len(data) {
		b, err := c.Block(e.Context(), int64(len(got)), int64(len(data)-len(got)))
		if err != nil || len(b) == 0 {
			e.Errorf("%s: %d bytes at %d: %v", what, len(b), len(got), err)
			return
		}
		got = append(got, b...)
	}
	e.same(what, got, data)
	if b, err := c.Block(e.Context(), int64(len(data)), 1); len(b) != 0 || !errors.Is(err, io.EOF) {
		e.Errorf("%s: %d bytes at the end, %v", what, len(b), err)
	}
}

func testBlock(e *env) {
	e.bucket("bucket")
	data := slices.Concat(random(60, 400_000), make([]byte, 400_000), text(60, 400_000))
	f := e.commitFile("key", data)
	c := e.file(f.Hash)
	e.contentIs("content", c, data)
	var ends []int64
	var end int64
	for _, chunk := range chunksOf(e, data) {
		end += int64(chunk.Size)
		ends = append(ends, end)
	}
	size := int64(len(data))
	for i := range size / 1009 {
		off := (i * 1009 * 577) % size // to and fro
		for _, want := range []int64{1, 10_000, size - off} {
			b, err := c.Block(e.Context(), off, want)
			if err != nil || len(b) == 0 {
				e.Fatalf("%d bytes at %d: got %d, %v", want, off, len(b), err)
			}
			n, _ := slices.BinarySearch(ends, off+1)
			if off+int64(len(b)) > ends[n] {
				e.Fatalf("%d bytes at %d reach behind the chunk that ends at %d", len(b), off, ends[n])
			}
			e.same(fmt.Sprintf("block at %d", off), b, data[off:off+int64(len(b))])
		}
	}
	for _, off := range []int64{size, size + 1, size + 1<<40} {
		if b, err := c.Block(e.Context(), off, 1); len(b) != 0 || !errors.Is(err, io.EOF) {
			e.Errorf("block at %d of %d: %d bytes, %v", off, size, len(b), err)
		}
	}
	e.ok(c.Close())
	empty := e.file(xet.Hash{})
	e.contentIs("the empty file", empty, nil)
	if len(empty.Terms()) != 0 {
		e.Errorf("the empty file has terms %v", empty.Terms())
	}
	e.ok(empty.Close())
	ctx, cancel := context.WithCancel(e.Context())
	c = e.file(f.Hash)
	_, err := c.Block(ctx, 0, 1)
	e.ok(err)
	cancel()
	_, err = c.Block(ctx, size-1, 1)
	e.is("block with a canceled context", err, context.Canceled)
}

func testContentChunks(e *env) {
	e.bucket("bucket")
	data := random(61, 1<<20)
	f := e.commitFile("key", data)
	c := e.file(f.Hash)
	want := chunksOf(e, data)
	var off int64
	for i := range want {
		for _, at := range []int64{off, off + int64(want[i].Size) - 1} {
			var got []xet.Chunk
			for chunk, err := range c.Chunks(e.Context(), at) {
				e.ok(err)
				got = append(got, chunk)
			}
			e.sameChunks(fmt.Sprintf("chunks from %d on", at), got, want[i:])
		}
		off += int64(want[i].Size)
	}
	for chunk, err := range c.Chunks(e.Context(), off) {
		e.Errorf("a chunk at the end: %v, %v", chunk, err)
	}
	n := 0
	for _, err := range c.Chunks(e.canceled(), 0) {
		e.is("chunks with a canceled context", err, context.Canceled)
		n++
	}
	if n != 1 {
		e.Errorf("chunks with a canceled context: %d answers", n)
	}
	e.ok(c.Close())
}

// testContentTogether reads several contents of one file, and of files with common chunks, in turns.
func testContentTogether(e *env) {
	e.bucket("bucket")
	one := random(62, 500_000)
	two := slices.Concat(one[:250_000], random(63, 250_000))
	s := e.begin()
	f := e.stage(s, one)
	g := e.stage(s, two)
	e.ok(s.Commit(e.Context(), []object.Change{change("bucket", "one", f), change("bucket", "two", g)}))
	e.ok(s.Close())
	a, b, c := e.file(f.Hash), e.file(f.Hash), e.file(g.Hash)
	for off := int64(0); off < 500_000; off += 12_345 {
		for i, c := range []object.Content{a, b, c} {
			at := off
			if i == 1 {
				at = 499_999 - off
			}
			p, err := c.Block(e.Context(), at, 100)
			e.ok(err)
			e.same("one of several contents", p, [][]byte{one, one, two}[i][at:at+int64(len(p))])
		}
	}
	e.ok(a.Close())
	e.contentIs("another content of a closed one's file", b, one)
	e.contentIs("content of a file with common chunks", c, two)
}
