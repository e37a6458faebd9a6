package s3

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// What load balancers ask without a signature. No bucket can have the name that these paths begin with; where the bucket is
// named by the Host header, they are keys like all others.
const (
	livePath  = "/_health/live"  // whether the door answers
	readyPath = "/_health/ready" // whether the store does, too
)

// Names of these two in the log. They are no operations of S3.
const (
	opLive  = "Live"
	opReady = "Ready"
)

// readyTime is how long the store may take to be ready.
const readyTime = 5 * time.Second

// healthCheck returns what answers the request if it asks how the door is, else nil.
func (q *request) healthCheck() func() error {
	if q.byHost || q.r.Method != http.MethodGet && q.r.Method != http.MethodHead {
		return nil
	}
	switch q.r.URL.Path {
	case livePath:
		q.op, q.target = opLive, target{}
		return q.sendHealthy
	case readyPath:
		q.op, q.target = opReady, target{}
		return q.checkReady
	}
	return nil
}

// checkReady asks the store for something small. One request at a time does: anybody may send them, and when the store
// hangs, no more than one hangs with it.
func (q *request) checkReady() error {
	ctx, cancel := context.WithTimeoutCause(q.r.Context(), readyTime, errors.New("the store does not answer"))
	defer cancel()
	select {
	case q.s.probing <- struct{}{}:
		defer func() { <-q.s.probing }()
	case <-ctx.Done():
		return serviceUnavailable.err().because(context.Cause(ctx))
	}
	if _, _, err := q.s.store.Buckets(ctx, "", 1); err != nil {
		return serviceUnavailable.err().because(err)
	}
	return q.sendHealthy()
}

func (q *request) sendHealthy() error {
	const text = "ok\n"
	h := q.w.Header()
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	q.send(http.StatusOK)
	if q.r.Method == http.MethodHead {
		return nil
	}
	_, err := q.w.Write([]byte(text))
	return err
}
