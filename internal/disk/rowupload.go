package disk

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"hugbucket/internal/object"
)

// Rows of uploads and parts, in the manner of row.go:
//
//	info of an upload: u8 version = 1, u32 CRC-32C of (u64 bucket id, key, 0, upload id, what follows),
//	                   varint ms since 1970, uvarint length and note,
//	                   uvarint length and info of the key that it was completed to (length 0: it was not), JSON of object.Attrs
//	info of a part:    u8 version = 1, u32 CRC-32C of (upload id, 0, u32 number, what follows),
//	                   uvarint size, varint ms since 1970, file hash [32], u8 flags, digests as in a key, uvarint length and note

// maxRow bounds the info of a key in that of its upload.
const maxRow = 16 << 20

// uploadRow is a row of uploads.
type uploadRow struct {
	id      string
	bucket  string // its name
	at      int64  // its row
	key     []byte
	created int64
	done    bool
	info    []byte
}

func (u *uploadRow) name() keyName { return keyName{u.bucket, u.at, string(u.key)} }

func (u *uploadRow) salt() string { return u.name().salt() + "\x00" + u.id }

// seal fills in the columns that say what an upload is.
func (u *uploadRow) seal(up object.Upload) (err error) {
	u.created, u.done = up.Created.UnixMilli(), up.Done != nil
	row := binary.AppendVarint(make([]byte, 5, 160), u.created)
	if row, err = appendNote(row, up.Note); err != nil {
		return err
	}
	var done []byte
	if up.Done != nil {
		if done, err = encodeInfo(u.name(), up.Done); err != nil {
			return err
		}
	}
	row = append(binary.AppendUvarint(row, uint64(len(done))), done...)
	attrs, err := json.Marshal(up.Attrs)
	if err != nil {
		return fmt.Errorf("encode attributes: %w", err)
	}
	u.info = sealRow(append(row, attrs...), u.salt())
	return nil
}

// upload returns what the row says.
func (u *uploadRow) upload() (object.Upload, error) {
	up, err := u.read()
	if err != nil {
		return object.Upload{}, fmt.Errorf("catalog.db: upload %s of %s/%q: %w", u.id, u.bucket, u.key, err)
	}
	return up, nil
}

func (u *uploadRow) read() (object.Upload, error) {
	up := object.Upload{ID: u.id, Bucket: u.bucket, Key: string(u.key)}
	r, err := openRow(u.info, u.salt())
	if err != nil {
		return up, err
	}
	created := r.varint("time")
	up.Created, up.Note = time.UnixMilli(created).UTC(), r.note()
	if done := r.bytes("what it was completed to", int(r.uvarint("its length", maxRow))); len(done) > 0 {
		info, err := readInfo(u.name(), done, true)
		if err != nil {
			return up, err
		}
		up.Done = &info
	}
	if r.err != nil {
		return up, r.err
	}
	if created != u.created || u.done != (up.Done != nil) {
		r.fail("column") // it would be found in the wrong place, or not
	}
	if err := json.Unmarshal(r.b, &up.Attrs); err != nil {
		r.fail("attributes")
	}
	return up, r.err
}

func partSalt(upload string, number int) string {
	return string(binary.LittleEndian.AppendUint32([]byte(upload+"\x00"), uint32(number)))
}

func encodePart(upload string, p *object.Part) ([]byte, error) {
	row := binary.AppendUvarint(make([]byte, 5, 160), uint64(p.Size))
	row = append(binary.AppendVarint(row, p.ModTime.UnixMilli()), p.File[:]...)
	row, err := appendDigests(row, p.Digests)
	if err == nil {
		row, err = appendNote(row, p.Note)
	}
	if err != nil {
		return nil, err
	}
	return sealRow(row, partSalt(upload, p.Number)), nil
}

// decodePart returns what a row of parts says; file is the hash in the row of files that it leads to, nil when there is none.
func decodePart(upload string, number int, row, file []byte) (object.Part, error) {
	p, err := readPart(upload, number, row)
	if err == nil && string(file) != string(p.File[:]) {
		err = fmt.Errorf("%w: its file row is missing or another's", object.ErrCorrupt)
	}
	if err != nil {
		return object.Part{}, fmt.Errorf("catalog.db: part %d of upload %s: %w", number, upload, err)
	}
	return p, nil
}

func readPart(upload string, number int, row []byte) (object.Part, error) {
	p := object.Part{Number: number}
	r, err := openRow(row, partSalt(upload, number))
	if err != nil {
		return p, err
	}
	p.Size = int64(r.uvarint("size", 1<<62))
	p.ModTime = time.UnixMilli(r.varint("time")).UTC()
	p.File = r.hash("file hash")
	_, p.Digests = r.digests(hasMD5 | hasSHA256 | hasCRC64)
	p.Note = r.note()
	if len(r.b) > 0 {
		r.fail("end")
	}
	return p, r.err
}
