package xet

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// testdata/xet-vectors.json holds vectors from the reference implementation,
// the official clients and the specifications; its _schema says where each is
// from and how it is coded. Every group has its check here, or a reason why
// not: a group without either fails the test.
var vectorChecks = map[string]func(*testing.T, json.RawMessage){
	"constants":                    checkConstants,
	"gear_table":                   checkGearTable,
	"chunking":                     checkChunking,
	"hash_strings":                 checkHashStrings,
	"chunk_hashes":                 checkChunkHashes,
	"internal_node_and_range_hash": checkNodeAndRange,
	"merkle":                       checkMerkle,
	"merkle_subtree":               checkMerkleSubtree,
	"hmac":                         checkHMAC,
	"global_dedup_eligibility":     checkGlobalDedup,
	"spec_reference_files":         checkReferenceFiles,
	"bg4":                          checkBG4,
	"compression_choice":           checkCompressionChoice,
	"lz4_frames":                   checkLZ4Frames,
	"xorb":                         checkXorb,
	"shards":                       checkShards,
	"production_dedup_shard":       checkProductionShard,
}

// vectorsElsewhere are the groups that are not checked here.
var vectorsElsewhere = map[string]string{
	"_schema": "describes the file",
	"http":    "no part of this package speaks HTTP",
}

func TestVectors(t *testing.T) {
	groups := decodeFile[map[string]json.RawMessage](t, "testdata/xet-vectors.json")
	for name := range vectorChecks {
		if groups[name] == nil {
			t.Errorf("group %q is checked but not there", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		check := vectorChecks[name]
		if check == nil {
			if vectorsElsewhere[name] == "" {
				t.Errorf("group %q is neither checked nor said to be out of scope", name)
			}
			continue
		}
		t.Run(name, func(t *testing.T) { check(t, groups[name]) })
	}
}

// subgroups decodes a group of groups, and fails unless each is one of names
// or of the words about the group as a whole.
func subgroups(t *testing.T, raw json.RawMessage, names ...string) map[string]json.RawMessage {
	t.Helper()
	groups := decode[map[string]json.RawMessage](t, raw)
	names = append(names, "source", "provenance", "note", "rule")
	for name := range groups {
		if !slices.Contains(names, name) {
			t.Errorf("no check for %q", name)
		}
	}
	for _, name := range names[:len(names)-4] {
		if groups[name] == nil {
			t.Fatalf("no %q", name)
		}
	}
	return groups
}

func decodeFile[T any](tb testing.TB, name string) T {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return decode[T](tb, b)
}

func decode[T any](tb testing.TB, raw []byte) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

// hexBytes are bytes as plain hex in JSON.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) error {
	p, err := hex.DecodeString(string(text))
	*b = p
	return err
}

// hashSize is a hash and a size as a pair in JSON.
type hashSize struct {
	Hash Hash
	Size uint64
}

func (h *hashSize) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&h.Hash, &h.Size})
}

func equal[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equalBytes(tb testing.TB, what string, got, want []byte) {
	tb.Helper()
	if !bytes.Equal(got, want) {
		tb.Errorf("%s: got %x, want %x", what, got, want)
	}
}

func checkConstants(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		DataKey         []int    `json:"data_key"`
		DataKeyHex      hexBytes `json:"data_key_hex"`
		NodeKeyHex      hexBytes `json:"internal_node_key_hex"`
		VerificationHex hexBytes `json:"verification_key_hex"`
		ZeroKeyHex      hexBytes `json:"file_salt_zero_key_hex"`
		Tag             hexBytes `json:"shard_header_tag_hex"`
		Target          int      `json:"target_chunk"`
		Min             int      `json:"min_chunk"`
		Max             int      `json:"max_chunk"`
		Mask            string   `json:"mask_hex"`
		XorbBytes       int      `json:"max_xorb_bytes"`
		XorbChunks      int      `json:"max_xorb_chunks"`
		ShardTarget     int      `json:"shard_target_size"`
		GlobalDedup     int      `json:"global_dedup_modulus"`
		Branching       int      `json:"merkle_mean_branching"`
		MinGroup        int      `json:"merkle_min_group"`
		MaxGroup        int      `json:"merkle_max_group"`
		NodeKey         []int    `json:"internal_node_key"`
		Verification    []int    `json:"verification_key"`
	}](t, raw)
	for _, k := range []struct {
		name string
		key  Hash
		hex  hexBytes
		list []int
	}{
		{"data key", dataHasher.key, v.DataKeyHex, v.DataKey},
		{"node key", nodeHasher.key, v.NodeKeyHex, v.NodeKey},
		{"verification key", verificationHasher.key, v.VerificationHex, v.Verification},
		{"file key", zeroHasher.key, v.ZeroKeyHex, make([]int, 32)},
	} {
		equalBytes(t, k.name, k.key[:], k.hex)
		for i, b := range k.list {
			equal(t, k.name, int(k.key[i]), b)
		}
	}
	equal(t, "tag", shardTag, string(v.Tag))
	equal(t, "target chunk", TargetChunkSize, v.Target)
	equal(t, "min chunk", MinChunkSize, v.Min)
	equal(t, "max chunk", MaxChunkSize, v.Max)
	equal(t, "mask", "ffff000000000000", v.Mask)
	equal(t, "limit", ^uint64(gearLimit-1), 0xffff000000000000)
	equal(t, "xorb bytes", MaxXorbSize, v.XorbBytes)
	equal(t, "xorb chunks", MaxXorbChunks, v.XorbChunks)
	equal(t, "shard bytes", MaxShardSize, v.ShardTarget)
	equal(t, "global dedup", globalDedupModulus, v.GlobalDedup)
	equal(t, "branching", treeBranching, v.Branching)
	equal(t, "max group", treeMaxGroup, v.MaxGroup)
	// The reference counts the nodes that never end a group.
	equal(t, "min group", treeMinGroup-1, v.MinGroup)
}

