package objecttest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// env is a subtest with a store of its own.
type env struct {
	*testing.T
	driver object.Driver
	store  *object.Store
}

// start opens an empty store for a test and closes it at its end.
func start(t *testing.T, open func(t *testing.T) object.Driver) *env {
	t.Helper()
	d := open(t)
	e := &env{t, d, object.New(d, object.Config{})}
	t.Cleanup(func() {
		if err := e.store.Close(); err != nil {
			t.Errorf("close the driver: %v", err)
		}
	})
	return e
}

// part is a subtest.
type part struct {
	name string
	test func(e *env)
}

func runParts(t *testing.T, open func(t *testing.T) object.Driver, parts []part) {
	t.Helper()
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.test(start(t, open)) })
	}
}

// ok ends the test unless err is nil.
func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// is notes a failure unless err is want; nil stands for no error.
func (e *env) is(what string, err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func (e *env) bucket(names ...string) {
	e.Helper()
	for _, name := range names {
		e.ok(e.store.CreateBucket(e.Context(), name, ""))
	}
}

// put stores data under bucket/key, whatever was there.
func (e *env) put(bucket, key string, data []byte) object.Info {
	e.Helper()
	info, err := e.store.Put(e.Context(), bucket, key, bytes.NewReader(data), object.PutOptions{})
	e.ok(err)
	return info
}

func (e *env) open(bucket, key string) *object.File {
	e.Helper()
	f, err := e.store.Open(e.Context(), bucket, key)
	e.ok(err)
	e.closeLater(f)
	return f
}

// closeLater closes c when the test ends, if it is not closed by then.
func (e *env) closeLater(c io.Closer) {
	e.Cleanup(func() { _ = c.Close() })
}

// holds notes a failure unless bucket/key has these bytes, and gives what it is.
func (e *env) holds(bucket, key string, data []byte) object.Info {
	e.Helper()
	f, err := e.store.Open(e.Context(), bucket, key)
	if err != nil {
		e.Error(err)
		return object.Info{}
	}
	w := &comparer{want: data}
	_, err = io.Copy(w, struct{ io.Reader }{f}) // by Read, not by WriteTo
	if err == nil && len(w.want) > 0 {
		err = fmt.Errorf("it ends %d bytes early", len(w.want))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		e.Errorf("read %s/%q: %v", bucket, key, err)
	}
	return f.Info()
}

// comparer takes bytes that must be those of want, of which the rest is left.
type comparer struct {
	want []byte
	n    int
}

func (c *comparer) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(c.want, p) {
		return 0, fmt.Errorf("the %d bytes from %d on are not the ones wanted", len(p), c.n)
	}
	c.want, c.n = c.want[len(p):], c.n+len(p)
	return len(p), nil
}

// lacks notes a failure unless bucket has no such key.
func (e *env) lacks(bucket, key string) {
	e.Helper()
	_, err := e.store.Stat(e.Context(), bucket, key)
	if e.is("stat of a missing key", err, errNotExist); errors.Is(err, object.ErrNoBucket) {
		e.Errorf("stat of a missing key: %v", err)
	}
}

