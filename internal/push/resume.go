package push

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"hugbucket/internal/object"
)

const (
	// stepSize is how much of an upload becomes durable at once, if it does not end before: what a crash costs.
	stepSize = 64 << 20
	// stepTime is how long a step goes on if there is always something coming. It is less than what uploads expire after.
	stepTime = 15 * time.Minute
	// maxParts is how many parts an upload has at the most; the steps of a larger one are larger.
	maxParts = object.MaxParts / 2
	// smallSteps and fairStep bound how often a client may go on: so often, and once more for each fairStep bytes. Each time may leave
	// a chunk in the store that nothing refers to any more.
	smallSteps = 1000
	fairStep   = 1 << 20
	// maxOpen is how many uploads of one bucket may be begun and not ended. Whoever begins one reads what is kept with all.
	maxOpen = 100
)

// plan is what was admitted of an upload. It is kept with it.
type plan struct {
	Version  int    `json:"push"` // planVersion; tells plans from what others keep with uploads
	Name     string `json:"name"` // under which the file is to be stored
	Type     string `json:"content_type,omitempty"`
	Length   int64  `json:"length"`             // bytes
	Replace  bool   `json:"replace,omitempty"`  // another file, as pre-push.sh allowed when it began
	SHA256   []byte `json:"sha256,omitempty"`   // that the client says it has
	Metadata string `json:"metadata,omitempty"` // as sent
	Step     int64  `json:"step"`               // how many bytes become durable at once at the most
}

const planVersion = 1

// stepOf is the step of an upload: least, or more when it would have too many parts.
func stepOf(length, least int64) int64 { return max(least, (length+maxParts-1)/maxParts) }

// allows returns errManySteps when an upload went on so often already.
func (p *plan) allows(steps int64) error {
	if steps >= smallSteps+p.Length/fairStep {
		return errManySteps
	}
	return nil
}

// progress is how far an upload has come.
type progress struct {
	plan

	offset int64  // bytes that are durable
	done   bool   // it is stored under its name; then offset is Length
	sha256 string // of what is stored, in hex; empty when it is not done
	when   time.Time
	litter int64 // bytes that its holder has made nothing's, but that remain on disk until gc
}

// resumable is an upload that its holder alone changes. It must be closed.
type resumable interface {
	progress() progress
	// write makes all that r yields until io.EOF durable, behind what came before, or returns an error and keeps nothing of it.
	// Errors: object.ErrNoUpload, object.ErrNoSpace, errManySteps, r's own.
	write(ctx context.Context, r io.Reader) error
	// complete stores what came, all of it, under its name, in one step. overwrite says whether the bucket lets it replace a file; its
	// plan may too. Errors: object.ErrDigest, and those of place.put.
	complete(ctx context.Context, overwrite bool) (receipt, error)
	// abort forgets an upload that is not done, and what came of it.
	abort(ctx context.Context) error
	close()
}

// uploads are those to one place.
type uploads interface {
	// begin notes an upload, durably. Errors: errBucket, object.ErrNoSpace.
	begin(ctx context.Context, p plan) (id string, err error)
	// resume returns an upload. Errors: object.ErrNoUpload, errLocked.
	resume(ctx context.Context, id string) (resumable, error)
	// unfinished lists the uploads that were begun here and have not ended.
	unfinished(ctx context.Context) ([]begun, error)
}

// begun is an upload that has not ended.
type begun struct {
	id   string
	plan plan
	left int64 // bytes that may come yet, at the most
}

// reader is the content of one request, from which a resumable takes steps.
type reader struct {
	r    *bufio.Reader
	left int64 // bytes to the end of the upload
	err  error // why there is no more; io.EOF is the end of the request's body

	step  int64 // bytes left of the step
	until time.Time
	sum   *pieceSum // nil when none was announced
}

// more says whether there is something for another step, of so many bytes at the most, and begins it. A request with a checksum is one
// step: what does not have it must not be kept.
func (r *reader) more(step int64) bool {
	if r.err != nil {
		return false
	}
	if _, err := r.r.Peek(1); err != nil {
		r.err = err
		return false
	}
	if r.left == 0 {
		r.err = errLong
		return false
	}
	r.step, r.until = min(step, r.left), time.Now().Add(stepTime)
	if r.sum != nil {
		r.step = r.left
	}
	return true
}

// Read yields the step. That the client is gone is its end too: what came is kept, for that is what clients resume for.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.end()
	}
	if r.left == 0 {
		// There must not be more than was announced. Who breaks off here has sent all.
		if _, err := r.r.Peek(1); err == nil {
			r.err = errLong
		} else {
			r.err = io.EOF
		}
		return 0, r.end()
	}
	if r.step == 0 || r.sum == nil && time.Now().After(r.until) {
		return 0, io.EOF
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.step)])
	r.step -= int64(n)
	r.left -= int64(n)
	r.sum.write(p[:n])
	r.err = err
	if n > 0 {
		return n, nil
	}
	if err == nil {
		return 0, nil
	}
	return 0, r.end()
}

// failure is why not all came; nil when the request has ended as it should.
func (r *reader) failure() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}

// end is what a step ends with.
func (r *reader) end() error {
	switch {
	case errors.Is(r.err, errLong):
		return r.err
	case r.sum == nil:
		return io.EOF
	case !errors.Is(r.err, io.EOF):
		return r.err
	}
	return r.sum.check()
}

// pieceSum is a checksum that a request announced for its body.
type pieceSum struct {
	hash hash.Hash
	want []byte
}

func (s *pieceSum) write(p []byte) {
	if s != nil {
		s.hash.Write(p)
	}
}

// check returns io.EOF when all is well.
func (s *pieceSum) check() error {
	if string(s.hash.Sum(nil)) != string(s.want) {
		return errPieceSum
	}
	return io.EOF
}

// running is a SHA-256 that is kept between the requests of an upload.
type running struct{ hash.Hash }

// goOn returns a SHA-256 from where it was; state is nil at the beginning.
func goOn(state []byte) (running, error) {
	h := sha256.New()
	if state == nil {
		return running{h}, nil
	}
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return running{}, errors.New("this SHA-256 cannot go on")
	}
	if err := u.UnmarshalBinary(state); err != nil {
		return running{}, fmt.Errorf("the SHA-256 of an upload: %w", err)
	}
	return running{h}, nil
}

// state is what goOn goes on from.
func (r running) state() []byte {
	m, ok := r.Hash.(encoding.BinaryMarshaler)
	if !ok {
		panic("crypto/sha256 promises it")
	}
	out, err := m.MarshalBinary()
	if err != nil {
		panic(err) // it has no way to fail
	}
	return out
}

// verify returns the SHA-256 in hex, and object.ErrDigest when another was announced.
func (r running) verify(p *plan) (string, error) {
	sum := r.Sum(nil)
	return hex.EncodeToString(sum), checkDigest(p.SHA256, sum)
}
