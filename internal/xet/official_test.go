package xet

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"
)

// officialCase is what the official client made of one file.
type officialCase struct {
	Name      string
	Desc      corpusDesc
	Size      uint64
	SHA256    hexBytes
	File      Hash         `json:"file_hash"`
	N         int          `json:"n_chunks"`
	LensSum   hexBytes     `json:"lens_sha256"`
	ChunksSum hexBytes     `json:"chunks_sha256"`
	Lens      *[]uint32    // all of them, or
	LensHead  []uint32     `json:"lens_head"`
	LensTail  []uint32     `json:"lens_tail"`
	Chunks    []Hash       // of small files
	Xorbs     []officialX  // ascending
	Terms     *[]officialT // all of them, or
	NTerms    int          `json:"n_terms"`
	TermsHead []officialT  `json:"terms_head"`
}

type officialX struct {
	Hash   Hash
	Chunks int
	Bytes  int64
}

func (x *officialX) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&x.Hash, &x.Chunks, &x.Bytes})
}

type officialT struct {
	Xorb         int
	Range        Range
	Verification Hash
}

func (x *officialT) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&x.Xorb, &x.Range.Start, &x.Range.End, &x.Verification})
}

// TestOfficial cuts, hashes and packs the corpora of testdata/xet-official.json
// and compares everything with what the official client made of them.
func TestOfficial(t *testing.T) {
	file := decodeFile[struct {
		Schema struct{ Words, Sep []string } `json:"_schema"`
		Cases  []officialCase
	}](t, "testdata/xet-official.json")
	equal(t, "cases", len(file.Cases), 39)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.check(t, c.Desc.reader(file.Schema.Words, file.Schema.Sep))
		})
	}
}

func (c *officialCase) check(t *testing.T, data io.Reader) {
	t.Helper()
	sum, lensSum, chunksSum := sha256.New(), sha256.New(), sha256.New()
	var lens []uint32
	var chunks []Chunk
	var tree TreeHash
	var size uint64
	p := newPacker()
	ch := NewChunker(io.TeeReader(data, sum))
	for {
		raw, err := ch.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		chunk := Chunk{ChunkHash(raw), uint32(len(raw))}
		size += uint64(len(raw))
		lens = append(lens, chunk.Size)
		chunks = append(chunks, chunk)
		tree.Add(chunk.Hash, uint64(chunk.Size))
		p.add(chunk)
		if err := binary.Write(lensSum, binary.LittleEndian, chunk.Size); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(chunksSum, chunk.Hash.String()); err != nil {
			t.Fatal(err)
		}
	}
	p.finish()

	equal(t, "size", size, c.Size)
	equalBytes(t, "corpus", sum.Sum(nil), c.SHA256)
	equal(t, "chunks", len(lens), c.N)
	equalBytes(t, "lengths", lensSum.Sum(nil), c.LensSum)
	equalBytes(t, "chunk hashes", chunksSum.Sum(nil), c.ChunksSum)
	if c.Lens != nil {
		c.LensHead = *c.Lens
	}
	if n := len(c.LensHead); !slices.Equal(lens[:n], c.LensHead) {
		t.Errorf("lengths %v, want %v", lens[:n], c.LensHead)
	}
	if n := len(lens) - len(c.LensTail); !slices.Equal(lens[n:], c.LensTail) {
		t.Errorf("last lengths %v, want %v", lens[n:], c.LensTail)
	}
	for i, h := range c.Chunks {
		equal(t, "chunk", chunks[i].Hash, h)
	}
	equal(t, "file", tree.FileHash(), c.File)
	equal(t, "file from a list", FileHash(chunks), c.File)

	xorbs, terms := p.result()
	if !slices.Equal(xorbs, c.Xorbs) {
		t.Errorf("xorbs %v, want %v", xorbs, c.Xorbs)
	}
	if c.Terms != nil {
		c.TermsHead, c.NTerms = *c.Terms, len(*c.Terms)
	}
	equal(t, "terms", len(terms), c.NTerms)
	if n := min(len(terms), len(c.TermsHead)); !slices.Equal(terms[:n], c.TermsHead) {
		t.Errorf("terms %v, want %v", terms[:n], c.TermsHead)
	}
}

