package s3

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// request is one HTTP exchange.
type request struct {
	s     *Server
	w     *response
	r     *http.Request
	reqID string // for the client and the log
	start time.Time

	target
	op    string   // name of the operation
	id    identity // set once the signature was verified
	seal  seal     // what the signatures of chunks go on from
	moved int64    // bytes of object content received; -1 when none was to be
	begun bool     // the body was asked for, so the client that waits for "100 Continue" has got it
	err   *apiError
	// guess is the beginning of the access key of a request that somebody signed who does not have the secret of it.
	guess string
}

// newRequestID looks like Amazon's. It has to be unlikely to repeat, no more.
func newRequestID() string {
	const digits = "0123456789ABCDEF"
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], rand.Uint64())
	out := make([]byte, 0, 16)
	for _, b := range raw {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// newHostID names this process until it ends, and tells nothing else about it.
func newHostID() string {
	var raw [24]byte
	for i := 0; i < len(raw); i += 8 {
		binary.BigEndian.PutUint64(raw[i:], rand.Uint64())
	}
	return base64.StdEncoding.EncodeToString(raw[:])
}

// handle goes through the gates that stand before every operation, in the order that gives nothing away.
func (q *request) handle() error {
	if err := checkHeaderSize(q.r); err != nil {
		return err
	}
	if err := q.parseTarget(); err != nil {
		return err
	}
	if check := q.healthCheck(); check != nil {
		return check()
	}
	op, _ := q.operation()
	q.op = op.name // also in the log of a request that is refused next
	if q.r.Method == http.MethodOptions {
		return q.preflight()
	}
	if err := q.authenticate(); err != nil {
		return err
	}
	op, err := q.operation() // again: headers may have come back from the query
	q.op = op.name
	if err != nil {
		return err
	}
	if err := q.checkTarget(op); err != nil {
		return err
	}
	if err := q.refuseHeaders(op); err != nil {
		return err
	}
	key := q.key
	if op.scope != nil {
		key = op.scope(q)
	}
	if err := q.authorise(op.act, q.bucket, key); err != nil {
		return err
	}
	if err := q.expectOwner("X-Amz-Expected-Bucket-Owner"); err != nil {
		return err
	}
	q.continueEmpty()
	return op.run(q)
}

// expectsContinue says whether the client waits for "100 Continue" before it sends the body.
func (q *request) expectsContinue() bool {
	return q.r.ProtoAtLeast(1, 1) && strings.EqualFold(q.r.Header.Get("Expect"), "100-continue")
}

// continueEmpty sends the "100 Continue" that net/http leaves out when the announced body is empty. Clients that asked for
// it would take the final answer for it, and stall on the next request of the connection.
func (q *request) continueEmpty() {
	if q.r.ContentLength == 0 && q.expectsContinue() {
		q.w.WriteHeader(http.StatusContinue)
	}
}

// preflight answers CORS preflight requests, which bear no signature: no bucket allows other origins.
func (q *request) preflight() error {
	h := q.r.Header
	if h.Get("Origin") == "" || h.Get("Access-Control-Request-Method") == "" {
		return badRequest.says("Insufficient information. Origin request header needed.").err()
	}
	return accessForbidden.err("Method", h.Get("Access-Control-Request-Method"), "ResourceType", "OBJECT")
}

// logLine writes the one line of the request. It holds nothing of the query and of the headers, where secrets are.
func (q *request) logLine() {
	e := q.s.log.WithLevel(q.logLevel())
	if !e.Enabled() {
		return
	}
	moved := q.moved
	if moved < 0 {
		moved = q.w.written
	}
	host := q.r.RemoteAddr
	if ap, err := netip.ParseAddrPort(host); err == nil {
		host = ap.Addr().Unmap().WithZone("").String()
	}
	e.Str("method", q.r.Method).Str("op", q.op).Str("bucket", q.bucket).Str("key", q.key).
		Int("status", q.w.status).Int64("bytes", moved).Dur("ms", time.Since(q.start)).
		Str("remote", host).Str("req", q.reqID).Str("id2", q.s.hostID)
	if q.err != nil {
		e.Str("err", q.err.Error())
	}
	if q.w.err != nil {
		e.Str("write_err", q.w.err.Error())
	}
	if q.guess != "" {
		// fail2ban reads this line, as that of the push door: it must stay as it is. The client chose nothing in it but
		// the characters of shownKey.
		e.Str("event", "auth-failed").Msg("auth failure bucket=? remote=" + host + " key=" + q.guess)
		return
	}
	e.Msg("request")
}

// shownKey is as much of an access key as a log may show: somebody may have taken the secret for it.
func shownKey(key string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return c
		}
		return '?'
	}, key[:min(len(key), 6)])
}

func (q *request) logLevel() zerolog.Level {
	switch {
	case q.err == nil && (q.op == opLive || q.op == opReady): // asked every few seconds
		return zerolog.DebugLevel
	case q.err == nil, q.w.err != nil: // a client that went away is no failure of ours
		return zerolog.InfoLevel
	case q.err.code == slowDown.code: // the client is told to come back
		return zerolog.WarnLevel
	case q.err.status >= 500 && q.err.status != http.StatusNotImplemented:
		return zerolog.ErrorLevel
	case q.err.status == http.StatusForbidden, strings.HasPrefix(q.err.code, "Authorization"):
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}
