package objecttest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing/iotest"
	"time"

	"hugbucket/internal/object"
)

// testMultipartOverlap does things in the middle of others.
func testMultipartOverlap(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	data := random(130, 600_000)
	during := func(m *multi, do func()) (object.Info, error) {
		return e.store.Complete(ctx, m.name, m.refs(1, 2), object.CompleteOptions{Note: func([]object.Part) (string, error) {
			do()
			return "", nil
		}})
	}
	begin := func(key string) *multi {
		m := e.multi(key)
		m.put(1, data[:300_000])
		m.put(2, data[300_000:])
		return m
	}

	m := begin("replaced")
	_, err := during(m, func() { m.put(2, data[400_000:]) })
	var part *object.PartError
	if !errors.As(err, &part) || part.Number != 2 {
		e.Errorf("a part was replaced while it was completed: %v", err)
	}
	e.lacks("bucket", "replaced")
	m.complete(1, 2)

	m = begin("same")
	_, err = during(m, func() { m.put(1, m.sent[1]) })
	e.is("the same part came again while it was completed", err, nil)
	e.holds("bucket", "same", data)

	m = begin("aborted")
	_, err = during(m, func() { e.ok(e.store.AbortUpload(ctx, m.name)) })
	e.is("it was aborted while it was completed", err, object.ErrNoUpload)
	e.lacks("bucket", "aborted")

	m = begin("twice")
	var first object.Info
	second, err := during(m, func() { first = m.complete(1, 2) })
	e.is("it was completed while it was completed", err, nil)
	e.sameInfo("completed twice", second, first)

	m = begin("otherwise")
	_, err = during(m, func() { m.complete(1) })
	e.is("it was completed by other parts while it was completed", err, object.ErrNoUpload)
	e.holds("bucket", "otherwise", data[:300_000])

	m = begin("expired")
	_, err = during(m, func() {
		n, err := e.store.ExpireUploads(ctx, -time.Hour)
		if e.ok(err); n == 0 {
			e.Error("nothing has expired")
		}
	})
	e.is("it has expired while it was completed", err, object.ErrNoUpload)
	e.lacks("bucket", "expired")

	m = begin("put")
	body := io.MultiReader(bytes.NewReader(data), onEOF(func() { e.ok(e.store.AbortUpload(ctx, m.name)) }))
	_, err = e.store.PutPart(ctx, m.name, 3, body, object.PartOptions{})
	e.is("it was aborted while a part came", err, object.ErrNoUpload)

	m = begin("completed")
	body = io.MultiReader(bytes.NewReader(data), onEOF(func() { m.complete(1, 2) }))
	_, err = e.store.PutPart(ctx, m.name, 3, body, object.PartOptions{})
	e.is("it was completed while a part came", err, object.ErrNoUpload)

	m = begin("no bucket")
	for _, key := range []string{"replaced", "same", "twice", "otherwise", "completed"} {
		e.ok(e.store.Delete(ctx, "bucket", key, object.Condition{}))
	}
	_, err = during(m, func() { e.ok(e.store.DeleteBucket(ctx, "bucket")) })
	if !errors.Is(err, object.ErrNoUpload) && !errors.Is(err, object.ErrNoBucket) {
		e.Errorf("its bucket was deleted while it was completed: %v", err)
	}
	_, err = e.store.Upload(ctx, m.name)
	e.is("the upload of a bucket that was deleted", err, object.ErrNoUpload)
}

// onEOF is a reader that ends at once, and calls a function before.
type onEOF func()

func (f onEOF) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// testMultipartTogether has clients send the parts of one upload, abort it and complete it at the same time, again and again:
// whatever comes of it is one of the things that were sent.
func testMultipartTogether(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	for round := range 8 {
		m := e.multi("key")
		first := tagged(uint64(round), 200_000)
		p, err := e.store.PutPart(ctx, m.name, 1, bytes.NewReader(first), object.PartOptions{})
		e.ok(err)
		old := []object.PartRef{{Number: 1, ETag: p.ETag()}}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var done []object.Info
		complete := func(refs []object.PartRef) error {
			info, err := e.store.Complete(ctx, m.name, refs, object.CompleteOptions{})
			if err == nil {
				mu.Lock()
				done = append(done, info)
				mu.Unlock()
			}
			return err
		}
		try := func(f func() error) {
			wg.Go(func() {
				if err := f(); err != nil && !errors.Is(err, object.ErrNoUpload) && !errors.Is(err, object.ErrPart) {
					e.Error(err)
				}
			})
		}
		for i := range 4 {
			try(func() error { return complete(old) })
			try(func() error {
				body := iotest.OneByteReader(bytes.NewReader(tagged(uint64(100+i), rand.IntN(3000))))
				p, err := e.store.PutPart(ctx, m.name, 1, body, object.PartOptions{})
				if err != nil {
					return err
				}
				return complete([]object.PartRef{{Number: 1, ETag: p.ETag()}})
			})
		}
		if round%2 == 0 {
			try(func() error { return e.store.AbortUpload(ctx, m.name) })
		}
		wg.Wait()
		if len(done) == 0 {
			continue
		}
		for _, info := range done {
			e.sameInfo("completed by several", info, done[0])
		}
		data, err := readAll(e.open("bucket", "key"))
		e.ok(err)
		if err := whole(data); err != nil {
			e.Error(err)
		}
	}
}