// packer packs the chunks of one file into xorbs as the official client does,
// as far as one file alone needs it: chunks that the xorb at hand has are not
// stored again. The client works on the data in blocks of 8 MB, and a run of
// known chunks ends with the block; a term goes on beyond it. Its rule against
// terms that are too short on average needs more terms than a run is long, and
// does not come up here.
type packer struct {
	block     []Chunk // chunks that end in the block at hand
	blockEnd  uint64
	size      uint64
	xorbs     [][]Chunk
	xorbBytes uint64
	places    map[Hash]int // in the last xorb
	terms     []officialT
}

const packerBlock = 8_000_000

func newPacker() *packer {
	return &packer{blockEnd: packerBlock, xorbs: [][]Chunk{nil}, places: map[Hash]int{}}
}

func (p *packer) add(c Chunk) {
	if p.size+uint64(c.Size) > p.blockEnd {
		p.finish()
		for p.size+uint64(c.Size) > p.blockEnd {
			p.blockEnd += packerBlock
		}
	}
	p.size += uint64(c.Size)
	p.block = append(p.block, c)
}

// finish packs the block.
func (p *packer) finish() {
	for i := 0; i < len(p.block); {
		last := len(p.xorbs) - 1
		if at, ok := p.places[p.block[i].Hash]; ok {
			xorb := p.xorbs[last]
			n := 1
			for i+n < len(p.block) && at+n < len(xorb) && p.block[i+n] == xorb[at+n] {
				n++
			}
			p.term(Range{uint32(at), uint32(at + n)})
			i += n
			continue
		}
		c := p.block[i]
		if p.xorbBytes+uint64(c.Size) > MaxXorbSize || len(p.xorbs[last]) == MaxXorbChunks {
			p.xorbs = append(p.xorbs, nil)
			last++
			clear(p.places)
			p.xorbBytes = 0
		}
		at := len(p.xorbs[last])
		p.places[c.Hash] = at
		p.xorbs[last] = append(p.xorbs[last], c)
		p.xorbBytes += uint64(c.Size)
		p.term(Range{uint32(at), uint32(at + 1)})
		i++
	}
	p.block = p.block[:0]
}

// term adds a range of the last xorb to the file.
func (p *packer) term(r Range) {
	last := len(p.xorbs) - 1
	if n := len(p.terms); n > 0 && p.terms[n-1].Xorb == last && p.terms[n-1].Range.End == r.Start {
		p.terms[n-1].Range.End = r.End
		return
	}
	p.terms = append(p.terms, officialT{Xorb: last, Range: r})
}

// result gives the xorbs, sorted as in a shard, and the terms.
func (p *packer) result() ([]officialX, []officialT) {
	if len(p.terms) == 0 {
		return []officialX{}, []officialT{}
	}
	var xorbs []officialX
	for i, chunks := range p.xorbs {
		x := officialX{Hash: XorbHash(chunks), Chunks: len(chunks)}
		for _, c := range chunks {
			x.Bytes += int64(c.Size)
		}
		xorbs = append(xorbs, x)
		for j := range p.terms {
			t := &p.terms[j]
			if t.Xorb != i {
				continue
			}
			var r RangeHash
			for _, c := range chunks[t.Range.Start:t.Range.End] {
				r.Add(c.Hash)
			}
			t.Verification = r.Sum()
		}
	}
	sorted := slices.Clone(xorbs)
	slices.SortFunc(sorted, func(a, b officialX) int { return a.Hash.Compare(b.Hash) })
	for j := range p.terms {
		p.terms[j].Xorb = slices.Index(sorted, xorbs[p.terms[j].Xorb])
	}
	return sorted, p.terms
}
