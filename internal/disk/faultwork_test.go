package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// faultWork does a bit of everything and keeps what was acknowledged. What failed may or may not have happened.
type faultWork struct {
	fault  *fault
	errorf func(format string, args ...any)
	d      *Driver
	s      *object.Store
	old    bool                // it works on faultStore
	acked  map[string][]byte   // nil: deleted
	maybe  map[string][][]byte // what a key may name instead, because a change to it failed
	open   []*faultUpload      // uploads that were left open; those of a later round have let these expire
}

// judge says whether an operation may have failed as it did.
func (w *faultWork) judge(what string, err error) {
	// Because what made it has failed.
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, object.ErrNoUpload) || errors.Is(err, object.ErrPart) ||
		errors.Is(err, object.ErrInvalid) // an append behind the end of nothing
	switch fired := w.fault.fired() != ""; {
	case err == nil || fired && w.fault.kind == "stop":
	case !fired || w.fault.lifted:
		w.errorf("%s, without a fault: %v", what, err)
	case w.fault.kind == "full" && !missing && !errors.Is(err, object.ErrNoSpace):
		w.errorf("%s: %v, want ErrNoSpace", what, err)
	}
}

// try does something. When one call in it failed, and only then, it may fail; it must work then when it is done again.
func (w *faultWork) try(what string, do func() error) error {
	before := w.fault.fired()
	err := do()
	w.judge(what, err)
	if err == nil || w.fault.kind != "fail" {
		return err
	}
	if before != "" {
		w.errorf("%s, long after the fault: %v", what, err)
	}
	again := do()
	if errors.Is(err, errUnsure) && (errors.Is(again, fs.ErrExist) || errors.Is(again, fs.ErrNotExist) ||
		errors.Is(again, object.ErrPrecondition) || errors.Is(again, object.ErrNoUpload)) {
		again = nil // it had happened
	}
	if again != nil {
		w.errorf("%s, once more: %v", what, again)
	}
	return again
}

// change is a try that makes keys name bodies; nil deletes one.
func (w *faultWork) change(what string, bodies map[string][]byte, do func() error) {
	err := w.try(what, func() error {
		for key, body := range bodies {
			w.maybe[key] = append(w.maybe[key], body)
		}
		return do()
	})
	if err != nil {
		return
	}
	for key, body := range bodies {
		w.acked[key] = body
		delete(w.maybe, key)
	}
}

func (w *faultWork) put(ctx context.Context, key string, body []byte) {
	w.change("put "+key, map[string][]byte{key: body}, func() error {
		_, err := w.s.Put(ctx, "bucket", key, bytes.NewReader(body), object.PutOptions{})
		return err
	})
}

func (w *faultWork) copy(ctx context.Context, from, to string, body []byte) {
	w.change("copy to "+to, map[string][]byte{to: body}, func() error {
		_, err := w.s.Copy(ctx, object.CopyOptions{
			FromBucket: "bucket", FromKey: from, ToBucket: "bucket", ToKey: to, Attrs: &object.Attrs{},
		})
		return err
	})
}

// rename renames two keys in one step, and then one of them onto something.
func (w *faultWork) rename(ctx context.Context, round string, body func(int) []byte) {
	one, two, over := body(3000), body(100), round+"over"
	from, to := "pack1"+round+"moved/", round+"moved/"
	w.put(ctx, from+"joint", one)
	w.put(ctx, from+"two", two)
	w.put(ctx, over, body(200))
	rename := func(from, to string) func() error {
		return func() error {
			_, err := w.s.Rename(ctx, object.RenameOptions{FromBucket: "bucket", From: from, ToBucket: "bucket", To: to})
			return err
		}
	}
	moved := map[string][]byte{from + "joint": nil, from + "two": nil, to + "joint": one, to + "two": two}
	w.change("rename many", moved, rename(from, to))
	w.change("rename onto something", map[string][]byte{to + "two": nil, over: two}, rename(to+"two", over))
	w.change("remove the last of a directory", map[string][]byte{to + "joint": nil, to: {}}, func() error {
		return w.s.Remove(ctx, "bucket", to+"joint", object.Condition{})
	})
}

