package disk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// What SQLite keeps has no checksum of its own: each blob that says what a key or a file is begins with one, so that a
// flipped bit is found before it serves a wrong byte.
//
//	info of a key:  u8 version = 1, u32 CRC-32C of (u64 bucket id, key, what follows),
//	                uvarint size, varint ms since 1970, file hash [32], u8 flags,
//	                MD5 [16] if hasMD5, SHA-256 [32] if hasSHA256, CRC-64/NVME [8] if hasCRC64,
//	                uvarint length and ETag if hasETag (else it is object.ETagOf),
//	                uvarint n and n runs of parts if hasParts: uvarint count, uvarint size,
//	                uvarint length and note if hasNote, JSON of object.Attrs if hasAttrs
//	terms of a file: u8 version = 1, u32 CRC-32C of (file hash, what follows),
//	                uvarint size, uvarint n and n xorb hashes [32], uvarint m and m terms:
//	                uvarint which hash, uvarint first chunk, uvarint chunks, uvarint bytes
const rowVersion = 1

const (
	hasMD5 = 1 << iota
	hasSHA256
	hasCRC64
	hasETag
	hasAttrs
	hasParts
	hasNote
	hasAll = 1<<iota - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealRow puts version and checksum into the first five bytes of row; salt is what the row belongs to.
func sealRow(row []byte, salt string) []byte {
	row[0] = rowVersion
	binary.LittleEndian.PutUint32(row[1:5], rowSum(row, salt))
	return row
}

func rowSum(row []byte, salt string) uint32 {
	return crc32.Update(crc32.Checksum([]byte(salt), castagnoli), castagnoli, row[5:])
}

// openRow checks version and checksum and returns what follows them.
func openRow(row []byte, salt string) (rowReader, error) {
	switch {
	case len(row) < 5:
		return rowReader{}, fmt.Errorf("%w: row of %d bytes", object.ErrCorrupt, len(row))
	case row[0] != rowVersion:
		return rowReader{}, fmt.Errorf("%w: row version %d", object.ErrCorrupt, row[0])
	case binary.LittleEndian.Uint32(row[1:5]) != rowSum(row, salt):
		return rowReader{}, fmt.Errorf("%w: row checksum", object.ErrCorrupt)
	}
	return rowReader{b: row[5:]}, nil
}

// rowReader takes fields off the front of a row; the first error sticks.
type rowReader struct {
	b   []byte
	err error
}

func (r *rowReader) fail(field string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: bad %s", object.ErrCorrupt, field)
	}
}

func (r *rowReader) uvarint(field string, most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.err != nil || n <= 0 || v > most {
		r.fail(field)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rowReader) varint(field string) int64 {
	v, n := binary.Varint(r.b)
	if r.err != nil || n <= 0 {
		r.fail(field)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rowReader) bytes(field string, n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.fail(field)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *rowReader) hash(field string) (h xet.Hash) {
	copy(h[:], r.bytes(field, len(h)))
	return h
}

const (
	// maxETag bounds an ETag in bytes, maxNote what a door keeps with an object, a part or an upload.
	maxETag = 1 << 10
	maxNote = 64 << 10
)

// keyName is whose info a row is.
type keyName struct {
	bucket   string
	bucketID int64
	key      string
}

// salt binds an info row to its key.
func (k keyName) salt() string {
	return string(binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(k.key)), uint64(k.bucketID))) + k.key
}

