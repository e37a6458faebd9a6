package objecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing/iotest"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

func testRead(e *env) {
	e.bucket("bucket")
	data := random(1, 40_000)
	e.put("bucket", "key", data)
	if err := iotest.TestReader(e.open("bucket", "key"), data); err != nil {
		e.Error(err)
	}
	e.put("bucket", "empty", nil)
	if err := iotest.TestReader(e.open("bucket", "empty"), nil); err != nil {
		e.Error(err)
	}

	data = append(random(2, 700_000), text(2, 700_000)...)
	e.put("bucket", "key", data)
	for _, size := range []int{1777, 8192, 65537, 300_000, len(data), 2 * len(data)} {
		f := e.open("bucket", "key")
		var got []byte
		var err error
		for buf := make([]byte, size); err == nil; {
			var n int
			n, err = f.Read(buf)
			if n == 0 && err == nil {
				e.Fatalf("a read of %d bytes gives neither bytes nor an error", size)
			}
			got = append(got, buf[:n]...)
		}
		if err != io.EOF { //nolint:errorlint // readers end with io.EOF itself
			e.Errorf("read by %d ends with %v", size, err)
		}
		e.same(fmt.Sprintf("read by %d", size), got, data)
		if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // as above
			e.Errorf("read after the end: %d, %v", n, err)
		}
		if n, err := f.Read(nil); n != 0 || err != nil {
			e.Errorf("read of nothing at the end: %d, %v", n, err)
		}
		e.ok(f.Close())
	}
	var out bytes.Buffer
	if n, err := e.open("bucket", "key").WriteTo(&out); n != int64(len(data)) || err != nil {
		e.Errorf("WriteTo: %d, %v", n, err)
	}
	e.same("WriteTo", out.Bytes(), data)
}

func testSeek(e *env) {
	e.bucket("bucket")
	data := text(3, 1<<20)
	e.put("bucket", "key", data)
	f := e.open("bucket", "key")
	want := bytes.NewReader(data) // seeks as it should be
	r := rand.New(rand.NewPCG(3, 3))
	for range 150 {
		whence := r.IntN(3)
		off := r.Int64N(2<<20) - 1<<20
		got, err := f.Seek(off, whence)
		at, wantErr := want.Seek(off, whence)
		if (err == nil) != (wantErr == nil) || got != at {
			e.Fatalf("seek %d from %d: got %d, %v, want %d, %v", off, whence, got, err, at, wantErr)
		}
		if err != nil {
			e.is("a bad seek", err, object.ErrInvalid)
		}
		a := make([]byte, 1+r.IntN(5000))
		b := make([]byte, len(a))
		n, err := io.ReadFull(f, a)
		m, wantErr := io.ReadFull(want, b)
		if n != m || !errors.Is(err, wantErr) {
			e.Fatalf("read at %d: got %d, %v, want %d, %v", at, n, err, m, wantErr)
		}
		e.same("read after a seek", a[:n], b[:m])
	}
	if _, err := f.Seek(0, 3); err == nil {
		e.Error("seek from nowhere has no error")
	}
	var out bytes.Buffer
	_, err := f.Seek(-1000, io.SeekEnd)
	e.ok(err)
	if n, err := f.WriteTo(&out); n != 1000 || err != nil {
		e.Errorf("WriteTo after a seek: %d, %v", n, err)
	}
	e.same("WriteTo after a seek", out.Bytes(), data[len(data)-1000:])
	if at, err := f.Seek(0, io.SeekCurrent); at != int64(len(data)) || err != nil {
		e.Errorf("after WriteTo it is at %d, %v", at, err)
	}
}

func testWriteRange(e *env) {
	e.bucket("bucket")
	data := append(random(4, 600_000), make([]byte, 600_000)...)
	e.put("bucket", "key", data)
	f := e.open("bucket", "key")
	_, err := f.Seek(77, io.SeekStart)
	e.ok(err)
	r := rand.New(rand.NewPCG(4, 4))
	size := int64(len(data))
	for i := range 80 {
		off := r.Int64N(size)
		n := min(r.Int64N(size-off+1), r.Int64N(200_000))
		switch i % 8 { // very short ones, and those to the end
		case 0, 1:
			n = min(n, 1+r.Int64N(100))
		case 2:
			n = size - off
		}
		var out bytes.Buffer
		if done, err := f.WriteRange(&out, off, n); done != n || err != nil {
			e.Fatalf("WriteRange %d+%d: %d, %v", off, n, done, err)
		}
		e.same(fmt.Sprintf("WriteRange %d+%d", off, n), out.Bytes(), data[off:off+n])
	}
	for _, c := range []struct{ off, n, want int64 }{{size - 10, 11, 10}, {size, 1, 0}, {size + 5, 1, 0}, {0, size + 1, size}} {
		done, err := f.WriteRange(io.Discard, c.off, c.n)
		e.is(fmt.Sprintf("WriteRange %d+%d", c.off, c.n), err, io.ErrUnexpectedEOF)
		if done != c.want {
			e.Errorf("WriteRange %d+%d writes %d, want %d", c.off, c.n, done, c.want)
		}
	}
	if done, err := f.WriteRange(io.Discard, size, 0); done != 0 || err != nil {
		e.Errorf("WriteRange of nothing: %d, %v", done, err)
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 77 || err != nil {
		e.Errorf("WriteRange moves the offset to %d, %v", at, err)
	}
	done, err := f.WriteRange(&failingWriter{left: 100_000}, 0, size)
	e.is("WriteRange to a writer that fails", err, errReader)
	if done != 100_000 {
		e.Errorf("WriteRange to a writer that fails tells of %d bytes, want 100000", done)
	}
}

// failingWriter takes so many bytes and then fails.
type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		n := w.left
		w.left = 0
		return n, errReader
	}
	w.left -= len(p)
	return len(p), nil
}

