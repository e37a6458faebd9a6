package xet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// makeXorb writes a xorb of n chunks of all schemes and sizes.
func makeXorb(tb testing.TB, n int) (whole []byte, x *XorbInfo, chunks [][]byte) {
	tb.Helper()
	var buf bytes.Buffer
	w := NewXorbWriter(&buf)
	for i := range n {
		raw := bytes.Repeat([]byte(fmt.Sprint("chunk ", i, " ")), 1+i%7*20)
		chunks = append(chunks, raw)
		record := AppendRecord(nil, raw, allSchemes[i%3])
		if err := w.Add(Chunk{ChunkHash(raw), uint32(len(raw))}, record); err != nil {
			tb.Fatal(err)
		}
	}
	equal(tb, "len", w.Len(), n)
	equal(tb, "body", w.BodyBytes(), int64(buf.Len()))
	x, err := w.Close()
	if err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes(), x, chunks
}

// footerV0 gives the footer of version 0 and its length.
func footerV0(x *XorbInfo) []byte {
	b := append([]byte(xorbIdent), 0)
	b = append(b, x.Hash[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(x.Chunks)))
	for _, c := range x.Chunks {
		b = binary.LittleEndian.AppendUint32(b, c.End)
	}
	for _, c := range x.Chunks {
		b = append(b, c.Hash[:]...)
	}
	b = append(b, make([]byte, 16)...)
	return binary.LittleEndian.AppendUint32(b, uint32(len(b)))
}

// withoutRawEnds gives the footer with a boundary section of version 0.
func withoutRawEnds(x *XorbInfo) []byte {
	b := x.AppendFooter(nil)
	n := len(x.Chunks)
	cut := len(b) - xorbLengthSize - xorbTrailerSize
	b = append(b[:cut-4*n:cut-4*n], b[cut:]...)
	ends := xorbIdentSize + HashSize + xorbSectionSize + n*HashSize
	b[ends+7] = 0
	le := binary.LittleEndian
	le.PutUint32(b[len(b)-4:], uint32(len(b)-4))
	le.PutUint32(b[len(b)-24:], uint32(len(b)-4-ends))
	le.PutUint32(b[len(b)-28:], uint32(len(b)-4-xorbIdentSize-HashSize))
	return b
}