func encodeInfo(at keyName, info *object.Info) ([]byte, error) {
	if len(info.ETag) > maxETag {
		return nil, &object.InvalidError{Field: "ETag", Rule: "it is longer than 1024 bytes"}
	}
	row := make([]byte, 5, 160)
	row = binary.AppendUvarint(row, uint64(info.Size))
	row = binary.AppendVarint(row, info.ModTime.UnixMilli())
	row = append(row, info.File[:]...)
	flags := len(row)
	row, err := appendDigests(row, info.Digests)
	if err != nil {
		return nil, err
	}
	if info.ETag != object.ETagOf(info.Digests.MD5, info.File) {
		row[flags] |= hasETag
		row = binary.AppendUvarint(row, uint64(len(info.ETag)))
		row = append(row, info.ETag...)
	}
	if info.Parts != nil {
		row[flags] |= hasParts
		row = binary.AppendUvarint(row, uint64(len(info.Parts)))
		for _, run := range info.Parts {
			row = binary.AppendUvarint(binary.AppendUvarint(row, uint64(run.Count)), uint64(run.Size))
		}
	}
	if info.Note != "" {
		row[flags] |= hasNote
		if row, err = appendNote(row, info.Note); err != nil {
			return nil, err
		}
	}
	if len(info.Attrs.Headers) > 0 || len(info.Attrs.Meta) > 0 {
		row[flags] |= hasAttrs
		attrs, err := json.Marshal(info.Attrs)
		if err != nil {
			return nil, fmt.Errorf("encode attributes: %w", err)
		}
		row = append(row, attrs...)
	}
	return sealRow(row, at.salt()), nil
}

// appendDigests appends flags, which say which digests there are, and the digests.
func appendDigests(row []byte, digests object.Digests) ([]byte, error) {
	flags := len(row)
	row = append(row, 0)
	for _, d := range []struct {
		flag byte
		sum  []byte
		size int
	}{{hasMD5, digests.MD5, 16}, {hasSHA256, digests.SHA256, 32}, {hasCRC64, digests.CRC64NVME, 8}} {
		if d.sum == nil {
			continue
		}
		if len(d.sum) != d.size {
			return nil, fmt.Errorf("digest of %d bytes where %d belong", len(d.sum), d.size)
		}
		row[flags] |= d.flag
		row = append(row, d.sum...)
	}
	return row, nil
}

// digests reads flags, of which some may be set, and digests.
func (r *rowReader) digests(may byte) (flags byte, d object.Digests) {
	if b := r.bytes("flags", 1); b != nil {
		flags = b[0]
	}
	if flags&^may != 0 {
		r.fail("flags")
	}
	if flags&hasMD5 != 0 {
		d.MD5 = r.bytes("md5", 16)
	}
	if flags&hasSHA256 != 0 {
		d.SHA256 = r.bytes("sha256", 32)
	}
	if flags&hasCRC64 != 0 {
		d.CRC64NVME = r.bytes("crc64", 8)
	}
	return flags, d
}

func appendNote(row []byte, note string) ([]byte, error) {
	if len(note) > maxNote {
		return nil, &object.InvalidError{Field: "note", Rule: "it is longer than 64 KiB"}
	}
	return append(binary.AppendUvarint(row, uint64(len(note))), note...), nil
}

func (r *rowReader) note() string {
	return string(r.bytes("note", int(r.uvarint("length of a note", maxNote))))
}

// parts reads the runs of equal parts of an object, and returns them if it shall keep them.
func (r *rowReader) parts(keep bool) (runs []object.PartRun) {
	n := r.uvarint("runs of parts", object.MaxParts)
	if keep {
		runs = make([]object.PartRun, 0, n)
	}
	for range n {
		run := object.PartRun{
			Count: int(r.uvarint("parts of a run", object.MaxParts)),
			Size:  int64(r.uvarint("size of a part", 1<<62)),
		}
		if keep {
			runs = append(runs, run)
		}
	}
	return runs
}

func decodeInfo(at keyName, row []byte) (object.Info, error) {
	info, err := readInfo(at, row, true)
	return ofKey(at, info, err)
}

// decodeListed is decodeInfo without the parts. The Info keeps no hold of row, in which they are.
func decodeListed(at keyName, row []byte) (object.Info, error) {
	info, err := readInfo(at, row, false)
	d := &info.Digests
	d.MD5, d.SHA256, d.CRC64NVME = bytes.Clone(d.MD5), bytes.Clone(d.SHA256), bytes.Clone(d.CRC64NVME)
	return ofKey(at, info, err)
}

// ofKey says whose info was damaged, if it was, and returns none then.
func ofKey(at keyName, info object.Info, err error) (object.Info, error) {
	if err != nil {
		return object.Info{}, fmt.Errorf("catalog.db: key %s/%q: %w", at.bucket, at.key, err)
	}
	return info, nil
}