func checkGearTable(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Words []hexBytes `json:"index_0_255"`
		Sum   hexBytes   `json:"sha256_of_le_bytes"`
	}](t, raw)
	equal(t, "words", len(v.Words), len(gearTable))
	var all []byte
	for i, w := range v.Words {
		equal(t, "word", gearTable[i], binary.BigEndian.Uint64(w))
		all = binary.LittleEndian.AppendUint64(all, gearTable[i])
	}
	sum := sha256.Sum256(all)
	equalBytes(t, "sum", sum[:], v.Sum)
}

func checkHashStrings(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Cases []struct {
			RawHex    hexBytes `json:"raw_hex"`
			BEHex     hexBytes `json:"be_bytes_hex"`
			SHAHex    hexBytes `json:"sha256_hex"`
			StoredHex hexBytes `json:"stored_raw_hex"`
			Hex       string
		}
		Marker  string `json:"marker_hex"`
		Invalid []struct{ Hex string }
	}](t, raw)
	for _, c := range v.Cases {
		h, err := ParseHash(c.Hex)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "string", h.String(), c.Hex)
		if c.RawHex != nil {
			equalBytes(t, "raw", h[:], c.RawHex)
		}
		for _, be := range []hexBytes{c.BEHex, c.SHAHex} {
			if be != nil {
				equal(t, "swapped", Hash(swapWords([32]byte(be))), h)
			}
		}
		if c.StoredHex != nil {
			equalBytes(t, "stored", h[:], c.StoredHex)
		}
	}
	equal(t, "marker", shardBookend.String(), v.Marker)
	for _, c := range v.Invalid {
		if h, err := ParseHash(c.Hex); err == nil {
			t.Errorf("%q is %v", c.Hex, h)
		}
	}
}

func checkChunkHashes(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Cases []struct {
			Input *hexBytes `json:"input_hex"`
			Desc  string    `json:"input_desc"`
			Chunk Hash      `json:"chunk_hash"`
			Raw   hexBytes  `json:"chunk_hash_raw_hex"`
			File  Hash      `json:"file_hash_if_single_chunk"`
		}
		IETF struct {
			Input string   `json:"input_ascii"`
			Chunk Hash     `json:"chunk_hash"`
			Raw   hexBytes `json:"chunk_hash_raw_hex"`
		}
	}](t, raw)
	counting := make([]byte, 256)
	for i := range counting {
		counting[i] = byte(i)
	}
	described := map[string][]byte{"8192 zero bytes": make([]byte, 8192), "bytes 00..ff": counting}
	for _, c := range v.Cases {
		input, ok := described[c.Desc]
		if c.Input != nil {
			input, ok = *c.Input, true
		}
		if !ok {
			t.Errorf("unknown input %q", c.Desc)
		}
		h := ChunkHash(input)
		equal(t, "chunk", h, c.Chunk)
		equalBytes(t, "raw", h[:], c.Raw)
		equal(t, "file", FileHash([]Chunk{{h, uint32(len(input))}}), c.File)
	}
	h := ChunkHash([]byte(v.IETF.Input))
	equal(t, "ietf", h, v.IETF.Chunk)
	equalBytes(t, "ietf raw", h[:], v.IETF.Raw)
}

