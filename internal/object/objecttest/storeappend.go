package objecttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/iotest"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// appendedInfo gives what an object is that was not put in one piece.
func (e *env) appendedInfo(bucket, key string, data []byte) object.Info {
	e.Helper()
	info := e.infoOf(bucket, key, data)
	info.Digests.MD5, info.ETag = nil, object.ETagOf(nil, info.File)
	return info
}

func (e *env) appends(key string, at int64, r io.Reader) object.Info {
	e.Helper()
	info, err := e.store.Append(e.Context(), "bucket", key, at, r, object.PutOptions{})
	e.ok(err)
	return info
}

// testAppend appends to what is there, to what is not, and to the beginning of something.
func testAppend(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	data := random(150, 700_000)
	mod := time.UnixMilli(1_000_000_000_001).UTC()
	opts := object.PutOptions{
		Attrs: object.Attrs{Meta: map[string]string{"k": "v"}}, ModTime: mod, Note: func() string { return "a note" },
		Size: 300_000, MD5: e.infoOf("", "", data[400_000:]).Digests.MD5, WantSHA256: true,
	}
	e.put("bucket", "key", data[:400_000])
	got, err := e.store.Append(ctx, "bucket", "key", -1, onlyReader{bytes.NewReader(data[400_000:])}, opts)
	e.ok(err)
	want := e.appendedInfo("bucket", "key", data)
	want.Attrs, want.ModTime, want.Note = opts.Attrs, mod, "a note"
	e.sameInfo("appended", got, want)
	e.sameInfo("stored", e.holds("bucket", "key", data), want)

	for name, at := range map[string]int64{"all of it": -1, "nothing of it": 0} {
		got := e.appends("new "+name, at, bytes.NewReader(data))
		want := e.infoOf("bucket", "new "+name, data)
		want.ModTime = got.ModTime
		e.sameInfo("appended to a missing key, "+name, got, want)
		e.sameInfo("stored under a missing key, "+name, e.holds("bucket", "new "+name, data), want)
	}
	got = e.appends("key", 0, strings.NewReader("all anew"))
	want = e.infoOf("bucket", "key", []byte("all anew"))
	want.ModTime = got.ModTime
	e.sameInfo("nothing kept", e.holds("bucket", "key", []byte("all anew")), want)

	// What brings and takes nothing leaves all that is known of the content.
	m := e.multi("parts")
	m.put(1, random(151, 70_000))
	m.put(2, random(152, 70_000))
	want = m.complete(1, 2)
	got = e.appends("parts", want.Size, bytes.NewReader(nil))
	want.ModTime, want.Attrs = got.ModTime, object.Attrs{}
	e.sameInfo("nothing appended", got, want)
	got = e.appends("parts", 100, bytes.NewReader(nil))
	want = e.appendedInfo("bucket", "parts", random(151, 100))
	want.ModTime = got.ModTime
	e.sameInfo("nothing appended to the beginning", e.holds("bucket", "parts", random(151, 100)), want)
}

// testAppendAmends appends to an object of which something else is said meanwhile: that stays.
func testAppendAmends(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	_, err := e.store.Put(ctx, "bucket", "key", strings.NewReader("one"), object.PutOptions{Attrs: object.Attrs{Meta: map[string]string{"time": "1", "a": "b"}}})
	e.ok(err)
	amend := func(a *object.Attrs) { delete(a.Meta, "time"); a.Headers["content-type"] = "a/b" }
	during := readerFunc(func([]byte) (int, error) {
		_, err := e.store.Amend(ctx, "bucket", "key", func(a *object.Attrs) { a.Meta["c"] = "d" })
		e.ok(err)
		return 0, io.EOF
	})
	opts := object.PutOptions{Amend: amend, Attrs: object.Attrs{Meta: map[string]string{"not": "used"}}}
	_, err = e.store.Append(ctx, "bucket", "key", -1, io.MultiReader(strings.NewReader("two"), during), opts)
	e.ok(err)
	got := e.holds("bucket", "key", []byte("onetwo")).Attrs
	if want := map[string]string{"a": "b", "c": "d"}; !maps.Equal(got.Meta, want) || got.Headers["content-type"] != "a/b" {
		e.Errorf("attributes %v", got)
	}
	info, err := e.store.Append(ctx, "bucket", "new", -1, strings.NewReader("one"), object.PutOptions{Amend: amend})
	e.ok(err)
	if len(info.Attrs.Meta) != 0 || info.Attrs.Headers["content-type"] != "a/b" {
		e.Errorf("attributes %v of a new object", info.Attrs)
	}
	bad := func(a *object.Attrs) { a.Meta["\xff"] = "" }
	_, err = e.store.Append(ctx, "bucket", "new", -1, strings.NewReader("two"), object.PutOptions{Amend: bad})
	e.is("append with attributes that are no text", err, object.ErrInvalid)
	e.holds("bucket", "new", []byte("one"))
}

