package xet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// ShardForm is one of the forms in which a shard is written.
type ShardForm uint8

// The forms of shards.
const (
	// ShardUpload is what a client sends: the sections, no footer.
	ShardUpload ShardForm = iota
	// ShardAnswer is what a server answers to a question about a chunk: the
	// sections and a footer with HMACKey, Created and Expiry. Its lookup tables
	// are empty and said to begin at the footer, which is where clients look
	// for the end of the xorb section.
	ShardAnswer
	// ShardLocal is what a client keeps: the sections, lookup tables by hash
	// and the footer.
	ShardLocal
)

// The footer, after the sections and lookup tables:
//
//	u64 version
//	u64 offset of the file section, of the xorb section
//	u64 offset and u64 count of the lookup tables of files, of xorbs, of chunks
//	hash HMAC key, u64 created, u64 expiry, 6 × u64 0
//	u64 stored bytes, u64 bytes of files, u64 uncompressed bytes of xorbs
//	u64 offset of the footer
//
// The lookup tables are sorted by the first word of the hash. Places count
// entries from the beginning of the section:
//
//	files, xorbs   u64 word, u32 place
//	chunks         u64 word, u32 place of the xorb, u32 index of the chunk
const (
	shardPlaceSize      = 8 + 4
	shardChunkPlaceSize = 8 + 4 + 4
)

// Append appends s in the given form to dst and gives the longer slice. Files
// and xorbs are written in ascending order of their hashes, whatever order
// they have in s, which is left alone. A file is written with verification
// hashes when all of its terms have one. Sums are computed anew. A xorb with
// Flags has as many as Chunks. Writing under an HMAC key is up to the caller,
// see [ShardXorb.Keyed].
func (s *Shard) Append(dst []byte, form ShardForm) []byte {
	dst = slices.Grow(dst, s.Size(form))
	w := shardWriter{dst: dst, base: len(dst)}
	w.dst = append(w.dst, shardTag...)
	w.u64(shardVersion)
	if form == ShardUpload {
		w.u64(0)
	} else {
		w.u64(shardFooterSize)
	}

	files, xorbs := s.sorted()
	w.section = w.offset()
	w.filesAt = w.section
	for _, f := range files {
		w.file(f)
	}
	w.entry(shardBookend)

	w.section = w.offset()
	w.xorbsAt = w.section
	for _, x := range xorbs {
		w.xorb(x)
	}
	w.entry(shardBookend)

	switch form {
	case ShardUpload:
		return w.dst
	case ShardAnswer:
		w.files, w.xorbs, w.chunks = nil, nil, nil
	case ShardLocal:
	default:
		panic(fmt.Sprintf("xet: no shard form %d", form))
	}
	w.footer(s)
	return w.dst
}

// Size gives the number of bytes that [Shard.Append] appends. A shard is to
// stay within MaxShardSize.
func (s *Shard) Size(form ShardForm) int {
	entries := 3 // header and bookends
	chunks := 0
	for i := range s.Files {
		f := &s.Files[i]
		entries += 1 + len(f.Terms)
		if f.verified() {
			entries += len(f.Terms)
		}
		if f.SHA256 != nil {
			entries++
		}
	}
	for i := range s.Xorbs {
		chunks += len(s.Xorbs[i].Chunks)
	}
	entries += len(s.Xorbs) + chunks
	size := entries * shardEntrySize
	if form != ShardUpload {
		size += shardFooterSize
	}
	if form == ShardLocal {
		size += (len(s.Files)+len(s.Xorbs))*shardPlaceSize + chunks*shardChunkPlaceSize
	}
	return size
}

func (s *Shard) sorted() ([]*ShardFile, []*ShardXorb) {
	files := make([]*ShardFile, len(s.Files))
	for i := range s.Files {
		files[i] = &s.Files[i]
	}
	slices.SortStableFunc(files, func(a, b *ShardFile) int { return a.Hash.Compare(b.Hash) })
	xorbs := make([]*ShardXorb, len(s.Xorbs))
	for i := range s.Xorbs {
		xorbs[i] = &s.Xorbs[i]
	}
	slices.SortStableFunc(xorbs, func(a, b *ShardXorb) int { return a.Hash.Compare(b.Hash) })
	return files, xorbs
}