func checkNodeAndRange(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Node struct {
			Children []hashSize
			Preimage string `json:"preimage_ascii"`
			Hash     Hash
			Size     uint64
		}
		Range struct {
			Chunks []Hash `json:"chunk_hashes"`
			Hash   Hash
		} `json:"range_hash"`
	}](t, raw)
	var group []treeNode
	for _, c := range v.Node.Children {
		group = append(group, treeNode{c.Hash, c.Size})
	}
	p := parent(group)
	equal(t, "node", p.hash, v.Node.Hash)
	equal(t, "size", p.size, v.Node.Size)
	equal(t, "preimage", nodeHasher.sum([]byte(v.Node.Preimage)), v.Node.Hash)
	equal(t, "range", VerificationHash(v.Range.Chunks), v.Range.Hash)
}

func checkMerkle(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Cases []struct {
			Chunks []hashSize
			Xorb   Hash `json:"xorb_hash"`
			Files  []struct {
				Salt Hash
				File Hash `json:"file_hash"`
			}
			Groups [][]int `json:"group_sizes"`
		}
	}](t, raw)
	equal(t, "cases", len(v.Cases), 18)
	for i, c := range v.Cases {
		var tree TreeHash
		for _, ch := range c.Chunks {
			tree.Add(ch.Hash, ch.Size)
		}
		equal(t, "xorb", tree.Root(), c.Xorb)
		equal(t, "files", len(c.Files), 3)
		for _, f := range c.Files {
			var got Hash
			if len(c.Chunks) > 0 {
				got = tree.Root().Keyed(f.Salt)
			}
			equal(t, "salted file", got, f.File)
			if f.Salt.IsZero() {
				equal(t, "file", tree.FileHash(), f.File)
			}
		}
		if got := naiveGroups(c.Chunks); !equalGroups(got, c.Groups) {
			t.Errorf("case %d: groups %v, want %v", i, got, c.Groups)
		}
	}
}

func equalGroups(a, b [][]int) bool { return slices.EqualFunc(a, b, slices.Equal[[]int]) }

func checkMerkleSubtree(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Chunks []hashSize `json:"input_chunks"`
		Xorb   Hash       `json:"final_xorb_hash"`
		File   Hash       `json:"file_hash"`
		Groups [][]int    `json:"group_sizes"`
	}](t, raw)
	// Not checked: "splits", "subtrees" and "subtree_all", the form in which
	// servers may answer /v2/file-chunk-hashes for edits of ranges. This package
	// has no such thing, since servers may do without.
	var tree TreeHash
	for i, c := range v.Chunks {
		equal(t, "chunk", ChunkHash(binary.LittleEndian.AppendUint64(nil, uint64(i))), c.Hash)
		tree.Add(c.Hash, c.Size)
	}
	equal(t, "xorb", tree.Root(), v.Xorb)
	equal(t, "file", tree.FileHash(), v.File)
	if got := naiveGroups(v.Chunks); !equalGroups(got, v.Groups) {
		t.Errorf("groups %v, want %v", got, v.Groups)
	}
}

func checkHMAC(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Cases []struct{ Key, Hash, HMAC Hash }
	}](t, raw)
	for _, c := range v.Cases {
		equal(t, "keyed", c.Hash.Keyed(c.Key), c.HMAC)
	}
}

func checkGlobalDedup(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Cases []struct {
			Input    string
			Hash     Hash `json:"chunk_hash"`
			Eligible bool
		}
	}](t, raw)
	inputs := map[string]uint64{"8 LE bytes of 35": 35, "8 LE bytes of 1618": 1618, "8 LE bytes of 2913": 2913}
	for _, c := range v.Cases {
		equal(t, "eligible", c.Hash.GlobalDedupEligible(), c.Eligible)
		if c.Input != "" {
			n, ok := inputs[c.Input]
			equal(t, "input is known", ok, true)
			equal(t, "chunk", ChunkHash(binary.LittleEndian.AppendUint64(nil, n)), c.Hash)
		}
	}
}

