package xet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/iotest"
)

// makeShard gives a shard with all there is to a shard, in no order.
func makeShard(random *rand.Rand) *Shard {
	hash := func() Hash { return ChunkHash(binary.LittleEndian.AppendUint64(nil, random.Uint64())) }
	s := &Shard{HMACKey: hash(), Created: random.Uint64(), Expiry: random.Uint64()}
	for range random.IntN(20) {
		x := ShardXorb{Hash: hash(), DiskBytes: random.Uint32()}
		for range 1 + random.IntN(20) {
			c := Chunk{hash(), 1 + random.Uint32N(MaxChunkSize)}
			x.Chunks = append(x.Chunks, c)
			x.RawBytes += c.Size
		}
		if random.IntN(2) == 0 {
			x.Flags = make([]uint32, len(x.Chunks))
			x.Flags[random.IntN(len(x.Flags))] = ShardFlagGlobalDedup
		}
		s.Xorbs = append(s.Xorbs, x)
	}
	for range random.IntN(20) {
		f := ShardFile{Reconstruction: Reconstruction{Hash: hash()}}
		verified := random.IntN(2) == 0
		for range 1 + random.IntN(5) {
			start, n := random.Uint32N(1000), 1+random.Uint32N(400)
			t := Term{Xorb: hash(), Range: Range{start, start + n}, Bytes: n * (1 + random.Uint32N(MaxChunkSize))}
			if verified {
				t.Verification = hash()
			}
			f.Terms = append(f.Terms, t)
			f.Size += uint64(t.Bytes)
		}
		if random.IntN(2) == 0 {
			f.SHA256 = (*[32]byte)(splitmix(32, random.Uint64()))
		}
		s.Files = append(s.Files, f)
	}
	if random.IntN(2) == 0 {
		s.Files = append(s.Files, ShardFile{})
	}
	return s
}

func TestShardRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 100 {
		s := makeShard(random)
		for _, form := range []ShardForm{ShardUpload, ShardAnswer, ShardLocal} {
			b := s.Append(nil, form)
			equal(t, "size", s.Size(form), len(b))
			got, err := ReadShard(iotest.HalfReader(bytes.NewReader(b)))
			if err != nil {
				t.Fatal(err)
			}
			want := *s
			want.Files = slices.Clone(s.Files)
			slices.SortFunc(want.Files, func(a, b ShardFile) int { return a.Hash.Compare(b.Hash) })
			want.Xorbs = slices.Clone(s.Xorbs)
			slices.SortFunc(want.Xorbs, func(a, b ShardXorb) int { return a.Hash.Compare(b.Hash) })
			if form == ShardUpload {
				want.HMACKey, want.Created, want.Expiry = Hash{}, 0, 0
			}
			if len(want.Files) == 0 {
				want.Files = nil
			}
			if len(want.Xorbs) == 0 {
				want.Xorbs = nil
			}
			if !reflect.DeepEqual(got, &want) {
				t.Fatalf("form %d: got %v, want %v", form, got, want)
			}
			equalBytes(t, "written again", got.Append(nil, form), b)
		}
	}
}

// TestShardLookups finds everything through the lookup tables of a local shard.
func TestShardLookups(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		s := makeShard(random)
		b := s.Append(nil, ShardLocal)
		f := footerOf(b)
		equal(t, "files", f.FileNum, uint64(len(s.Files)))
		equal(t, "xorbs", f.XorbNum, uint64(len(s.Xorbs)))
		le := binary.LittleEndian
		var last uint64
		for i := range f.FileNum {
			e := b[f.FileLookup+12*i:]
			at := f.FileInfo + 48*uint64(le.Uint32(e[8:]))
			equal(t, "file", Hash(b[at:at+32]).Truncated(), le.Uint64(e))
			equal(t, "ascending", le.Uint64(e) >= last, true)
			last = le.Uint64(e)
		}
		last = 0
		for i := range f.ChunkNum {
			e := b[f.ChunkLookup+16*i:]
			at := f.XorbInfo + 48*(uint64(le.Uint32(e[8:]))+1+uint64(le.Uint32(e[12:])))
			equal(t, "chunk", Hash(b[at:at+32]).Truncated(), le.Uint64(e))
			equal(t, "ascending", le.Uint64(e) >= last, true)
			last = le.Uint64(e)
		}
		for i := range f.XorbNum {
			e := b[f.XorbLookup+12*i:]
			at := f.XorbInfo + 48*uint64(le.Uint32(e[8:]))
			equal(t, "xorb", Hash(b[at:at+32]).Truncated(), le.Uint64(e))
		}
	}
}

func TestShardXorb(t *testing.T) {
	chunks := []Chunk{{ChunkHash([]byte("a")), 1}, {ChunkHash([]byte("bb")), 2}}
	x := ShardXorb{Hash: XorbHash(chunks), Chunks: chunks, RawBytes: 3}
	if err := x.Verify(); err != nil {
		t.Error(err)
	}
	same := x.Keyed(Hash{})
	equal(t, "without a key", same.Chunks[1], chunks[1])
	key := ChunkHash([]byte("key"))
	k := x.Keyed(key)
	equal(t, "keyed", k.Chunks[1], Chunk{chunks[1].Hash.Keyed(key), 2})
	equal(t, "hash", k.Hash, x.Hash)
	equal(t, "original", chunks[0].Hash, ChunkHash([]byte("a")))
	if err := k.Verify(); !errors.Is(err, ErrHash) {
		t.Errorf("keyed: %v", err)
	}
}

