package xet

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// benchmarkData gives n bytes of each kind: random ones, which do not
// compress, and text, which does.
func benchmarkData(n int64) map[string][]byte {
	text := corpusDesc{Kind: "text", N: n, Seed: 1}
	words := make([]string, 64)
	for i := range words {
		words[i] = fmt.Sprintf("%x", splitmix(1+i%7, uint64(i)))
	}
	b, err := io.ReadAll(text.reader(words, []string{" ", " ", ", ", ".\n"}))
	if err != nil {
		panic(err)
	}
	return map[string][]byte{"random": splitmix(int(n), 1), "text": b}
}

func BenchmarkScan(b *testing.B) {
	lanes := map[string]func(data []byte, from, to int) int{"lanes=1": scanOne, "lanes=4": scan}
	for kind, data := range benchmarkData(8 << 20) {
		for name, find := range lanes {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					for rest := data; len(rest) > 0; {
						to := min(len(rest), MaxChunkSize)
						n := find(rest, min(MinChunkSize, to), to)
						if n == 0 {
							n = to
						}
						rest = rest[n:]
					}
				}
			})
		}
	}
}

func BenchmarkChunker(b *testing.B) {
	for kind, data := range benchmarkData(8 << 20) {
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				for c := NewChunker(bytes.NewReader(data)); ; {
					if _, err := c.Next(); err != nil {
						break
					}
				}
			}
		})
	}
}

func BenchmarkChunkHash(b *testing.B) {
	data := splitmix(TargetChunkSize, 1)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		ChunkHash(data)
	}
}

// BenchmarkTreeHash counts the bytes of the chunks, not of their hashes.
func BenchmarkTreeHash(b *testing.B) {
	hashes := make([]Hash, 1024)
	for i := range hashes {
		hashes[i] = ChunkHash([]byte{byte(i), byte(i >> 8)})
	}
	var t TreeHash
	b.SetBytes(int64(len(hashes)) * TargetChunkSize)
	b.ReportAllocs()
	for b.Loop() {
		t.Reset()
		for _, h := range hashes {
			t.Add(h, TargetChunkSize)
		}
		t.FileHash()
	}
}

func BenchmarkChooseScheme(b *testing.B) {
	data := splitmix(TargetChunkSize, 1)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		ChooseScheme(data)
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	for kind, data := range benchmarkData(TargetChunkSize) {
		for _, s := range []Scheme{SchemeNone, SchemeLZ4, SchemeBG4LZ4} {
			b.Run(s.String()+"/"+kind, func(b *testing.B) {
				dst := make([]byte, 0, RecordHeaderSize+len(data))
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					AppendRecord(dst, data, s)
				}
			})
		}
		b.Run("small/"+kind, func(b *testing.B) {
			dst := make([]byte, 0, RecordHeaderSize+len(data))
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				AppendSmallRecord(dst, data)
			}
		})
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	data := benchmarkData(TargetChunkSize)["text"]
	for _, s := range []Scheme{SchemeNone, SchemeLZ4, SchemeBG4LZ4} {
		b.Run(s.String(), func(b *testing.B) {
			record := AppendRecord(nil, data, s)
			dst := make([]byte, 0, MaxChunkSize)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := DecodeRecord(dst, record); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWrite is what one core does to data on its way into a store: cut,
// hash, compress, write.
func BenchmarkWrite(b *testing.B) {
	for kind, data := range benchmarkData(8 << 20) {
		b.Run(kind, func(b *testing.B) {
			record := make([]byte, 0, RecordHeaderSize+MaxChunkSize)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				w := NewXorbWriter(io.Discard)
				var split Splitter
				scheme := SchemeLZ4
				for rest := data; len(rest) > 0; {
					raw := rest[:split.Next(rest, true)]
					rest = rest[len(raw):]
					if w.Len()%32 == 0 {
						scheme = ChooseScheme(raw)
					}
					record = AppendRecord(record[:0], raw, scheme)
					if err := w.Add(Chunk{ChunkHash(raw), uint32(len(raw))}, record); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