// readInfo returns what a row says, Info.Parts only if it shall.
func readInfo(at keyName, row []byte, parts bool) (object.Info, error) {
	info := object.Info{Bucket: at.bucket, Key: at.key}
	r, err := openRow(row, at.salt())
	if err != nil {
		return info, err
	}
	info.Size = int64(r.uvarint("size", 1<<62))
	info.ModTime = time.UnixMilli(r.varint("time")).UTC()
	info.File = r.hash("file hash")
	var flags byte
	flags, info.Digests = r.digests(hasAll)
	if flags&hasETag != 0 {
		info.ETag = string(r.bytes("etag", int(r.uvarint("etag length", maxETag))))
	} else {
		info.ETag = object.ETagOf(info.Digests.MD5, info.File)
	}
	if flags&hasParts != 0 {
		info.Parts = r.parts(parts)
	}
	if flags&hasNote != 0 {
		info.Note = r.note()
	}
	if flags&hasAttrs != 0 && r.err == nil {
		if err := json.Unmarshal(r.b, &info.Attrs); err != nil {
			r.fail("attributes")
		}
	}
	return info, r.err
}

func encodeTerms(f *xet.Reconstruction) []byte {
	row := make([]byte, 5, 5+10+40+len(f.Terms)*10)
	row = binary.AppendUvarint(row, f.Size)
	xorbs := termXorbs(f.Terms)
	row = binary.AppendUvarint(row, uint64(len(xorbs)))
	which := make(map[xet.Hash]uint64, len(xorbs))
	for i, h := range xorbs {
		which[h] = uint64(i)
		row = append(row, h[:]...)
	}
	row = binary.AppendUvarint(row, uint64(len(f.Terms)))
	for _, t := range f.Terms {
		row = binary.AppendUvarint(row, which[t.Xorb])
		row = binary.AppendUvarint(row, uint64(t.Range.Start))
		row = binary.AppendUvarint(row, uint64(t.Range.End-t.Range.Start))
		row = binary.AppendUvarint(row, uint64(t.Bytes))
	}
	return sealRow(row, string(f.Hash[:]))
}

func decodeTerms(file xet.Hash, row []byte) (xet.Reconstruction, error) {
	f, err := readTerms(file, row)
	if err != nil {
		return xet.Reconstruction{}, fmt.Errorf("catalog.db: file %s: %w", file, err)
	}
	return f, nil
}

func readTerms(file xet.Hash, row []byte) (xet.Reconstruction, error) {
	f := xet.Reconstruction{Hash: file}
	r, err := openRow(row, string(file[:]))
	if err != nil {
		return f, err
	}
	f.Size = r.uvarint("size", 1<<62)
	xorbs := make([]xet.Hash, r.uvarint("number of xorbs", uint64(len(r.b)/len(file))))
	for i := range xorbs {
		xorbs[i] = r.hash("xorb hash")
	}
	const leastTerm = 4 // bytes of an encoded term
	f.Terms = make([]xet.Term, r.uvarint("number of terms", uint64(len(r.b)/leastTerm)))
	var sum uint64
	for i := range f.Terms {
		t := &f.Terms[i]
		if n := r.uvarint("xorb of a term", 1<<32); n < uint64(len(xorbs)) {
			t.Xorb = xorbs[n]
		} else {
			r.fail("xorb of a term")
		}
		t.Range.Start = uint32(r.uvarint("first chunk", xet.MaxXorbChunks))
		t.Range.End = t.Range.Start + uint32(r.uvarint("chunks", xet.MaxXorbChunks))
		t.Bytes = uint32(r.uvarint("bytes of a term", xet.MaxXorbSize))
		sum += uint64(t.Bytes)
	}
	if len(r.b) > 0 || sum != f.Size {
		r.fail("terms")
	}
	return f, r.err
}

// termXorbs returns the xorbs that terms refer to, each once, in order of appearance.
func termXorbs(terms []xet.Term) []xet.Hash {
	var out []xet.Hash
	seen := make(map[xet.Hash]bool)
	for _, t := range terms {
		if !seen[t.Xorb] {
			seen[t.Xorb] = true
			out = append(out, t.Xorb)
		}
	}
	return out
}
