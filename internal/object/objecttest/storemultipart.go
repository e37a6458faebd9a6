package objecttest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing/iotest"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// multi is an upload as its client sees it.
type multi struct {
	*env
	name object.UploadName
	sent map[int][]byte
	etag map[int]string
}

// multi begins an upload of a key in bucket.
func (e *env) multi(key string) *multi {
	e.Helper()
	u, err := e.store.CreateUpload(e.Context(), "bucket", key, object.UploadOptions{
		Attrs: object.Attrs{Meta: map[string]string{"of": key}}, Note: "upload of " + key,
	})
	e.ok(err)
	return &multi{e, object.UploadName{Bucket: u.Bucket, Key: u.Key, ID: u.ID}, make(map[int][]byte), make(map[int]string)}
}

func (m *multi) put(number int, data []byte) object.Part {
	m.Helper()
	p, err := m.store.PutPart(m.Context(), m.name, number, bytes.NewReader(data), object.PartOptions{})
	m.ok(err)
	m.note(p, number, data)
	return p
}

// note checks what a part is said to be.
func (m *multi) note(p object.Part, number int, data []byte) {
	m.Helper()
	want := m.infoOf("", "", data)
	if p.Number != number || p.Size != want.Size || p.File != want.File || p.ETag() != want.ETag ||
		!bytes.Equal(p.Digests.CRC64NVME, want.Digests.CRC64NVME) {
		m.Errorf("part %d of %d bytes is %+v", number, len(data), p)
	}
	m.sent[number], m.etag[number] = data, p.ETag()
}

// copy copies a range of bucket/from, which has these bytes.
func (m *multi) copy(number int, from string, data []byte, off, n int64) {
	m.Helper()
	p, err := m.store.CopyPart(m.Context(), m.name, number, object.CopyPartOptions{FromBucket: "bucket", FromKey: from, Off: off, Len: n})
	m.ok(err)
	data = data[off:]
	if n >= 0 {
		data = data[:n]
	}
	m.note(p, number, data)
}

func (m *multi) refs(numbers ...int) (refs []object.PartRef) {
	for _, n := range numbers {
		refs = append(refs, object.PartRef{Number: n, ETag: m.etag[n]})
	}
	return refs
}

// want gives what parts make.
func (m *multi) want(numbers ...int) (object.Info, []byte) {
	m.Helper()
	var data, sums []byte
	var runs []object.PartRun
	for _, n := range numbers {
		data = append(data, m.sent[n]...)
		sum := md5.Sum(m.sent[n])
		sums = append(sums, sum[:]...)
		size := int64(len(m.sent[n]))
		if k := len(runs); k > 0 && runs[k-1].Size == size {
			runs[k-1].Count++
		} else {
			runs = append(runs, object.PartRun{Count: 1, Size: size})
		}
	}
	info := m.infoOf(m.name.Bucket, m.name.Key, data)
	sum := md5.Sum(sums)
	info.ETag = fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:]), len(numbers))
	info.Digests.MD5, info.Parts = nil, runs
	return info, data
}

// complete joins these parts, and compares.
func (m *multi) complete(numbers ...int) object.Info {
	m.Helper()
	got, err := m.store.Complete(m.Context(), m.name, m.refs(numbers...), object.CompleteOptions{})
	m.ok(err)
	want, data := m.want(numbers...)
	want.ModTime, want.Attrs.Meta = got.ModTime, map[string]string{"of": m.name.Key}
	m.sameInfo("completed", got, want)
	m.sameInfo("stored", m.holds("bucket", m.name.Key, data), want)
	page, _, err := m.driver.List(m.Context(), "bucket", object.Page{Prefix: m.name.Key, Limit: 1})
	if err != nil || len(page) != 1 {
		m.Fatalf("list: %v, %v", page, err)
	}
	want.Parts = nil
	m.sameInfo("listed", page[0], want)
	return got
}

