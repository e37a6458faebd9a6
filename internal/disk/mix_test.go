package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing/iotest"

	"hugbucket/internal/object"
)

// What a name stands for is written as a value: the bytes of an object in words, a bucket, or nothing.
const (
	nothing  = "-"
	aBucket  = "bucket"
	inBucket = "bucket-" // names of buckets begin with it, names of keys do not
)

// mixValue chooses content, some of it new, some the same as others', some with chunks of others'. What is large comes from
// so many seeds that a store without collection stays small.
func mixValue(rng *rand.Rand) string {
	value := func(size, seed, edit int) string { return fmt.Sprintf("%d.%d.%d", size, seed, edit) }
	switch n := rng.IntN(20); {
	case n == 0:
		return value(0, 0, 0)
	case n < 8:
		return value(rng.IntN(6000), 1000+rng.IntN(60_000), 0)
	case n < 11:
		return value(5000, rng.IntN(20), 0) // the same as others', often
	case n < 17:
		return value(60_000+40_000*rng.IntN(6), 100+rng.IntN(12), rng.IntN(4))
	case n < 18:
		return value(1_300_000, 200+rng.IntN(8), rng.IntN(4))
	default:
		return value(1_300_000, 1000+rng.IntN(1500), 0)
	}
}

// mixBody is the content that a value names: random bytes, and a little inserted into those that are edited.
func mixBody(value string) []byte {
	var size, seed, edit int
	if _, err := fmt.Sscanf(value, "%d.%d.%d", &size, &seed, &edit); err != nil {
		panic(fmt.Sprintf("value %q: %v", value, err))
	}
	body := randomBytes(size, uint64(seed))
	if edit == 0 {
		return body
	}
	at := size * (edit - 1) / 3
	return bytes.Join([][]byte{body[:at], randomBytes(1000, uint64(edit)), body[at:]}, nil)
}

// mixHolds returns which of the values a name stands for. An error says that it is none of them, or cannot be read.
func mixHolds(ctx context.Context, s *object.Store, name string, values ...string) (string, error) {
	var body []byte
	var err error
	if strings.HasPrefix(name, inBucket) {
		_, err = s.Bucket(ctx, name)
	} else {
		body, err = readAll(ctx, s, name)
	}
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return "", err
	}
	for _, v := range values {
		if missing && v == nothing || !missing && (v == aBucket || v != nothing && bytes.Equal(body, mixBody(v))) {
			return v, nil
		}
	}
	if missing {
		return "", fmt.Errorf("%s is missing and should be one of %q", name, values)
	}
	return "", fmt.Errorf("%s has %d bytes that are none of %q", name, len(body), values)
}

// mixWriter does a bit of everything to names that nobody else writes. It says what it is about to do and when that is done.
type mixWriter struct {
	s     *object.Store
	out   io.Writer
	rng   *rand.Rand
	names []string
	state map[string]string // value by name

	held      *object.File // that is being read slowly: half is, and the rest will be some operations later
	heldValue string
	heldHalf  []byte

	up *mixUpload // that is under way, or nil
}

// step is one operation: "> name value" says what the name is going to stand for, "< name" that it does.
func (w *mixWriter) step(ctx context.Context) error {
	name := w.names[w.rng.IntN(len(w.names))]
	op := w.choose(name)
	if w.up != nil && w.rng.IntN(4) == 0 {
		name, op = w.up.name.Key, w.finish()
	}
	if _, err := fmt.Fprintln(w.out, ">", name, op.value); err != nil {
		return err
	}
	if err := op.do(ctx); !errors.Is(err, op.want) {
		return fmt.Errorf("make %s of %s (%s): %v, want %v", op.value, name, w.state[name], err, op.want) //nolint:errorlint // may be nil
	}
	w.state[name] = op.value
	_, err := fmt.Fprintln(w.out, "<", name)
	return err
}

// mixOp is what a writer does to a name.
type mixOp struct {
	value string // of the name afterwards
	want  error
	do    func(ctx context.Context) error
}

func (w *mixWriter) choose(name string) mixOp {
	was := w.state[name]
	if strings.HasPrefix(name, inBucket) {
		if was == aBucket {
			return mixOp{nothing, nil, func(ctx context.Context) error { return w.s.DeleteBucket(ctx, name) }}
		}
		return mixOp{aBucket, nil, func(ctx context.Context) error { return w.s.CreateBucket(ctx, name, "") }}
	}
	switch n := w.rng.IntN(21); {
	case n >= 19:
		return mixOp{was, nil, func(ctx context.Context) error { return w.begin(ctx, name) }}
	case n >= 17:
		return mixOp{was, nil, func(ctx context.Context) error { return w.readSlowly(ctx, name, was) }}
	case n == 16:
		value := mixValue(w.rng)
		return mixOp{was, errGivenUp, func(ctx context.Context) error {
			body := mixBody(value)
			in := io.MultiReader(bytes.NewReader(body[:len(body)/2]), iotest.ErrReader(errGivenUp))
			_, err := w.s.Put(ctx, "bucket", name, in, object.PutOptions{})
			return err
		}}
	case n < 7:
		value := mixValue(w.rng)
		return mixOp{value, nil, func(ctx context.Context) error { return w.put(ctx, name, value, object.Condition{}) }}
	case n < 9:
		return mixOp{nothing, nil, func(ctx context.Context) error {
			return w.s.Delete(ctx, "bucket", name, object.Condition{})
		}}
	case n < 11:
		return w.chooseCopy(name, was)
	case n < 13:
		value := mixValue(w.rng)
		op := mixOp{value, nil, func(ctx context.Context) error {
			return w.put(ctx, name, value, object.Condition{IfNoneMatch: []string{"*"}})
		}}
		if was != nothing {
			op.value, op.want = was, object.ErrPrecondition
		}
		return op
	default:
		return mixOp{was, nil, func(ctx context.Context) error {
			_, err := mixHolds(ctx, w.s, name, was)
			return err
		}}
	}
}

