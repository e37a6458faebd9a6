package xet

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func checkXorb(t *testing.T, raw json.RawMessage) {
	t.Helper()
	groups := subgroups(t, raw, "chunk_header", "footer_info_length_empty", "fixed100x3", "complete", "production_sizes")

	for _, c := range decode[struct {
		Cases []struct {
			Stored  uint32 `json:"compressed_len"`
			Scheme  Scheme
			Raw     uint32   `json:"uncompressed_len"`
			Header  hexBytes `json:"header_hex"`
			Payload hexBytes `json:"payload_hex"`
		}
	}](t, groups["chunk_header"]).Cases {
		var b [RecordHeaderSize]byte
		want := RecordHeader{c.Scheme, c.Stored, c.Raw}
		want.put(b[:])
		equalBytes(t, "header", b[:], c.Header)
		h, err := ParseRecordHeader(c.Header)
		if c.Scheme == SchemeNone && c.Stored != c.Raw {
			// A header only: no chunk is like that.
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%v: %v", want, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "header", h, want)
		if c.Payload != nil {
			equalBytes(t, "record", AppendRecord(nil, c.Payload, SchemeLZ4), append(c.Header, c.Payload...))
		}
	}

	empty := decode[struct{ V0, V1 int }](t, groups["footer_info_length_empty"])
	equal(t, "footer 1", len(new(XorbInfo).AppendFooter(nil)), empty.V1+4)
	equal(t, "footer 0", xorbFooterV0Base, empty.V0)

	fixed := decode[struct {
		Sizes []int    `json:"chunk_sizes"`
		Ends  []uint32 `json:"chunk_boundary_offsets"`
	}](t, groups["fixed100x3"])
	// These names no struct tag can spell.
	places := decode[map[string]json.RawMessage](t, groups["fixed100x3"])
	first := decode[[2]uint32](t, places["byte_offset(0,1)"])
	second := decode[[2]uint32](t, places["byte_offset(1,3)"])
	w := NewXorbWriter(new(bytes.Buffer))
	for _, n := range fixed.Sizes {
		data := splitmix(n, 1)
		if err := w.Add(Chunk{ChunkHash(data), uint32(n)}, AppendRecord(nil, data, SchemeNone)); err != nil {
			t.Fatal(err)
		}
	}
	x, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	for i, end := range fixed.Ends {
		equal(t, "end", x.Chunks[i].End, end)
	}
	start, end := x.Record(0)
	equal(t, "record 0", [2]uint32{start, end}, first)
	start, _ = x.Record(1)
	_, end = x.Record(2)
	equal(t, "records 1 and 2", [2]uint32{start, end}, second)

	for _, c := range decode[[]completeXorb](t, groups["complete"]) {
		checkCompleteXorb(t, c)
	}

	note := decode[struct{ Note string }](t, groups["production_sizes"]).Note
	if !strings.Contains(note, "20 chunks") || !strings.Contains(note, "1048736") {
		t.Errorf("unknown sizes %q", note)
	}
	checkProductionSizes(t)
}

type completeXorb struct {
	Chunks       []string `json:"chunks_ascii"`
	Hashes       []Hash   `json:"chunk_hashes"`
	Hash         Hash     `json:"xorb_hash"`
	Body         hexBytes `json:"upload_body_hex"`
	V1           hexBytes `json:"with_v1_footer_hex"`
	V0           hexBytes `json:"with_v0_footer_hex"`
	File         *Hash    `json:"file_hash"`
	Verification Hash     `json:"verification_hash"`
}

func checkCompleteXorb(t *testing.T, c completeXorb) {
	t.Helper()
	var buf bytes.Buffer
	w := NewXorbWriter(&buf)
	var chunks []Chunk
	for i, s := range c.Chunks {
		data := []byte(strings.ReplaceAll(s, `\n`, "\n"))
		chunk := Chunk{ChunkHash(data), uint32(len(data))}
		equal(t, "chunk", chunk.Hash, c.Hashes[i])
		chunks = append(chunks, chunk)
		if err := w.Add(chunk, AppendRecord(nil, data, SchemeLZ4)); err != nil {
			t.Fatal(err)
		}
		equal(t, "chunk", w.Chunk(i), chunk)
	}
	equalBytes(t, "body", buf.Bytes(), c.Body)
	want, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	equalBytes(t, "xorb", buf.Bytes(), c.V1)
	equal(t, "hash", want.Hash, c.Hash)
	equal(t, "size", want.BodySize()+want.FooterSize(), int64(len(c.V1)))
	equal(t, "verification", VerificationHash(c.Hashes), c.Verification)
	if c.File != nil {
		equal(t, "file", FileHash(chunks), *c.File)
	}

	for _, whole := range []hexBytes{c.V1, c.V0} {
		if whole == nil {
			continue
		}
		x, err := ReadXorbInfo(bytes.NewReader(whole), int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		equalInfo(t, x, want)
	}
	for _, body := range []hexBytes{c.Body, c.V1, c.V0} {
		if body == nil {
			continue
		}
		x, err := ScanXorb(bytes.NewReader(body), nil)
		if err != nil {
			t.Fatal(err)
		}
		equalInfo(t, x, want)
	}
}

func equalInfo(t *testing.T, got, want *XorbInfo) {
	t.Helper()
	equal(t, "hash", got.Hash, want.Hash)
	equal(t, "chunks", len(got.Chunks), len(want.Chunks))
	for i := range got.Chunks {
		equal(t, "chunk", got.Chunks[i], want.Chunks[i])
	}
}

// checkProductionSizes checks the sizes that were seen in production for a
// random file of 1 MiB in 20 chunks.
func checkProductionSizes(t *testing.T) {
	t.Helper()
	var body []byte
	var chunks []Chunk
	data := splitmix(1<<20, 5)
	for i := range 20 {
		raw := data[i*len(data)/20 : (i+1)*len(data)/20]
		body = AppendRecord(body, raw, SchemeLZ4)
		chunks = append(chunks, Chunk{ChunkHash(raw), uint32(len(raw))})
	}
	equal(t, "xorb", len(body), 1048736)

	hash := XorbHash(chunks)
	file := ShardFile{
		Reconstruction: Reconstruction{Hash: FileHash(chunks), Size: 1 << 20, Terms: []Term{
			{Xorb: hash, Range: Range{0, 20}, Bytes: 1 << 20, Verification: ChunkHash(nil)},
		}},
		SHA256: new([32]byte),
	}
	s := Shard{Files: []ShardFile{file}, Xorbs: []ShardXorb{{Hash: hash, Chunks: chunks}}}
	equal(t, "shard", len(s.Append(nil, ShardUpload)), 1344)
	answer := Shard{Xorbs: s.Xorbs}
	equal(t, "answer", len(answer.Append(nil, ShardAnswer)), 1352)
	again := Shard{Files: s.Files}
	equal(t, "shard again", len(again.Append(nil, ShardUpload)), 336)
}
