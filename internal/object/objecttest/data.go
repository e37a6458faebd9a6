package objecttest

import (
	"bytes"
	"encoding/binary"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"testing"

	"hugbucket/internal/xet"
)

// random gives n bytes that do not compress, always the same for a seed.
func random(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}

// text gives n bytes that compress well and have no chunk twice, always the same for a seed.
func text(seed uint64, n int) []byte {
	words := bytes.Fields([]byte("the quick brown fox jumps over a lazy dog and runs back into its den where it sleeps until dawn"))
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 0, n+16)
	for len(data) < n {
		data = append(data, words[r.IntN(len(words))]...)
		data = append(data, ' ')
	}
	return data[:n]
}

// halfRandom gives n bytes of which every second page is zero: cheap to make, to compress and to expand.
func halfRandom(seed uint64, n int) []byte {
	const page = 4096
	data := random(seed, n)
	for i := 0; i+2*page <= n; i += 2 * page {
		clear(data[i : i+page])
	}
	return data
}

// chunksOf cuts data and names the chunks.
func chunksOf(tb testing.TB, data []byte) []xet.Chunk {
	tb.Helper()
	var out []xet.Chunk
	for _, raw := range cut(tb, data) {
		out = append(out, xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))})
	}
	return out
}

// cut gives the chunks of data, which are parts of it.
func cut(tb testing.TB, data []byte) [][]byte {
	tb.Helper()
	var out [][]byte
	c := xet.NewChunker(bytes.NewReader(data))
	for {
		raw, err := c.Next()
		if err == io.EOF { //nolint:errorlint // Next gives io.EOF itself
			return out
		}
		if err != nil {
			tb.Fatalf("cut %d bytes: %v", len(data), err)
		}
		out = append(out, data[:len(raw):len(raw)])
		data = data[len(raw):]
	}
}

// nvme is the polynomial of CRC-64/NVME, in the bit order of hash/crc64.
var nvme = crc64.MakeTable(0x9a6c9329ac4bc9b5)

func crc64NVME(data []byte) []byte {
	return binary.BigEndian.AppendUint64(nil, crc64.Checksum(data, nvme))
}

// onlyReader hides everything but Read, and gives odd amounts at a time.
type onlyReader struct{ r io.Reader }

func (o onlyReader) Read(p []byte) (int, error) {
	if len(p) > 4321 {
		p = p[:4321]
	}
	return o.r.Read(p)
}