// readerFunc is an io.Reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// testAppendAnywhere goes on from all kinds of places, where chunks end and where they do not, by a little and by much.
func testAppendAnywhere(e *env) {
	e.bucket("bucket")
	for seed, data := range [][]byte{random(153, 400_000), make([]byte, 400_000), text(154, 400_000)} {
		offs := []int64{1, xet.MinChunkSize - 1, xet.MinChunkSize, xet.MaxChunkSize, 200_000, 399_999, 400_000}
		end := int64(0)
		for _, c := range chunksOf(e, data)[:3] {
			end += int64(c.Size)
			offs = append(offs, end-1, end, end+1)
		}
		for _, at := range offs {
			for _, size := range []int64{at, at + 1, 400_000} {
				size = min(size, 400_000)
				key := fmt.Sprintf("%d from %d of %d", seed, at, size)
				e.put("bucket", key, data[:size])
				got := e.appends(key, at, bytes.NewReader(data[at:]))
				want := e.appendedInfo("bucket", key, data)
				if at == 400_000 {
					want = e.infoOf("bucket", key, data)
				}
				want.ModTime = got.ModTime
				if e.sameInfo(key, got, want); e.Failed() {
					return
				}
				e.ok(e.store.Delete(e.Context(), "bucket", key, object.Condition{}))
			}
		}
	}
	// As a log grows.
	r := rand.New(rand.NewPCG(1, 155))
	log := text(155, 300_000)
	for from := 0; from < len(log); {
		to := min(len(log), from+1+r.IntN(20_000))
		e.appends("log", -1, bytes.NewReader(log[from:to]))
		from = to
	}
	info := e.holds("bucket", "log", log)
	want := e.appendedInfo("bucket", "log", log)
	want.ModTime = info.ModTime
	e.sameInfo("log", info, want)
}

func testAppendRefused(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	info := e.put("bucket", "key", []byte("content"))
	broken := errors.New("the client is gone")
	unread := iotest.ErrReader(errors.New("it was read"))
	more := func() io.Reader { return strings.NewReader("more") }
	for name, c := range map[string]struct {
		key  string
		at   int64
		r    io.Reader
		opts object.PutOptions
		want error
	}{
		"beyond the end":       {"key", 8, unread, object.PutOptions{}, object.ErrInvalid},
		"beyond nothing":       {"missing", 1, unread, object.PutOptions{}, object.ErrInvalid},
		"a broken reader":      {"key", -1, io.MultiReader(more(), iotest.ErrReader(broken)), object.PutOptions{}, broken},
		"a broken reader, new": {"missing", -1, io.MultiReader(more(), iotest.ErrReader(broken)), object.PutOptions{}, broken},
		"another length":       {"key", -1, more(), object.PutOptions{Size: 11}, object.ErrDigest},
		"no length":            {"key", -1, more(), object.PutOptions{Sized: true}, object.ErrDigest},
		"another digest":       {"key", -1, more(), object.PutOptions{MD5: info.Digests.MD5}, object.ErrDigest},
		"too large":            {"key", -1, unread, object.PutOptions{Size: object.MaxSize - 6}, object.ErrTooLarge},
		"much too large":       {"key", -1, unread, object.PutOptions{Size: 1<<63 - 1}, object.ErrTooLarge},
		"a condition":          {"key", -1, unread, object.PutOptions{If: object.Condition{IfMatch: []string{"x"}}}, object.ErrPrecondition},
		"a condition first":    {"key", 8, unread, object.PutOptions{If: object.Condition{IfMatch: []string{"x"}}}, object.ErrPrecondition},
		"a condition on none":  {"missing", -1, unread, object.PutOptions{If: object.Condition{IfMatch: []string{"*"}}}, fs.ErrNotExist},
		"no key":               {"", -1, unread, object.PutOptions{}, object.ErrInvalid},
		"no text":              {"key", -1, unread, object.PutOptions{Attrs: object.Attrs{Meta: map[string]string{"k": "\xff"}}}, object.ErrInvalid},
	} {
		_, err := e.store.Append(ctx, "bucket", c.key, c.at, c.r, c.opts)
		e.is("append, "+name, err, c.want)
	}
	_, err := e.store.Append(ctx, "none", "key", -1, unread, object.PutOptions{})
	e.is("append in no bucket", err, object.ErrNoBucket)
	if _, err := e.store.Append(e.canceled(), "bucket", "key", -1, more(), object.PutOptions{}); err == nil {
		e.Error("append with a canceled context has no error")
	}
	e.sameInfo("after what was refused", e.holds("bucket", "key", []byte("content")), info)
	e.lacks("bucket", "missing")
}

