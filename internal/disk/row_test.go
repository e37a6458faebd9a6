package disk

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

var sampleName = keyName{"b", 7, "k/1"}

func sampleInfo() object.Info {
	return object.Info{
		Bucket: "b", Key: "k/1", Size: 1 << 40, ModTime: time.UnixMilli(1795224284283).UTC(), ETag: "x-2",
		File: xet.ChunkHash([]byte("f")),
		Digests: object.Digests{
			MD5: make([]byte, 16), SHA256: randomBytes(32, 1), CRC64NVME: randomBytes(8, 2),
		},
		Attrs: object.Attrs{
			Headers: map[string]string{"content-type": "text/plain"}, Meta: map[string]string{"mtime": "1.5", "ü": "ö"},
		},
		Parts: []object.PartRun{{Count: 9999, Size: 1 << 33}, {Count: 1, Size: 0}}, Note: "a note",
	}
}

func sampleFile() xet.Reconstruction {
	a, b := xet.ChunkHash([]byte("a")), xet.ChunkHash([]byte("b"))
	return xet.Reconstruction{Hash: xet.ChunkHash([]byte("f")), Size: 600, Terms: []xet.Term{
		{Xorb: a, Range: xet.Range{Start: 0, End: 3}, Bytes: 100},
		{Xorb: b, Range: xet.Range{Start: 8191, End: 8192}, Bytes: 200},
		{Xorb: a, Range: xet.Range{Start: 5, End: 6}, Bytes: 300},
	}}
}

func TestInfoRoundTrip(t *testing.T) {
	full := sampleInfo()
	plain := object.Info{Bucket: "b", Key: "k/1", ModTime: time.UnixMilli(0).UTC()}
	plain.ETag = object.ETagOf(nil, plain.File)
	for _, info := range []object.Info{full, plain} {
		row, err := encodeInfo(sampleName, &info)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeInfo(sampleName, row)
		if err != nil || !reflect.DeepEqual(got, info) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, info)
		}
		for _, other := range []keyName{{"b", 7, "k/2"}, {"b", 8, "k/1"}} {
			if _, err := decodeInfo(other, row); !errors.Is(err, object.ErrCorrupt) {
				t.Errorf("a row under another name: %v", err)
			}
		}
	}
}

func TestTermsRoundTrip(t *testing.T) {
	for _, f := range []xet.Reconstruction{sampleFile(), {Terms: []xet.Term{}}} {
		got, err := decodeTerms(f.Hash, encodeTerms(&f))
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, f)
		}
	}
}

// TestFlippedBits flips each bit of each row: none may decode.
func TestFlippedBits(t *testing.T) {
	info, file := sampleInfo(), sampleFile()
	row, err := encodeInfo(sampleName, &info)
	if err != nil {
		t.Fatal(err)
	}
	flipEach(row, func(bad []byte) {
		if got, err := decodeInfo(sampleName, bad); !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("a damaged info row decodes to %+v, %v", got, err)
		}
	})
	flipEach(encodeTerms(&file), func(bad []byte) {
		if got, err := decodeTerms(file.Hash, bad); !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("a damaged terms row decodes to %+v, %v", got, err)
		}
	})
}

func flipEach(row []byte, try func([]byte)) {
	for i := range row {
		for bit := range 8 {
			bad := append([]byte(nil), row...)
			bad[i] ^= 1 << bit
			try(bad)
		}
	}
	for n := range row {
		try(append([]byte(nil), row[:n]...))
	}
}

func FuzzDecodeInfo(f *testing.F) {
	info := sampleInfo()
	row, err := encodeInfo(sampleName, &info)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row[5:])
	f.Fuzz(func(t *testing.T, body []byte) {
		// Behind a good checksum anything may stand: what decodes must encode to something that decodes to the same.
		got, err := decodeInfo(sampleName, sealRow(append(make([]byte, 5), body...), sampleName.salt()))
		if err != nil {
			return
		}
		again, err := encodeInfo(sampleName, &got)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeInfo(sampleName, again); err != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("%+v, then %+v, %v", got, back, err)
		}
	})
}

func FuzzDecodeTerms(f *testing.F) {
	file := sampleFile()
	f.Add(encodeTerms(&file)[5:])
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeTerms(file.Hash, sealRow(append(make([]byte, 5), body...), string(file.Hash[:])))
		if err != nil {
			return
		}
		if back, err := decodeTerms(file.Hash, encodeTerms(&got)); err != nil || len(back.Terms) != len(got.Terms) {
			t.Fatalf("%+v, then %+v, %v", got, back, err)
		}
	})
}
