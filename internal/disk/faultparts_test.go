package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"hugbucket/internal/object"
)

// partBody reads a part of an open upload; fs.ErrNotExist when there is none.
func partBody(ctx context.Context, s *object.Store, name object.UploadName, number int) ([]byte, error) {
	page, _, err := s.Parts(ctx, name, number-1, 1)
	if errors.Is(err, object.ErrNoUpload) || err == nil && (len(page) == 0 || page[0].Number != number) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	f, err := s.OpenFile(ctx, page[0].File)
	if err != nil {
		return nil, fmt.Errorf("the file of part %d: %w", number, errors.Join(object.ErrCorrupt, errors.New(err.Error())))
	}
	got, err := io.ReadAll(f)
	return got, errors.Join(err, f.Close())
}

// faultUpload is an upload of a faultWork: what was acknowledged of it, and what may have happened.
type faultUpload struct {
	name  object.UploadName // without an id when it could not be begun
	acked map[int][]byte
	maybe map[int][][]byte
	etags map[int]string
}

func (w *faultWork) begin(ctx context.Context, key string) *faultUpload {
	up := &faultUpload{
		name: object.UploadName{Bucket: "bucket", Key: key}, acked: make(map[int][]byte), maybe: make(map[int][][]byte), etags: make(map[int]string),
	}
	_ = w.try("begin upload of "+key, func() error {
		u, err := w.s.CreateUpload(ctx, "bucket", key, object.UploadOptions{Note: key})
		if err == nil {
			up.name.ID = u.ID
		}
		return err
	})
	return up
}

func (w *faultWork) part(ctx context.Context, up *faultUpload, number int, body []byte) {
	err := w.try(fmt.Sprint("part ", number), func() error {
		up.maybe[number] = append(up.maybe[number], body)
		p, err := w.s.PutPart(ctx, up.name, number, bytes.NewReader(body), object.PartOptions{})
		up.etags[number] = p.ETag()
		return err
	})
	if err == nil {
		up.acked[number] = body
		delete(up.maybe, number)
	}
}

func (up *faultUpload) refs(numbers ...int) (refs []object.PartRef) {
	for _, n := range numbers {
		refs = append(refs, object.PartRef{Number: n, ETag: up.etags[n]})
	}
	return refs
}

// multipart uploads in parts: it completes an upload, twice, aborts one, lets one expire, and leaves one open.
func (w *faultWork) multipart(ctx context.Context, round string, body func(int) []byte) {
	up := w.begin(ctx, round+"parts")
	one, two := body(150_000), body(1_150_000)
	w.part(ctx, up, 2, body(7000))
	w.part(ctx, up, 9, body(300))
	w.part(ctx, up, 1, one)
	w.part(ctx, up, 2, two)
	complete := func() error {
		_, err := w.s.Complete(ctx, up.name, up.refs(1, 2), object.CompleteOptions{})
		return err
	}
	w.change("complete upload", map[string][]byte{up.name.Key: slices.Concat(one, two)}, complete)
	_ = w.try("complete upload again", complete)

	aborted := w.begin(ctx, round+"aborted")
	w.part(ctx, aborted, 1, one)
	_ = w.try("abort upload", func() error { return w.s.AbortUpload(ctx, aborted.name) })
	_ = w.try("expire uploads", func() error {
		_, err := w.s.ExpireUploads(ctx, -time.Hour)
		return err
	})
	open := w.begin(ctx, round+"open")
	w.open = append(w.open, open)
	w.part(ctx, open, 3, body(1_100_000))
	w.part(ctx, open, 1, body(2000))
	w.part(ctx, open, 1, body(3000))
}

// verifyParts compares the parts of uploads that were left open with what was acknowledged.
func (w *faultWork) verifyParts(ctx context.Context) {
	for _, up := range w.open[max(0, len(w.open)-1):] { // those before have expired, maybe
		if up.name.ID == "" {
			continue
		}
		for n := range 10 {
			want, sure := up.acked[n]
			got, err := partBody(ctx, w.s, up.name, n)
			missing := errors.Is(err, fs.ErrNotExist)
			right := missing && !sure || err == nil && sure && bytes.Equal(got, want)
			for _, maybe := range up.maybe[n] {
				right = right || err == nil && bytes.Equal(got, maybe)
			}
			if !right {
				w.errorf("part %d of %s has %d bytes, want %d: %v", n, up.name.Key, len(got), len(want), err)
			}
		}
	}
}

// multipart uploads a body in parts, one of which comes again, and leaves an upload open.
func (w *cutWriter) multipart(ctx context.Context) {
	key := w.name + "/parts"
	name := w.upload(ctx, key)
	one, two := w.body(100_000), w.body(1_120_000)
	w.part(ctx, name, 1, w.body(5000))
	w.part(ctx, name, 2, two)
	w.part(ctx, name, 1, one)
	refs := w.refs(ctx, name)
	w.step("complete "+key, map[string]string{key: one + two, partKey(name, 1): deleted, partKey(name, 2): deleted}, func() error {
		_, err := w.s.Complete(ctx, name, refs, object.CompleteOptions{})
		return err
	})
	aborted := w.upload(ctx, w.name+"/aborted")
	w.part(ctx, aborted, 1, one)
	w.step("abort", map[string]string{partKey(aborted, 1): deleted}, func() error { return w.s.AbortUpload(ctx, aborted) })
	w.part(ctx, w.upload(ctx, w.name+"/open"), 7, w.body(80_000))
}

// refs names all parts of an upload.
func (w *cutWriter) refs(ctx context.Context, name object.UploadName) (refs []object.PartRef) {
	page, _, err := w.s.Parts(ctx, name, 0, 10)
	if err != nil && w.err == nil {
		w.err = err
	}
	for _, p := range page {
		refs = append(refs, object.PartRef{Number: p.Number, ETag: p.ETag()})
	}
	return refs
}

func (w *cutWriter) upload(ctx context.Context, key string) object.UploadName {
	name := object.UploadName{Bucket: "bucket", Key: key}
	w.step("begin "+key, nil, func() error {
		u, err := w.s.CreateUpload(ctx, "bucket", key, object.UploadOptions{})
		name.ID = u.ID
		return err
	})
	return name
}

func (w *cutWriter) part(ctx context.Context, name object.UploadName, number int, body string) {
	w.step(fmt.Sprintf("part %d of %s", number, name.Key), map[string]string{partKey(name, number): body}, func() error {
		_, err := w.s.PutPart(ctx, name, number, strings.NewReader(body), object.PartOptions{})
		return err
	})
}

// partKey stands for a part among the keys of a cutWriter.
func partKey(name object.UploadName, number int) string {
	return fmt.Sprintf("%s%d %s %s", partPrefix, number, name.ID, name.Key)
}

const partPrefix = "part "

// readPartKey reads what a partKey stands for.
func readPartKey(ctx context.Context, s *object.Store, key string) ([]byte, error) {
	name, number := object.UploadName{Bucket: "bucket"}, 0
	if _, err := fmt.Sscanf(key, partPrefix+"%d %s %s", &number, &name.ID, &name.Key); err != nil {
		return nil, err
	}
	return partBody(ctx, s, name, number)
}
