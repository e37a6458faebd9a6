package xet

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/iotest"
)

// gearKey finds 64 bytes after which the gear hash allows a cut.
func gearKey() []byte {
	for data := splitmix(1<<20, 9); ; data = data[1:] {
		if scanOne(data, gearWindow, gearWindow) != 0 {
			return data[:gearWindow]
		}
	}
}

// TestScanLanes puts cuts at and around the borders of the lanes, alone and in
// pairs, where the earlier one is in a later place of an earlier lane.
func TestScanLanes(t *testing.T) {
	key := gearKey()
	const from, to = MinChunkSize, MinChunkSize + 9*gearStride + 5
	var places []int
	for lane := range 9 {
		for d := -2; d <= 2; d++ {
			places = append(places, from+lane*gearStride+d+gearStride/2, from+lane*gearStride+d)
		}
	}
	places = append(places, to-1, to, to+1)
	blank := make([]byte, to+gearWindow)
	equal(t, "nothing", scan(blank, from, to), 0)
	for short := from - 1; short < from+8*gearStride+3; short += gearStride/2 - 1 {
		for last := short - 2; last <= short+2; last++ {
			data := bytes.Clone(blank)
			copy(data[last+1-gearWindow:], key) // behind the last place
			equal(t, "behind the end", scan(data, from, last), 0)
			if last >= from {
				equal(t, "at the end", scan(data[1:], from, last), last)
			}
		}
	}
	for _, last := range []int{from + 4*gearStride - 2, from + 8*gearStride - 2} {
		data := bytes.Clone(blank)
		copy(data[last+1-gearWindow:], key)
		equal(t, "behind the last lane", scan(data, from, last), 0)
	}
	for i, a := range places {
		for _, b := range places[i:] {
			data := bytes.Clone(blank)
			copy(data[a-gearWindow:], key)
			copy(data[b-gearWindow:], key)
			want := scanOne(data, from, to)
			if got := scan(data, from, to); got != want {
				t.Fatalf("cuts at %d and %d: got %d, want %d", a, b, got, want)
			}
			if d := b - a; (d == 0 || d >= gearWindow) && from <= a && a <= to {
				equal(t, "cut", want, a)
			}
		}
	}
}

// cutCorpora is data that is random, and data that is not at all.
func cutCorpora() map[string][]byte {
	key := gearKey()
	corpora := map[string][]byte{
		"empty":    nil,
		"one":      {1},
		"zeros":    make([]byte, 3*MaxChunkSize+1),
		"random":   splitmix(1<<20, 20),
		"keys":     bytes.Repeat(key, 6000),
		"max keys": make([]byte, 3*MaxChunkSize),
		"min keys": make([]byte, 3*MaxChunkSize),
		"early":    make([]byte, 3*MaxChunkSize),
	}
	for end := MaxChunkSize; end <= 3*MaxChunkSize; end += MaxChunkSize {
		copy(corpora["max keys"][end-gearWindow:], key)
	}
	for end := MinChunkSize; end <= 3*MaxChunkSize; end += MinChunkSize {
		copy(corpora["min keys"][end-gearWindow:], key)
	}
	for end := MinChunkSize - 1; end <= 3*MaxChunkSize; end += MinChunkSize {
		copy(corpora["early"][end-gearWindow:], key) // the first is one byte too early
	}
	for _, period := range []int{1, 63, 64, 65, 1021, 8192, 65537} {
		b := make([]byte, 600_000)
		if _, err := (&cycle{unit: splitmix(period, uint64(period))}).Read(b); err != nil {
			panic(err)
		}
		corpora["period "+strconv.Itoa(period)] = b
	}
	return corpora
}

func TestSplitterAgainstModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, data := range cutCorpora() {
		want := naiveCuts(data)
		for _, feed := range []int{len(data) + 1, 1000, 4096, MaxChunkSize, 1 + random.IntN(100_000)} {
			if got := cuts(data, feed); !slices.Equal(got, want) {
				t.Errorf("%s, %d at a time: cuts %v, want %v", name, feed, got, want)
			}
		}
	}
}

func TestSplitterReset(t *testing.T) {
	var s Splitter
	data := splitmix(MaxChunkSize, 3)
	want := s.Next(data, true)
	equal(t, "unfinished", s.Next(data[:want-1], false), 0)
	s.Reset()
	equal(t, "after reset", s.Next(data, true), want)
	equal(t, "empty", s.Next(nil, true), 0)
}

// chunksOf gives the ends of the chunks that c cuts, and checks their bytes.
func chunksOf(t *testing.T, c *Chunker, data []byte) []int {
	t.Helper()
	var ends []int
	end := 0
	for {
		raw, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(raw, data[end:end+len(raw)]) {
			t.Fatalf("other bytes at %d", end)
		}
		end += len(raw)
		ends = append(ends, end)
	}
	if _, err := c.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	return ends
}

func TestChunkerReadSizes(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r },
		"one":   iotest.OneByteReader,
		"half":  iotest.HalfReader,
		"data and error": func(r io.Reader) io.Reader {
			return iotest.DataErrReader(r)
		},
	}
	for name, data := range cutCorpora() {
		want := naiveCuts(data)
		for how, wrap := range readers {
			if got := chunksOf(t, NewChunker(wrap(bytes.NewReader(data))), data); !slices.Equal(got, want) {
				t.Errorf("%s, %s: cuts %v, want %v", name, how, got, want)
			}
		}
	}
}

// stuckReader never gives anything.
type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }

func TestChunkerErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		r    io.Reader
		want error
	}{
		{io.MultiReader(bytes.NewReader(splitmix(1<<20, 4)), iotest.ErrReader(broken)), broken},
		{io.MultiReader(bytes.NewReader(splitmix(10, 4)), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		{stuckReader{}, io.ErrNoProgress},
	} {
		ch := NewChunker(c.r)
		var err error
		for err == nil {
			_, err = ch.Next()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
		if _, again := ch.Next(); !errors.Is(again, c.want) {
			t.Errorf("again: got %v, want %v", again, c.want)
		}
	}
}

func TestNextStableBoundaryNone(t *testing.T) {
	for _, ends := range [][]uint64{nil, {20000}, {20000, 40000}} {
		if end, ok := NextStableBoundary(ends, 0); ok {
			t.Errorf("%v: %d", ends, end)
		}
	}
}
