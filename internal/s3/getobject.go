package s3

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hugbucket/internal/object"
)

// read is an answer to GetObject or HeadObject in the making.
type read struct {
	info    *object.Info
	part    byteRange
	partial bool
	header  http.Header
}

// getObject implements GetObject.
func (q *request) getObject() error {
	f, err := q.s.store.Open(q.r.Context(), q.bucket, q.key)
	if err != nil {
		return err
	}
	info := f.Info()
	a, err := q.newRead(&info)
	if err == nil {
		err = a.sendFile(q, f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// headObject implements HeadObject: the same answer without a body.
func (q *request) headObject() error {
	info, err := q.s.store.Stat(q.r.Context(), q.bucket, q.key)
	if err != nil {
		return err
	}
	a, err := q.newRead(&info)
	if err != nil {
		return err
	}
	a.begin(q)
	return nil
}

// newRead decides on conditions and range, and readies the headers.
func (q *request) newRead(info *object.Info) (*read, error) {
	if err := q.checkRead(info); err != nil {
		return nil, err
	}
	a := &read{info: info, part: byteRange{0, info.Size}, header: make(http.Header, 16)}
	sum := sumOf(info)
	switch v := q.r.Header.Get("Range"); {
	case q.query.has("partNumber"):
		n, err := q.readPart(a)
		if err != nil {
			return nil, err
		}
		if info.Parts != nil {
			sum = sumOfPart(info, n)
			a.header["x-amz-mp-parts-count"] = []string{strconv.Itoa(partCount(info))}
		}
	case v != "" && q.ifRange(info):
		var ok bool
		if a.part, a.partial, ok = parseRange(v, info.Size); !ok {
			return nil, invalidRange.err("RangeRequested", v, "ActualObjectSize", strconv.FormatInt(info.Size, 10)).
				with("Content-Range", "bytes */"+strconv.FormatInt(info.Size, 10))
		}
		if a.partial {
			sum = knownSum{} // clients would compare it with what they get
		}
	}
	h := a.header
	writeAttrs(h, &info.Attrs)
	writeFileHash(h, info)
	h["ETag"] = []string{`"` + info.ETag + `"`}
	h["Last-Modified"] = []string{info.ModTime.UTC().Format(http.TimeFormat)}
	h["Accept-Ranges"] = []string{"bytes"}
	h["Content-Length"] = []string{strconv.FormatInt(a.part.n, 10)}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if a.partial {
		h["Content-Range"] = []string{a.part.header(info.Size)}
	}
	if strings.EqualFold(q.r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		sum.headers(h)
	}
	return a, q.override(h)
}

// checkRead evaluates the conditional headers.
func (q *request) checkRead(info *object.Info) error {
	err := readCondition(q.r.Header, "", q.s.now()).Check(info)
	if !errors.Is(err, object.ErrNotModified) {
		return q.conditionError(err, "")
	}
	e := notModified.err()
	for name, attr := range map[string]string{"Cache-Control": "cache-control", "Expires": "expires"} {
		if v := info.Attrs.Headers[attr]; v != "" {
			e = e.with(name, headerText(v))
		}
	}
	return e.with("ETag", `"`+info.ETag+`"`).with("Last-Modified", info.ModTime.UTC().Format(http.TimeFormat))
}

// ifRange says whether a range may be sent: an If-Range header that names another state of the object forbids it.
func (q *request) ifRange(info *object.Info) bool {
	v := q.r.Header.Get("If-Range")
	if v == "" {
		return true
	}
	if t, err := http.ParseTime(v); err == nil {
		return info.ModTime.Truncate(time.Second).Equal(t)
	}
	return v == `"`+info.ETag+`"`
}

// override replaces headers by the response-… parameters. Without a signature, anybody could make a link that has a
// browser take an object for something else.
func (q *request) override(h http.Header) error {
	for _, name := range overrides {
		v, ok := q.query.find(name)
		if !ok {
			continue
		}
		if !q.id.signed {
			return invalidRequest.says("Request specific response headers cannot be used for anonymous GET requests.").err()
		}
		if strings.ContainsFunc(v, isControl) {
			return badArgument(name, v, "Header values hold no control characters.")
		}
		h[http.CanonicalHeaderKey(strings.TrimPrefix(name, "response-"))] = []string{v}
	}
	return nil
}

// readPart makes an answer that of one part, and returns its number. Parts count from 1 in the object, whatever numbers they
// were uploaded under; an object that came in one piece is its own part.
func (q *request) readPart(a *read) (int, error) {
	n, err := q.partNumber()
	switch {
	case err != nil:
		return 0, err
	case q.r.Header["Range"] != nil:
		return 0, invalidRequest.says("Cannot specify both Range header and partNumber query parameter").err()
	case n > partCount(a.info):
		return 0, invalidPartNumber.err("PartNumberRequested", strconv.Itoa(n), "ActualPartCount", strconv.Itoa(partCount(a.info)))
	}
	if a.info.Parts != nil {
		a.part = partRange(a.info.Parts, n)
	}
	a.partial = a.part.n > 0 // no header can name a range without bytes
	return n, nil
}

// begin sends status and headers.
func (a *read) begin(q *request) {
	maps.Copy(q.w.Header(), a.header)
	if a.partial {
		q.send(http.StatusPartialContent)
	} else {
		q.send(http.StatusOK)
	}
}

// sendFile sends the answer and its body. Nothing goes out before the first bytes were read and verified, so that damage
// found there still gets an answer of its own.
func (a *read) sendFile(q *request, f *object.File) error {
	w := &lateWriter{q: q, a: a}
	if a.part.n == 0 {
		a.begin(q)
		return nil
	}
	_, err := f.WriteRange(w, a.part.off, a.part.n)
	return err
}

// lateWriter sends the headers before the first bytes.
type lateWriter struct {
	q *request
	a *read
}

// Write implements io.Writer.
func (w *lateWriter) Write(p []byte) (int, error) {
	if w.q.w.status == 0 {
		w.a.begin(w.q)
	}
	return w.q.w.Write(p)
}