// testMultipart uploads parts in no order, some of them again, and completes some.
func testMultipart(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	m := e.multi("key")
	m.put(9000, random(90, 700_000))
	m.put(3, text(91, 900_000))
	m.put(object.MaxParts, random(92, 10))
	m.put(1, random(93, 300_000))
	m.put(500, random(94, 300_000))
	m.put(3, random(95, 300_000)) // instead of the one before
	m.put(4, nil)
	parts, more, err := e.store.Parts(ctx, m.name, 3, 2)
	e.ok(err)
	if !more || len(parts) != 2 || parts[0].Number != 4 || parts[1].Number != 500 || parts[1].ETag() != m.etag[500] {
		e.Errorf("parts behind the third: %+v, %v", parts, more)
	}
	ups, more, err := e.store.ListUploads(ctx, "bucket", object.UploadPage{})
	e.ok(err)
	if more || len(ups) != 1 || ups[0].ID != m.name.ID || ups[0].Note != "upload of key" {
		e.Errorf("uploads: %+v, %v", ups, more)
	}
	e.lacks("bucket", "key")
	first := m.complete(1, 3, 4, 500, object.MaxParts)
	u, err := e.store.Upload(ctx, m.name)
	e.ok(err)
	if u.Done == nil || u.Note != "upload of key" {
		e.Fatalf("a completed upload: %+v", u)
	}
	e.sameInfo("what it was completed to", *u.Done, first)
	// Again, as often as one likes; whatever has become of the key.
	for range 2 {
		again, err := e.store.Complete(ctx, m.name, m.refs(1, 3, 4, 500, object.MaxParts), object.CompleteOptions{
			If: object.Condition{IfNoneMatch: []string{"*"}}, Note: func([]object.Part) (string, error) { return "", errors.New("asked") },
		})
		e.ok(err)
		e.sameInfo("completed again", again, first)
		e.ok(e.store.Delete(ctx, "bucket", "key", object.Condition{}))
	}
	e.lacks("bucket", "key")
	_, err = e.store.Complete(ctx, m.name, m.refs(1, 3), object.CompleteOptions{})
	e.is("completed again by other parts", err, object.ErrNoUpload)
	_, err = e.store.PutPart(ctx, m.name, 1, bytes.NewReader(nil), object.PartOptions{})
	e.is("a part of what is done", err, object.ErrNoUpload)
	_, _, err = e.store.Parts(ctx, m.name, 0, 1)
	e.is("parts of what is done", err, object.ErrNoUpload)
	e.is("abort of what is done", e.store.AbortUpload(ctx, m.name), object.ErrNoUpload)
	open, empty := e.multi("open"), e.multi("empty")
	open.put(1, nil)
	empty.put(1, nil)
	empty.complete(1)
	e.ok(e.store.ForgetUploads(ctx, []string{open.name.ID, m.name.ID, "none"}))
	_, err = e.store.Upload(ctx, m.name)
	e.is("what was forgotten", err, object.ErrNoUpload)
	open.complete(1)
	empty.complete(1)
	e.ok(e.store.ForgetUploads(ctx, nil))
}

// testMultipartNotes keeps what a door says of parts and objects, also through copies.
func testMultipartNotes(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	data := random(100, 200_000)
	body := &countingReader{r: bytes.NewReader(data)}
	put, err := e.store.Put(ctx, "bucket", "plain", body, object.PutOptions{Note: func() string { return fmt.Sprint("read ", body.n) }})
	e.ok(err)
	if put.Note != "read 200000" {
		e.Errorf("the note of an object is %q", put.Note)
	}
	e.sameInfo("with a note", e.holds("bucket", "plain", data), put)
	m := e.multi("key")
	body = &countingReader{r: bytes.NewReader(data)}
	p, err := e.store.PutPart(ctx, m.name, 1, body,
		object.PartOptions{WantSHA256: true, Note: func() string { return fmt.Sprint("one ", body.n) }})
	e.ok(err)
	m.note(p, 1, data)
	if p.Note != "one 200000" || !bytes.Equal(p.Digests.SHA256, sha256Of(data)) {
		e.Errorf("a part with a note and a SHA-256: %+v", p)
	}
	var also bytes.Buffer
	p, err = e.store.CopyPart(ctx, m.name, 2, object.CopyPartOptions{
		FromBucket: "bucket", FromKey: "plain", Len: -1, Also: &also, Note: func(p object.Part) string { return fmt.Sprint("two ", p.Size) },
	})
	e.ok(err)
	m.note(p, 2, data)
	e.same("bytes of a copy", also.Bytes(), data)
	if p.Note != "two 200000" {
		e.Errorf("the note of a copied part is %q", p.Note)
	}
	when := time.UnixMilli(1_111_111_111_111).UTC()
	_, err = e.store.Complete(ctx, m.name, m.refs(1, 2), object.CompleteOptions{
		Note: func([]object.Part) (string, error) { return "", errTest },
	})
	e.is("a note that cannot be", err, errTest)
	done, err := e.store.Complete(ctx, m.name, m.refs(1, 2), object.CompleteOptions{ModTime: when, Note: func(parts []object.Part) (string, error) {
		return parts[0].Note + ", " + parts[1].Note, nil
	}})
	e.ok(err)
	if done.Note != "one 200000, two 200000" || !done.ModTime.Equal(when) {
		e.Errorf("completed: %+v", done)
	}
	copied, err := e.store.Copy(ctx, object.CopyOptions{FromBucket: "bucket", FromKey: "key", ToBucket: "bucket", ToKey: "copy"})
	e.ok(err)
	done.Key, done.ModTime = "copy", copied.ModTime
	e.sameInfo("copied", copied, done)
	e.sameInfo("copied", e.holds("bucket", "copy", slices.Concat(data, data)), done)
}

