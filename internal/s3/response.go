package s3

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// response is the writer of one answer. It keeps what the log wants to know, and gives each write a deadline of its own, so
// that a client that stops reading is let go, however long it read before.
type response struct {
	http.ResponseWriter
	rc      *http.ResponseController
	stall   time.Duration
	armed   time.Time // when the deadline was set
	status  int       // of the final answer; 0 before it
	written int64     // bytes of the body
	err     error     // of the first write that failed
}

var _ http.ResponseWriter = (*response)(nil)

func newResponse(w http.ResponseWriter, r *http.Request, stall time.Duration) *response {
	rw := &response{ResponseWriter: w, rc: http.NewResponseController(w), stall: stall}
	rw.arm() // net/http may have to write "100 Continue", and an earlier request may have left a deadline
	if r.ContentLength != 0 {
		// A body that nobody reads is read by net/http before the answer goes out. It must not wait for ever, nor until
		// the deadline of the answer.
		_ = rw.rc.SetReadDeadline(time.Now().Add(stall / 2))
	}
	return rw
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// arm renews the deadline. A writer that knows no deadlines, as in tests, goes without.
func (w *response) arm() {
	if now := time.Now(); now.Sub(w.armed) > w.stall/8 {
		w.armed = now
		_ = w.rc.SetWriteDeadline(now.Add(w.stall))
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	if status >= 200 {
		w.status = status
	}
	w.arm()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.arm()
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// send begins the final answer. Header names go out as they are spelled here: some clients compare them literally.
func (q *request) send(status int) {
	h := q.w.Header()
	h["x-amz-request-id"] = []string{q.reqID}
	h["x-amz-id-2"] = []string{q.s.hostID}
	q.w.WriteHeader(status)
}

// sendXML answers with a document.
func (q *request) sendXML(x *xmlDoc) error {
	h := q.w.Header()
	h["Content-Type"] = []string{"application/xml"}
	h["Content-Length"] = []string{strconv.Itoa(x.Len())}
	q.send(http.StatusOK)
	_, err := q.w.Write(x.Bytes())
	return err
}

// sendError answers with an error document, or with its status and headers alone where no body may be.
func (q *request) sendError(e *apiError) {
	h := q.w.Header()
	maps.Copy(h, e.header)
	if q.expectsContinue() {
		h["Connection"] = []string{"close"} // the client may or may not send the body now
	}
	if e.status == http.StatusNotModified {
		q.send(e.status)
		return
	}
	x := newXML()
	x.err(q, e)
	h["Content-Type"] = []string{"application/xml"}
	if q.r.Method == http.MethodHead {
		q.send(e.status)
		return
	}
	h["Content-Length"] = []string{strconv.Itoa(x.Len())}
	q.send(e.status)
	_, _ = q.w.Write(x.Bytes()) // the writer keeps the error for the log
}

// err writes an error document.
func (x *xmlDoc) err(q *request, e *apiError) {
	x.open("Error")
	x.elem("Code", e.code)
	x.elem("Message", e.message)
	for i := 0; i+1 < len(e.extra); i += 2 {
		x.elem(e.extra[i], e.extra[i+1])
	}
	x.elem("Resource", q.resource())
	x.elem("RequestId", q.reqID)
	x.elem("HostId", q.s.hostID)
	x.close("Error")
}

const (
	// lingerTime and lingerBytes bound how much of a refused upload is still taken off the wire, so that a client which
	// reads only when it has sent everything finds the answer and not a reset connection.
	lingerTime  = 2 * time.Second
	lingerBytes = 1 << 20
)

// linger takes a little of what is still coming, after an error was sent.
func (q *request) linger() {
	if q.r.ContentLength == 0 || q.expectsContinue() && !q.begun {
		return
	}
	// Without a connection below there is nothing to flush or to wait for.
	_ = q.w.rc.Flush()
	_ = q.w.rc.SetReadDeadline(time.Now().Add(min(lingerTime, q.s.stall)))
	if _, err := io.CopyN(io.Discard, q.r.Body, lingerBytes); errors.Is(err, io.EOF) {
		_ = q.w.rc.SetReadDeadline(time.Time{}) // the connection goes on
	}
}

// xmlDoc is an XML document in the making.
type xmlDoc struct{ bytes.Buffer }

// namespace is that of all result documents; error documents have none.
const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

func newXML() *xmlDoc {
	x := &xmlDoc{}
	x.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	return x
}

// root opens the root element of a result document.
func (x *xmlDoc) root(name string) {
	x.WriteString("<" + name + ` xmlns="` + namespace + `">`)
}

func (x *xmlDoc) open(name string) {
	x.WriteByte('<')
	x.WriteString(name)
	x.WriteByte('>')
}

func (x *xmlDoc) close(name string) {
	x.WriteString("</")
	x.WriteString(name)
	x.WriteByte('>')
}

func (x *xmlDoc) elem(name, text string) {
	x.open(name)
	x.text(text)
	x.close(name)
}

func (x *xmlDoc) int(name string, n int64) { x.elem(name, strconv.FormatInt(n, 10)) }

func (x *xmlDoc) truncated(b bool) { x.elem("IsTruncated", strconv.FormatBool(b)) }

func (x *xmlDoc) time(name string, t time.Time) {
	x.elem(name, t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

func (x *xmlDoc) etag(etag string) { x.elem("ETag", `"`+etag+`"`) }

// text writes character data. Control characters go as numeric references, as Amazon writes them: encoding/xml would put
// U+FFFD in their place, and a key would become another key.
func (x *xmlDoc) text(s string) {
	for _, c := range s {
		switch {
		case c == '&':
			x.WriteString("&amp;")
		case c == '<':
			x.WriteString("&lt;")
		case c == '>':
			x.WriteString("&gt;")
		case c == '"':
			x.WriteString("&quot;")
		case c < ' ', c == 0x7F, c == 0xFFFE, c == 0xFFFF:
			x.WriteString("&#x" + strconv.FormatInt(int64(c), 16) + ";")
		default:
			x.WriteRune(c) // what is not valid UTF-8 comes as U+FFFD; keys are valid
		}
	}
}
