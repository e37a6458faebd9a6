package xet

import "strconv"

// The shape of the tree over chunk hashes (Xet specification, aggregated
// hashes; draft-denis-xet, merkle tree construction): a group of siblings ends
// after the first node from the third on whose hash is divisible by
// treeBranching, and after treeMaxGroup nodes in any case.
const (
	treeBranching = 4
	treeMaxGroup  = 2*treeBranching + 1
	treeMinGroup  = 3
	// treeLineSize bounds one line of a node's preimage: 64 hex digits, " : ",
	// 20 decimal digits, newline.
	treeLineSize = hashTextSize + 3 + 20 + 1
)

// TreeHash computes the root of the hash tree over a list of chunks as the
// list streams by. Its memory grows with the logarithm of the list. The zero
// value is ready and stands for the empty list.
type TreeHash struct {
	levels []treeLevel // from the chunks up
}

// treeLevel is what is known of one level of the tree: the nodes of the group
// that is still open.
type treeLevel struct {
	open   [treeMaxGroup]treeNode
	n      int  // nodes in open, below treeMaxGroup between calls
	closed bool // a group of this level has gone up
}

// treeNode is a chunk or a node of the tree: its hash and the uncompressed
// bytes below it.
type treeNode struct {
	hash Hash
	size uint64
}

// Add appends a chunk of size uncompressed bytes to the list.
func (t *TreeHash) Add(h Hash, size uint64) {
	node := treeNode{h, size}
	for i := 0; ; i++ {
		if i == len(t.levels) {
			t.levels = append(t.levels, treeLevel{})
		}
		l := &t.levels[i]
		l.open[l.n] = node
		l.n++
		if l.n < treeMinGroup || l.n < treeMaxGroup && node.hash.last()%treeBranching != 0 {
			return
		}
		node = parent(l.open[:l.n])
		l.n, l.closed = 0, true
	}
}

// Root gives the root over the list so far, which is the xorb hash when the
// list is that of a xorb. The root of one chunk is its hash; that of the empty
// list is zero. More chunks may be added afterwards.
func (t *TreeHash) Root() Hash {
	var last treeNode // the last group of the level below
	carried := false
	for i := range t.levels {
		l := &t.levels[i]
		group := l.open // a copy: the group stays open for further Adds
		n := l.n
		if carried {
			group[n] = last
			n++
		}
		switch {
		case n == 0:
			continue
		case n == 1 && !l.closed:
			return group[0].hash // alone on its level
		}
		// A trailing group of one is hashed like any other.
		last, carried = parent(group[:n]), true
	}
	return last.hash
}

// FileHash gives the hash of the file whose chunks the list names. It is zero
// for the empty list. More chunks may be added afterwards.
func (t *TreeHash) FileHash() Hash {
	if len(t.levels) == 0 {
		return Hash{}
	}
	return t.Root().Keyed(Hash{})
}

// Reset makes t stand for the empty list again.
func (t *TreeHash) Reset() { t.levels = t.levels[:0] }

// parent gives the node above a group of siblings: the hash of one text line
// for each of them.
func parent(group []treeNode) treeNode {
	s := nodeHasher.get()
	var line [treeLineSize]byte
	var sum uint64
	for i := range group {
		b := group[i].hash.appendText(line[:0])
		b = append(b, " : "...)
		b = strconv.AppendUint(b, group[i].size, 10)
		b = append(b, '\n')
		_, _ = s.b.Write(b) // never fails
		sum += group[i].size
	}
	return treeNode{nodeHasher.put(s), sum}
}

// XorbHash gives the hash of a xorb from its chunks in order: the root of
// their tree, and zero for none.
func XorbHash(chunks []Chunk) Hash {
	var t TreeHash
	for _, c := range chunks {
		t.Add(c.Hash, uint64(c.Size))
	}
	return t.Root()
}

// FileHash gives the hash of a file from all of its chunks in order, whatever
// xorbs they are in. It is zero for the empty file.
func FileHash(chunks []Chunk) Hash {
	var t TreeHash
	for _, c := range chunks {
		t.Add(c.Hash, uint64(c.Size))
	}
	return t.FileHash()
}