// same compares content without printing it.
func (e *env) same(what string, got, want []byte) {
	e.Helper()
	if bytes.Equal(got, want) {
		return
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	e.Errorf("%q: %d bytes differ from the %d wanted at byte %d", what, len(got), len(want), n)
}

// sameInfo compares two Infos; empty maps are like none.
func (e *env) sameInfo(what string, got, want object.Info) {
	e.Helper()
	if got.Bucket != want.Bucket || got.Key != want.Key || got.Size != want.Size || got.ETag != want.ETag ||
		got.File != want.File || !got.ModTime.Equal(want.ModTime) || !slices.Equal(got.Parts, want.Parts) || got.Note != want.Note {
		e.Errorf("%s: got %+v, want %+v", what, got, want)
	}
	if !bytes.Equal(got.Digests.MD5, want.Digests.MD5) || !bytes.Equal(got.Digests.SHA256, want.Digests.SHA256) ||
		!bytes.Equal(got.Digests.CRC64NVME, want.Digests.CRC64NVME) {
		e.Errorf("%s: got digests %x, want %x", what, got.Digests, want.Digests)
	}
	if !maps.Equal(got.Attrs.Headers, want.Attrs.Headers) || !maps.Equal(got.Attrs.Meta, want.Attrs.Meta) {
		e.Errorf("%s: got attributes %v, want %v", what, got.Attrs, want.Attrs)
	}
}

// infoOf gives what an object with these bytes must be.
func (e *env) infoOf(bucket, key string, data []byte) object.Info {
	e.Helper()
	sum := md5.Sum(data)
	return object.Info{
		Bucket: bucket, Key: key, Size: int64(len(data)),
		ETag:    hex.EncodeToString(sum[:]),
		File:    xet.FileHash(chunksOf(e, data)),
		Digests: object.Digests{MD5: sum[:], CRC64NVME: crc64NVME(data)},
	}
}

// count gives the number of keys of a bucket.
func (e *env) count(bucket string) int {
	e.Helper()
	n := 0
	for opts := (object.ListOptions{}); ; {
		l, err := e.store.List(e.Context(), bucket, opts)
		e.ok(err)
		n += len(l.Objects)
		if !l.Truncated {
			return n
		}
		opts.Start = l.Next
	}
}

// begin starts a session that ends with the test.
func (e *env) begin() object.Session {
	e.Helper()
	s, err := e.driver.Begin(e.Context())
	e.ok(err)
	e.closeLater(s)
	return s
}

// stage stages data as a file in a session, all of it in new xorbs.
func (e *env) stage(s object.Session, data []byte) xet.Reconstruction {
	e.Helper()
	f := e.stageXorbs(s, data)
	e.ok(s.PutFile(e.Context(), f))
	return f
}

// stageXorbs stages the chunks of data and gives the file that they make.
func (e *env) stageXorbs(s object.Session, data []byte) xet.Reconstruction {
	e.Helper()
	f := xet.Reconstruction{Hash: xet.FileHash(chunksOf(e, data)), Size: uint64(len(data))}
	for chunks := cut(e, data); len(chunks) > 0; {
		x, err := s.NewXorb(e.Context())
		e.ok(err)
		var t xet.Term
		var rng xet.RangeHash
		for len(chunks) > 0 && x.Fits(len(chunks[0])) {
			c := xet.Chunk{Hash: xet.ChunkHash(chunks[0]), Size: uint32(len(chunks[0]))}
			e.ok(x.Add(e.Context(), c, xet.AppendRecord(nil, chunks[0], xet.ChooseScheme(chunks[0]))))
			rng.Add(c.Hash)
			t.Range.End++
			t.Bytes += c.Size
			chunks = chunks[1:]
		}
		t.Xorb, err = x.Close(e.Context())
		e.ok(err)
		t.Verification = rng.Sum()
		f.Terms = append(f.Terms, t)
	}
	return f
}

// known asks a session for one place per chunk.
func (e *env) known(s object.Session, chunks []xet.Chunk) []object.Place {
	e.Helper()
	places := make([]object.Place, len(chunks))
	e.ok(s.Known(e.Context(), hashes(chunks), places))
	return places
}

func hashes(chunks []xet.Chunk) []xet.Hash {
	var out []xet.Hash
	for _, c := range chunks {
		out = append(out, c.Hash)
	}
	return out
}

// change names a file.
func change(bucket, key string, f xet.Reconstruction) object.Change {
	return object.Change{Bucket: bucket, Key: key, New: &object.Info{
		Bucket: bucket, Key: key, Size: int64(f.Size), File: f.Hash, ETag: object.ETagOf(nil, f.Hash),
		ModTime: time.UnixMilli(1_700_000_000_123).UTC(),
	}}
}

// keys makes keys of empty objects, a few commits for all of them.
func (e *env) keys(bucket string, keys []string) {
	e.Helper()
	for page := range slices.Chunk(keys, 1000) {
		changes := make([]object.Change, len(page))
		for i, key := range page {
			changes[i] = change(bucket, key, xet.Reconstruction{})
		}
		s, err := e.driver.Begin(e.Context())
		e.ok(err)
		e.ok(s.Commit(e.Context(), changes))
		e.ok(s.Close())
	}
}

// readAll reads content in pieces, as Read gives them.
func readAll(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&b, struct{ io.Reader }{r})
	return b.Bytes(), err
}

func sha256Of(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

// canceled gives a context that is.
func (e *env) canceled() context.Context {
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	return ctx
}

func (e *env) sameStrings(what string, got, want []string) {
	e.Helper()
	if slices.Equal(got, want) {
		return
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	e.Errorf("%s: got %d, want %d; from the %d. on they are %.40q, want %.40q", what, len(got), len(want), n+1,
		got[n:min(n+3, len(got))], want[n:min(n+3, len(want))])
}

func (e *env) sameChunks(what string, got, want []xet.Chunk) {
	e.Helper()
	if !slices.Equal(got, want) {
		e.Errorf("%s: got %d chunks, which are not the %d wanted", what, len(got), len(want))
	}
}

// xorbsOf gives the xorbs that a file is in, sorted.
func xorbsOf(f *object.File) []xet.Hash {
	var out []xet.Hash
	for _, t := range f.Terms() {
		out = append(out, t.Xorb)
	}
	slices.SortFunc(out, xet.Hash.Compare)
	return slices.Compact(out)
}
