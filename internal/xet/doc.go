// Package xet speaks the Xet formats: it cuts data into chunks, names chunks,
// xorbs and files by their hashes, and reads and writes xorbs and shards. It
// does no I/O of its own; it works on byte slices, io.Reader, io.ReaderAt and
// io.Writer.
//
// The words of the formats, in the order in which data meets them:
//
//   - gear: the rolling hash that decides where chunks end. It depends on the
//     last 64 bytes only.
//   - chunk: 8 KiB to 128 KiB of a file (the last one may be shorter), cut
//     where the gear hash says so. Equal data is cut equally, so an edit in a
//     file changes the chunks around it and no others. See [Chunker].
//   - hash: 32 bytes of keyed BLAKE3. Chunks, xorbs, files and ranges have
//     hashes, each kind under a key or rule of its own. Their text form swaps
//     the bytes of each 8-byte word. See [Hash].
//   - record: a chunk as stored, an 8-byte header and a payload that may be
//     compressed by a [Scheme].
//   - bg4: grouping of bytes by their position modulo 4, which helps LZ4 with
//     arrays of 4-byte numbers.
//   - xorb: up to 64 MiB of chunks as a sequence of records, the unit that is
//     stored and uploaded. A footer may follow that tells where each record
//     ends. See [XorbWriter] and [XorbInfo].
//   - term: a range of chunks of one xorb. See [Term].
//   - reconstruction: the list of terms that makes a file. See
//     [Reconstruction].
//   - verification hash: the hash of the chunk hashes of a term. Only who
//     knows the chunks can make it. See [RangeHash].
//   - shard: a file that tells of files and their terms, and of xorbs and
//     their chunks. Clients upload one to say what the xorbs they sent mean;
//     servers answer with one when asked where a chunk is. See [Shard].
//   - keyed chunk hash: a chunk hash hashed once more under the HMAC key of a
//     shard, so that a shard tells nothing to who does not have the chunk.
//
// The formats are those of the Xet protocol specification of Hugging Face, and
// of the Internet-Draft draft-denis-xet. All integers are little-endian. All
// ranges of this package are end-exclusive.
//
// # Trust
//
// Everything that is read is taken to be hostile: it is checked against the
// rule of the format, lengths are bounded before memory is spent on them, and
// a broken rule is an error that wraps one of [ErrFormat], [ErrHash],
// [ErrTooLarge] and [ErrVersion]. What is written is the caller's own: a value
// outside its documented range is a bug and may panic.
package xet
