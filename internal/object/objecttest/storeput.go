package objecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing/iotest"
	"time"

	"hugbucket/internal/object"
)

func testRoundTrip(e *env) {
	e.bucket("bucket")
	sizes := []int{
		0, 1, 8191, 8192, 8193, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128<<10 - 1, 128 << 10, 128<<10 + 1,
		384<<10 - 1, 384 << 10, 384<<10 + 1, 1 << 20, 3 * 384 << 10, 3<<20 + 12345,
	}
	kinds := map[string]func(n int) []byte{
		"random": func(n int) []byte { return random(uint64(n), n) },
		"zero":   func(n int) []byte { return make([]byte, n) },
		"text":   func(n int) []byte { return text(uint64(n), n) },
	}
	readers := []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r },
		func(r io.Reader) io.Reader { return onlyReader{r} },
		iotest.DataErrReader, // the last bytes come with io.EOF
		iotest.HalfReader,
	}
	for kind, make := range kinds {
		for i, size := range sizes {
			e.roundTrip(fmt.Sprintf("%s-%d", kind, size), make(size), readers[i%len(readers)])
		}
	}
	data := random(1, 20000)
	e.roundTrip("one byte at a time", data, iotest.OneByteReader)
	if n, want := e.count("bucket"), len(kinds)*len(sizes)+1; n != want {
		e.Errorf("%d keys are listed, want %d", n, want)
	}
}

// roundTrip stores data as a key of "bucket" and compares all that is then said about it.
func (e *env) roundTrip(key string, data []byte, reader func(io.Reader) io.Reader) {
	e.Helper()
	before := time.Now().Truncate(time.Millisecond)
	info, err := e.store.Put(e.Context(), "bucket", key, reader(bytes.NewReader(data)), object.PutOptions{})
	if err != nil {
		e.Errorf("put %s: %v", key, err)
		return
	}
	if info.ModTime.Before(before) || info.ModTime.After(time.Now()) || info.ModTime.Location() != time.UTC ||
		!info.ModTime.Equal(info.ModTime.Truncate(time.Millisecond)) {
		e.Errorf("put %s: stored after %v at %v", key, before, info.ModTime)
	}
	want := e.infoOf("bucket", key, data)
	want.ModTime = info.ModTime
	e.sameInfo("put", info, want)
	e.sameInfo("open", e.holds("bucket", key, data), want)
	got, err := e.store.Stat(e.Context(), "bucket", key)
	if err != nil {
		e.Error(err)
	}
	e.sameInfo("stat", got, want)
	l, err := e.store.List(e.Context(), "bucket", object.ListOptions{Prefix: key, Limit: 1})
	if err != nil || len(l.Objects) != 1 {
		e.Errorf("list %s: %v, %v", key, l, err)
		return
	}
	e.sameInfo("list", l.Objects[0], want)
}

// testLarge fills more than one xorb.
func testLarge(e *env) {
	e.bucket("bucket")
	data := halfRandom(70, 70<<20)
	e.roundTrip("large", data, func(r io.Reader) io.Reader { return r })
	f := e.open("bucket", "large")
	xorbs := xorbsOf(f)
	if len(xorbs) < 2 {
		e.Errorf("70 MiB are in %d xorbs", len(xorbs))
	}
	var out bytes.Buffer
	off := int64(64<<20 - 100_000) // about where the first xorb ends
	if n, err := f.WriteRange(&out, off, 300_000); n != 300_000 || err != nil {
		e.Errorf("range of a large object: %d, %v", n, err)
	}
	e.same("range of a large object", out.Bytes(), data[off:off+300_000])
}

