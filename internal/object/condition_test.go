package object_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"hugbucket/internal/object"
)

var (
	noon    = time.Date(2024, 5, 6, 12, 0, 0, 0, time.UTC)
	current = &object.Info{ETag: "right", ModTime: noon.Add(700 * time.Millisecond)}
)

// TestCondition has a row for each rule of RFC 9110 §13.2.2 and each corner of what S3 makes of it.
func TestCondition(t *testing.T) {
	right, wrong, anyETag := []string{"right"}, []string{"wrong"}, []string{"*"}
	earlier, later := noon.Add(-time.Second), noon.Add(time.Second)
	tests := []struct {
		name string
		cond object.Condition
		cur  *object.Info
		want error
	}{
		{"nothing asked", object.Condition{}, current, nil},
		{"nothing asked of nothing", object.Condition{}, nil, nil},

		{"match", object.Condition{IfMatch: right}, current, nil},
		{"match one of several", object.Condition{IfMatch: []string{"wrong", "right"}}, current, nil},
		{"match any", object.Condition{IfMatch: anyETag}, current, nil},
		{"match another", object.Condition{IfMatch: wrong}, current, object.ErrPrecondition},
		{"match none listed", object.Condition{IfMatch: []string{}}, current, object.ErrPrecondition},
		{"match nothing", object.Condition{IfMatch: right}, nil, fs.ErrNotExist},
		{"match any nothing", object.Condition{IfMatch: anyETag}, nil, fs.ErrNotExist},

		{"none match", object.Condition{IfNoneMatch: wrong}, current, nil},
		{"none listed match", object.Condition{IfNoneMatch: []string{}}, current, nil},
		{"none match but it does", object.Condition{IfNoneMatch: right}, current, object.ErrNotModified},
		{"none of several match but one does", object.Condition{IfNoneMatch: []string{"wrong", "right"}}, current, object.ErrNotModified},
		{"none exists but it does", object.Condition{IfNoneMatch: anyETag}, current, object.ErrNotModified},
		{"none match nothing", object.Condition{IfNoneMatch: right}, nil, nil},
		{"none exists", object.Condition{IfNoneMatch: anyETag}, nil, nil},

		{"modified since earlier", object.Condition{IfModifiedSince: earlier}, current, nil},
		{"modified since the same second", object.Condition{IfModifiedSince: noon}, current, object.ErrNotModified},
		{"modified since later", object.Condition{IfModifiedSince: later}, current, object.ErrNotModified},
		{"nothing modified since", object.Condition{IfModifiedSince: later}, nil, nil},
		{"unmodified since earlier", object.Condition{IfUnmodifiedSince: earlier}, current, object.ErrPrecondition},
		{"unmodified since the same second", object.Condition{IfUnmodifiedSince: noon}, current, nil},
		{"unmodified since later", object.Condition{IfUnmodifiedSince: later}, current, nil},
		{"nothing unmodified since", object.Condition{IfUnmodifiedSince: earlier}, nil, nil},
		{"modified in between", object.Condition{IfModifiedSince: earlier, IfUnmodifiedSince: later}, current, nil},
		{"not modified in between", object.Condition{IfModifiedSince: noon, IfUnmodifiedSince: later}, current, object.ErrNotModified},

		{"a match hides unmodified", object.Condition{IfMatch: right, IfUnmodifiedSince: earlier}, current, nil},
		{"unmodified does not mend a match", object.Condition{IfMatch: wrong, IfUnmodifiedSince: later}, current, object.ErrPrecondition},
		{"none match hides not modified", object.Condition{IfNoneMatch: wrong, IfModifiedSince: later}, current, nil},
		{"modified does not mend none match", object.Condition{IfNoneMatch: right, IfModifiedSince: earlier}, current, object.ErrNotModified},

		{"both match and none match", object.Condition{IfMatch: right, IfNoneMatch: wrong}, current, nil},
		{"match and none match the same", object.Condition{IfMatch: right, IfNoneMatch: right}, current, object.ErrNotModified},
		{"match comes first", object.Condition{IfMatch: wrong, IfNoneMatch: right}, current, object.ErrPrecondition},
		{"match comes first of nothing", object.Condition{IfMatch: anyETag, IfNoneMatch: anyETag}, nil, fs.ErrNotExist},
		{"unmodified comes first", object.Condition{IfUnmodifiedSince: earlier, IfNoneMatch: right}, current, object.ErrPrecondition},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.cond.Check(test.cur)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			notModified := errors.Is(err, object.ErrNotModified)
			if notModified != errors.Is(test.want, object.ErrNotModified) {
				t.Errorf("%v: not modified is %v", err, notModified)
			}
			if notModified && !errors.Is(err, object.ErrPrecondition) {
				t.Errorf("%v is not a failed precondition", err)
			}
		})
	}
}

func TestConditionIsZero(t *testing.T) {
	if !(object.Condition{}).IsZero() {
		t.Error("the zero condition asks for something")
	}
	for _, c := range []object.Condition{
		{IfMatch: []string{"a"}},
		{IfNoneMatch: []string{"a"}},
		{IfModifiedSince: noon},
		{IfUnmodifiedSince: noon},
		{IfMatch: []string{}},
		{IfNoneMatch: []string{}},
	} {
		if c.IsZero() {
			t.Errorf("%+v asks for nothing", c)
		}
	}
}