// append goes on from within an object that is there.
func (w *faultWork) append(ctx context.Context, key string, kept, more []byte) {
	w.change("append to "+key, map[string][]byte{key: slices.Concat(kept, more)}, func() error {
		_, err := w.s.Append(ctx, "bucket", key, int64(len(kept)), bytes.NewReader(more), object.PutOptions{})
		return err
	})
}

// amend changes what is said of an object.
func (w *faultWork) amend(ctx context.Context, key string) {
	_ = w.try("amend "+key, func() error {
		_, err := w.s.Amend(ctx, "bucket", key, func(a *object.Attrs) { a.Meta["k"] = "v" })
		return err
	})
}

// run does it all under names, and with content, of this round.
func (w *faultWork) run(ctx context.Context, round string) {
	seed := uint64(len(round)) * 1000
	body := func(n int) []byte { seed++; return randomBytes(n, seed) }
	if _, err := w.s.Bucket(ctx, "bucket"); err != nil {
		_ = w.try("create bucket", func() error { return w.s.CreateBucket(ctx, "bucket", "") })
	}
	small, big := body(6000), body(1_200_000)
	w.put(ctx, round+"small", body(5000))
	w.put(ctx, round+"big", big)
	w.put(ctx, round+"small", small)
	if !w.old {
		return
	}
	w.put(ctx, round+"again", big)
	joint := round + "joint"
	for i := range 3 { // each pack holds one of these
		w.put(ctx, fmt.Sprint("pack", i, joint), body(90_000))
	}
	_ = w.try("write the index", func() error {
		w.d.index.flush(ctx)
		return errors.Join(w.d.index.failed, w.d.index.reindex(ctx))
	})
	w.copy(ctx, round+"big", round+"copy", big)
	w.copy(ctx, round+"small", round+"small", small)
	w.change("delete", map[string][]byte{round + "again": nil}, func() error {
		return w.s.Delete(ctx, "bucket", round+"again", object.Condition{})
	})
	once := body(100)
	w.change("put once", map[string][]byte{round + "once": once}, func() error {
		_, err := w.s.Put(ctx, "bucket", round+"once", bytes.NewReader(once), object.PutOptions{If: object.Condition{IfNoneMatch: []string{"*"}}})
		return err
	})
	w.change("several changes", map[string][]byte{joint: small, round + "too": small, "pack1" + joint: nil}, func() error {
		info, err := w.s.Stat(ctx, "bucket", round+"small")
		if err != nil {
			return err
		}
		return w.d.changeAll(ctx, []object.Change{
			{Bucket: "bucket", Key: joint, New: &info},
			{Bucket: "bucket", Key: round + "too", New: &info},
			{Bucket: "bucket", Key: "pack1" + joint},
		})
	})
	w.multipart(ctx, round, body)
	w.rename(ctx, round, body)
	w.append(ctx, joint, small[:5900], body(500))
	w.amend(ctx, joint)
	_ = w.try("sweep", func() error { return w.d.sweep(ctx) })
	w.put(ctx, round+"big", big[:700_000]) // of the rest lives the copy
	w.change("delete the copy", map[string][]byte{round + "copy": nil}, func() error {
		return w.s.Delete(ctx, "bucket", round+"copy", object.Condition{})
	})
	_ = w.try("collect", func() error {
		_, err := w.d.Collect(ctx, CollectOptions{Live: 1, Wait: -1, Backups: -1, Recompress: true})
		return err
	})
	_ = w.try("mend", func() error { return w.mend(ctx, "rotten") })
	other := fmt.Sprint("other", len(round))
	_ = w.try("create another bucket", func() error { return w.s.CreateBucket(ctx, other, "") })
	_ = w.try("delete it", func() error { return w.s.DeleteBucket(ctx, other) })
	w.d.commit.mu.Lock()
	w.d.commit.walNext = 1 // the log is cut back with the next commit
	w.d.commit.mu.Unlock()
	w.put(ctx, round+"last", body(100))
	w.put(ctx, round+"very last", body(200))
}

