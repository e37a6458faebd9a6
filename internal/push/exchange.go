package push

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// exchange is one request and what is known of it for the answer and the log.
type exchange struct {
	id     string
	start  time.Time
	remote string // address without port
	body   *body
	token  string // the beginning of a token that does not exist
	bucket string
	file   string
	bytes  int64 // of the file, received
}

// reply sends the receipt, or what the client may know of err, and returns the status.
func (x *exchange) reply(w http.ResponseWriter, r *http.Request, got receipt, err error) int {
	status, text, value := http.StatusOK, "", any(got)
	if err != nil {
		refusal := refusal{}
		status, refusal.Error = answerTo(err)
		if status == http.StatusInternalServerError {
			refusal.ID = x.id
			refusal.Error += ", id " + x.id
		}
		text = refusal.Error + "\n"
		if refused, ok := errors.AsType[*refusedError](err); ok {
			refusal.Hook = string(refused.said)
			text += refusal.Hook
		}
		value = refusal
	} else if text = got.Hook; text == "" {
		text = fmt.Sprintf("%s %d sha256:%s\n", got.Name, got.Size, got.SHA256)
	}
	out, typ := []byte(text), "text/plain; charset=utf-8"
	if wantsJSON(r) {
		out, typ = marshal(value), "application/json"
	}
	h := w.Header()
	h.Set("Content-Type", typ)
	h.Set("Content-Length", strconv.Itoa(len(out)))
	h.Set("X-Content-Type-Options", "nosniff")
	if got.hookFailed {
		h.Set("X-File-Bucket-Hook", "failed")
	}
	early := x.body.unread()
	if early {
		// Also spares the server from reading a body that nobody wants before it sends the answer.
		h.Set("Connection", "close")
	}
	if errors.Is(err, errTokenBusy) || errors.Is(err, errBusy) {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = w.Write(out) // a client that is gone does not read its answer
	if early {
		_ = x.body.conn.Flush()
	}
	return status
}

// log writes the line of the request.
func (x *exchange) log(log *zerolog.Logger, took time.Duration, status int, err error) {
	event := eventOf(status, err)
	e := log.Info()
	switch {
	case status >= http.StatusInternalServerError:
		e = log.Error()
	case err != nil:
		e = log.Warn()
	}
	e.Str("event", event).Str("bucket", x.bucket).Str("file", shorten(x.file)).Int64("bytes", x.bytes).
		Str("remote", x.remote).Int64("ms", took.Milliseconds()).Int("status", status).Str("req", x.id).Err(err)
	if x.token != "" {
		// fail2ban reads this line: it must stay as it is. Nothing in it is the client's but characters of tokens.
		e.Msg("auth failure bucket=? remote=" + x.remote + " token=" + x.token)
		return
	}
	e.Msg("push " + event)
}

// refusal is an error as JSON.
type refusal struct {
	Error string `json:"error"`
	ID    string `json:"id,omitempty"`
	Hook  string `json:"hook,omitempty"` // what pre-push.sh said
}

func marshal(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(out, '\n')
}

// wantsJSON says whether a client asked for JSON by name.
func wantsJSON(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(v, ",") {
			if typ, _, err := mime.ParseMediaType(one); err == nil && typ == "application/json" {
				return true
			}
		}
	}
	return false
}

// remoteOf is the client's address as an IP address, or as it is when it is none.
func remoteOf(r *http.Request) string {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	return r.RemoteAddr
}

// shorten makes a name that was refused fit for a log line.
func shorten(s string) string {
	if len(s) > maxName {
		s = s[:maxName] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
