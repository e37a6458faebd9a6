package xet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
)

var allSchemes = []Scheme{SchemeNone, SchemeLZ4, SchemeBG4LZ4}

func TestRecordRoundTrip(t *testing.T) {
	text := []byte(strings.Repeat("to be or not to be, ", 7000))
	for _, n := range []int{1, 2, 3, 4, 5, 15, 16, 17, 31, 100, 8191, 65535, 65536, 65537, MaxChunkSize} {
		for kind, raw := range map[string][]byte{"random": splitmix(n, 1), "text": text[:n], "zeros": make([]byte, n)} {
			for _, s := range allSchemes {
				before := []byte("before")
				dst := AppendRecord(before, raw, s)
				if !bytes.HasPrefix(dst, before) {
					t.Fatalf("%d bytes of %s by %v: overwrote what was there", n, kind, s)
				}
				record := dst[len(before):]
				if len(record) > RecordHeaderSize+n {
					t.Errorf("%d bytes of %s by %v: record of %d bytes", n, kind, s, len(record))
				}
				h, err := ParseRecordHeader(record)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "size", h.Size(), len(record))
				if n >= 100 && kind != "random" {
					equal(t, "scheme", h.Scheme, s)
				} else if kind == "random" {
					equal(t, "scheme", h.Scheme, SchemeNone)
				}
				buf := []byte("something else")
				got, used, err := DecodeRecord(buf, append(bytes.Clone(record), "after"...))
				if err != nil {
					t.Fatalf("%d bytes of %s by %v: %v", n, kind, s, err)
				}
				equal(t, "used", used, len(record))
				if !bytes.Equal(got, raw) {
					t.Errorf("%d bytes of %s by %v: other bytes", n, kind, s)
				}
			}
		}
	}
}

func TestSmallRecordIsSmallest(t *testing.T) {
	words := strings.Fields("tape dump table insert values null index backup nightly restore verify")
	var text strings.Builder
	for _, b := range splitmix(20000, 2) {
		text.WriteString(words[int(b)%len(words)])
	}
	floats := make([]byte, 0, 40000) // lanes that differ: grouping pays
	for i := range 10000 {
		floats = binary.LittleEndian.AppendUint32(floats, 0x3f800000+uint32(i*i%4096))
	}
	for kind, raw := range map[string][]byte{
		"random": splitmix(40000, 1), "text": []byte(text.String())[:60000], "floats": floats, "zeros": make([]byte, MaxChunkSize), "byte": {1},
	} {
		small := AppendSmallRecord([]byte("before"), raw)
		if !bytes.HasPrefix(small, []byte("before")) {
			t.Fatalf("%s: overwrote what was there", kind)
		}
		small = small[len("before"):]
		got, n, err := DecodeRecord(nil, small)
		if err != nil || n != len(small) || !bytes.Equal(got, raw) {
			t.Errorf("%s: %d of %d bytes of record give other bytes, %v", kind, n, len(small), err)
		}
		best := len(AppendRecord(nil, raw, SchemeNone))
		for _, s := range allSchemes {
			best = min(best, len(AppendRecord(nil, raw, s)))
		}
		if len(small) > best {
			t.Errorf("%s: %d bytes, and quickly %d", kind, len(small), best)
		}
		if kind == "text" && len(small) > best*95/100 {
			t.Errorf("%s: %d bytes are hardly fewer than %d", kind, len(small), best)
		}
	}
}

func TestAppendRecordInPlace(t *testing.T) {
	for _, s := range allSchemes {
		raw := make([]byte, MaxChunkSize)
		dst := make([]byte, 0, RecordHeaderSize+len(raw))
		got := AppendRecord(dst, raw, s)
		if &got[0] != &dst[:1][0] {
			t.Errorf("%v: moved", s)
		}
		buf := make([]byte, 0, MaxChunkSize)
		back, _, err := DecodeRecord(buf, got)
		if err != nil {
			t.Fatal(err)
		}
		want := &buf[:1][0]
		if s == SchemeNone {
			want = &got[RecordHeaderSize]
		}
		if &back[0] != want {
			t.Errorf("%v: decoded elsewhere", s)
		}
	}
}

func TestAppendRecordMisuse(t *testing.T) {
	for _, c := range []struct {
		raw []byte
		s   Scheme
	}{{nil, SchemeNone}, {make([]byte, MaxChunkSize+1), SchemeLZ4}, {make([]byte, 10), 3}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bytes by %v: no panic", len(c.raw), c.s)
				}
			}()
			AppendRecord(nil, c.raw, c.s)
		}()
	}
}