// meanwhile does something before what a reader yields is over.
type meanwhile struct {
	io.Reader
	do func()
}

func (m *meanwhile) Read(p []byte) (int, error) {
	if m.do != nil {
		m.do()
		m.do = nil
	}
	return m.Reader.Read(p)
}

// testAppendRaced changes what is appended to while that goes on: what was acknowledged meanwhile stays.
func testAppendRaced(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	for name, c := range map[string]struct {
		before []byte // nil is a missing key
		at     int64
		after  []byte
	}{
		"overwritten":                   {[]byte("before"), -1, []byte("after")},
		"overwritten, all of it to go":  {[]byte("before"), 0, []byte("after")},
		"appended to":                   {[]byte("before"), -1, []byte("before and after")},
		"deleted":                       {[]byte("before"), -1, nil},
		"made":                          {nil, -1, []byte("after")},
		"made, and nothing was to stay": {nil, 0, []byte("after")},
	} {
		if c.before != nil {
			e.put("bucket", name, c.before)
		}
		r := &meanwhile{strings.NewReader("more"), func() {
			if c.after == nil {
				e.ok(e.store.Delete(ctx, "bucket", name, object.Condition{}))
			} else {
				e.put("bucket", name, c.after)
			}
		}}
		_, err := e.store.Append(ctx, "bucket", name, c.at, r, object.PutOptions{})
		e.is("append to what is "+name, err, object.ErrPrecondition)
		if c.after == nil {
			e.lacks("bucket", name)
		} else {
			e.holds("bucket", name, c.after)
		}
	}
	// The same content again is no other.
	e.put("bucket", "again", []byte("same "))
	e.appends("again", -1, &meanwhile{strings.NewReader("more"), func() { e.put("bucket", "again", []byte("same ")) }})
	e.holds("bucket", "again", []byte("same more"))
}

// testAppendTogether has several append lines to one object, again when another was faster: none is lost.
func testAppendTogether(e *env) {
	e.bucket("bucket")
	const workers, each = 4, 6
	var wg sync.WaitGroup
	var want []string
	for w := range workers {
		for i := range each {
			want = append(want, fmt.Sprintf("line %d of %d", i, w))
		}
		wg.Go(func() {
			for i := range each {
				for {
					line := strings.NewReader(fmt.Sprintf("line %d of %d\n", i, w))
					_, err := e.store.Append(e.Context(), "bucket", "log", -1, line, object.PutOptions{})
					if err == nil {
						break
					}
					if !errors.Is(err, object.ErrPrecondition) {
						e.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	data, err := readAll(e.open("bucket", "log"))
	e.ok(err)
	got := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	slices.Sort(got)
	slices.Sort(want)
	e.sameStrings("lines", got, want)
}
