package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
)

// measured are the daemons that serve metrics, in the order of their ports. The first one also tells about the store, and has the
// status page.
var measured = []string{"file-bucketd", "hugbucket-s3d", "hugbucket-ftpd"}

const (
	metricsRetry = time.Minute // after which a port that was taken is tried again
	metricsConns = 64          // open at once
)

// metrics serves what is to be known of a daemon on a port of its own, over plain HTTP. Whoever gets at the port may read.
type metrics struct {
	name     string
	address  string // host and port
	log      zerolog.Logger
	retry    time.Duration
	traffic  *traffic
	labelled prometheus.Registerer
	overview *overview // nil unless it is this daemon that tells about the store
	handler  http.Handler
	door     doorState // but for its figures
	first    net.Listener
	closed   atomic.Bool // the port could not be opened yet
	busy     inflight    // requests for metrics, which may be using the store
}

// doorState is what one daemon tells another for its page.
type doorState struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Address  string `json:"address"`
	TLS      bool   `json:"tls"`
	Note     string `json:"note"`
	Started  int64  `json:"started"` // Unix time
	Requests int64  `json:"requests"`
	Failed   int64  `json:"failed"`
	Received int64  `json:"received"` // bytes
	Sent     int64  `json:"sent"`
}

// newMetrics returns the metrics of a daemon, or nil when it has none.
func newMetrics(name string, cfg *config.Config, store *object.Store, log zerolog.Logger) *metrics {
	nth := slices.Index(measured, name)
	if nth < 0 || cfg.Metrics.Port == 0 {
		return nil
	}
	m := &metrics{
		name: name, log: log, retry: metricsRetry, traffic: newTraffic(time.Now()),
		address: metricsAddress(cfg.Metrics, nth),
	}
	registry := prometheus.NewRegistry()
	m.labelled = prometheus.WrapRegistererWith(prometheus.Labels{"daemon": name}, registry)
	m.labelled.MustRegister(m.traffic.collectors()...)
	m.labelled.MustRegister(intakeCollectors(store)...)
	m.labelled.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "file_bucket_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 }))
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /door.json", m.serveDoor)
	if nth == 0 {
		m.overview = newOverview(cfg, store, log)
		registry.MustRegister(m.overview)
		mux.HandleFunc("GET /{$}", m.servePage)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: metricsErrors{log}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	}))
	m.handler = m.guard(mux)
	return m
}

func metricsAddress(cfg config.Metrics, nth int) string {
	return net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port+nth))
}

// intakeCollectors tell what a store has taken in from this process.
func intakeCollectors(store *object.Store) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "file_bucket_content_bytes_total", Help: "Bytes of content that came through this door and were stored.",
		}, func() float64 { return float64(store.Intake().Bytes) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "file_bucket_deduplicated_bytes_total", Help: "Bytes of that content that were stored already, and took no room.",
		}, func() float64 { i := store.Intake(); return float64(i.Bytes - i.New) }),
	}
}

// metricsErrors logs what goes wrong while metrics are gathered.
type metricsErrors struct{ log zerolog.Logger }

// Println implements promhttp.Logger.
func (l metricsErrors) Println(v ...any) { l.log.Warn().Msg(fmt.Sprint(v...)) }

// count counts the requests of a door.
func (m *metrics) count(h http.Handler) http.Handler {
	if m == nil {
		return h
	}
	m.labelled.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "file_bucket_requests_running", Help: "Requests under way.",
	}, func() float64 { return float64(m.traffic.running.count()) }))
	return m.traffic.count(h)
}

// observe counts what a Server was asked for.
func (m *metrics) observe(e Event) {
	if m != nil {
		m.traffic.observe(e)
	}
}