// errTest is an error that nobody else has.
var errTest = errors.New("of a test")

func testMultipartRefused(e *env) {
	ctx := e.Context()
	e.bucket("bucket", "other")
	_, err := e.store.CreateUpload(ctx, "nowhere", "key", object.UploadOptions{})
	e.is("an upload in no bucket", err, object.ErrNoBucket)
	_, err = e.store.CreateUpload(ctx, "bucket", "", object.UploadOptions{})
	e.is("an upload without a key", err, object.ErrInvalid)
	_, err = e.store.CreateUpload(ctx, "bucket", "k", object.UploadOptions{Attrs: object.Attrs{Meta: map[string]string{"\xff": ""}}})
	e.is("an upload with bad attributes", err, object.ErrInvalid)
	m := e.multi("key")
	data := random(110, 300_000)
	m.put(1, data)
	m.put(3, data[:100])
	for what, name := range map[string]object.UploadName{
		"another bucket": {Bucket: "other", Key: "key", ID: m.name.ID},
		"another key":    {Bucket: "bucket", Key: "key2", ID: m.name.ID},
		"another id":     {Bucket: "bucket", Key: "key", ID: m.name.ID + "A"},
		"no id":          {Bucket: "bucket", Key: "key"},
	} {
		_, err := e.store.Upload(ctx, name)
		e.is("look at "+what, err, object.ErrNoUpload)
		_, _, err = e.store.Parts(ctx, name, 0, 1)
		e.is("list "+what, err, object.ErrNoUpload)
		_, err = e.store.PutPart(ctx, name, 1, bytes.NewReader(nil), object.PartOptions{})
		e.is("put to "+what, err, object.ErrNoUpload)
		_, err = e.store.CopyPart(ctx, name, 1, object.CopyPartOptions{FromBucket: "bucket", FromKey: "key"})
		e.is("copy to "+what, err, object.ErrNoUpload)
		_, err = e.store.Complete(ctx, name, m.refs(1), object.CompleteOptions{})
		e.is("complete "+what, err, object.ErrNoUpload)
		e.is("abort "+what, e.store.AbortUpload(ctx, name), object.ErrNoUpload)
	}
	for _, n := range []int{-1, 0, object.MaxParts + 1} {
		_, err := e.store.PutPart(ctx, m.name, n, bytes.NewReader(nil), object.PartOptions{})
		e.is(fmt.Sprint("part ", n), err, object.ErrInvalid)
		_, err = e.store.Complete(ctx, m.name, []object.PartRef{{Number: n}}, object.CompleteOptions{})
		e.is(fmt.Sprint("complete by part ", n), err, object.ErrInvalid)
	}
	for what, refs := range map[string][]object.PartRef{"none": nil, "one twice": m.refs(1, 1), "out of order": m.refs(3, 1)} {
		_, err := e.store.Complete(ctx, m.name, refs, object.CompleteOptions{})
		e.is("complete by "+what, err, object.ErrInvalid)
	}
	for number, refs := range map[int][]object.PartRef{
		2: m.refs(1, 2, 3), 3: {m.refs(1)[0], {Number: 3, ETag: m.etag[1]}}, 4: m.refs(1, 3, 4), 1: {{Number: 1, ETag: ""}},
	} {
		_, err := e.store.Complete(ctx, m.name, refs, object.CompleteOptions{})
		var part *object.PartError
		if !errors.As(err, &part) || part.Number != number || !errors.Is(err, object.ErrPart) {
			e.Errorf("complete by parts that are not there: %v, want number %d", err, number)
		}
	}
	sum := md5.Sum(data)
	for what, opts := range map[string]object.PartOptions{
		"size": {Size: 5}, "no size": {Sized: true}, "MD5": {MD5: make([]byte, 16)}, "SHA-256": {MD5: sum[:], SHA256: make([]byte, 32)},
	} {
		_, err := e.store.PutPart(ctx, m.name, 1, bytes.NewReader(data[1:]), opts)
		e.is("a part of another "+what, err, object.ErrDigest)
	}
	_, err = e.store.PutPart(ctx, m.name, 1, io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errTest)), object.PartOptions{})
	e.is("a part that is cut short", err, errTest)
	for what, o := range map[string]object.CopyPartOptions{
		"behind the end": {Off: 1, Len: 300_001}, "from behind the end": {Off: 300_001, Len: -1}, "before the beginning": {Off: -1, Len: 5},
		"of everything and more": {Off: 1 << 62, Len: 1 << 62},
	} {
		e.put("bucket", "source", data)
		o.FromBucket, o.FromKey = "bucket", "source"
		_, err := e.store.CopyPart(ctx, m.name, 1, o)
		e.is("copy "+what, err, object.ErrInvalid)
	}
	_, err = e.store.CopyPart(ctx, m.name, 1, object.CopyPartOptions{FromBucket: "bucket", FromKey: "none", Len: -1})
	e.is("copy of no key", err, errNotExist)
	_, err = e.store.CopyPart(ctx, m.name, 1, object.CopyPartOptions{FromBucket: "nowhere", FromKey: "none", Len: -1})
	e.is("copy from no bucket", err, object.ErrNoBucket)
	_, err = e.store.CopyPart(ctx, m.name, 1, object.CopyPartOptions{
		FromBucket: "bucket", FromKey: "source", Len: -1, FromIf: object.Condition{IfMatch: []string{"other"}},
	})
	e.is("copy on a condition", err, object.ErrPrecondition)
	m.complete(1, 3) // nothing of that has touched the parts
}

