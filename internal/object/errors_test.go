package object_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"hugbucket/internal/object"
)

func TestErrorText(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&object.Error{Op: "put", Bucket: "b", Key: "k", Err: object.ErrNoSpace}, `put b/"k": no space left in the store`},
		{&object.Error{Op: "put", Bucket: "b", Key: "a/\n", Err: fs.ErrNotExist}, `put b/"a/\n": file does not exist`},
		{&object.Error{Op: "list", Bucket: "b", Err: object.ErrNoBucket}, "list b: no such bucket: file does not exist"},
		{&object.InvalidError{Field: "key", Rule: "it is empty"}, "invalid key: it is empty"},
		{&object.ChangeError{Index: 3, Err: object.ErrPrecondition}, "precondition failed"},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// TestErrorKinds says which errors are which others, through every wrapping.
func TestErrorKinds(t *testing.T) {
	tests := []struct {
		err error
		is  []error
		not []error
	}{
		{object.ErrNoBucket, []error{fs.ErrNotExist}, []error{object.ErrBucketExists, object.ErrInvalid}},
		{fs.ErrNotExist, nil, []error{object.ErrNoBucket}},
		{object.ErrBucketExists, []error{fs.ErrExist}, []error{fs.ErrNotExist}},
		{object.ErrNotModified, []error{object.ErrPrecondition}, []error{fs.ErrNotExist}},
		{object.ErrPrecondition, nil, []error{object.ErrNotModified}},
		{&object.InvalidError{Field: "key"}, []error{object.ErrInvalid}, []error{object.ErrDigest, fs.ErrInvalid}},
		{object.ErrDigest, nil, []error{object.ErrInvalid, object.ErrCorrupt}},
	}
	for _, test := range tests {
		for _, err := range []error{
			test.err,
			&object.Error{Op: "op", Err: test.err},
			&object.Error{Op: "op", Err: fmt.Errorf("more: %w", &object.ChangeError{Err: test.err})},
		} {
			for _, is := range append(test.is, test.err) {
				if !errors.Is(err, is) {
					t.Errorf("%q is not %q", err, is)
				}
			}
			for _, not := range test.not {
				if errors.Is(err, not) {
					t.Errorf("%q is %q", err, not)
				}
			}
		}
	}
}
