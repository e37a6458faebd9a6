package xet

import (
	"bytes"
	"encoding/binary"
	"io"
)

// splitmix gives the data(n, seed) of the vectors, from the SplitMix64
// generator.
func splitmix(n int, seed uint64) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(&splitmixReader{state: seed}, b); err != nil {
		panic(err)
	}
	return b
}

// splitmixReader is splitmix without end.
type splitmixReader struct {
	state uint64
	word  [8]byte
	left  int // bytes of word that are still to be read
}

func (r *splitmixReader) Read(b []byte) (int, error) {
	n := copy(b, r.word[8-r.left:])
	r.left -= n
	for len(b)-n >= 8 {
		binary.LittleEndian.PutUint64(b[n:], r.next())
		n += 8
	}
	if n < len(b) {
		binary.LittleEndian.PutUint64(r.word[:], r.next())
		r.left = 8 - copy(b[n:], r.word[:])
	}
	return len(b), nil
}

func (r *splitmixReader) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// cycle repeats unit without end.
type cycle struct {
	unit []byte
	pos  int
}

func (r *cycle) Read(b []byte) (int, error) {
	for n := 0; n < len(b); {
		m := copy(b[n:], r.unit[r.pos:])
		n += m
		r.pos = (r.pos + m) % len(r.unit)
	}
	return len(b), nil
}

// textReader makes text of words: a word and a separator for each byte of
// splitmix.
type textReader struct {
	bytes  splitmixReader
	tokens [256]string
	rest   string
}

func (r *textReader) Read(b []byte) (int, error) {
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	var choice [1024]byte
	for n < len(b) {
		want := choice[:min(len(choice), (len(b)-n)/16+1)]
		if _, err := r.bytes.Read(want); err != nil {
			return n, err
		}
		var all []byte
		for _, c := range want {
			all = append(all, r.tokens[c]...)
		}
		m := copy(b[n:], all)
		n += m
		r.rest = string(all[m:])
	}
	return len(b), nil
}

// corpusDesc describes data in testdata/xet-official.json, whose _schema
// explains it.
type corpusDesc struct {
	Kind  string
	N     int64
	Seed  uint64
	Block int
	Base  *corpusDesc
	Edits [][4]int64
}

// reader gives the data described.
func (d *corpusDesc) reader(words, seps []string) io.Reader {
	switch d.Kind {
	case "zeros":
		return io.LimitReader(&cycle{unit: make([]byte, 4096)}, d.N)
	case "splitmix":
		return io.LimitReader(&splitmixReader{state: d.Seed}, d.N)
	case "repeat":
		return io.LimitReader(&cycle{unit: splitmix(d.Block, d.Seed)}, d.N)
	case "text":
		r := &textReader{bytes: splitmixReader{state: d.Seed}}
		for b := range r.tokens {
			r.tokens[b] = words[b&63] + seps[b>>6]
		}
		return io.LimitReader(r, d.N)
	case "edit":
		base := d.Base.reader(words, seps)
		var parts []io.Reader
		var at int64
		for _, e := range d.Edits {
			off, del, ins, seed := e[0], e[1], e[2], uint64(e[3])
			parts = append(parts, io.LimitReader(base, off-at), &skip{base, del},
				io.LimitReader(&splitmixReader{state: seed}, ins))
			at = off + del
		}
		return io.MultiReader(append(parts, base)...)
	}
	panic("unknown kind of corpus " + d.Kind)
}

// skip reads n bytes of r for nobody and is then at its end.
type skip struct {
	r io.Reader
	n int64
}

func (s *skip) Read([]byte) (int, error) {
	if n, err := io.CopyN(io.Discard, s.r, s.n); err != nil {
		return 0, err
	} else if s.n -= n; s.n != 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return 0, io.EOF
}

// triggerData is the data of the vectors that cut wherever the pattern occurs.
func triggerData(pattern []byte, padding, n int) []byte {
	b := make([]byte, n)
	unit := append(bytes.Clone(pattern), make([]byte, padding)...)
	if _, err := (&cycle{unit: unit}).Read(b); err != nil {
		panic(err)
	}
	return b
}

// naiveCuts gives the ends of the chunks of data by the letter of the rule,
// one byte at a time.
func naiveCuts(data []byte) []int {
	var ends []int
	start := 0
	var h uint64
	for i, b := range data {
		h = h<<1 + gearTable[b]
		size := i + 1 - start
		if size >= MinChunkSize && h&0xffff000000000000 == 0 || size == MaxChunkSize || i == len(data)-1 {
			ends = append(ends, i+1)
			start, h = i+1, 0
		}
	}
	return ends
}

// naiveGroups gives the sizes of the groups on each level of the tree over
// chunks, by the letter of the rule.
func naiveGroups(chunks []hashSize) [][]int {
	groups, _ := naiveTree(chunks)
	return groups
}

func naiveTree(chunks []hashSize) (groups [][]int, root Hash) {
	level := chunks
	for len(level) > 1 {
		var sizes []int
		var above []hashSize
		for len(level) > 0 {
			n := min(9, len(level))
			for i := 2; i < n; i++ {
				if binary.LittleEndian.Uint64(level[i].Hash[24:])%4 == 0 {
					n = i + 1
				}
			}
			var group []treeNode
			for _, c := range level[:n] {
				group = append(group, treeNode{c.Hash, c.Size})
			}
			p := parent(group)
			sizes = append(sizes, n)
			above = append(above, hashSize{p.hash, p.size})
			level = level[n:]
		}
		groups = append(groups, sizes)
		level = above
	}
	if len(level) == 1 {
		root = level[0].Hash
	}
	return groups, root
}
