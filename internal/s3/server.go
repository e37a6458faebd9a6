package s3

import (
	"fmt"
	"net/http"
	"time"

	"hugbucket/internal/object"

	"github.com/julienschmidt/httprouter"
	"github.com/rs/zerolog"
)

// stallTime is how long a client may keep us waiting for its next bytes, or for room to send it ours. There is no limit on
// the whole of a transfer.
const stallTime = 60 * time.Second

// Server is the S3 door. It is an http.Handler, safe for concurrent use. Nothing that cleans paths may stand before it.
type Server struct {
	store  *object.Store
	cfg    Config
	log    zerolog.Logger
	keys   map[string]*Key
	signer *signer
	router *httprouter.Router
	hosts  hosts
	hostID string // the x-amz-id-2 of every answer: which process it was
	now    func() time.Time
	stall  time.Duration
	// patience and heartbeat are those of answers that take long.
	patience, heartbeat time.Duration
	// uploads holds an element for each upload under way, and probing one while the store is asked whether it answers.
	uploads chan struct{}
	holders holders
	probing chan struct{}
	// large are the places for large XML bodies, and largeOf those that each key may have of them; nil is the key of a door
	// without keys.
	large   *queue
	largeOf map[*Key]*queue
}

var _ http.Handler = (*Server)(nil)

// New returns a door on a store.
func New(store *object.Store, cfg Config, log zerolog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	if cfg.Region == "" {
		cfg.Region = DefaultRegion
	}
	s := &Server{
		store: store, cfg: cfg, log: log, keys: make(map[string]*Key, len(cfg.Keys)), signer: newSigner(),
		now: cfg.Now, stall: stallTime, patience: patience, heartbeat: heartbeat,
		uploads: make(chan struct{}, maxUploads), large: newQueue(maxLargeXML), probing: make(chan struct{}, 1),
		hosts: newHosts(cfg.Domains), hostID: newHostID(), holders: holders{of: make(map[*Key]int)},
		largeOf: map[*Key]*queue{nil: newQueue(largeOfKey)},
	}
	if s.now == nil {
		s.now = time.Now
	}
	for i := range cfg.Keys {
		k := &cfg.Keys[i]
		s.keys[k.AccessKey], s.largeOf[k] = k, newQueue(largeOfKey)
	}
	// One catch-all route per method: anything finer would redirect or clean paths, and keys are no paths.
	s.router = &httprouter.Router{NotFound: http.HandlerFunc(s.serve)}
	for _, m := range methods {
		s.router.Handle(m, "/*p", func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) { s.serve(w, r) })
	}
	return s, nil
}

// Anonymous says whether the door has no keys, so that everybody may do everything.
func (s *Server) Anonymous() bool { return len(s.keys) == 0 }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// serve answers one request, writes its log line, and survives a panic.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	q := &request{s: s, w: newResponse(w, r, s.stall), r: r, reqID: newRequestID(), start: time.Now(), moved: -1}
	err := safely(q.handle)
	if err != nil {
		q.err = answerTo(err, q.bucket, q.key)
	}
	cut := err != nil && q.w.status != 0
	if err != nil && !cut {
		q.sendError(q.err)
	}
	q.logLine()
	if cut {
		panic(http.ErrAbortHandler) // an answer was on its way and is not whole: net/http cuts the connection
	}
	if err != nil {
		q.linger()
	}
}
