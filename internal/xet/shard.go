package xet

import (
	"fmt"
)

// MaxShardSize bounds a shard in bytes: clients keep below it, and
// [ReadShard] takes no larger one.
const MaxShardSize = 64 << 20

// The shard format (Xet specification, shard file format) is a header, a
// section of files, a section of xorbs, and, in some forms, lookup tables and
// a footer. The header, and everything in the sections, is entries of 48
// bytes:
//
//	header       tag, u64 version, u64 footer size or 0
//	file         hash, u32 flags, u32 n, u64 0
//	  n × term   xorb hash, u32 0, u32 bytes, u32 first chunk, u32 chunk after the last
//	  n × verification, when flagged     hash, 16 × 0
//	  metadata, when flagged             sha256 with swapped words, 16 × 0
//	... more files, bookend
//	xorb         hash, u32 0, u32 n, u32 uncompressed bytes, u32 stored bytes or 0
//	  n × chunk  hash, u32 offset in the uncompressed bytes, u32 bytes, u32 flags, u32 0
//	... more xorbs, bookend
//
// A bookend is a hash of ones and zeros behind it.
const (
	shardTag           = "HFRepoMetaData\x00UigEj{\x81W\x83\xa5\xbd\xd9\\\xcd\xd1J\xa9"
	shardVersion       = 2
	shardEntrySize     = 48
	shardFooterVersion = 1
	shardFooterSize    = 200

	shardFlagVerified = 1 << 31 // file: verification entries follow
	shardFlagMetadata = 1 << 30 // file: a metadata entry follows
)

// ShardFlagGlobalDedup in the flags of a chunk marks it as worth a question to
// the server, see [Hash.GlobalDedupEligible]. Servers set it, clients do not.
const ShardFlagGlobalDedup uint32 = 1 << 31

// shardBookend is the hash that ends a section.
var shardBookend = Hash{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
}

// Shard tells how files are made of terms and what xorbs consist of.
type Shard struct {
	Files []ShardFile
	Xorbs []ShardXorb
	// HMACKey is the key under which the chunk hashes of Xorbs are hashed once
	// more, see [ShardXorb.Keyed]; zero when they are plain.
	HMACKey Hash
	// Created and Expiry are in seconds of Unix time. A reader may use the
	// shard for deduplication until Expiry, so 0 is long past; math.MaxUint64
	// is never. Uploads have no use for either.
	Created, Expiry uint64
}

// ShardFile is a file in a shard.
type ShardFile struct {
	Reconstruction
	// SHA256 is the ordinary SHA-256 of the content, nil when it is not given.
	SHA256 *[32]byte
}

// verified tells whether the file has verification hashes. The empty file
// needs none, and clients flag it as having them.
func (f *ShardFile) verified() bool {
	for i := range f.Terms {
		if f.Terms[i].Verification.IsZero() {
			return false
		}
	}
	return true
}

// ShardXorb is a xorb in a shard.
type ShardXorb struct {
	Hash   Hash
	Chunks []Chunk
	// Flags are the flags of each chunk; nil when there are none.
	Flags []uint32
	// RawBytes is the sum of the sizes of Chunks; [Shard.Append] computes it
	// anew.
	RawBytes uint32
	// DiskBytes is the size of the body of the xorb, or 0 when it is not given,
	// which is usual.
	DiskBytes uint32
}

// Verify checks the hash of x against its chunks, which must be plain. The
// error is ErrHash.
func (x *ShardXorb) Verify() error {
	if root := XorbHash(x.Chunks); root != x.Hash {
		return fmt.Errorf("xorb in shard: %w: %v is called %v", ErrHash, root, x.Hash)
	}
	return nil
}

// Keyed gives x with its chunk hashes hashed under key, for a shard with that
// HMACKey. Under the zero key, which stands for none, it gives x.
func (x *ShardXorb) Keyed(key Hash) ShardXorb {
	k := *x
	if key.IsZero() {
		return k
	}
	k.Chunks = make([]Chunk, len(x.Chunks))
	for i, c := range x.Chunks {
		k.Chunks[i] = Chunk{c.Hash.Keyed(key), c.Size}
	}
	return k
}

// swapWords reverses the bytes of each 8-byte word: it turns a SHA-256 into
// the form it has in a shard, which is that whose text form is the usual one,
// and back.
func swapWords(b [32]byte) [32]byte {
	var out [32]byte
	for i := range b {
		out[swapped(i)] = b[i]
	}
	return out
}
