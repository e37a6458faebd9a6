package xet

import (
	"encoding/binary"
	"encoding/json"
	"testing"
)

// shardFooter is what the vectors tell of a footer.
type shardFooter struct {
	Version      uint64
	FileInfo     uint64 `json:"file_info_offset"`
	XorbInfo     uint64 `json:"xorb_info_offset"`
	FileLookup   uint64 `json:"file_lookup_offset"`
	FileNum      uint64 `json:"file_lookup_num"`
	XorbLookup   uint64 `json:"xorb_lookup_offset"`
	XorbNum      uint64 `json:"xorb_lookup_num"`
	ChunkLookup  uint64 `json:"chunk_lookup_offset"`
	ChunkNum     uint64 `json:"chunk_lookup_num"`
	Key          Hash   `json:"hmac_key"`
	Creation     uint64
	Expiry       uint64
	BufferZero   bool   `json:"buffer_zero"`
	OnDisk       uint64 `json:"stored_bytes_on_disk"`
	Materialized uint64 `json:"materialized_bytes"`
	Stored       uint64 `json:"stored_bytes"`
	Footer       uint64 `json:"footer_offset"`
}

// footerOf reads the footer at the end of a shard.
func footerOf(b []byte) shardFooter {
	c := cursor{rest: b[len(b)-shardFooterSize:]}
	f := shardFooter{
		Version: c.u64(), FileInfo: c.u64(), XorbInfo: c.u64(),
		FileLookup: c.u64(), FileNum: c.u64(), XorbLookup: c.u64(), XorbNum: c.u64(),
		ChunkLookup: c.u64(), ChunkNum: c.u64(), Key: c.hash(), Creation: c.u64(), Expiry: c.u64(),
	}
	f.BufferZero = [48]byte(c.bytes(48)) == [48]byte{}
	f.OnDisk, f.Materialized, f.Stored, f.Footer = c.u64(), c.u64(), c.u64(), c.u64()
	return f
}

func checkShards(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Tag   string `json:"tag_hex"`
		Cases []struct {
			Name   string
			Length int
			Shard  hexBytes `json:"shard_hex"`
			Hash   Hash     `json:"shard_hash"`
			Footer *shardFooter
			Plain  []Hash `json:"plain_chunk_hashes"`
		}
	}](t, raw)
	equal(t, "tag", shardTag, string(decode[hexBytes](t, []byte(`"`+v.Tag+`"`))))

	hello := ChunkHash([]byte("hello world\n"))
	wants := map[string]struct {
		form         ShardForm
		files, xorbs int
		look         func(*testing.T, *Shard)
	}{
		"upload_one_file_no_sha256": {ShardUpload, 1, 1, func(t *testing.T, s *Shard) {
			t.Helper()
			f := s.Files[0]
			equal(t, "file", f.Hash, FileHash([]Chunk{{hello, 12}}))
			equal(t, "term", f.Terms[0], Term{hello, Range{0, 1}, 12, VerificationHash([]Hash{hello})})
			equal(t, "size", f.Size, 12)
			equal(t, "sha256", f.SHA256, nil)
			equal(t, "chunk", s.Xorbs[0].Chunks[0], Chunk{hello, 12})
		}},
		"upload_one_file_with_sha256": {ShardUpload, 1, 1, func(t *testing.T, s *Shard) {
			t.Helper()
			if s.Files[0].SHA256 == nil {
				t.Fatal("no sha256")
			}
		}},
		"upload_only_empty_file": {ShardUpload, 1, 0, func(t *testing.T, s *Shard) {
			t.Helper()
			equal(t, "hash", s.Files[0].Hash, Hash{})
			equal(t, "terms", len(s.Files[0].Terms), 0)
		}},
		"upload_two_files_plus_empty_one_xorb": {ShardUpload, 3, 1, nil},
		"upload_fully_deduped":                 {ShardUpload, 1, 0, nil},
		"local_shard_with_lookups":             {ShardLocal, 3, 1, nil},
		"dedup_response_hmac":                  {ShardAnswer, 0, 1, nil},
		"js_client_upload": {ShardAnswer, 1, 1, func(t *testing.T, s *Shard) {
			t.Helper()
			equal(t, "disk bytes", s.Xorbs[0].DiskBytes, 20)
			equal(t, "expiry", s.Expiry, 0)
		}},
	}
	equal(t, "cases", len(v.Cases), len(wants))
	for _, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			want, ok := wants[c.Name]
			if !ok {
				t.Fatal("no check")
			}
			equal(t, "length", len(c.Shard), c.Length)
			equal(t, "shard hash", ChunkHash(c.Shard), c.Hash)
			s, err := ParseShard(c.Shard)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "files", len(s.Files), want.files)
			equal(t, "xorbs", len(s.Xorbs), want.xorbs)
			if want.look != nil {
				want.look(t, s)
			}
			for i := range s.Xorbs {
				if err := s.Xorbs[i].Verify(); s.HMACKey.IsZero() && err != nil {
					t.Error(err)
				}
				for j, h := range c.Plain {
					equal(t, "keyed chunk", h.Keyed(s.HMACKey), s.Xorbs[i].Chunks[j].Hash)
				}
			}
			equal(t, "size", s.Size(want.form), c.Length)
			got := s.Append([]byte("before"), want.form)[len("before"):]
			if c.Name == "js_client_upload" {
				// Its footer leaves out what ours says of places and sums, which
				// only the two offsets of sections share.
				const same = shardFooterSize
				equalBytes(t, "sections", got[:len(got)-same], c.Shard[:len(c.Shard)-same])
				return
			}
			equalBytes(t, "shard", got, c.Shard)
			if c.Footer != nil {
				equal(t, "footer", footerOf(got), *c.Footer)
			}
		})
	}
}