// mend reads content that is damaged, which notes it, and stores it again.
func (w *faultWork) mend(ctx context.Context, key string) error {
	body := randomBytes(1_200_000, 100)
	_, err := readAll(ctx, w.s, key)
	if errors.Is(err, object.ErrCorrupt) {
		if _, err = w.s.Put(ctx, "bucket", key, bytes.NewReader(body), object.PutOptions{}); err == nil {
			var got []byte
			if got, err = readAll(ctx, w.s, key); err == nil && !bytes.Equal(got, body) {
				err = errors.New("mended content differs")
			}
		}
		if w.fault.kind == "full" && errors.Is(err, object.ErrCorrupt) {
			return object.ErrNoSpace // the damage could not be noted
		}
	}
	return err
}

// changeAll commits changes to stored files.
func (d *Driver) changeAll(ctx context.Context, changes []object.Change) error {
	sess, err := d.Begin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(sess.Commit(ctx, changes), sess.Close())
}

// staging is a session with something staged in a file, and more under way.
type staging struct {
	object.Session
	info object.Info
	body []byte
	more object.Xorb
}

func newStaging(ctx context.Context, d *Driver, seed uint64) (*staging, error) {
	sess, err := d.Begin(ctx)
	if err != nil {
		return nil, err
	}
	s := &staging{Session: sess, body: randomBytes(1_500_000, seed)}
	x, chunks, err := s.fill(ctx, s.body)
	if err != nil {
		return nil, err
	}
	h, err := x.Close(ctx)
	if err != nil {
		return nil, err
	}
	n := uint32(len(s.body))
	file := xet.Reconstruction{
		Hash: xet.FileHash(chunks), Size: uint64(n),
		Terms: []xet.Term{{Xorb: h, Range: xet.Range{End: uint32(len(chunks))}, Bytes: n}},
	}
	s.info = object.Info{Bucket: "bucket", Key: "staged", Size: int64(n), File: file.Hash}
	if err := s.PutFile(ctx, file); err != nil {
		return nil, err
	}
	s.more, _, err = s.fill(ctx, randomBytes(1_500_000, seed+1))
	return s, err
}

// fill begins a xorb and puts body into it.
func (s *staging) fill(ctx context.Context, body []byte) (x object.Xorb, chunks []xet.Chunk, err error) {
	if x, err = s.NewXorb(ctx); err != nil {
		return nil, nil, err
	}
	for from := xet.NewChunker(bytes.NewReader(body)); ; {
		raw, err := from.Next()
		if errors.Is(err, io.EOF) {
			return x, chunks, nil
		}
		if err != nil {
			return nil, nil, err
		}
		c := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
		if err := x.Add(ctx, c, xet.AppendRecord(nil, raw, xet.SchemeLZ4)); err != nil {
			return nil, nil, err
		}
		chunks = append(chunks, c)
	}
}

// bystander is another process on the same store, to which nothing happens.
type bystander struct {
	d    *Driver
	s    *staging
	read *object.File
}

func newBystander(t *testing.T, dir string) *bystander {
	t.Helper()
	d, err := Open(t.Context(), dir, Options{idle: true})
	if err != nil {
		t.Fatal(err)
	}
	b := &bystander{d: d}
	if b.s, err = newStaging(t.Context(), d, 200); err != nil {
		t.Fatal(err)
	}
	if b.read, err = object.New(d, object.Config{}).Open(t.Context(), "bucket", "kept"); err != nil {
		t.Fatal(err)
	}
	return b
}

// goOn goes on with everything after another process has swept, and ends.
func (b *bystander) goOn(t *testing.T) error {
	t.Helper()
	ctx := t.Context()
	got, err := io.ReadAll(b.read)
	if err == nil && !bytes.Equal(got, randomBytes(1_300_000, 101)) {
		err = errors.New("what was open reads as something else")
	}
	if _, cerr := b.s.more.Close(ctx); cerr != nil {
		err = errors.Join(err, cerr)
	}
	err = errors.Join(err, b.s.Commit(ctx, []object.Change{{Bucket: "bucket", Key: "staged", New: &b.s.info}}), b.s.Close(), b.read.Close())
	got, rerr := readAll(ctx, object.New(b.d, object.Config{}), "staged")
	if rerr == nil && !bytes.Equal(got, b.s.body) {
		rerr = errors.New("what was staged reads as something else")
	}
	return errors.Join(err, rerr, b.d.Close())
}
