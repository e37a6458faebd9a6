package objecttest

import (
	"bytes"
	"slices"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// stored gives the chunks that a file refers to, each place once, with their sizes.
func (e *env) stored(f *object.File) map[object.Place]uint32 {
	e.Helper()
	places := make(map[object.Place]uint32)
	chunks := e.chunksFrom(f, 0)
	for _, t := range f.Terms() {
		for i := t.Range.Start; i < t.Range.End; i++ {
			if len(chunks) == 0 {
				e.Fatal("a file has fewer chunks than its terms")
			}
			places[object.Place{Xorb: t.Xorb, Index: i}] = chunks[0].Size
			chunks = chunks[1:]
		}
	}
	return places
}

// added gives the bytes that storing data as a key of "bucket" adds to those in places, which it extends.
func (e *env) added(places map[object.Place]uint32, key string, data []byte) int {
	e.Helper()
	e.put("bucket", key, data)
	e.holds("bucket", key, data)
	n := 0
	for p, size := range e.stored(e.open("bucket", key)) {
		if _, old := places[p]; !old {
			places[p] = size
			n += int(size)
		}
	}
	return n
}

// testDedupSame stores the same content again and again.
func testDedupSame(e *env) {
	e.bucket("bucket", "other")
	for _, data := range [][]byte{random(30, 10), random(31, 100_000), random(32, 3<<20), text(33, 2<<20)} {
		places := make(map[object.Place]uint32)
		if n := e.added(places, "first", data); n != len(data) {
			e.Errorf("%d new bytes are stored as %d", len(data), n)
		}
		terms := slices.Clone(e.open("bucket", "first").Terms())
		if n := e.added(places, "again", data); n != 0 {
			e.Errorf("the same %d bytes again add %d", len(data), n)
		}
		e.put("bucket", "first", []byte("something else"))
		if n := e.added(places, "back", data); n != 0 {
			e.Errorf("%d bytes that another key names add %d", len(data), n)
		}
		e.put("other", "key", data)
		if !slices.Equal(e.open("other", "key").Terms(), terms) {
			e.Error("the same content has other terms in another bucket")
		}
	}
}

// testDedupEdited stores a file with small changes.
func testDedupEdited(e *env) {
	e.bucket("bucket")
	data := random(34, 6<<20)
	places := make(map[object.Place]uint32)
	e.added(places, "first", data)
	middle := len(data) / 2
	for name, edited := range map[string][]byte{
		"changed":  slices.Concat(data[:middle], []byte("changed"), data[middle+7:]),
		"inserted": slices.Concat(data[:middle], random(35, 1000), data[middle:]),
		"removed":  slices.Concat(data[:middle], data[middle+1000:]),
		"appended": slices.Concat(data, random(36, 1000)),
		"prefixed": slices.Concat([]byte("x"), data),
		"cut":      data[:middle],
		"half new": slices.Concat(data[middle:], random(37, 1000), data[:middle]),
	} {
		// An edit changes its chunk, the ones beside it, and rarely more.
		if n := e.added(places, name, edited); n > 8*xet.MaxChunkSize {
			e.Errorf("%s, a file of %d bytes adds %d", name, len(edited), n)
		}
	}
}

// testDedupWithin stores files that repeat themselves.
func testDedupWithin(e *env) {
	e.bucket("bucket")
	block := random(38, 1<<20)
	for name, c := range map[string]struct {
		data []byte
		most int
	}{
		"zeros":  {make([]byte, 4<<20), 4 * xet.MaxChunkSize},
		"blocks": {bytes.Repeat(block, 6), len(block) + 8*xet.MaxChunkSize},
	} {
		if n := e.added(make(map[object.Place]uint32), name, c.data); n > c.most {
			e.Errorf("%s: %d bytes are stored as %d, want %d at most", name, len(c.data), n, c.most)
		}
	}
}