func testAttributes(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	want := object.Attrs{
		Headers: map[string]string{"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"},
		Meta:    map[string]string{"a": "", "long": strings.Repeat("x", 2000), "umlaut": "grün \"quoted\" \\ <&>"},
	}
	mod := time.Date(2001, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	info, err := e.store.Put(ctx, "bucket", "key", strings.NewReader("data"), object.PutOptions{
		Attrs: want, ModTime: mod.Add(999 * time.Microsecond).In(time.FixedZone("", 3600)),
	})
	e.ok(err)
	whole := e.infoOf("bucket", "key", []byte("data"))
	whole.Attrs, whole.ModTime = want, mod
	e.sameInfo("put", info, whole)
	got, err := e.store.Stat(ctx, "bucket", "key")
	e.ok(err)
	e.sameInfo("stat", got, whole)
	e.sameInfo("open", e.holds("bucket", "key", []byte("data")), whole)
	l, err := e.store.List(ctx, "bucket", object.ListOptions{})
	if err != nil || len(l.Objects) != 1 {
		e.Fatalf("list: %v, %v", l, err)
	}
	e.sameInfo("list", l.Objects[0], whole)

	e.put("bucket", "key", []byte("data"))
	got, err = e.store.Stat(ctx, "bucket", "key")
	e.ok(err)
	if len(got.Attrs.Headers)+len(got.Attrs.Meta) != 0 {
		e.Errorf("overwritten without attributes it keeps %v", got.Attrs)
	}
}

func testDigests(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	if got := crc64NVME([]byte("123456789")); !bytes.Equal(got, []byte{0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88}) {
		e.Fatalf("the CRC-64 of the suite itself is wrong: %x", got)
	}
	for _, size := range []int{0, 5, 200_000, 2 << 20} {
		data := random(uint64(size), size)
		want := e.infoOf("bucket", "key", data)
		info, err := e.store.Put(ctx, "bucket", "key", bytes.NewReader(data), object.PutOptions{
			Size: int64(size), Sized: true, MD5: want.Digests.MD5, WantSHA256: true,
		})
		e.ok(err)
		want.ModTime, want.Digests.SHA256 = info.ModTime, sha256Of(data)
		e.sameInfo("put with WantSHA256", info, want)
		e.sameInfo("open", e.holds("bucket", "key", data), want)
		info, err = e.store.Put(ctx, "bucket", "key", bytes.NewReader(data), object.PutOptions{SHA256: sha256Of(data), Size: int64(size)})
		e.ok(err)
		want.ModTime = info.ModTime
		e.sameInfo("put with SHA256", info, want)
		e.sameInfo("open", e.holds("bucket", "key", data), want)
	}
}

var errReader = errors.New("the client is gone")

// testPutRefused announces what then does not come.
func testPutRefused(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	old := e.put("bucket", "old", []byte("what was there"))
	for _, size := range []int{0, 10, 100_000, 1 << 20} {
		data := random(uint64(size), size)
		wrong := random(99, 32)
		n := int64(size)
		for name, opts := range map[string]object.PutOptions{
			"longer":       {Size: n + 1},
			"longer sized": {Size: n + 1, Sized: true},
			"shorter":      {Size: n - 1, Sized: true},
			"MD5":          {MD5: wrong[:16]},
			"SHA-256":      {SHA256: wrong},
			"short MD5":    {MD5: wrong[:3]},
			"empty MD5":    {MD5: []byte{}},
		} {
			for _, key := range []string{"old", "new"} {
				_, err := e.store.Put(ctx, "bucket", key, bytes.NewReader(data), opts)
				e.is(fmt.Sprintf("put %d bytes with wrong %s", size, name), err, object.ErrDigest)
			}
		}
	}
	e.sameInfo("after refused puts", e.holds("bucket", "old", []byte("what was there")), old)
	if n := e.count("bucket"); n != 1 {
		e.Errorf("%d keys are listed after refused puts, want 1", n)
	}
}

// testPutReaderFails cuts the body short with every kind of error that readers have.
func testPutReaderFails(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	old := e.put("bucket", "old", []byte("what was there"))
	most := random(90, 2<<20)
	for _, fault := range []error{
		errReader,
		io.ErrUnexpectedEOF, // what a request body gives when the connection breaks
		fmt.Errorf("read the body: %w", io.ErrUnexpectedEOF),
		fmt.Errorf("read the body: %w", io.EOF), // io.EOF itself is an end, a wrapped one is not
		context.Canceled,
	} {
		for _, size := range []int{0, 1, 100_000, 384 << 10, 2 << 20} {
			for _, key := range []string{"old", "new"} {
				body := io.MultiReader(bytes.NewReader(most[:size]), iotest.ErrReader(fault))
				_, err := e.store.Put(ctx, "bucket", key, body, object.PutOptions{})
				e.is(fmt.Sprintf("put with a reader that fails with %q after %d bytes", fault, size), err, fault)
			}
		}
	}
	e.sameInfo("after failed puts", e.holds("bucket", "old", []byte("what was there")), old)
	if n := e.count("bucket"); n != 1 {
		e.Errorf("%d keys are listed after failed puts, want 1", n)
	}
}

// cancelReader cancels a context when so many bytes were read.
type cancelReader struct {
	r      io.Reader
	left   int
	cancel context.CancelFunc
}

func (c *cancelReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(len(p), 1000)])
	if c.left -= n; c.left <= 0 {
		c.cancel()
	}
	return n, err
}