func TestShardPartlyVerified(t *testing.T) {
	terms := []Term{{Range: Range{0, 1}, Bytes: 1, Verification: ChunkHash(nil)}, {Range: Range{0, 1}, Bytes: 1}}
	s := Shard{Files: []ShardFile{{Reconstruction: Reconstruction{Hash: ChunkHash(nil), Terms: terms}}}}
	got, err := ParseShard(s.Append(nil, ShardUpload))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "verification", got.Files[0].Terms[0].Verification, Hash{})
}

func TestShardErrors(t *testing.T) {
	raw := []byte("hello world\n")
	h := ChunkHash(raw)
	chunks := []Chunk{{h, 12}}
	term := Term{Xorb: h, Range: Range{0, 1}, Bytes: 12, Verification: VerificationHash([]Hash{h})}
	good := Shard{
		Files:  []ShardFile{{Reconstruction{FileHash(chunks), 12, []Term{term}}, new([32]byte)}},
		Xorbs:  []ShardXorb{{Hash: h, Chunks: chunks}},
		Expiry: math.MaxUint64,
	}
	upload := good.Append(nil, ShardUpload)
	answer := good.Append(nil, ShardAnswer)
	if _, err := ParseShard(append(bytes.Clone(upload), "and more"...)); err != nil {
		t.Errorf("bytes after the sections: %v", err)
	}
	for name, b := range map[string][]byte{"upload": upload, "answer": answer} {
		for n := range b {
			if _, err := ParseShard(b[:n]); !errors.Is(err, ErrFormat) {
				t.Errorf("%s, %d bytes: %v", name, n, err)
			}
		}
	}

	const file, segment, xorb, chunk = 48, 96, 288, 336
	put := func(b []byte, off int, v uint32) []byte {
		b = bytes.Clone(b)
		binary.LittleEndian.PutUint32(b[off:], v)
		return b
	}
	for _, c := range []struct {
		name  string
		shard []byte
		want  error
	}{
		{"tag", put(upload, 0, 1), ErrFormat},
		{"version", put(upload, 32, 3), ErrVersion},
		{"footer size", put(upload, 40, 199), ErrVersion},
		{"footer version", put(answer, len(answer)-200, 2), ErrVersion},
		{"terms of a file", put(upload, file+36, 0), ErrFormat},
		{"many terms", put(upload, file+36, math.MaxUint32), ErrFormat},
		{"terms of the empty file", func() []byte {
			b := bytes.Clone(upload)
			clear(b[file : file+32])
			return b
		}(), ErrFormat},
		{"empty range", put(upload, segment+44, 0), ErrFormat},
		{"range upside down", put(upload, segment+40, 2), ErrFormat},
		{"range beyond a xorb", put(put(upload, segment+40, MaxXorbChunks), segment+44, MaxXorbChunks+1), ErrFormat},
		{"fewer bytes than chunks", put(upload, segment+36, 0), ErrFormat},
		{"more bytes than a chunk", put(upload, segment+36, MaxChunkSize+1), ErrFormat},
		{"more bytes than a xorb", put(put(upload, segment+44, 8000), segment+36, MaxXorbSize+1), ErrFormat},
		{"xorb without chunks", put(upload, xorb+36, 0), ErrFormat},
		{"xorb of many chunks", put(upload, xorb+36, MaxXorbChunks+1), ErrFormat},
		{"size of a xorb", put(upload, xorb+40, 13), ErrFormat},
		{"large xorb", put(upload, xorb+40, MaxXorbSize+1), ErrFormat},
		{"place of a chunk", put(upload, chunk+32, 1), ErrFormat},
		{"empty chunk", put(upload, chunk+36, 0), ErrFormat},
		{"large chunk", put(upload, chunk+36, MaxChunkSize+1), ErrFormat},
	} {
		if s, err := ParseShard(c.shard); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", c.name, s, err)
		}
	}

	head := upload[:48]
	zeros := make([]byte, 100*shardEntrySize)
	files := &cycle{unit: zeros} // empty files without end
	if _, err := ReadShard(io.MultiReader(bytes.NewReader(head), files)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("no end: %v", err)
	}
	tables := io.MultiReader(bytes.NewReader(answer), &cycle{unit: zeros})
	if _, err := ReadShard(tables); !errors.Is(err, ErrTooLarge) {
		t.Errorf("no end to the tables: %v", err)
	}
	for _, more := range []int64{0, 1} {
		r := io.MultiReader(bytes.NewReader(answer[:len(answer)-shardFooterSize]),
			io.LimitReader(&cycle{unit: zeros}, MaxShardSize-int64(len(answer))+more),
			bytes.NewReader(answer[len(answer)-shardFooterSize:]))
		if _, err := ReadShard(r); (err != nil) != (more > 0) || errors.Is(err, ErrTooLarge) != (more > 0) {
			t.Errorf("%d bytes more than allowed: %v", more, err)
		}
	}
	broken := errors.New("broken")
	for n := range answer {
		r := io.MultiReader(bytes.NewReader(answer[:n]), iotest.ErrReader(broken))
		if _, err := ReadShard(r); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
			t.Errorf("broken after %d bytes: %v", n, err)
		}
	}
}

func TestShardFormMisuse(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	new(Shard).Append(nil, 3)
}
