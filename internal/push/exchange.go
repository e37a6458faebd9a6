package push

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	limits Bucket // the zero value before it is known whose the push is
	file   string
	bytes  int64  // of the file, received
	sha256 string // of the file, in hex, when it is stored

	// What is not as with a push when there is no error: the status, and the event in the log. head is added to any answer.
	status int
	event  string
	head   http.Header
}

// reply sends the receipt, or what the client may know of err, and returns the status.
func (x *exchange) reply(w http.ResponseWriter, r *http.Request, got receipt, err error) int {
	status, text, value := http.StatusOK, "", any(got)
	if err != nil {
		refusal := refusal{}
		status, refusal.Error = answerTo(err)
		refusal.Error += x.hint(err)
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
	maps.Copy(h, x.head)
	if err == nil && x.status != 0 {
		status = x.status
	}
	if err == nil && (status == http.StatusNoContent || r.Method == http.MethodHead || x.event != "" && got.Name == "") {
		out = nil
	} else {
		h.Set("Content-Type", typ)
	}
	if status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(out)))
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if got.HookFailed {
		h.Set("X-File-Bucket-Hook", "failed")
	}
	early := x.body.unread()
	if early {
		// Also spares the server from reading a body that nobody wants before it sends the answer.
		h.Set("Connection", "close")
	}
	if wait := retryAfter(err); wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	w.WriteHeader(status)
	_, _ = w.Write(out) // a client that is gone does not read its answer
	if early {
		_ = x.body.conn.Flush()
	}
	return status
}

// hint adds to an error what helps whoever reads it: the limit that was met, but nothing of what is stored.
func (x *exchange) hint(err error) string {
	switch {
	case errors.Is(err, errTooLarge) && x.limits.MaxSize > 0:
		return fmt.Sprintf(": at most %d bytes", x.limits.MaxSize)
	case errors.Is(err, errQuota):
		if e, ok := errors.AsType[*droppedError](err); ok {
			return fmt.Sprintf(": %d bytes in all, and %s", x.limits.Quota, e.hint())
		}
		return fmt.Sprintf(": %d bytes in all", x.limits.Quota)
	}
	return ""
}

// log writes the line of the request.
func (x *exchange) log(log *zerolog.Logger, took time.Duration, status int, err error) {
	event := eventOf(status, err)
	if err == nil && x.event != "" {
		event = x.event
	}
	e := log.Info()
	switch {
	case event == "failed" && status >= http.StatusInternalServerError && !errors.Is(err, errEnding):
		e = log.Error()
	case err != nil:
		e = log.Warn()
	}
	e.Str("event", event).Str("bucket", x.bucket).Str("file", shorten(x.file)).Int64("bytes", x.bytes).
		Str("remote", x.remote).Int64("ms", took.Milliseconds()).Int("status", status).Str("req", x.id).Err(err)
	if x.sha256 != "" {
		e.Str("sha256", x.sha256)
	}
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

// addrOf is the client's address, or the zero Addr when it has none.
func addrOf(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr()
}

// shorten makes a name that was refused fit for a log line.
func shorten(s string) string {
	if len(s) > maxName {
		s = s[:maxName] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