// testFileChunks compares chunks and terms with the content cut anew.
func testFileChunks(e *env) {
	e.bucket("bucket")
	for _, data := range [][]byte{nil, random(5, 100), random(5, 2<<20), make([]byte, 1<<20)} {
		e.put("bucket", "key", data)
		f := e.open("bucket", "key")
		want := chunksOf(e, data)
		var chunks uint32
		var bytes uint64
		for _, t := range f.Terms() {
			if t.Xorb.IsZero() || t.Range.Len() == 0 {
				e.Errorf("term %+v", t)
			}
			chunks += uint32(t.Range.Len())
			bytes += uint64(t.Bytes)
		}
		if int(chunks) != len(want) || bytes != uint64(len(data)) {
			e.Errorf("the terms have %d chunks and %d bytes, want %d and %d", chunks, bytes, len(want), len(data))
		}
		var off int64
		for i := range want {
			for _, at := range []int64{off, off + int64(want[i].Size)/2, off + int64(want[i].Size) - 1} {
				if i%5 == 0 { // from each would take long
					e.sameChunks(fmt.Sprintf("chunks from %d on", at), e.chunksFrom(f, at), want[i:])
				}
			}
			off += int64(want[i].Size)
		}
		e.sameChunks("chunks", e.chunksFrom(f, 0), want)
		for c, err := range f.Chunks(0) { // ends early
			if err != nil || c != want[0] {
				e.Errorf("first chunk: %v, %v", c, err)
			}
			break
		}
		e.ok(f.Close())
	}
}

func (e *env) chunksFrom(f *object.File, off int64) []xet.Chunk {
	e.Helper()
	var out []xet.Chunk
	for c, err := range f.Chunks(off) {
		if err != nil {
			e.Errorf("chunks from %d on: %v", off, err)
		}
		out = append(out, c)
	}
	return out
}

func testOpenFile(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	data := random(6, 300_000)
	info := e.put("bucket", "key", data)
	f, err := e.store.OpenFile(ctx, info.File)
	e.ok(err)
	got, err := readAll(f)
	e.ok(errors.Join(err, f.Close()))
	e.same("by hash", got, data)
	if i := f.Info(); i.Size != info.Size || i.File != info.File {
		e.Errorf("by hash: %+v", i)
	}
	_, err = e.store.OpenFile(ctx, xet.ChunkHash([]byte("no file")))
	e.is("open a missing file", err, fs.ErrNotExist)
	f, err = e.store.OpenFile(ctx, xet.Hash{})
	e.ok(err)
	got, err = readAll(f)
	if err = errors.Join(err, f.Close()); err != nil || len(got) != 0 {
		e.Errorf("the empty file: %d bytes, %v", len(got), err)
	}
	_, err = e.store.Open(ctx, "bucket", "missing")
	if e.is("open a missing key", err, errNotExist); errors.Is(err, object.ErrNoBucket) {
		e.Errorf("open a missing key: %v", err)
	}
}

// testOpenWhileReplaced reads objects that are no more.
func testOpenWhileReplaced(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	want := map[string][]byte{"small": random(7, 100), "large": random(8, 3<<20)}
	files := make(map[string]*object.File)
	for key, data := range want {
		e.put("bucket", key, data)
		files[key] = e.open("bucket", key)
		if _, err := io.ReadFull(files[key], make([]byte, 10)); err != nil {
			e.Error(err)
		}
		e.put("bucket", key, text(9, len(data)))
		e.holds("bucket", key, text(9, len(data)))
		e.ok(e.store.Delete(ctx, "bucket", key, object.Condition{}))
		e.lacks("bucket", key)
	}
	e.ok(e.store.DeleteBucket(ctx, "bucket"))
	for key, f := range files {
		got, err := readAll(f)
		e.ok(err)
		e.same(key, got, want[key][10:])
		e.sameChunks(key, e.chunksFrom(f, 0), chunksOf(e, want[key]))
		if f.Info().Key != key || f.Info().Size != int64(len(want[key])) {
			e.Errorf("a deleted object says it is %+v", f.Info())
		}
		e.ok(f.Close())
	}
}

func testReadCanceled(e *env) {
	e.bucket("bucket")
	e.put("bucket", "key", random(10, 1<<20))
	_, err := e.store.Open(e.canceled(), "bucket", "key")
	e.is("open with a canceled context", err, context.Canceled)
	_, err = e.store.Stat(e.canceled(), "bucket", "key")
	e.is("stat with a canceled context", err, context.Canceled)
	_, err = e.store.List(e.canceled(), "bucket", object.ListOptions{})
	e.is("list with a canceled context", err, context.Canceled)

	ctx, cancel := context.WithCancel(e.Context())
	f, err := e.store.Open(ctx, "bucket", "key")
	e.ok(err)
	_, err = io.ReadFull(f, make([]byte, 10))
	e.ok(err)
	cancel()
	_, err = f.WriteTo(io.Discard)
	e.is("read after the context is canceled", err, context.Canceled)
	e.ok(f.Close())
}