func checkReferenceFiles(t *testing.T, raw json.RawMessage) {
	t.Helper()
	// The files are not at hand; their names at least are ours.
	v := decode[struct {
		Chunks []string `json:"chunk_names"`
		File   string   `json:"file_hash"`
		Xorb   string   `json:"xorb_hash"`
		Range  string   `json:"range_hash_all_796_chunks"`
	}](t, raw)
	for _, s := range append(v.Chunks, v.File, v.Xorb, v.Range) {
		h, err := ParseHash(s)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "string", h.String(), s)
	}
}

func checkBG4(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Cases []struct {
			Data  hexBytes `json:"data_hex"`
			Split hexBytes `json:"split_hex"`
		}
	}](t, raw)
	equal(t, "cases", len(v.Cases), 17)
	for _, c := range v.Cases {
		split := make([]byte, len(c.Data))
		bg4Split(split, c.Data)
		equalBytes(t, "split", split, c.Split)
		joined := make([]byte, len(c.Data))
		bg4Join(joined, c.Split)
		equalBytes(t, "joined", joined, c.Data)
	}
}

func checkCompressionChoice(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Cases []struct {
			Input  string
			Max    float64 `json:"max_kl"`
			Scheme string
		}
	}](t, raw)
	sine := make([]byte, 0, 4*16384)
	for i := range 16384 {
		f := float32(math.Sin(float64(i)*0.001) * 3.0)
		sine = binary.LittleEndian.AppendUint32(sine, math.Float32bits(f))
	}
	var crafted []byte
	for i := range 16384 {
		b := i & 255
		lane3 := b | 0xf0
		if i%1821 == 0 {
			lane3 = 1<<(i/1821) - 1
		}
		crafted = append(crafted, byte(b), byte(b*7), byte(b*13), byte(lane3))
	}
	inputs := map[string][]byte{
		"zeros65536":          make([]byte, 65536),
		"splitmix65536_seed3": splitmix(65536, 3),
		"f32sine16384":        sine,
		"crafted":             crafted,
	}
	for _, c := range v.Cases {
		name, _, _ := strings.Cut(c.Input, ":")
		input, ok := inputs[name]
		if !ok {
			t.Errorf("unknown input %q", c.Input)
		}
		if got := bg4Divergence(input); math.Abs(got-c.Max) > 1e-12 {
			t.Errorf("%s: divergence %v, want %v", name, got, c.Max)
		}
		equal(t, name, ChooseScheme(input).String(), c.Scheme)
	}
}

func checkLZ4Frames(t *testing.T, raw json.RawMessage) {
	t.Helper()
	groups := subgroups(t, raw, "header_checksums", "decode", "js_client_frame")
	for _, c := range decode[[]struct{ FLG, BD, HC hexBytes }](t, groups["header_checksums"]) {
		sum := xxh32(append(bytes.Clone(c.FLG), c.BD...))
		equal(t, "header checksum", byte(sum>>8), c.HC[0])
	}
	for _, c := range decode[[]struct {
		Frame hexBytes `json:"frame_hex"`
		Data  hexBytes `json:"data_hex"`
	}](t, groups["decode"]) {
		got := make([]byte, len(c.Data))
		if err := lz4Decode(got, c.Frame); err != nil {
			t.Errorf("%x: %v", c.Frame, err)
		}
		equalBytes(t, "content", got, c.Data)
	}
	js := decode[struct {
		Header hexBytes `json:"chunk_header_hex"`
		Prefix hexBytes `json:"frame_prefix_hex"`
		Total  int      `json:"total_chunk_bytes"`
	}](t, groups["js_client_frame"])
	// Of the frame only its beginning is on record; the rest follows from its
	// size and content: one match in one block, of which 255s tell the length,
	// five bytes at the end that must be plain, and the end mark.
	h, err := ParseRecordHeader(js.Header)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "header", h, RecordHeader{SchemeLZ4, 418, 100000})
	equal(t, "size", h.Size(), js.Total)
	body := js.Total - len(js.Header) - 4
	frame := bytes.Clone(js.Prefix)
	for match := h.Raw - 1 - 5 - 4 - 15 - 255; ; match -= 255 {
		if match < 255 {
			frame = append(frame, byte(match))
			break
		}
		frame = append(frame, 255)
	}
	frame = append(frame, "\x50AAAAA"...)
	equal(t, "block", len(frame), body)
	frame = binary.LittleEndian.AppendUint32(frame, 0)
	got, n, err := DecodeRecord(nil, append(bytes.Clone(js.Header), frame...))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "consumed", n, js.Total)
	equalBytes(t, "content", got, bytes.Repeat([]byte("A"), 100000))
}