func testMultipartConditions(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	m := e.multi("there")
	data := random(120, 1000)
	m.put(1, data)
	mod := time.Date(2020, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	old := []byte("what is there")
	there, err := e.store.Put(ctx, "bucket", "there", bytes.NewReader(old), object.PutOptions{ModTime: mod})
	e.ok(err)
	for _, c := range someConditions(there.ETag, mod, 20) {
		asked := false
		_, err := e.store.Complete(ctx, m.name, m.refs(1), object.CompleteOptions{If: c, Note: func([]object.Part) (string, error) {
			asked = true
			return "", nil
		}})
		e.is(fmt.Sprintf("complete if %+v", c), err, kind(c.Check(&there)))
		if asked != (err == nil) {
			e.Errorf("complete if %+v: went on to the parts is %v", c, asked)
		}
		if c.Check(&there) != nil {
			e.holds("bucket", "there", old)
			continue
		}
		e.holds("bucket", "there", data)
		m = e.multi("there")
		m.put(1, data)
		_, err = e.store.Put(ctx, "bucket", "there", bytes.NewReader(old), object.PutOptions{ModTime: mod})
		e.ok(err)
	}
	// It is asked at the commit, too.
	_, err = e.store.Complete(ctx, m.name, m.refs(1), object.CompleteOptions{
		If: object.Condition{IfMatch: []string{there.ETag}},
		Note: func([]object.Part) (string, error) {
			e.put("bucket", "there", []byte("other"))
			return "", nil
		},
	})
	e.is("complete if what was there is there", err, object.ErrPrecondition)
	e.holds("bucket", "there", []byte("other"))
	m.complete(1)
}

// testAsOnePiece uploads random contents in random parts, some of them copied from other objects: the object has the file hash and
// the chunks that the same bytes have when they come in one piece.
func testAsOnePiece(e *env) {
	e.bucket("bucket")
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 7))
	e.Logf("seed %d", seed)
	sources := map[string][]byte{
		"random": random(r.Uint64(), 900_000), "text": text(r.Uint64(), 700_000), "zeros": make([]byte, 600_000), "empty": nil,
		"short": random(r.Uint64(), 5000), "half": halfRandom(r.Uint64(), 500_000),
	}
	for key, data := range sources {
		e.put("bucket", key, data)
	}
	names := slices.Sorted(maps.Keys(sources))
	for round := range 12 {
		m := e.multi(fmt.Sprint("key ", round))
		var numbers []int
		for n := 1 + r.IntN(50); len(numbers) < 1+r.IntN(12); n += 1 + r.IntN(50) {
			numbers = append(numbers, n)
		}
		for _, i := range r.Perm(len(numbers)) {
			from := names[r.IntN(len(names))]
			data := sources[from]
			off := r.IntN(len(data) + 1)
			n := r.IntN(len(data) - off + 1)
			switch r.IntN(6) {
			case 0:
				m.copy(numbers[i], from, data, int64(off), int64(n))
			case 1:
				m.copy(numbers[i], from, data, int64(off), -1)
			case 2:
				m.copy(numbers[i], from, data, 0, -1)
			case 3:
				m.put(numbers[i], data)
			default:
				m.put(numbers[i], data[off:off+n])
			}
		}
		m.complete(numbers...) // that the file hash is the one of the bytes
		_, data := m.want(numbers...)
		f := e.open("bucket", m.name.Key)
		var got []xet.Chunk
		for c, err := range f.Chunks(0) {
			e.ok(err)
			got = append(got, c)
		}
		e.sameChunks(fmt.Sprintf("round %d of seed %d", round, seed), got, chunksOf(e, data))
		e.ok(f.Close())
		m.name.Key += " in one piece"
		if whole := e.put("bucket", m.name.Key, data); whole.File != f.Info().File {
			e.Errorf("round %d of seed %d: in one piece it is file %v, not %v", round, seed, whole.File, f.Info().File)
		}
	}
}
