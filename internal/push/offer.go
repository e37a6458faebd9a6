package push

import (
	"context"
	"errors"
	"io"
	"path/filepath"
)

// caller is who pushes, and where to: a token that exists.
type caller struct {
	token  string
	bucket Bucket
	from   string // IP:PORT
}

// offer is a file that a client wants to push, whatever the form of its request.
type offer struct {
	name        string // as sent
	contentType string // as sent, or empty
	size        int64  // in bytes; -1 is unknown
	exact       bool   // the file has size bytes; else it has less by what is behind it in a form
	sha256      []byte // that the client says it has, or nil
}

// formPadding is how many bytes of a form's size may turn out not to be the file's: clients send a line break, or blanks, behind it.
const formPadding = 16

// least is how many bytes the file cannot but have, or less than 0 when that is unknown. Fields behind it in a form count.
func (o offer) least() int64 {
	if o.exact {
		return o.size
	}
	return o.size - formPadding
}

// admission is an offer that was found good. Who holds one calls release once, however the push ends.
type admission struct {
	offer   offer
	bucket  Bucket // as it is for this file: the hook may have allowed to overwrite
	granted bool   // the hook has
	place   place
	told    pushed // what hooks are told; its name is the one under which the file is stored
	claim   *claim // of the bucket's quota
}

// release gives back what admit has reserved for the file.
func (a *admission) release() { a.claim.release() }

// fits decides whether a file of n bytes or more could be stored, whatever its name. Nothing is reserved. Errors: errTooLarge,
// errQuota, object.ErrNoSpace, and the store's.
func (s *Server) fits(ctx context.Context, b Bucket, n int64) error {
	n = max(n, 1) // also for a file of unknown size: only an empty one fits into no room
	switch {
	case b.MaxSize > 0 && n > b.MaxSize:
		return errTooLarge
	case b.Quota > 0 && n > b.Quota:
		return errQuota
	}
	p := s.place(b)
	if !b.Overwrite && !s.hooks.Has(preHook) { // else it may take the room of another file
		if err := s.quotas.look(ctx, b, p, n); err != nil {
			return err
		}
	}
	return p.room(n)
}

// admit decides whether a file may be stored, by all that can be known before its content. It reserves what the file takes of the
// bucket's quota. Errors: those of approve.
func (s *Server) admit(ctx context.Context, x *exchange, c caller, o offer) (*admission, error) {
	a, err := s.approve(ctx, x, c, o)
	if err != nil {
		return nil, err
	}
	a.claim, err = s.quotas.claim(ctx, a.bucket, a.place, want{name: a.told.name, size: o.size})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// approve is admit without a claim: size, name, pre-push.sh, and whether there is such a file. Errors: those of fits, InvalidError,
// fs.ErrExist, errBucket, those of prePush, and the store's.
func (s *Server) approve(ctx context.Context, x *exchange, c caller, o offer) (*admission, error) {
	x.file = lastName(o.name)
	if err := s.fits(ctx, c.bucket, o.least()); err != nil {
		return nil, err
	}
	name, err := baseName(o.name)
	if err == nil && c.bucket.Stamp {
		name, err = s.stamps.stamped(c.bucket.key(), name, s.now())
	}
	if err != nil {
		return nil, err
	}
	x.file = name
	a := &admission{offer: o, bucket: c.bucket}
	a.told = pushed{token: c.token, bucket: c.bucket.Name, name: name, size: o.size, from: c.from}
	replace, err := s.prePush(ctx, a.told)
	if err != nil {
		return nil, err
	}
	a.granted = replace && !a.bucket.Stamp
	a.bucket.Overwrite = a.bucket.overwrites() || a.granted
	a.place = s.place(a.bucket)
	if err := a.place.prepare(ctx, name); err != nil {
		return nil, err
	}
	return a, nil
}

// store stores what was admitted: all that content yields until io.EOF, or nothing. Errors: errTooLarge, errQuota, those of place.put,
// and content's.
func (s *Server) store(ctx context.Context, x *exchange, a *admission, content io.Reader) (receipt, error) {
	grow := func(n int64) error { return a.claim.grow(ctx, n) }
	in := &intake{r: content, offer: a.offer, limit: a.bucket.MaxSize, grow: grow}
	got, err := a.place.put(ctx, file{name: a.told.name, contentType: a.offer.contentType, sha256: a.offer.sha256}, in)
	x.bytes = in.n
	if errors.Is(err, context.Canceled) && x.body.err != nil {
		err = x.body.err // it made the server cancel the request, and may not have come up to the store yet
	}
	return got, err
}

// finish counts and notes a file that was stored, and has post-push.sh run for it. What comes of it is in the receipt. It returns false when
// that hook is still due.
func (s *Server) finish(ctx context.Context, x *exchange, a *admission, got *receipt) (ended bool) {
	x.bytes, x.sha256 = got.Size, got.SHA256
	a.claim.stored(context.WithoutCancel(ctx), got.Size)
	told := a.told
	told.size, told.sha256 = got.Size, got.SHA256
	return s.postPush(ctx, a.bucket, told, got)
}

func (s *Server) place(b Bucket) place {
	if b.Name == "" {
		return s.plain(b)
	}
	return s.named(b)
}

// uploads are those to the bucket's place.
func (s *Server) uploads(b Bucket) uploads {
	if b.Name == "" {
		return s.plain(b)
	}
	return s.named(b)
}

func (s *Server) plain(b Bucket) plainPlace {
	return plainPlace{dir: s.dir(b), overwrite: b.overwrites(), floor: s.floor}
}

func (s *Server) named(b Bucket) bucketPlace {
	return bucketPlace{store: s.objects, bucket: b.Name, overwrite: b.overwrites(), ended: &s.ended}
}

// dir is the directory of a bare token.
func (s *Server) dir(b Bucket) string { return filepath.Join(s.home, b.Token) }

// intake is the content of a file on its way into its place. It ends with io.EOF only when the place may commit.
type intake struct {
	r     io.Reader
	offer offer
	limit int64               // bytes, more is errTooLarge; 0 is no limit
	grow  func(n int64) error // reserves room for n bytes
	n     int64               // bytes read
	err   error               // what every further Read returns
}

func (in *intake) Read(p []byte) (int, error) {
	if in.err != nil || len(p) == 0 {
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.n += int64(n)
	full := in.grow(in.n)
	switch {
	case in.limit > 0 && in.n > in.limit:
		n, err = 0, errTooLarge
	case full != nil:
		n, err = 0, full
	case err == io.EOF && in.offer.exact && in.n != in.offer.size: //nolint:errorlint // nothing else is the end
		err = errCut
	}
	in.err = err
	return n, err
}