// errGivenUp ends a body that is not stored.
var errGivenUp = errors.New("given up")

// readSlowly finishes what is being read, whatever has become of its name, or begins to read something.
func (w *mixWriter) readSlowly(ctx context.Context, name, was string) (err error) {
	if w.held != nil {
		rest, err := io.ReadAll(w.held)
		err = errors.Join(err, w.held.Close())
		w.held = nil
		if err == nil && !bytes.Equal(append(w.heldHalf, rest...), mixBody(w.heldValue)) {
			err = fmt.Errorf("read slowly: %d and %d bytes that are not %s", len(w.heldHalf), len(rest), w.heldValue)
		}
		return err
	}
	if was == nothing {
		return nil
	}
	if w.held, err = w.s.Open(ctx, "bucket", name); err != nil {
		return err
	}
	w.heldValue, w.heldHalf = was, make([]byte, len(mixBody(was))/2)
	_, err = io.ReadFull(w.held, w.heldHalf)
	return err
}

// end lets go of what is being read.
func (w *mixWriter) end() error {
	if w.held == nil {
		return nil
	}
	return w.held.Close()
}

func (w *mixWriter) chooseCopy(name, was string) mixOp {
	from := w.names[w.rng.IntN(len(w.names)-1)] // the last one is a bucket
	op := mixOp{w.state[from], nil, func(ctx context.Context) error {
		_, err := w.s.Copy(ctx, object.CopyOptions{FromBucket: "bucket", FromKey: from, ToBucket: "bucket", ToKey: name})
		return err
	}}
	if op.value == nothing {
		op.value, op.want = was, fs.ErrNotExist
	}
	return op
}

func (w *mixWriter) put(ctx context.Context, key, value string, cond object.Condition) error {
	_, err := w.s.Put(ctx, "bucket", key, bytes.NewReader(mixBody(value)), object.PutOptions{If: cond})
	return err
}

// mixUpload is an upload of which some parts are there; the rest will be some operations later.
type mixUpload struct {
	name  object.UploadName
	value string
	cuts  [2]int // between parts
	refs  [3]object.PartRef
}

// begin begins an upload in three parts, unless one is under way, and sends two of them, one of them twice.
func (w *mixWriter) begin(ctx context.Context, key string) error {
	if w.up != nil {
		return nil
	}
	u, err := w.s.CreateUpload(ctx, "bucket", key, object.UploadOptions{})
	if err != nil {
		return err
	}
	up := &mixUpload{name: object.UploadName{Bucket: "bucket", Key: key, ID: u.ID}, value: mixValue(w.rng)}
	size := len(mixBody(up.value))
	up.cuts[1] = w.rng.IntN(size + 1)
	up.cuts[0] = w.rng.IntN(up.cuts[1] + 1)
	w.up = up
	_, err = w.s.PutPart(ctx, up.name, 3, bytes.NewReader(randomBytes(3000, uint64(size))), object.PartOptions{})
	if err = errors.Join(err, w.part(ctx, 3), w.part(ctx, 1)); err != nil {
		w.up = nil
	}
	return err
}

// part sends a part of what is under way.
func (w *mixWriter) part(ctx context.Context, number int) error {
	body := mixBody(w.up.value)
	ends := []int{0, w.up.cuts[0], w.up.cuts[1], len(body)}
	p, err := w.s.PutPart(ctx, w.up.name, number, bytes.NewReader(body[ends[number-1]:ends[number]]), object.PartOptions{})
	w.up.refs[number-1] = object.PartRef{Number: number, ETag: p.ETag()}
	return err
}

// finish ends the upload that is under way: mostly it is completed.
func (w *mixWriter) finish() mixOp {
	up, was := w.up, w.state[w.up.name.Key]
	if w.rng.IntN(5) == 0 {
		return mixOp{was, nil, func(ctx context.Context) error {
			w.up = nil
			return w.s.AbortUpload(ctx, up.name)
		}}
	}
	return mixOp{up.value, nil, func(ctx context.Context) error {
		if err := w.part(ctx, 2); err != nil {
			return err
		}
		w.up = nil
		info, err := w.s.Complete(ctx, up.name, up.refs[:], object.CompleteOptions{})
		if err != nil {
			return err
		}
		again, err := w.s.Complete(ctx, up.name, up.refs[:], object.CompleteOptions{})
		if err == nil && again.File != info.File {
			err = fmt.Errorf("completed again, it is %v and not %v", again.File, info.File)
		}
		return err
	}}
}
