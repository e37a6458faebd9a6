package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

func TestErrorTable(t *testing.T) {
	wrapped := func(err error) error {
		return &object.Error{Op: "put", Bucket: "db01", Key: "secret", Err: fmt.Errorf("x: %w", err)}
	}
	for _, row := range []struct {
		err    error
		status int
	}{
		{errBucket, 401},
		{errToken, 403},
		{object.ErrNoBucket, 403},
		{fs.ErrPermission, 403},
		{fs.ErrExist, 405},
		{syscall.EEXIST, 405},
		{object.ErrPrecondition, 405},
		{object.ErrNotModified, 405},
		{errNoFile, 412},
		{errNoName, 412},
		{errNoLength, 411},
		{errTooLarge, 413},
		{object.ErrTooLarge, 413},
		{&object.InvalidError{Field: "key", Rule: "no"}, 400},
		{errBroken, 400},
		{errCut, 400},
		{errFrame, 400},
		{errManyFile, 400},
		{errIdle, 408},
		{errSlow, 408},
		{errTokenBusy, 429},
		{errBusy, 503},
		{errPath, 404},
		{object.ErrDigest, 422},
		{object.ErrNoSpace, 507},
		{fmt.Errorf("%w: %w", errBucket, object.ErrNoSpace), 507},
		{context.Canceled, 503},
		{object.ErrCorrupt, 500},
		{io.ErrUnexpectedEOF, 500},
		{errors.New("disk on fire"), 500},
	} {
		status, text := answerTo(wrapped(row.err))
		if status != row.status || text == "" || strings.Contains(text, "secret") || strings.Contains(text, "fire") {
			t.Errorf("%v: %d %q, want %d", row.err, status, text, row.status)
		}
	}
}

func TestStoreErrors(t *testing.T) {
	for name, row := range map[string]struct {
		driver *faulty
		status int
		text   string
	}{
		"create":        {&faulty{create: func() error { return errors.New("cause") }}, 401, "cannot create bucket dir or writable\n"},
		"create, raced": {&faulty{create: func() error { return object.ErrBucketExists }}, 403, "bucket doesn't exist\n"},
		"create, full":  {&faulty{create: func() error { return object.ErrNoSpace }}, 507, "no space left\n"},
		"full":          {&faulty{begin: func() error { return fmt.Errorf("cause: %w", object.ErrNoSpace) }}, 507, "no space left\n"},
		"stat":          {&faulty{stat: func() error { return errors.New("cause") }}, 500, "internal error, id "},
		"stat, panic":   {&faulty{stat: func() error { panic("cause") }}, 500, "internal error, id "},
		"begin, panic":  {&faulty{begin: func() error { panic("cause") }}, 500, "internal error, id "},
	} {
		row.driver.Driver = objecttest.OpenMemory(t)
		r := newRigOver(t, object.New(row.driver, object.Config{}), buckets())
		w := r.push(nameToken, "x", "content")
		if w.Code != row.status || !strings.HasPrefix(w.Body.String(), row.text) || strings.Contains(w.Body.String(), "cause") {
			t.Errorf("%s: answer %d %q, want %d %q", name, w.Code, w.Body, row.status, row.text)
		}
		line := r.lastLine()
		if id, ok := line["req"].(string); !ok || row.status == 500 && !strings.Contains(w.Body.String(), id) {
			t.Errorf("%s: id %v is not in %q", name, line["req"], w.Body)
		}
		if cause, _ := line["error"].(string); row.status == 500 && !strings.Contains(cause, "cause") {
			t.Errorf("%s: the log has no cause: %v", name, line)
		}
	}
}