func testPutCanceled(e *env) {
	e.bucket("bucket")
	old := e.put("bucket", "old", []byte("what was there"))
	for _, key := range []string{"old", "new"} {
		_, err := e.store.Put(e.canceled(), "bucket", key, strings.NewReader("x"), object.PutOptions{})
		e.is("put with a canceled context", err, context.Canceled)
		for _, at := range []int{1, 100_000, 1_000_000, 3_000_000} {
			ctx, cancel := context.WithCancel(e.Context())
			r := &cancelReader{bytes.NewReader(random(7, 3_000_000)), at, cancel}
			_, err := e.store.Put(ctx, "bucket", key, r, object.PutOptions{})
			e.is(fmt.Sprintf("put canceled after %d bytes", at), err, context.Canceled)
			cancel()
		}
	}
	e.sameInfo("after canceled puts", e.holds("bucket", "old", []byte("what was there")), old)
	if n := e.count("bucket"); n != 1 {
		e.Errorf("%d keys are listed after canceled puts, want 1", n)
	}
	e.put("bucket", "new", []byte("not canceled"))
	e.holds("bucket", "new", []byte("not canceled"))
}

// oddKeys are different keys, in byte order, of every shape that something could take for a path, a pattern, a
// terminator or the same as another.
func oddKeys() []string {
	keys := []string{
		"\x00", "\x00\x00", "\x01", "\t\r\n", " ", "%", "%00", "%2F", "*", ".", "..", "../x", "./", "./k", "/", "//", "/lead",
		"A", "[a]", "\\", "_", "a", "a\x00", "a\x00b", "a ", "a%", "a+b", "a.", "a/", "a/../b", "a/./b", "a//", "a//b", "a/b", "a/b/",
		"a\\b", "a_", "ab", "e\u0301", "trail/", "x" + strings.Repeat("y", 1023), "x" + strings.Repeat("y/", 511) + "z",
		"\x7f", "\u0080", "\u00e9", strings.Repeat("\u00e9", 512), "\u2028", "\ud7ff", "\ue000", "\ufeff", "\ufffd", "\uffff",
		"\U00010000", "\U0001f4a9", "\U000fffff", "\U0010ffff", "\U0010ffff/", "\U0010ffff\U0010ffff", strings.Repeat("\U0010ffff", 256),
	}
	slices.Sort(keys)
	return keys
}

func testKeys(e *env) {
	ctx := e.Context()
	e.bucket("bucket")
	for i, key := range oddKeys() {
		e.put("bucket", key, []byte(key))
		if n := e.count("bucket"); n != i+1 {
			e.Errorf("after %q there are %d keys, want %d", key, n, i+1)
		}
	}
	for _, key := range oddKeys() {
		e.holds("bucket", key, []byte(key))
	}
	for _, key := range []string{"", strings.Repeat("a", 1025), "\xff", "a\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80"} {
		ops := map[string]func() error{
			"put": func() error {
				_, err := e.store.Put(ctx, "bucket", key, strings.NewReader(""), object.PutOptions{})
				return err
			},
			"stat":   func() error { _, err := e.store.Stat(ctx, "bucket", key); return err },
			"open":   func() error { _, err := e.store.Open(ctx, "bucket", key); return err },
			"delete": func() error { return e.store.Delete(ctx, "bucket", key, object.Condition{}) },
			"copy from": func() error {
				_, err := e.store.Copy(ctx, object.CopyOptions{FromBucket: "bucket", FromKey: key, ToBucket: "bucket", ToKey: "b"})
				return err
			},
			"copy to": func() error {
				_, err := e.store.Copy(ctx, object.CopyOptions{FromBucket: "bucket", FromKey: "a", ToBucket: "bucket", ToKey: key})
				return err
			},
		}
		for op, f := range ops {
			e.is(fmt.Sprintf("%s %.10q", op, key), f(), object.ErrInvalid)
		}
	}
	for i, key := range oddKeys() {
		e.ok(e.store.Delete(ctx, "bucket", key, object.Condition{}))
		e.lacks("bucket", key)
		if n, want := e.count("bucket"), len(oddKeys())-i-1; n != want {
			e.Errorf("after deleting %q there are %d keys, want %d", key, n, want)
		}
	}
}