// sessions tells the sessions of a Server.
func (m *metrics) sessions(s Server) {
	if m == nil {
		return
	}
	m.labelled.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "file_bucket_sessions_total", Help: "Sessions since the start.",
		}, func() float64 { begun, _, _ := s.Sessions(); return float64(begun) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "file_bucket_sessions_refused_total", Help: "Connections that got no session: there were too many, in all or of one address, or the address is shut out.",
		}, func() float64 { _, refused, _ := s.Sessions(); return float64(refused) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "file_bucket_sessions_open", Help: "Sessions that are open.",
		}, func() float64 { _, _, open := s.Sessions(); return float64(open) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "file_bucket_hidden_keys_total", Help: "Keys that listings left out, because the protocol cannot name them; each time they are listed.",
		}, func() float64 { return float64(m.traffic.hidden.Load()) }),
	)
}

// use takes a configuration that was loaded anew: its buckets.
func (m *metrics) use(cfg *config.Config) {
	if m != nil && m.overview != nil {
		m.overview.use(cfg)
	}
}

// listen opens the port. That it cannot be is no reason for a door to stay closed: run tries again, and until
// then note says so.
func (m *metrics) listen(ctx context.Context, door doorState) {
	if m == nil {
		return
	}
	m.door = door
	m.door.Name, m.door.Version, m.door.Started = m.name, version, m.traffic.started.Unix()
	var err error
	if m.first, err = m.open(ctx); err != nil {
		m.log.Warn().Err(err).Msg("no metrics yet, trying again every minute; metrics.port chooses another port, 0 turns them off")
	}
}

func (m *metrics) open(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", m.address)
	m.closed.Store(err != nil)
	if err != nil {
		return nil, err
	}
	m.log.Info().Str("address", l.Addr().String()).Msg("serving metrics")
	return l, nil
}

// note is what to add to the status of the daemon; it begins with "; " when there is something.
func (m *metrics) note() string {
	if m == nil || !m.closed.Load() {
		return ""
	}
	return "; no metrics on " + m.address
}

// run serves until ctx ends.
func (m *metrics) run(ctx context.Context) {
	if m == nil {
		return
	}
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		if m.overview != nil {
			m.overview.sampler.run(ctx)
		}
	}()
	defer func() { <-sampled }()
	l := m.first
	for l == nil {
		wait(ctx, m.retry)
		if ctx.Err() != nil {
			return
		}
		l, _ = m.open(ctx) // the first try has said why not
	}
	m.serve(ctx, l)
}

// serve serves on a listener, which it closes, until ctx ends. Then nobody who asked uses the store any more.
func (m *metrics) serve(ctx context.Context, l net.Listener) {
	slots := make(chan struct{}, metricsConns)
	srv := &http.Server{
		Handler: m.handler, ReadTimeout: readHeaderTimeout, WriteTimeout: 30 * time.Second, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 8 << 10,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateHijacked {
				<-slots
			}
		},
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(panicHandler{zerolog.NewSlogHandler(m.log)}, slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // nobody depends on the last answer
	defer stop()
	if err := srv.Serve(limit(l, slots)); err != nil && ctx.Err() == nil {
		m.log.Error().Err(err).Msg("metrics ended")
	}
	<-m.busy.none()
}

// guard refuses what a web page elsewhere could make a browser on this machine ask: its name, made to mean this machine, would be the
// host of the request. Where the port is open to others, any name will do.
func (m *metrics) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.busy.enter()
		defer m.busy.leave()
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if local != nil && isLoopback(local.String()) && !isOwnName(r.Host) {
			http.Error(w, "ask for localhost or an address", http.StatusMisdirectedRequest)
			return
		}
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

func isLoopback(address string) bool {
	ap, err := netip.ParseAddrPort(address)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// isOwnName says whether a Host is an address or localhost, which no other machine can be called.
func isOwnName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(trimBrackets(host))
	return err == nil
}

func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// state is the door as it is now.
func (m *metrics) state() doorState {
	s := m.door
	t := m.traffic
	s.Requests, s.Failed, s.Received, s.Sent = t.all.Load(), t.failed.Load(), t.received.Load(), t.sent.Load()
	return s
}

func (m *metrics) serveDoor(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(m.state()) // a client that is gone does not read its answer
}