func TestXorbRoundTrip(t *testing.T) {
	for _, n := range []int{1, 2, 3, 50, 3000} {
		whole, want, chunks := makeXorb(t, n)
		body := whole[:want.BodySize()]
		equal(t, "size", want.BodySize()+want.FooterSize(), int64(len(whole)))
		for _, footer := range [][]byte{whole[len(body):], footerV0(want), withoutRawEnds(want)} {
			b := append(bytes.Clone(body), footer...)
			x, err := ReadXorbInfo(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			equalInfo(t, x, want)
		}
		footer := whole[len(body) : len(whole)-xorbLengthSize]
		x, err := ParseXorbInfo(footer, want.BodySize())
		if err != nil {
			t.Fatal(err)
		}
		equalInfo(t, x, want)
		if _, err := ParseXorbInfo(footer, want.BodySize()+1); !errors.Is(err, ErrFormat) {
			t.Errorf("wrong body size: %v", err)
		}
		v0 := footerV0(want)
		if _, err := ParseXorbInfo(v0[:len(v0)-4], want.BodySize()); !errors.Is(err, ErrVersion) {
			t.Errorf("version 0: %v", err)
		}

		for _, r := range []io.Reader{bytes.NewReader(body), bytes.NewReader(whole), iotest.OneByteReader(bytes.NewReader(whole))} {
			seen := 0
			x, err := ScanXorb(r, func(i int, raw []byte) error {
				equal(t, "index", i, seen)
				equalBytes(t, "chunk", raw, chunks[i])
				seen++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "seen", seen, n)
			equalInfo(t, x, want)
		}

		var raws []byte
		for i, chunk := range chunks {
			start, end := want.Record(i)
			raw, used, err := DecodeRecord(nil, body[start:])
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "used", used, int(end-start))
			equalBytes(t, "chunk", raw, chunk)
			start, end = want.Raw(i)
			equal(t, "raw start", int(start), len(raws))
			raws = append(raws, raw...)
			equal(t, "raw end", int(end), len(raws))
		}
		equal(t, "raw size", want.RawSize(), int64(len(raws)))
	}
}

// TestXorbFooterDamage flips each bit of a footer: but for those that say
// nothing, that is noticed. Of a record end in version 1 only a value that
// cannot be is noticed, since no hash covers it.
func TestXorbFooterDamage(t *testing.T) {
	whole, want, _ := makeXorb(t, 3)
	bodySize := int(want.BodySize())
	const ends = xorbIdentSize + HashSize + xorbSectionSize + 3*HashSize + xorbSectionSize
	for name, footer := range map[string][]byte{
		"version 1": whole[bodySize:], "version 0": footerV0(want), "no raw ends": withoutRawEnds(want),
	} {
		padding := len(footer) - xorbLengthSize - xorbPadding
		for i := range footer {
			for bit := range 8 {
				b := append(bytes.Clone(whole[:bodySize]), footer...)
				b[bodySize+i] ^= 1 << bit
				x, err := ReadXorbInfo(bytes.NewReader(b), int64(len(b)))
				if name == "version 1" && ends <= i && i < ends+4*len(want.Chunks) {
					if err == nil && x.Chunks[i/4-ends/4].End == want.Chunks[i/4-ends/4].End {
						t.Errorf("%s, byte %d, bit %d: same record end", name, i, bit)
					}
					continue
				}
				if says := i < padding || i >= padding+xorbPadding; says != (err != nil) {
					t.Errorf("%s, byte %d, bit %d: %v", name, i, bit, err)
				}
				if err == nil {
					equalInfo(t, x, want)
				}
			}
		}
		b := append(bytes.Clone(whole[:bodySize]), footer...)
		for n := range b {
			if _, err := ReadXorbInfo(bytes.NewReader(b), int64(n)); err == nil {
				t.Errorf("%s: no error at %d of %d bytes", name, n, len(b))
			}
			if _, err := ReadXorbInfo(bytes.NewReader(b[:n]), int64(len(b))); !errors.Is(err, ErrFormat) {
				t.Errorf("%s: %v at %d of %d bytes", name, err, n, len(b))
			}
		}
	}
}

func TestReadXorbInfoErrors(t *testing.T) {
	whole, x, _ := makeXorb(t, 2)
	body := whole[:x.BodySize()]
	edit := func(f func(*XorbInfo)) []byte {
		c := &XorbInfo{x.Hash, append([]XorbChunk(nil), x.Chunks...)}
		f(c)
		return append(bytes.Clone(body), c.AppendFooter(nil)...)
	}
	for _, c := range []struct {
		name string
		xorb []byte
		want error
	}{
		{"hash", edit(func(x *XorbInfo) { x.Hash[0]++ }), ErrHash},
		{"chunk hash", edit(func(x *XorbInfo) { x.Chunks[0].Hash[0]++ }), ErrHash},
		{"chunk sizes", edit(func(x *XorbInfo) { x.Chunks[0].RawEnd-- }), ErrHash},
		{"records that shrink", edit(func(x *XorbInfo) { x.Chunks[0].End = x.Chunks[1].End + 1 }), ErrFormat},
		{"record without payload", edit(func(x *XorbInfo) { x.Chunks[0].End = 8 }), ErrFormat},
		{"empty chunk", edit(func(x *XorbInfo) { x.Chunks[0].RawEnd = 0 }), ErrFormat},
		{"chunks that shrink", edit(func(x *XorbInfo) { x.Chunks[1].RawEnd = 1 }), ErrFormat},
		{"large chunk", edit(func(x *XorbInfo) { x.Chunks[1].RawEnd = 1 << 31 }), ErrFormat},
		{"no chunks", new(XorbInfo).AppendFooter(nil), ErrFormat},
		{"length", append(bytes.Repeat([]byte{0}, 100), 0xff, 0xff, 0xff, 0x7f), ErrTooLarge},
		{"longer than the xorb", append(bytes.Repeat([]byte{0}, 100), 101, 0, 0, 0), ErrFormat},
		{"count", func() []byte {
			b := bytes.Clone(whole)
			binary.LittleEndian.PutUint32(b[len(body)+xorbIdentSize+HashSize+xorbIdentSize:], 1<<31)
			return b
		}(), ErrFormat},
		{"version", func() []byte {
			b := bytes.Clone(whole)
			b[len(body)+7] = 2
			return b
		}(), ErrVersion},
	} {
		if _, err := ReadXorbInfo(bytes.NewReader(c.xorb), int64(len(c.xorb))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	gap := &XorbInfo{x.Hash, []XorbChunk{{x.Chunks[0].Hash, x.Chunks[0].End + 9, 0}, {x.Chunks[1].Hash, x.Chunks[1].End + 9, 0}}}
	apart := slices.Concat(body[:x.Chunks[0].End], make([]byte, 9), body[x.Chunks[0].End:], footerV0(gap))
	if _, err := ReadXorbInfo(bytes.NewReader(apart), int64(len(apart))); !errors.Is(err, ErrFormat) {
		t.Errorf("records apart: %v", err)
	}
	if _, err := ReadXorbInfo(bytes.NewReader(nil), -1); !errors.Is(err, ErrFormat) {
		t.Errorf("negative size: %v", err)
	}
	broken := errors.New("broken")
	if _, err := ReadXorbInfo(brokenReaderAt{broken}, 1000); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
		t.Errorf("broken reader: %v", err)
	}
}

type brokenReaderAt struct{ err error }

func (r brokenReaderAt) ReadAt([]byte, int64) (int, error) { return 0, r.err }

// TestXorbTooLarge has the limits of a xorb met and passed, with the footer of
// one chunk too many as well.
func TestXorbTooLarge(t *testing.T) {
	one := AppendRecord(nil, []byte{1}, SchemeNone)
	large := make([]byte, MaxChunkSize)
	zeros := AppendRecord(nil, large, SchemeLZ4)
	for _, c := range []struct {
		name   string
		record []byte
		chunk  Chunk
		fit    int
	}{
		{"chunks", one, Chunk{ChunkHash([]byte{1}), 1}, MaxXorbChunks},
		{"bytes", zeros, Chunk{ChunkHash(large), MaxChunkSize}, MaxXorbSize / MaxChunkSize},
	} {
		var buf bytes.Buffer
		w := NewXorbWriter(&buf)
		for i := range c.fit {
			if !w.Fits(int(c.chunk.Size)) {
				t.Fatalf("%s: %d do not fit", c.name, i+1)
			}
			if err := w.Add(c.chunk, c.record); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, c.name+" fit", w.Fits(int(c.chunk.Size)), false)
		if err := w.Add(c.chunk, c.record); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: one too many: %v", c.name, err)
		}
		equal(t, "len", w.Len(), c.fit)
		body := bytes.Clone(buf.Bytes())
		want, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		x, err := ReadXorbInfo(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
		if err != nil {
			t.Fatal(err)
		}
		equalInfo(t, x, want)
		if x, err = ScanXorb(bytes.NewReader(body), nil); err != nil {
			t.Fatal(err)
		}
		equalInfo(t, x, want)
		if _, err = ScanXorb(bytes.NewReader(append(body, c.record...)), nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: scan one too many: %v", c.name, err)
		}

		last := want.Chunks[c.fit-1]
		want.Chunks = append(want.Chunks, XorbChunk{last.Hash, last.End + uint32(len(c.record)), last.RawEnd + c.chunk.Size})
		var tree TreeHash
		for i := range want.Chunks {
			tree.Add(want.Chunks[i].Hash, uint64(want.Chunk(i).Size))
		}
		want.Hash = tree.Root()
		over := want.AppendFooter(append(body, c.record...))
		if _, err := ReadXorbInfo(bytes.NewReader(over), int64(len(over))); err == nil {
			t.Errorf("%s: read one too many", c.name)
		}
	}
}

// TestScanXorbBodyTooLarge scans records that are larger than their chunks.
func TestScanXorbBodyTooLarge(t *testing.T) {
	// A frame of one byte between blocks of nothing.
	nothing := bytes.Repeat(word(lz4Uncompressed), (MaxRecordPayload-7-5-4)/4)
	frame := lz4Frame([]byte{0x60, 0x40}, nothing, plain("x"), word(0))
	record := make([]byte, RecordHeaderSize)
	RecordHeader{SchemeLZ4, uint32(len(frame)), 1}.put(record)
	record = append(record, frame...)
	if raw, _, err := DecodeRecord(nil, record); err != nil || string(raw) != "x" {
		t.Fatalf("%q, %v", raw, err)
	}
	r := io.LimitReader(&cycle{unit: record}, int64(len(record))*MaxXorbChunks)
	n := 0
	_, err := ScanXorb(r, func(int, []byte) error { n++; return nil })
	if !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	equal(t, "chunks", n, MaxXorbBody/len(record))
}

func TestScanXorbErrors(t *testing.T) {
	whole, x, _ := makeXorb(t, 4)
	ends := map[int]bool{}
	for _, c := range x.Chunks {
		ends[int(c.End)] = true
	}
	body := whole[:x.BodySize()]
	for n := range body {
		got, err := ScanXorb(bytes.NewReader(body[:n]), nil)
		switch {
		case !ends[n] && !errors.Is(err, ErrFormat):
			t.Errorf("%d bytes: %v", n, err)
		case ends[n] && err != nil:
			t.Errorf("%d bytes: %v", n, err)
		case ends[n] && got.Hash == x.Hash:
			t.Errorf("%d bytes: same hash", n)
		}
	}
	broken := errors.New("broken")
	for name, r := range map[string]io.Reader{
		"at once":     iotest.ErrReader(broken),
		"in a header": io.MultiReader(bytes.NewReader(body[:3]), iotest.ErrReader(broken)),
		"in a record": io.MultiReader(bytes.NewReader(body[:10]), iotest.ErrReader(broken)),
	} {
		if _, err := ScanXorb(r, nil); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ScanXorb(bytes.NewReader(body), func(int, []byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("from each: %v", err)
	}
	if _, err := ScanXorb(bytes.NewReader(x.AppendFooter(nil)), nil); !errors.Is(err, ErrFormat) {
		t.Errorf("footer alone: %v", err)
	}
}

// brokenWriter fails after left bytes.
type brokenWriter struct {
	left int
	err  error
}

func (w *brokenWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return w.left, w.err
	}
	w.left -= len(b)
	return len(b), nil
}

func TestXorbWriterErrors(t *testing.T) {
	raw := []byte("chunk")
	chunk := Chunk{ChunkHash(raw), 5}
	record := AppendRecord(nil, raw, SchemeNone)

	w := NewXorbWriter(io.Discard)
	if _, err := w.Close(); !errors.Is(err, ErrFormat) {
		t.Errorf("no chunks: %v", err)
	}
	for name, err := range map[string]error{
		"other size":  w.Add(Chunk{chunk.Hash, 6}, record),
		"cut short":   w.Add(chunk, record[:len(record)-1]),
		"and more":    w.Add(chunk, append(bytes.Clone(record), 0)),
		"not a thing": w.Add(chunk, nil),
	} {
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	equal(t, "len", w.Len(), 0)
	if err := w.Add(chunk, record); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(chunk, record); err == nil {
		t.Error("added after close")
	}
	if _, err := w.Close(); err == nil {
		t.Error("closed twice")
	}

	broken := errors.New("broken")
	w = NewXorbWriter(&brokenWriter{len(record) + 1, broken})
	if err := w.Add(chunk, record); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(chunk, record); !errors.Is(err, broken) {
		t.Errorf("second record: %v", err)
	}
	equal(t, "len", w.Len(), 1)
	if err := w.Add(chunk, nil); !errors.Is(err, broken) {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("close: %v", err)
	}
	w = NewXorbWriter(&brokenWriter{len(record) + 1, broken})
	if err := w.Add(chunk, record); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("footer: %v", err)
	}
}
