package object_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestIntakeCountsWhatWasCommitted has content come in for the first time, again, in parts, and not at all.
func TestIntakeCountsWhatWasCommitted(t *testing.T) {
	s := object.New(objecttest.NewMemory(), object.Config{})
	if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 50)
	is := func(what string, want object.Intake) {
		t.Helper()
		if got := s.Intake(); got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	put := func(key string, r io.Reader, opts object.PutOptions) error {
		_, err := s.Put(t.Context(), "bucket", key, r, opts)
		return err
	}
	if err := put("one", bytes.NewReader(data), object.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	is("new content", object.Intake{Bytes: 800, New: 800})
	if err := put("two", bytes.NewReader(data), object.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	is("the same again", object.Intake{Bytes: 1600, New: 800})
	broken := io.MultiReader(strings.NewReader("some more"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := put("three", broken, object.PutOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if err := put("one", strings.NewReader("other"), object.PutOptions{If: object.Condition{IfNoneMatch: []string{"*"}}}); !errors.Is(err, object.ErrPrecondition) {
		t.Fatal(err)
	}
	if err := put("four", strings.NewReader("fresh"), object.PutOptions{SHA256: make([]byte, 32)}); !errors.Is(err, object.ErrDigest) {
		t.Fatal(err)
	}
	is("nothing committed", object.Intake{Bytes: 1600, New: 800})

	up, err := s.CreateUpload(t.Context(), "bucket", "parts", object.UploadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range [][]byte{data, []byte("the last part")} {
		if _, err := s.PutPart(t.Context(), object.UploadName{Bucket: "bucket", Key: "parts", ID: up.ID}, i+1, bytes.NewReader(part), object.PartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	is("parts", object.Intake{Bytes: 2413, New: 813})
	if _, err := s.Append(t.Context(), "bucket", "one", -1, strings.NewReader(" and more"), object.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	is("appended", object.Intake{Bytes: 2422, New: 822})
}
