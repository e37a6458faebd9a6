package xet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"hugbucket/internal/xet"
)

func ExampleParseHash() {
	h, err := xet.ParseHash("07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918")
	fmt.Printf("%x %v\n", h[:8], err)
	fmt.Println(h)
	_, err = xet.ParseHash("0706")
	fmt.Println(errors.Is(err, xet.ErrFormat), err)
	// Output:
	// 0001020304050607 <nil>
	// 07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918
	// true hash: bad format: 4 characters instead of 64
}

// A file is cut into chunks, its chunks make a xorb, and its terms say where in
// the xorb it is.
func Example() {
	var xorb bytes.Buffer
	w := xet.NewXorbWriter(&xorb)
	var file xet.TreeHash
	var term xet.RangeHash
	c := xet.NewChunker(strings.NewReader("hello world\n"))
	for {
		raw, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		chunk := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
		file.Add(chunk.Hash, uint64(chunk.Size))
		term.Add(chunk.Hash)
		if err := w.Add(chunk, xet.AppendRecord(nil, raw, xet.ChooseScheme(raw))); err != nil {
			fmt.Println(err)
			return
		}
	}
	info, err := w.Close()
	if err != nil {
		fmt.Println(err)
		return
	}
	shard := xet.Shard{
		Files: []xet.ShardFile{{Reconstruction: xet.Reconstruction{
			Hash: file.FileHash(),
			Size: uint64(info.RawSize()),
			Terms: []xet.Term{{
				Xorb:         info.Hash,
				Range:        xet.Range{Start: 0, End: uint32(len(info.Chunks))},
				Bytes:        uint32(info.RawSize()),
				Verification: term.Sum(),
			}},
		}}},
		Xorbs: []xet.ShardXorb{{Hash: info.Hash, Chunks: []xet.Chunk{info.Chunk(0)}}},
	}
	fmt.Println("xorb", info.Hash)
	fmt.Println("file", file.FileHash())
	fmt.Println("term", term.Sum())
	fmt.Println("xorb of", info.BodySize(), "and", info.FooterSize(), "bytes, shard of", shard.Size(xet.ShardUpload))
	// Output:
	// xorb 6899563fa6b6abb19b8ecdd9f662a6c9acfca9fd4ff9f513086ec6c5685193ab
	// file a302d931b8763df0bfb9926b9ff26b11c2a77d5be8dde4ce1c8bb7202a6a8681
	// term d84ad4e9bba4ab4d3e7ecfb8c052e405dfa5829c57cca7e9b1160501366b3b76
	// xorb of 20 and 136 bytes, shard of 384
}

// The splitter works on data as it comes in.
func ExampleSplitter() {
	data := bytes.Repeat([]byte{59}, 300_000)
	var s xet.Splitter
	start, have := 0, 0
	for start < len(data) {
		have = min(len(data), have+100_000)
		for {
			n := s.Next(data[start:have], have == len(data))
			if n == 0 {
				break
			}
			fmt.Println(n)
			start += n
		}
	}
	// Output:
	// 131072
	// 131072
	// 37856
}

func ExampleScanXorb() {
	body := xet.AppendRecord(nil, []byte("hello world\n"), xet.SchemeLZ4)
	body = xet.AppendRecord(body, []byte("Hello, World!"), xet.SchemeLZ4)
	info, err := xet.ScanXorb(bytes.NewReader(body), func(i int, raw []byte) error {
		fmt.Printf("%d %q\n", i, raw)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Hash)
	start, end := info.Record(1)
	fmt.Println(start, end)
	// Output:
	// 0 "hello world\n"
	// 1 "Hello, World!"
	// d38aa8a4d6464e3212f20924ecdf821502a5b7f778648496afa18ec17d98fca2
	// 20 41
}

func ExampleReadXorbInfo() {
	var xorb bytes.Buffer
	w := xet.NewXorbWriter(&xorb)
	for _, s := range []string{"hello world\n", "Hello, World!"} {
		raw := []byte(s)
		chunk := xet.Chunk{Hash: xet.ChunkHash(raw), Size: uint32(len(raw))}
		if err := w.Add(chunk, xet.AppendRecord(nil, raw, xet.SchemeNone)); err != nil {
			fmt.Println(err)
			return
		}
	}
	if _, err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	info, err := xet.ReadXorbInfo(bytes.NewReader(xorb.Bytes()), int64(xorb.Len()))
	if err != nil {
		fmt.Println(err)
		return
	}
	start, _ := info.Record(1)
	raw, n, err := xet.DecodeRecord(nil, xorb.Bytes()[start:])
	fmt.Printf("%q %d %v\n", raw, n, err)

	xorb.Bytes()[xorb.Len()-100] ^= 1 // in a chunk hash
	_, err = xet.ReadXorbInfo(bytes.NewReader(xorb.Bytes()), int64(xorb.Len()))
	fmt.Println(errors.Is(err, xet.ErrHash))
	// Output:
	// "Hello, World!" 21 <nil>
	// true
}

func ExampleReadShard() {
	chunk := xet.Chunk{Hash: xet.ChunkHash([]byte("hello world\n")), Size: 12}
	key := xet.ChunkHash([]byte("a secret"))
	known := xet.ShardXorb{Hash: xet.XorbHash([]xet.Chunk{chunk}), Chunks: []xet.Chunk{chunk}}
	answer := xet.Shard{
		Xorbs:   []xet.ShardXorb{known.Keyed(key)},
		HMACKey: key,
		Created: 1_754_059_905,
		Expiry:  1_754_059_905 + 7*24*3600,
	}
	s, err := xet.ReadShard(bytes.NewReader(answer.Append(nil, xet.ShardAnswer)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Xorbs[0].Hash)
	fmt.Println(s.Xorbs[0].Chunks[0].Hash == chunk.Hash, s.Xorbs[0].Chunks[0].Hash == chunk.Hash.Keyed(s.HMACKey))
	// Output:
	// 6899563fa6b6abb19b8ecdd9f662a6c9acfca9fd4ff9f513086ec6c5685193ab
	// false true
}