// checkProductionShard rebuilds a shard of the production servers as far as
// its facts are on record, which leaves out most chunk hashes.
func checkProductionShard(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Length   int
		Footer   shardFooter
		Lifetime uint64 `json:"lifetime_seconds"`
		Xorbs    []struct {
			Hash   Hash
			Chunks int
			Bytes  uint32 `json:"num_bytes"`
		}
		Unkeyed   Hash     `json:"first_chunk_of_xorb1_unkeyed"`
		Keyed     Hash     `json:"first_chunk_of_xorb1_keyed"`
		Head      hexBytes `json:"head_hex"`
		FooterHex hexBytes `json:"footer_hex"`
	}](t, raw)
	equal(t, "lifetime", v.Footer.Expiry-v.Footer.Creation, v.Lifetime)
	equal(t, "keyed", v.Unkeyed.Keyed(v.Footer.Key), v.Keyed)

	// The head ends with the first chunk of the first xorb.
	last := v.Head[len(v.Head)-shardEntrySize:]
	first := Chunk{Hash(last[:HashSize]), binary.LittleEndian.Uint32(last[HashSize+4:])}
	s := &Shard{HMACKey: v.Footer.Key, Created: v.Footer.Creation, Expiry: v.Footer.Expiry}
	for i, x := range v.Xorbs {
		xorb := ShardXorb{Hash: x.Hash}
		left := x.Bytes
		for j := range x.Chunks {
			size := left / uint32(x.Chunks-j)
			c := Chunk{ChunkHash(binary.LittleEndian.AppendUint32(nil, uint32(j))), size}
			if i == 0 && j == 0 {
				c = first
			}
			if i == 1 && j == 0 {
				c.Hash = v.Keyed
			}
			left -= c.Size
			xorb.Chunks = append(xorb.Chunks, c)
		}
		s.Xorbs = append(s.Xorbs, xorb)
	}
	got := s.Append(nil, ShardAnswer)
	equal(t, "length", len(got), v.Length)
	equalBytes(t, "head", got[:len(v.Head)], v.Head)
	equalBytes(t, "footer", got[len(got)-shardFooterSize:], v.FooterHex)
	equal(t, "footer", footerOf(got), v.Footer)

	p, err := ParseShard(got)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "key", p.HMACKey, v.Footer.Key)
	equal(t, "created", p.Created, v.Footer.Creation)
	equal(t, "expiry", p.Expiry, v.Footer.Expiry)
	equal(t, "files", len(p.Files), 0)
	for i, x := range p.Xorbs {
		equal(t, "xorb", x.Hash, v.Xorbs[i].Hash)
		equal(t, "bytes", x.RawBytes, v.Xorbs[i].Bytes)
		equal(t, "chunks", len(x.Chunks), v.Xorbs[i].Chunks)
		equal(t, "flags", len(x.Flags), 0)
	}
}
