package xet

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
)

// cuts gives the ends of the chunks of data, which the splitter sees feed more
// bytes at a time.
func cuts(data []byte, feed int) []int {
	var s Splitter
	ends := []int{}
	start, have := 0, 0
	for start < len(data) {
		n := s.Next(data[start:have], have == len(data))
		if n == 0 {
			have = min(len(data), have+feed)
			continue
		}
		start += n
		ends = append(ends, start)
	}
	return ends
}

func checkCuts(t *testing.T, what string, data []byte, want []int) {
	t.Helper()
	for _, feed := range []int{len(data) + 1, 50000} {
		if got := cuts(data, feed); !slices.Equal(got, want) {
			t.Errorf("%s: cuts %v, want %v", what, got, want)
		}
	}
	if got := naiveCuts(data); !slices.Equal(got, want) {
		t.Errorf("%s: model cuts %v, want %v", what, got, want)
	}
}

func checkChunking(t *testing.T, raw json.RawMessage) {
	t.Helper()
	groups := subgroups(t, raw, "splitmix_1e6_seed0", "const59_1e6", "splitmix_256000_seed1",
		"splitmix_300000_seed7_js_divergence", "trigger", "trigger_old_behaviour", "edge", "next_stable_rule")

	checkMillion(t, groups["splitmix_1e6_seed0"])

	c := decode[struct {
		Byte       byte
		N          int
		Boundaries []int
	}](t, groups["const59_1e6"])
	checkCuts(t, "const", bytes.Repeat([]byte{c.Byte}, c.N), c.Boundaries)

	f := decode[struct {
		N          int
		Seed       uint64
		Boundaries []int
		Feeds      []int `json:"feed_block_sizes_to_test"`
	}](t, groups["splitmix_256000_seed1"])
	data := splitmix(f.N, f.Seed)
	checkCuts(t, "feeds", data, f.Boundaries)
	equal(t, "feeds", len(f.Feeds), 3)
	for _, feed := range f.Feeds {
		if got := cuts(data, feed); !slices.Equal(got, f.Boundaries) {
			t.Errorf("feed %d: cuts %v, want %v", feed, got, f.Boundaries)
		}
	}

	js := decode[struct {
		N    int
		Seed uint64
		Rust []int `json:"boundaries_rust_rule"`
		JS   []int `json:"boundaries_js_client"`
	}](t, groups["splitmix_300000_seed7_js_divergence"])
	data = splitmix(js.N, js.Seed)
	checkCuts(t, "divergence", data, js.Rust)
	checkAccepted(t, data, js.JS)

	checkTrigger(t, groups["trigger"], groups["trigger_old_behaviour"])

	for _, c := range decode[struct {
		Cases []struct {
			Input      string
			N          int
			Boundaries []int
		}
	}](t, groups["edge"]).Cases {
		if c.Input != "zeros" && c.Input != "empty" {
			t.Errorf("unknown input %q", c.Input)
		}
		checkCuts(t, c.Input+strconv.Itoa(c.N), make([]byte, c.N), c.Boundaries)
	}

	// The bounds of the stable sizes, by sizes on both sides of them.
	r := decode[struct {
		Min  uint64
		High uint64 `json:"max_exclusive"`
	}](t, groups["next_stable_rule"])
	for _, c := range []struct {
		size uint64
		want bool
	}{{r.Min - 1, false}, {r.Min, true}, {r.High - 1, true}, {r.High, false}} {
		end, ok := NextStableBoundary([]uint64{10, 10 + c.size, 10 + 2*c.size}, 1)
		equal(t, "stable", ok, c.want)
		if ok {
			equal(t, "stable end", end, 10+2*c.size)
		}
	}
}

func checkMillion(t *testing.T, raw json.RawMessage) {
	t.Helper()
	v := decode[struct {
		N          int
		Seed       uint64
		SHA256     hexBytes     `json:"data_sha256"`
		At         map[int]byte `json:"data_at"`
		Boundaries []int
		Hashes     []Hash             `json:"chunk_hashes"`
		Xorb       Hash               `json:"xorb_hash"`
		File       Hash               `json:"file_hash"`
		All        Hash               `json:"verification_hash_all"`
		Some       Hash               `json:"verification_hash_chunks_3_to_7"`
		Stable     map[uint64]*uint64 `json:"next_stable_chunk_boundary"`
	}](t, raw)
	data := splitmix(v.N, v.Seed)
	sum := sha256.Sum256(data)
	equalBytes(t, "data", sum[:], v.SHA256)
	for i, b := range v.At {
		equal(t, "byte", data[i], b)
	}
	checkCuts(t, "million", data, v.Boundaries)

	var chunks []Chunk
	var ends []uint64
	start := 0
	for i, end := range v.Boundaries {
		chunks = append(chunks, Chunk{ChunkHash(data[start:end]), uint32(end - start)})
		ends = append(ends, uint64(end))
		start = end
		equal(t, "chunk", chunks[i].Hash, v.Hashes[i])
	}
	equal(t, "xorb", XorbHash(chunks), v.Xorb)
	equal(t, "file", FileHash(chunks), v.File)
	equal(t, "range of all", VerificationHash(v.Hashes), v.All)
	var r RangeHash
	for _, h := range v.Hashes[3:7] {
		r.Add(h)
	}
	equal(t, "range of some", r.Sum(), v.Some)

	equal(t, "stable cases", len(v.Stable), 9)
	for p, want := range v.Stable {
		got, ok := NextStableBoundary(ends, p)
		switch {
		case ok != (want != nil):
			t.Errorf("stable boundary after %d: %v %v", p, got, ok)
		case ok:
			equal(t, "stable boundary", got, *want)
		}
	}
}

func checkTrigger(t *testing.T, raw, rawOld json.RawMessage) {
	t.Helper()
	v := decode[struct {
		Pattern []int `json:"base_pattern"`
		N       int
		At      int `json:"sample_index"`
		Cases   []struct {
			Padding    int
			Sample     byte
			Boundaries []int
		}
	}](t, raw)
	old := decode[struct{ Cases map[int][]int }](t, rawOld).Cases
	var pattern []byte
	for _, b := range v.Pattern {
		pattern = append(pattern, byte(b))
	}
	equal(t, "trigger cases", len(v.Cases), 128)
	equal(t, "old cases", len(old), 13)
	for _, c := range v.Cases {
		data := triggerData(pattern, c.Padding, v.N)
		equal(t, "sample", data[v.At], c.Sample)
		checkCuts(t, "trigger", data, c.Boundaries)
		if before, ok := old[c.Padding]; ok {
			if slices.Equal(before, c.Boundaries) {
				t.Errorf("padding %d: the old rule cuts alike", c.Padding)
			}
			checkAccepted(t, data, before)
		}
	}
}

// checkAccepted checks that a xorb with chunks as others cut them is read.
func checkAccepted(t *testing.T, data []byte, ends []int) {
	t.Helper()
	var body []byte
	start := 0
	for _, end := range ends {
		body = AppendRecord(body, data[start:end], SchemeLZ4)
		start = end
	}
	x, err := ScanXorb(bytes.NewReader(body), nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "chunks", len(x.Chunks), len(ends))
	equal(t, "bytes", x.RawSize(), int64(len(data)))
}
