package disk

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

func sampleUpload(done bool) (uploadRow, object.Upload) {
	row := uploadRow{id: "id", bucket: sampleName.bucket, at: sampleName.bucketID, key: []byte(sampleName.key)}
	up := object.Upload{
		ID: "id", Bucket: "b", Key: "k/1", Created: time.UnixMilli(1795224284283).UTC(), Note: "of the upload", Attrs: sampleInfo().Attrs,
	}
	if done {
		info := sampleInfo()
		up.Done = &info
	}
	return row, up
}

func samplePart() object.Part {
	return object.Part{
		Number: 10_000, Size: 5 << 30, ModTime: time.UnixMilli(1795224284283).UTC(), File: xet.ChunkHash([]byte("p")),
		Digests: sampleInfo().Digests, Note: "of the part",
	}
}

func TestUploadRoundTrip(t *testing.T) {
	for _, done := range []bool{false, true} {
		row, up := sampleUpload(done)
		if err := row.seal(up); err != nil {
			t.Fatal(err)
		}
		got, err := row.upload()
		if err != nil || !reflect.DeepEqual(got, up) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, up)
		}
		for what, change := range map[string]func(u *uploadRow){
			"id": func(u *uploadRow) { u.id = "ie" }, "bucket": func(u *uploadRow) { u.at++ }, "key": func(u *uploadRow) { u.key = []byte("k/2") },
			"time": func(u *uploadRow) { u.created++ }, "state": func(u *uploadRow) { u.done = !u.done },
			"end of the key": func(u *uploadRow) { u.id, u.key = "1\x00id", []byte("k/") },
		} {
			bad := row
			change(&bad)
			if got, err := bad.upload(); !errors.Is(err, object.ErrCorrupt) {
				t.Errorf("a row with another %s: %+v, %v", what, got, err)
			}
		}
		flipEach(row.info, func(info []byte) {
			bad := row
			bad.info = info
			if got, err := bad.upload(); !errors.Is(err, object.ErrCorrupt) {
				t.Errorf("a damaged row of an upload decodes to %+v, %v", got, err)
			}
		})
	}
}

func TestPartRoundTrip(t *testing.T) {
	p := samplePart()
	row, err := encodePart("u", &p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodePart("u", p.Number, row, p.File[:])
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, p)
	}
	for what, err := range map[string]error{
		"upload":  second(decodePart("v", p.Number, row, p.File[:])),
		"number":  second(decodePart("u", 1, row, p.File[:])),
		"file":    second(decodePart("u", p.Number, row, make([]byte, 32))),
		"no file": second(decodePart("u", p.Number, row, nil)),
	} {
		if !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("a part with another %s: %v", what, err)
		}
	}
	flipEach(row, func(bad []byte) {
		if got, err := decodePart("u", p.Number, bad, p.File[:]); !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("a damaged row of a part decodes to %+v, %v", got, err)
		}
	})
	p.Note = strings.Repeat("x", maxNote+1)
	if _, err := encodePart("u", &p); !errors.Is(err, object.ErrInvalid) {
		t.Errorf("a note that is too long: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzDecodeUpload(f *testing.F) {
	for _, done := range []bool{false, true} {
		row, up := sampleUpload(done)
		if err := row.seal(up); err != nil {
			f.Fatal(err)
		}
		f.Add(row.info[5:], row.created, done)
	}
	f.Fuzz(func(t *testing.T, body []byte, created int64, done bool) {
		row, _ := sampleUpload(done)
		row.created, row.done = created, done
		row.info = sealRow(append(make([]byte, 5), body...), row.salt())
		got, err := row.upload()
		if err != nil {
			return
		}
		if err := row.seal(got); err != nil {
			t.Fatal(err)
		}
		if again, err := row.upload(); err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v, then %+v, %v", got, again, err)
		}
	})
}

func FuzzDecodePart(f *testing.F) {
	p := samplePart()
	row, err := encodePart("u", &p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row[5:])
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readPart("u", 7, sealRow(append(make([]byte, 5), body...), partSalt("u", 7)))
		if err != nil {
			return
		}
		again, err := encodePart("u", &got)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := readPart("u", 7, again); err != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("%+v, then %+v, %v", got, back, err)
		}
	})
}
