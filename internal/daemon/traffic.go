package daemon

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// traffic counts what goes through a door.
type traffic struct {
	started        time.Time
	requests       *prometheus.CounterVec   // by method, code and outcome
	took           *prometheus.HistogramVec // seconds, by method
	all, failed    atomic.Int64             // requests
	received, sent atomic.Int64             // bytes of bodies
	hidden         atomic.Int64             // keys that listings left out
	running        inflight
}

func newTraffic(now time.Time) *traffic {
	return &traffic{
		started: now,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "file_bucket_requests_total",
			Help: "Requests that have ended, by method, status code and outcome: ok, denied (who asks may not), refused " +
				"(what they ask for cannot be), failed (our fault, or there is no room), or cut (the answer was not whole).",
		}, []string{"method", "code", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "file_bucket_request_duration_seconds",
			Help:    "How long requests took, from their headers to the end of the answer.",
			Buckets: []float64{.005, .02, .1, .5, 2, 10, 60, 300, 1800},
		}, []string{"method"}),
	}
}

// collectors are what tells the figures.
func (t *traffic) collectors() []prometheus.Collector {
	bytes := func(name, help string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	return []prometheus.Collector{
		t.requests, t.took,
		bytes("file_bucket_received_bytes_total", "Bytes of the bodies of requests, also of those that are still coming.", &t.received),
		bytes("file_bucket_sent_bytes_total", "Bytes of the bodies of answers.", &t.sent),
	}
}

// count counts the requests of a handler. To the handler, request and answer are as they were but for their types.
func (t *traffic) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		t.running.enter()
		counted := &countedWriter{ResponseWriter: w, n: &t.sent}
		// A copy: the server looks at the type of its request's body to see how far it was read.
		inner := *r
		inner.Body = &countedBody{r.Body, &t.received}
		whole := false // a handler that cannot end its answer panics
		defer func() {
			t.running.leave()
			t.ended(r.Method, counted.status, whole, time.Since(start))
		}()
		h.ServeHTTP(counted, &inner)
		whole = true
	})
}

// ended counts a request. A status of 0 is that of a handler that wrote nothing.
func (t *traffic) ended(method string, status int, whole bool, took time.Duration) {
	method, status = knownMethod(method), cmp.Or(status, http.StatusOK)
	code, outcome := strconv.Itoa(status), outcomeOf(status)
	if !whole {
		code, outcome = "cut", "cut"
	}
	t.add(method, code, outcome, took)
}

// observe counts what a Server was asked for. There is no code: what the client was told is the Server's affair.
func (t *traffic) observe(e Event) {
	t.received.Add(e.Received)
	t.sent.Add(e.Sent)
	t.hidden.Add(int64(e.Hidden))
	t.add(e.Method, "", e.Outcome, e.Took)
}

func (t *traffic) add(method, code, outcome string, took time.Duration) {
	t.requests.WithLabelValues(method, code, outcome).Inc()
	t.took.WithLabelValues(method).Observe(took.Seconds())
	t.all.Add(1)
	if outcome == "failed" {
		t.failed.Add(1)
	}
}

// knownMethod is a method, or "other": clients could make up any number of them.
func knownMethod(method string) string {
	if slices.Contains([]string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"}, method) {
		return method
	}
	return "other"
}

// outcomeOf is what a status says to who runs the door.
func outcomeOf(status int) string {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusTooManyRequests:
		return "denied"
	case status == http.StatusNotImplemented:
		return "refused"
	case status >= http.StatusInternalServerError:
		return "failed"
	case status >= http.StatusBadRequest:
		return "refused"
	}
	return "ok"
}

// countedBody counts what is read.
type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// countedWriter counts what is written, and keeps the status.
type countedWriter struct {
	http.ResponseWriter
	status int // 0 before the final answer
	n      *atomic.Int64
}

// Unwrap serves http.ResponseController.
func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countedWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countedWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n))
	return n, err
}
