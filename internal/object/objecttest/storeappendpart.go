package objecttest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing/iotest"

	"hugbucket/internal/object"
)

// append appends to a part, and compares.
func (m *multi) append(number int, data []byte) {
	m.Helper()
	note := fmt.Sprintf("%d bytes more", len(data))
	p, err := m.store.AppendPart(m.Context(), m.name, number, bytes.NewReader(data), object.PartOptions{Note: func() string { return note }})
	m.ok(err)
	was := m.sent[number]
	data = slices.Concat(was, data)
	want := m.infoOf("", "", data)
	if len(was) > 0 {
		want.Digests.MD5, want.ETag = nil, object.ETagOf(nil, want.File)
	}
	if p.Number != number || p.Size != want.Size || p.File != want.File || p.ETag() != want.ETag || p.Note != note ||
		!bytes.Equal(p.Digests.CRC64NVME, want.Digests.CRC64NVME) || !bytes.Equal(p.Digests.MD5, want.Digests.MD5) {
		m.Errorf("part %d of %d bytes is %+v", number, len(data), p)
	}
	listed, _, err := m.store.Parts(m.Context(), m.name, number-1, 1)
	if err != nil || len(listed) != 1 || listed[0].File != p.File || listed[0].Size != p.Size || listed[0].Note != note {
		m.Errorf("part %d is listed as %+v, %v", number, listed, err)
	}
	m.sent[number], m.etag[number] = data, p.ETag()
}

// testAppendPart has parts that grow, from nothing, by anything: the object is the file that its bytes are in one piece.
func testAppendPart(e *env) {
	e.bucket("bucket")
	rng := rand.New(rand.NewPCG(160, 0))
	m := e.multi("key")
	for i := range 12 {
		m.append(1+i%3, random(uint64(161+i), rng.IntN(300_000)))
	}
	m.append(2, nil)
	m.append(1, []byte("x"))
	whole := bytes.Join([][]byte{m.sent[1], m.sent[2], m.sent[3]}, nil)
	sum := sha256.Sum256(whole)
	got, err := e.store.Complete(e.Context(), m.name, m.refs(1, 2, 3), object.CompleteOptions{SHA256: sum[:]})
	e.ok(err)
	want := e.infoOf("bucket", "key", whole)
	if got.File != want.File || got.Size != want.Size || !bytes.Equal(got.Digests.CRC64NVME, want.Digests.CRC64NVME) {
		e.Errorf("completed to %+v, want the file of %+v", got, want)
	}
	if got.Digests.MD5 != nil || !bytes.Equal(got.Digests.SHA256, sum[:]) || got.ETag != object.ETagOf(nil, want.File) {
		e.Errorf("completed to MD5 %x, SHA-256 %x, ETag %s", got.Digests.MD5, got.Digests.SHA256, got.ETag)
	}
	e.sameInfo("stored", e.holds("bucket", "key", whole), got)
	u, err := e.store.FindUpload(e.Context(), "bucket", m.name.ID)
	e.ok(err)
	if u.Key != "key" || u.Note != "upload of key" || u.Done == nil {
		e.Fatalf("found %+v", u)
	}
	e.sameInfo("remembered", *u.Done, got)
}

// testAppendPartRefused fails to append: the part stays what it was.
func testAppendPartRefused(e *env) {
	ctx := e.Context()
	e.bucket("bucket", "other")
	m := e.multi("key")
	data := random(180, 200_000)
	m.append(1, data)
	cut := io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errTest))
	_, err := e.store.AppendPart(ctx, m.name, 1, cut, object.PartOptions{})
	e.is("cut short", err, errTest)
	_, err = e.store.AppendPart(ctx, m.name, 1, bytes.NewReader(data), object.PartOptions{SHA256: make([]byte, 32)})
	e.is("another digest", err, object.ErrDigest)
	_, err = e.store.AppendPart(ctx, m.name, 1, bytes.NewReader(data), object.PartOptions{Size: object.MaxPartSize})
	e.is("too large together", err, object.ErrTooLarge)
	for _, n := range []int{0, object.MaxParts + 1} {
		_, err = e.store.AppendPart(ctx, m.name, n, bytes.NewReader(data), object.PartOptions{})
		e.is(fmt.Sprint("part ", n), err, object.ErrInvalid)
	}
	for what, name := range map[string]object.UploadName{
		"another key": {Bucket: "bucket", Key: "key2", ID: m.name.ID}, "another id": {Bucket: "bucket", Key: "key", ID: m.name.ID + "A"},
	} {
		_, err := e.store.AppendPart(ctx, name, 1, bytes.NewReader(data), object.PartOptions{})
		e.is("append to "+what, err, object.ErrNoUpload)
	}
	_, err = e.store.FindUpload(ctx, "other", m.name.ID)
	e.is("find in another bucket", err, object.ErrNoUpload)
	_, err = e.store.FindUpload(ctx, "bucket", "none")
	e.is("find another id", err, object.ErrNoUpload)
	m.append(1, nil)
	_, err = e.store.Complete(ctx, m.name, m.refs(1), object.CompleteOptions{})
	e.ok(err)
	e.holds("bucket", "key", data)
	_, err = e.store.AppendPart(ctx, m.name, 1, bytes.NewReader(data), object.PartOptions{})
	e.is("append to what is done", err, object.ErrNoUpload)
}
