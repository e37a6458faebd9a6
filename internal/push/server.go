package push

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/throttle"
)

// Server is the push door. It is safe for concurrent use.
type Server struct {
	objects *object.Store
	home    string
	now     func() time.Time
	log     zerolog.Logger
	pace    pace
	slots   *slots
	stamps  stamps
	guesses *throttle.Throttle
	quotas  *quotas
	floor   floor
	refused refusals
	hooks   Hooks
	copies  copies
	locks   locks
	begins  locks         // buckets in which an upload begins
	expiry  time.Duration // of uploads; 0 is never
	step    int64         // of uploads, at the least
	ended   endings
	access  atomic.Pointer[access]

	allowFailed bool // pushes whose pre-push.sh fails
	outlast     func(context.Context) context.Context
}

var _ http.Handler = (*Server)(nil)

// New returns a door to a store and to the plain files under cfg.Home. It removes what uploads of a process that died left
// there.
func New(store *object.Store, cfg Config, log zerolog.Logger) (*Server, error) {
	if store == nil {
		return nil, errors.New("push: no store")
	}
	s := &Server{objects: store, home: cfg.Home, now: cfg.Now, log: log, pace: defaultPace, slots: newSlots(tokenUploads, allUploads)}
	if s.now == nil {
		s.now = time.Now
	}
	s.guesses, s.quotas = throttle.New(s.now), newQuotas(s.now)
	s.floor = floor{least: cfg.MinFree, free: freeOf, nodes: nodesOf}
	s.hooks, s.allowFailed, s.outlast = cfg.Hooks, cfg.AllowFailedHooks, cfg.Outlast
	if s.hooks == nil {
		s.hooks = noHooks{}
	}
	if s.outlast == nil {
		s.outlast = context.WithoutCancel
	}
	s.expiry, s.step = cfg.UploadExpiry, stepSize
	s.copies.home, s.copies.free = cfg.Home, freeOf
	if err := s.SetBuckets(cfg.Buckets); err != nil {
		return nil, err
	}
	if cfg.Home != "" {
		if removed, err := s.copies.sweep(); err != nil || removed > 0 {
			log.Warn().Err(err).Int("removed", removed).Msg("swept copies for hooks of a process that died")
		}
	}
	for _, b := range cfg.Buckets {
		if b.Name != "" {
			continue
		}
		removed, err := sweep(s.dir(b))
		if err != nil || removed > 0 {
			log.Warn().Err(err).Str("bucket", b.label()).Int("removed", removed).Msg("swept uploads of a process that died")
		}
	}
	return s, nil
}

// SetBuckets replaces the bucket list for requests that come from now on, or returns an error and keeps the old one. Home
// stays what it was.
func (s *Server) SetBuckets(buckets []Bucket) error {
	a, err := Config{Home: s.home, Buckets: buckets}.access()
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	s.access.Store(&a)
	return nil
}

// Drain tells uploads that can go on with another process to end: what has come of them is stored, which takes a moment, and a daemon that
// stops need not wait for the rest. It returns at once.
func (s *Server) Drain() { s.locks.end() }

// ServeHTTP takes one push.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		id:     strings.ToLower(rand.Text()[:12]),
		start:  s.now(),
		remote: remoteOf(r),
		body:   newBody(w, r, s.pace),
	}
	got, err := s.guarded(r, x)
	if err != nil {
		s.refused.add(reasonOf(err))
	}
	status := x.reply(w, r, got, err)
	x.log(&s.log, s.now().Sub(x.start), status, err)
	x.body.linger()
}

// guarded is push, with a panic as an error.
func (s *Server) guarded(r *http.Request, x *exchange) (got receipt, err error) {
	defer func() {
		if v := recover(); v != nil {
			got, err = receipt{}, fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return s.push(r, x)
}

// push takes a file. Whose it is, and whether it can only be too large, is decided by the head of the request, the rest when what
// is before the content was read.
func (s *Server) push(r *http.Request, x *exchange) (receipt, error) {
	c, err := s.caller(r, x)
	if err != nil {
		return receipt{}, err
	}
	if isTus(r) {
		return s.tus(r, x, c)
	}
	if isPut(r) {
		name, _ := putName(r.URL)
		x.file = lastName(name)
	}
	leave, err := s.slots.enter(c.bucket.key())
	if err != nil {
		return receipt{}, err
	}
	defer leave()
	// What the frame of a form takes is known only when it was read; admit and intake look again.
	if err := s.fits(r.Context(), c.bucket, r.ContentLength-frameSlack); err != nil {
		return receipt{}, err
	}
	o, content, err := open(r, x.body)
	if o.name != "" {
		x.file = lastName(o.name)
	}
	if err != nil {
		return receipt{}, err
	}
	// A client may close its half of the connection when it has sent everything, which ends r's context as if it were gone. One
	// that goes earlier is seen by content.
	ctx := s.outlast(r.Context())
	a, err := s.admit(ctx, x, c, o)
	if err != nil {
		return receipt{}, err
	}
	defer a.release()
	got, err := s.store(ctx, x, a, content)
	if err != nil {
		return receipt{}, err
	}
	s.finish(ctx, x, a, &got)
	return got, nil
}

// caller finds out who pushes. Errors: errPath, errToken and throttledError.
func (s *Server) caller(r *http.Request, x *exchange) (caller, error) {
	token, ok := tokenOf(r.URL.Path)
	if !ok {
		return caller{}, errPath
	}
	b, ok := s.access.Load().find(token, subtle.ConstantTimeCompare)
	if !ok {
		x.token = shown(token)
		return caller{}, s.wrongToken(r)
	}
	x.bucket, x.limits = b.label(), b
	return caller{token: token, bucket: b, from: peerOf(r)}, nil
}

// open reads a request up to the content of its file. The offer may have its name, for the log, even if there is an error.
func open(r *http.Request, b *body) (o offer, content io.Reader, err error) {
	if isPut(r) {
		return openPut(r, b)
	}
	f, err := openForm(r, b)
	if f == nil {
		return offer{}, nil, err
	}
	return f.offer(r.ContentLength), f.content(), err
}

// tokenOf returns the first segment of a path when it could be a token. What follows it is ignored.
func tokenOf(path string) (string, bool) {
	path, ok := strings.CutPrefix(path, "/")
	token, _, _ := strings.Cut(path, "/")
	return token, ok && (validToken(token) || oldToken(token))
}