func TestRecordErrors(t *testing.T) {
	header := func(version byte, stored int, scheme byte, raw int) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(version)|uint32(stored)<<8)
		b = binary.LittleEndian.AppendUint32(b, uint32(scheme)|uint32(raw)<<8)
		return append(b, make([]byte, stored)...)
	}
	for _, c := range []struct {
		name string
		rec  []byte
		want error
	}{
		{"nothing", nil, ErrFormat},
		{"header cut short", header(0, 1, 0, 1)[:7], ErrFormat},
		{"version", header(1, 1, 0, 1), ErrVersion},
		{"scheme", header(0, 1, 3, 1), ErrFormat},
		{"automatic scheme", header(0, 1, 99, 1), ErrFormat},
		{"payload too large", header(0, MaxRecordPayload+1, 1, 1), ErrTooLarge},
		{"chunk too large", header(0, 1, 1, MaxChunkSize+1), ErrTooLarge},
		{"empty chunk", header(0, 1, 1, 0), ErrFormat},
		{"empty payload", header(0, 0, 1, 1), ErrFormat},
		{"two sizes without compression", header(0, 2, 0, 1), ErrFormat},
		{"payload cut short", header(0, 2, 0, 2)[:9], ErrFormat},
		{"no frame", header(0, 20, 1, 30), ErrFormat},
		{"no grouped frame", header(0, 20, 2, 30), ErrFormat},
		{"footer", []byte("XETBLOB\x01"), ErrVersion},
	} {
		if raw, n, err := DecodeRecord(nil, c.rec); !errors.Is(err, c.want) || raw != nil || n != 0 {
			t.Errorf("%s: %x, %d, %v", c.name, raw, n, err)
		}
	}
}

// lz4Frame makes a frame by hand from its parts after the magic, with the
// header checksum.
func lz4Frame(descriptor []byte, rest ...[]byte) []byte {
	f := binary.LittleEndian.AppendUint32(nil, lz4Magic)
	f = append(f, descriptor...)
	f = append(f, byte(xxh32(descriptor)>>8))
	return append(f, bytes.Join(rest, nil)...)
}