// shardPlace is an entry of a lookup table.
type shardPlace struct {
	key          uint64
	place, index uint32
}

// shardWriter is a shard while it is being written.
type shardWriter struct {
	dst              []byte
	base             int // where the shard begins in dst
	section          int // where the section at hand begins in the shard
	filesAt, xorbsAt int // where the sections begin in the shard

	files, xorbs, chunks           []shardPlace
	diskBytes, fileBytes, rawBytes uint64
}

func (w *shardWriter) offset() int { return len(w.dst) - w.base }

// place gives the place of the next entry.
func (w *shardWriter) place() uint32 { return uint32((w.offset() - w.section) / shardEntrySize) }

func (w *shardWriter) u32(v uint32) { w.dst = binary.LittleEndian.AppendUint32(w.dst, v) }

func (w *shardWriter) u64(v uint64) { w.dst = binary.LittleEndian.AppendUint64(w.dst, v) }

// entry writes an entry: a hash and up to four words.
func (w *shardWriter) entry(h Hash, words ...uint32) {
	w.dst = append(w.dst, h[:]...)
	var all [4]uint32
	copy(all[:], words)
	for _, v := range all {
		w.u32(v)
	}
}

func (w *shardWriter) file(f *ShardFile) {
	w.files = append(w.files, shardPlace{key: f.Hash.Truncated(), place: w.place()})
	var flags uint32
	if f.verified() {
		flags |= shardFlagVerified
	}
	if f.SHA256 != nil {
		flags |= shardFlagMetadata
	}
	w.entry(f.Hash, flags, uint32(len(f.Terms)))
	for i := range f.Terms {
		t := &f.Terms[i]
		w.entry(t.Xorb, 0, t.Bytes, t.Range.Start, t.Range.End)
		w.fileBytes += uint64(t.Bytes)
	}
	if flags&shardFlagVerified != 0 {
		for i := range f.Terms {
			w.entry(f.Terms[i].Verification)
		}
	}
	if f.SHA256 != nil {
		w.entry(swapWords(*f.SHA256))
	}
}

func (w *shardWriter) xorb(x *ShardXorb) {
	place := w.place()
	w.xorbs = append(w.xorbs, shardPlace{key: x.Hash.Truncated(), place: place})
	var sum uint32
	for i := range x.Chunks {
		sum += x.Chunks[i].Size
	}
	w.entry(x.Hash, 0, uint32(len(x.Chunks)), sum, x.DiskBytes)
	w.rawBytes += uint64(sum)
	w.diskBytes += uint64(x.DiskBytes)
	sum = 0
	for i := range x.Chunks {
		c := &x.Chunks[i]
		var flags uint32
		if x.Flags != nil {
			flags = x.Flags[i]
		}
		w.chunks = append(w.chunks, shardPlace{c.Hash.Truncated(), place, uint32(i)})
		w.entry(c.Hash, sum, c.Size, flags)
		sum += c.Size
	}
}

// footer writes the lookup tables and the footer.
func (w *shardWriter) footer(s *Shard) {
	var at [3]int
	for i, table := range [][]shardPlace{w.files, w.xorbs, w.chunks} {
		at[i] = w.offset()
		slices.SortStableFunc(table, func(a, b shardPlace) int { return cmp.Compare(a.key, b.key) })
		for _, p := range table {
			w.u64(p.key)
			w.u32(p.place)
			if i == 2 {
				w.u32(p.index)
			}
		}
	}
	end := w.offset()
	w.u64(shardFooterVersion)
	w.u64(uint64(w.filesAt))
	w.u64(uint64(w.xorbsAt))
	w.u64(uint64(at[0]))
	w.u64(uint64(len(w.files)))
	w.u64(uint64(at[1]))
	w.u64(uint64(len(w.xorbs)))
	w.u64(uint64(at[2]))
	w.u64(uint64(len(w.chunks)))
	w.dst = append(w.dst, s.HMACKey[:]...)
	w.u64(s.Created)
	w.u64(s.Expiry)
	w.dst = append(w.dst, make([]byte, 6*8)...)
	w.u64(w.diskBytes)
	w.u64(w.fileBytes)
	w.u64(w.rawBytes)
	w.u64(uint64(end))
}
