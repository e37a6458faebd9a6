package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/xet"
)

// makeXorb returns a complete xorb of a few chunks.
func makeXorb(tb testing.TB, scheme xet.Scheme, chunks ...[]byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := xet.NewXorbWriter(&out)
	for _, raw := range chunks {
		c := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
		if err := w.Add(c, xet.AppendRecord(nil, raw, scheme)); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// scanned is what a scan has found: places of xorbs, those that have damaged records, and gaps.
type scanned struct {
	places, hurt, gaps [][2]int64
}

func scan(r io.ReaderAt, size int64, starts []int64) (s scanned, err error) {
	p := packScan{
		r: r, size: size, starts: func() []int64 { return starts },
		each: func(x packed) error {
			s.places = append(s.places, [2]int64{x.off, x.off + x.len})
			if x.err != nil {
				s.hurt = append(s.hurt, [2]int64{x.off, x.off + x.len})
			}
			return nil
		},
		gap: func(from, to int64, why error) {
			if why == nil {
				err = errors.New("a gap without a reason")
			}
			s.gaps = append(s.gaps, [2]int64{from, to})
		},
	}
	return s, errors.Join(p.run(), err)
}

// testPack returns a pack of three xorbs and where they begin, and at last its size. The second has a xorb for its content.
func testPack(tb testing.TB) (pack []byte, at []int64) {
	tb.Helper()
	inner := makeXorb(tb, xet.SchemeNone, randomBytes(3000, 7))
	for _, x := range [][]byte{
		makeXorb(tb, xet.SchemeLZ4, randomBytes(9000, 1), bytes.Repeat([]byte("abc"), 20_000)),
		makeXorb(tb, xet.SchemeNone, inner, randomBytes(500, 3)),
		makeXorb(tb, xet.SchemeNone, randomBytes(40_000, 4)),
	} {
		at = append(at, int64(len(pack)))
		pack = append(pack, x...)
	}
	return pack, append(at, int64(len(pack)))
}

// TestPackScan finds the xorbs of a pack, whatever has become of some of them.
func TestPackScan(t *testing.T) {
	whole, at := testPack(t)
	x := func(i int) [2]int64 { return [2]int64{at[i], at[i+1]} }
	gap := func(from, to int64) [][2]int64 { return [][2]int64{{from, to}} }
	flip := func(offs ...int64) []byte {
		b := slices.Clone(whole)
		for _, off := range offs {
			b[off] ^= 0x15
		}
		return b
	}
	inner := at[1] + xet.RecordHeaderSize // where the xorb that is content begins
	innerEnd := inner + int64(len(makeXorb(t, xet.SchemeNone, randomBytes(3000, 7))))
	for name, c := range map[string]struct {
		pack   []byte
		starts []int64
		want   scanned
	}{
		"whole":             {pack: whole, want: scanned{places: [][2]int64{x(0), x(1), x(2)}}},
		"nothing":           {},
		"zeros behind":      {pack: append(slices.Clone(whole), make([]byte, 50_000)...), want: scanned{places: [][2]int64{x(0), x(1), x(2)}, gaps: gap(at[3], at[3]+50_000)}},
		"a torn append":     {pack: whole[:at[2]+20_000], want: scanned{places: [][2]int64{x(0), x(1)}, gaps: gap(at[2], at[2]+20_000)}},
		"one byte too few":  {pack: whole[:at[3]-1], want: scanned{places: [][2]int64{x(0), x(1)}, gaps: gap(at[2], at[3]-1)}},
		"one byte too many": {pack: append(slices.Clone(whole), 0), want: scanned{places: [][2]int64{x(0), x(1), x(2)}, gaps: gap(at[3], at[3]+1)}},
		// The footer says where the xorb begins: just where one should.
		"a header of a record": {pack: flip(at[0]), want: scanned{places: [][2]int64{x(0), x(1), x(2)}, hurt: [][2]int64{x(0)}}},
		// What goes on behind it is proved by its content.
		"a footer": {pack: flip(at[1] - 100), want: scanned{places: [][2]int64{x(1), x(2)}, gaps: gap(0, at[1])}},
		// Nobody says that a whole xorb behind the damage is content of another. It is what it says it is, all the same.
		"a footer around a xorb": {pack: flip(at[2] - 100), want: scanned{
			places: [][2]int64{x(0), {inner, innerEnd}, x(2)}, gaps: [][2]int64{{at[1], inner}, {innerEnd, at[2]}},
		}},
		"a footer around a xorb, with the old rows": {pack: flip(at[2] - 100), starts: at[:3], want: scanned{
			places: [][2]int64{x(0), {inner, innerEnd}, x(2)}, gaps: [][2]int64{{at[1], inner}, {innerEnd, at[2]}},
		}},
		"more than one": {pack: flip(at[1]-100, at[2]), want: scanned{
			places: [][2]int64{x(1), x(2)}, hurt: [][2]int64{x(2)}, gaps: gap(0, at[1]),
		}},
		"a footer, and a header behind it": {pack: flip(at[1]-100, at[1]), want: scanned{
			places: [][2]int64{{inner, innerEnd}, x(2)}, gaps: [][2]int64{{0, inner}, {innerEnd, at[2]}},
		}},
		"a footer, and a header behind it, with the old rows": {pack: flip(at[1]-100, at[1]), starts: at[:3], want: scanned{
			places: [][2]int64{x(1), x(2)}, hurt: [][2]int64{x(1)}, gaps: gap(0, at[1]),
		}},
		"rows that lie": {pack: flip(at[1] - 100), starts: []int64{-5, 0, 7, 9000, at[3], at[3] + 99}, want: scanned{
			places: [][2]int64{x(1), x(2)}, gaps: gap(0, at[1]),
		}},
	} {
		got, err := scan(bytes.NewReader(c.pack), int64(len(c.pack)), c.starts)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, %v; want %v of %v", name, got, err, c.want, at)
		}
	}
}

// badDisk cannot read one sector, or anything.
type badDisk struct {
	io.ReaderAt
	from, to int64
	err      error
}

func (d badDisk) ReadAt(p []byte, off int64) (int, error) {
	if off < d.to && off+int64(len(p)) > d.from {
		return 0, d.err
	}
	return d.ReaderAt.ReadAt(p, off)
}

// TestPackScanOfABadDisk goes on behind a sector that cannot be read, and gives up when the disk is gone.
func TestPackScanOfABadDisk(t *testing.T) {
	whole, at := testPack(t)
	pack := append(slices.Clone(whole), whole...)
	d := badDisk{bytes.NewReader(pack), 4096, 8192, unix.EIO}
	got, err := scan(d, int64(len(pack)), nil)
	last := [2]int64{at[3] + at[2], at[3] + at[3]}
	if err != nil || !slices.Contains(got.places, last) {
		t.Errorf("behind a bad sector: %v, %v; the last is %v", got, err, last)
	}
	d.err = unix.ENXIO
	if _, err := scan(d, int64(len(pack)), nil); !errors.Is(err, unix.ENXIO) {
		t.Errorf("of a disk that is gone: %v", err)
	}
}

// FuzzPackScan reads any bytes as a pack: it ends, what it finds lies within and one behind the other, is proved by its footer,
// and with the gaps is all of the pack.
func FuzzPackScan(f *testing.F) {
	pack, at := testPack(f)
	small := makeXorb(f, xet.SchemeNone, []byte("one"), []byte("two"))
	for _, b := range [][]byte{
		pack, pack[:at[2]+100], pack[100:], small, append(slices.Clone(small), small...), append([]byte{0, 1}, small...),
		append(slices.Clone(small[:len(small)-9]), small...), bytes.Repeat([]byte(footerIdent+"\x01"), 40), make([]byte, 500),
	} {
		f.Add(b, int64(len(b)/2))
	}
	f.Fuzz(func(t *testing.T, b []byte, start int64) {
		got, err := scan(bytes.NewReader(b), int64(len(b)), []int64{start})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range got.places {
			if _, err := xet.ReadXorbInfo(io.NewSectionReader(bytes.NewReader(b), p[0], p[1]-p[0]), p[1]-p[0]); err != nil {
				t.Errorf("%v is no xorb: %v", p, err)
			}
		}
		all := slices.Concat(got.places, got.gaps)
		slices.SortFunc(all, func(a, b [2]int64) int { return int(a[0] - b[0]) })
		end := int64(0)
		for _, p := range all {
			if p[0] != end || p[1] <= p[0] {
				t.Fatalf("%v of %d bytes", all, len(b))
			}
			end = p[1]
		}
		if end != int64(len(b)) {
			t.Fatalf("%v of %d bytes", all, len(b))
		}
	})
}