func word(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// block makes a block with its size.
func block(b string) []byte { return append(word(uint32(len(b))), b...) }

// plain makes a block that is not compressed.
func plain(b string) []byte { return append(word(uint32(len(b))|lz4Uncompressed), b...) }

func TestLZ4Decode(t *testing.T) {
	const hello = "\x80helloxyz"
	const again = "\x04\x08\x00\x50abcde" // eight bytes from eight back, then abcde
	end := word(0)
	size := append([]byte{0x68, 0x40}, 5, 0, 0, 0, 0, 0, 0, 0)
	for _, c := range []struct {
		name  string
		frame []byte
		data  string
		want  error
	}{
		{"one block", lz4Frame([]byte{0x60, 0x40}, block(hello), end), "helloxyz", nil},
		{"no end mark", lz4Frame([]byte{0x60, 0x40}, block(hello)), "helloxyz", nil},
		{"linked", lz4Frame([]byte{0x40, 0x40}, block(hello), block(again), end), "helloxyzhelloxyzabcde", nil},
		{"linked to a plain one", lz4Frame([]byte{0x40, 0x40}, plain("helloxyz"), block(again), end), "helloxyzhelloxyzabcde", nil},
		{"independent but linked", lz4Frame([]byte{0x60, 0x40}, block(hello), block(again), end), "helloxyzhelloxyzabcde", ErrFormat},
		{"linked to before the start", lz4Frame([]byte{0x40, 0x40}, block("\x50hello"), block(again), end), "hellohelloxyzabcde", ErrFormat},
		{"block checksum", lz4Frame([]byte{0x70, 0x40}, block(hello), word(xxh32([]byte(hello))), end), "helloxyz", nil},
		{"wrong block checksum", lz4Frame([]byte{0x70, 0x40}, block(hello), word(1), end), "helloxyz", ErrFormat},
		{"no block checksum", lz4Frame([]byte{0x70, 0x40}, block(hello), []byte{1}), "helloxyz", ErrFormat},
		{"content checksum", lz4Frame([]byte{0x64, 0x40}, block(hello), end, word(xxh32([]byte("helloxyz")))), "helloxyz", nil},
		{"wrong content checksum", lz4Frame([]byte{0x64, 0x40}, block(hello), end, word(1)), "helloxyz", ErrFormat},
		{"no content checksum", lz4Frame([]byte{0x64, 0x40}, block(hello), end), "helloxyz", ErrFormat},
		{"content size", lz4Frame(size, plain("hello"), end), "hello", nil},
		{"wrong content size", lz4Frame(size, plain("helloxyz"), end), "helloxyz", ErrFormat},
		{"content size cut short", lz4Frame(size)[:12], "hello", ErrFormat},
		{"dictionary", lz4Frame([]byte{0x61, 0x40, 1, 2, 3, 4}, block(hello), end), "helloxyz", ErrFormat},
		{"reserved flag", lz4Frame([]byte{0x62, 0x40}, block(hello), end), "helloxyz", ErrFormat},
		{"reserved size bits", lz4Frame([]byte{0x60, 0x41}, block(hello), end), "helloxyz", ErrFormat},
		{"block size 3", lz4Frame([]byte{0x60, 0x30}, block(hello), end), "helloxyz", ErrFormat},
		{"block size 8", lz4Frame([]byte{0x60, 0x80}, block(hello), end), "helloxyz", ErrFormat},
		{"version", lz4Frame([]byte{0xa0, 0x40}, block(hello), end), "helloxyz", ErrVersion},
		{"legacy magic", append(word(0x184c2102), lz4Frame([]byte{0x60, 0x40}, block(hello))[4:]...), "helloxyz", ErrFormat},
		{"skippable frame", append(word(0x184d2a50), word(0)...), "", ErrFormat},
		{"header checksum", append(lz4Frame([]byte{0x60, 0x40})[:6], 0x83), "", ErrFormat},
		{"bytes after the end", lz4Frame([]byte{0x60, 0x40}, block(hello), end, []byte{0}), "helloxyz", ErrFormat},
		{"too short", lz4Frame([]byte{0x60, 0x40}, block(hello), end), "helloxyz!", ErrFormat},
		{"too long", lz4Frame([]byte{0x60, 0x40}, block(hello), end), "helloxy", ErrFormat},
		{"too long plain", lz4Frame([]byte{0x60, 0x40}, plain("helloxyz"), end), "helloxy", ErrFormat},
		{"one block too many", lz4Frame([]byte{0x60, 0x40}, block(hello), plain("!"), end), "helloxyz", ErrFormat},
		{"block cut short", lz4Frame([]byte{0x60, 0x40}, block(hello)[:9]), "helloxyz", ErrFormat},
		{"block size cut short", lz4Frame([]byte{0x60, 0x40}, block(hello), []byte{0, 0}), "helloxyz", ErrFormat},
		{"block larger than it may be", lz4Frame([]byte{0x60, 0x40}, plain(strings.Repeat("a", 65537)), end), strings.Repeat("a", 65537), ErrFormat},
		{"block larger than its content", lz4Frame([]byte{0x60, 0x40},
			block("\xf0"+strings.Repeat("\xff", 256)+"\xf1"+strings.Repeat("a", 65536)), end), strings.Repeat("a", 65536), ErrFormat},
		{"the same where there is room", lz4Frame([]byte{0x60, 0x50},
			block("\xf0"+strings.Repeat("\xff", 256)+"\xf1"+strings.Repeat("a", 65536)), end), strings.Repeat("a", 65536), nil},
		{"block with a larger content than it may have", lz4Frame([]byte{0x60, 0x40},
			block("\x1fa\x01\x00"+strings.Repeat("\xff", 300)+"\x00\x50aaaaa"), end), strings.Repeat("a", 300*255+25), ErrFormat},
		{"the same where it may", lz4Frame([]byte{0x60, 0x50},
			block("\x1fa\x01\x00"+strings.Repeat("\xff", 300)+"\x00\x50aaaaa"), end), strings.Repeat("a", 300*255+25), nil},
	} {
		got := make([]byte, len(c.data))
		err := lz4Decode(got, c.frame)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
		if err == nil {
			equal(t, c.name, string(got), c.data)
		}
	}
}

// TestLZ4DecodeOthers reads frames of another writer, with each of its options.
func TestLZ4DecodeOthers(t *testing.T) {
	data := append([]byte(strings.Repeat("all work and no play ", 4000)), splitmix(MaxChunkSize-84000, 1)...)
	for _, size := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
		for flags := range 8 {
			options := []lz4.Option{
				lz4.BlockSizeOption(size), lz4.ConcurrencyOption(1),
				lz4.BlockChecksumOption(flags&1 != 0), lz4.ChecksumOption(flags&2 != 0),
			}
			if flags&4 != 0 {
				options = append(options, lz4.SizeOption(uint64(len(data))))
			}
			var frame bytes.Buffer
			w := lz4.NewWriter(&frame)
			if err := w.Apply(options...); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(data))
			if err := lz4Decode(got, frame.Bytes()); err != nil {
				t.Errorf("%v, %03b: %v", size, flags, err)
			} else if !bytes.Equal(got, data) {
				t.Errorf("%v, %03b: other bytes", size, flags)
			}
		}
	}
}

// TestLZ4CompressForOthers has another reader read our frames.
func TestLZ4CompressForOthers(t *testing.T) {
	for _, n := range []int{100, 65536, 65537, MaxChunkSize} {
		data := []byte(strings.Repeat("all work and no play ", 7000))[:n]
		record := AppendRecord(nil, data, SchemeLZ4)
		equal(t, "block size", record[RecordHeaderSize+5], map[bool]byte{true: 0x40, false: 0x50}[n <= 65536])
		got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(record[RecordHeaderSize:])))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%d bytes: other bytes", n)
		}
	}
}

// TestXXH32 checks the lengths that the frame headers of the vectors do not
// have, with values of the reference implementation of xxHash.
func TestXXH32(t *testing.T) {
	for s, want := range map[string]uint32{
		"":    0x02cc5d05,
		"a":   0x550d7456,
		"abc": 0x32d153ff,
		"Nobody inspects the spammish repetition": 0xe2293b2f,
	} {
		equal(t, s, xxh32([]byte(s)), want)
	}
}

func TestScheme(t *testing.T) {
	equal(t, "name", Scheme(99).String(), "scheme(99)")
	equal(t, "of nothing", ChooseScheme(nil), SchemeLZ4)
	equal(t, "of few", ChooseScheme([]byte{1, 2, 3}), SchemeLZ4)
}
