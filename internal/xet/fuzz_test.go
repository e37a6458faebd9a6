package xet

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

// vectorSeeds are the texts and bytes in the vectors, whatever they are, by
// the name under which they stand there.
func vectorSeeds(f *testing.F, group string, names ...string) [][]byte {
	f.Helper()
	groups := decodeFile[map[string]json.RawMessage](f, "testdata/xet-vectors.json")
	var seeds [][]byte
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				var b hexBytes
				if s, ok := e.(string); ok && slices.Contains(names, name) {
					if err := b.UnmarshalText([]byte(s)); err != nil {
						f.Fatal(err)
					}
					seeds = append(seeds, b)
				}
				walk(e)
			}
		}
	}
	walk(decode[any](f, groups[group]))
	if len(seeds) == 0 {
		f.Fatalf("no %v in %s", names, group)
	}
	return seeds
}

// known fails unless err is one of the kinds that hostile data may cause.
func known(t *testing.T, err error) {
	t.Helper()
	for _, kind := range []error{ErrFormat, ErrHash, ErrTooLarge, ErrVersion} {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Errorf("unknown kind of error: %v", err)
}

func FuzzParseHash(f *testing.F) {
	for _, b := range vectorSeeds(f, "chunk_hashes", "chunk_hash_raw_hex") {
		f.Add(Hash(b).String())
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHash(s)
		if err != nil {
			known(t, err)
			return
		}
		again, err := ParseHash(h.String())
		if err != nil || again != h || len(s) != 2*HashSize {
			t.Errorf("%q is %v is %v, %v", s, h, again, err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	for _, b := range vectorSeeds(f, "xorb", "upload_body_hex", "header_hex") {
		f.Add(b)
	}
	for _, s := range allSchemes {
		f.Add(AppendRecord(nil, bytes.Repeat([]byte("to be or not to be "), 20), s))
	}
	f.Fuzz(func(t *testing.T, rec []byte) {
		raw, n, err := DecodeRecord(nil, rec)
		if err != nil {
			known(t, err)
			return
		}
		if n > len(rec) || len(raw) == 0 || len(raw) > MaxChunkSize {
			t.Fatalf("%d of %d bytes make %d", n, len(rec), len(raw))
		}
		records := map[string][]byte{"small": AppendSmallRecord(nil, raw)}
		for _, s := range allSchemes {
			records[s.String()] = AppendRecord(nil, raw, s)
		}
		for s, record := range records {
			again, n, err := DecodeRecord(nil, record)
			if err != nil || n != len(record) || !bytes.Equal(again, raw) {
				t.Errorf("%s: %x is %x, %v", s, raw, again, err)
			}
		}
	})
}

func FuzzLZ4Decode(f *testing.F) {
	for _, b := range vectorSeeds(f, "lz4_frames", "frame_hex") {
		f.Add(b, uint32(5))
	}
	f.Add(lz4Frame([]byte{0x54, 0x40}, word(0)), uint32(0))
	f.Fuzz(func(t *testing.T, frame []byte, size uint32) {
		size %= MaxChunkSize + 1
		if len(frame) > 6 {
			// The checksum is in nobody's way.
			n := lz4HeaderSize
			if frame[4]&lz4ContentSize != 0 {
				n += 8
			}
			if len(frame) >= n {
				frame[n-1] = byte(xxh32(frame[4:n-1]) >> 8)
			}
		}
		guard := bytes.Repeat([]byte{0xa5}, 64)
		buf := append(make([]byte, size), guard...)
		if err := lz4Decode(buf[:size:size], frame); err != nil {
			known(t, err)
		}
		if !bytes.Equal(buf[size:], guard) {
			t.Error("wrote beyond the end")
		}
	})
}

func FuzzBG4(f *testing.F) {
	for _, b := range vectorSeeds(f, "bg4", "data_hex", "split_hex") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		split, joined := make([]byte, len(data)), make([]byte, len(data))
		bg4Split(split, data)
		var want []byte
		for k := range 4 {
			for i := k; i < len(data); i += 4 {
				want = append(want, data[i])
			}
		}
		equalBytes(t, "split", split, want)
		bg4Join(joined, split)
		equalBytes(t, "joined", joined, data)
	})
}

func FuzzReadXorbInfo(f *testing.F) {
	for _, b := range vectorSeeds(f, "xorb", "with_v1_footer_hex", "with_v0_footer_hex") {
		f.Add(b)
	}
	_, x, _ := makeXorb(f, 2)
	f.Add(withoutRawEnds(x))
	f.Fuzz(func(t *testing.T, xorb []byte) {
		x, err := ReadXorbInfo(bytes.NewReader(xorb), int64(len(xorb)))
		if err != nil {
			known(t, err)
			return
		}
		footer := x.AppendFooter(nil)
		equal(t, "footer size", int64(len(footer)), x.FooterSize())
		again := append(bytes.Clone(xorb[:x.BodySize()]), footer...)
		y, err := ReadXorbInfo(bytes.NewReader(again), int64(len(again)))
		if err != nil {
			t.Fatal(err)
		}
		equalInfo(t, y, x)
	})
}

func FuzzScanXorb(f *testing.F) {
	for _, b := range vectorSeeds(f, "xorb", "upload_body_hex", "with_v1_footer_hex") {
		f.Add(b)
	}
	whole, _, _ := makeXorb(f, 5)
	f.Add(whole)
	f.Fuzz(func(t *testing.T, body []byte) {
		var raws int64
		x, err := ScanXorb(bytes.NewReader(body), func(_ int, raw []byte) error {
			raws += int64(len(raw))
			return nil
		})
		if err != nil {
			known(t, err)
			return
		}
		equal(t, "bytes", x.RawSize(), raws)
		whole := x.AppendFooter(bytes.Clone(body[:x.BodySize()]))
		y, err := ReadXorbInfo(bytes.NewReader(whole), int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		equalInfo(t, y, x)
	})
}

func FuzzReadShard(f *testing.F) {
	for _, b := range vectorSeeds(f, "shards", "shard_hex") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseShard(data)
		if err != nil {
			known(t, err)
			return
		}
		for _, form := range []ShardForm{ShardUpload, ShardAnswer, ShardLocal} {
			b := s.Append(nil, form)
			equal(t, "size", s.Size(form), len(b))
			again, err := ParseShard(b)
			if err != nil {
				t.Fatal(err)
			}
			equalBytes(t, "written again", again.Append(nil, form), b)
		}
	})
}

// FuzzSplitter makes data of a few bytes that are repeated and places of cuts
// in it, and compares with the letter of the rule.
func FuzzSplitter(f *testing.F) {
	key := gearKey()
	f.Add([]byte{0}, []byte{0x00, 0x20, 0x01, 0x00}, uint16(1000))
	f.Add([]byte("period"), []byte{0xff, 0x1f, 0x00, 0x24, 0x00, 0x24}, uint16(60000))
	f.Fuzz(func(t *testing.T, unit, places []byte, feed uint16) {
		if len(unit) == 0 {
			return
		}
		data := make([]byte, 200_000)
		if _, err := (&cycle{unit: unit}).Read(data); err != nil {
			t.Fatal(err)
		}
		at := 0
		for len(places) >= 2 {
			at += int(binary.LittleEndian.Uint16(places))
			places = places[2:]
			if at < len(data) {
				copy(data[at:], key)
			}
		}
		if got, want := cuts(data, 100+int(feed)), naiveCuts(data); !slices.Equal(got, want) {
			t.Errorf("cuts %v, want %v", got, want)
		}
	})
}
