package push

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
)

// Server is the push door. It is safe for concurrent use.
type Server struct {
	store  *object.Store
	home   string
	now    func() time.Time
	log    zerolog.Logger
	pace   pace
	slots  *slots
	hooks  Hooks
	copies copies
	access atomic.Pointer[access]

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
	s := &Server{store: store, home: cfg.Home, now: cfg.Now, log: log, pace: defaultPace, slots: newSlots(tokenUploads, allUploads)}
	if s.now == nil {
		s.now = time.Now
	}
	s.hooks, s.allowFailed, s.outlast = cfg.Hooks, cfg.AllowFailedHooks, cfg.Outlast
	if s.hooks == nil {
		s.hooks = noHooks{}
	}
	if s.outlast == nil {
		s.outlast = context.WithoutCancel
	}
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

// ServeHTTP takes one push.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		id:     strings.ToLower(rand.Text()[:12]),
		start:  s.now(),
		remote: remoteOf(r),
		body:   newBody(w, r, s.pace),
	}
	got, err := s.guarded(r, x)
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

// push checks what can be checked before the body, then the form, then the name, and stores the file. Hooks run before and
// after that.
func (s *Server) push(r *http.Request, x *exchange) (receipt, error) {
	token, ok := tokenOf(r.URL.Path)
	if !ok {
		return receipt{}, errPath
	}
	b, ok := s.access.Load().find(token, subtle.ConstantTimeCompare)
	if !ok {
		x.token = shown(token)
		return receipt{}, errToken
	}
	x.bucket = b.label()
	// What the frame of the form takes is known only when it was read; content then keeps to the exact limit.
	if b.MaxSize > 0 && r.ContentLength-frameSlack > b.MaxSize {
		return receipt{}, errTooLarge
	}
	leave, err := s.slots.enter(b.key())
	if err != nil {
		return receipt{}, err
	}
	defer leave()
	f, err := openForm(r, x.body)
	if err != nil {
		return receipt{}, err
	}
	x.file = f.filename
	name, err := baseName(f.filename)
	if err != nil {
		return receipt{}, err
	}
	x.file = name
	told := pushed{token: token, bucket: b.Name, name: name, size: f.size(r.ContentLength), from: peerOf(r)}
	replace, err := s.prePush(r.Context(), told)
	if err != nil {
		return receipt{}, err
	}
	b.Overwrite = b.Overwrite || replace
	to := s.place(b)
	if err := to.prepare(r.Context(), name); err != nil {
		return receipt{}, err
	}
	content := f.content(b.MaxSize)
	got, err := to.put(r.Context(), file{name: name, contentType: f.contentType}, content)
	x.bytes = content.n
	if errors.Is(err, context.Canceled) && x.body.err != nil {
		err = x.body.err // it made the server cancel the request, and may not have come up to the store yet
	}
	if err != nil {
		return receipt{}, err
	}
	told.size, told.sha256 = got.Size, got.SHA256
	s.postPush(r.Context(), b, told, &got)
	return got, nil
}

func (s *Server) place(b Bucket) place {
	if b.Name == "" {
		return plainPlace{dir: s.dir(b), overwrite: b.Overwrite}
	}
	return bucketPlace{store: s.store, bucket: b.Name, overwrite: b.Overwrite}
}

// dir is the directory of a bare token.
func (s *Server) dir(b Bucket) string { return filepath.Join(s.home, b.Token) }

// tokenOf returns the first segment of a path when it could be a token. What follows it is ignored.
func tokenOf(path string) (string, bool) {
	path, ok := strings.CutPrefix(path, "/")
	token, _, _ := strings.Cut(path, "/")
	return token, ok && validToken(token)
}
