package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
)

// TestUploadLimit: one upload too many is refused before its body is asked for, and the next one is not.
func TestUploadLimit(t *testing.T) {
	w := newWorld(t, Config{})
	w.server.uploads = make(chan struct{}, 1)
	w.want(200, "", http.MethodPut, "/bkt", "")
	begun := make(chan struct{}, 1)
	w.calls.before = func(op string) {
		if op == "Begin" {
			select {
			case begun <- struct{}{}:
			default:
			}
		}
	}
	first := w.dial()
	first.head(http.MethodPut, "/bkt/first", firstBytes+2, "Expect", "100-continue")
	first.answer(http.MethodPut, http.StatusContinue)
	if _, err := io.WriteString(first, strings.Repeat("x", firstBytes)); err != nil {
		t.Fatal(err)
	}
	<-begun
	second := w.dial()
	second.head(http.MethodPut, "/bkt/second", 2, "Expect", "100-continue")
	second.answer(http.MethodPut, 503)
	re := w.want(503, "SlowDown", http.MethodPut, "/bkt/second", "xy")
	if re.header.Get("Retry-After") != "1" || !strings.Contains(re.body, "Please reduce your request rate.") {
		t.Error(re.header, re.body)
	}
	w.want(404, "NoSuchKey", http.MethodGet, "/bkt/second", "")
	if _, err := io.WriteString(first, "ab"); err != nil {
		t.Fatal(err)
	}
	first.answer(http.MethodPut, 200)
	w.want(412, "PreconditionFailed", http.MethodPut, "/bkt/first", "x", "If-None-Match", "*") // and gives its place back
	w.want(200, "", http.MethodPut, "/bkt/second", "xy")
}

// TestOneKeyLeavesPlaces: a key that holds as many places as it can get leaves some for the others, which come and go.
func TestOneKeyLeavesPlaces(t *testing.T) {
	greedy := Key{AccessKey: "AKGREEDY", SecretKey: "secret-of-it", Mode: "create"}
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, greedy}})
	w.server.uploads = make(chan struct{}, 8)
	w.want(200, "", http.MethodPut, "/bkt", "")
	crowd := w.as(greedy)
	var held []*wire
	for i := range 6 {
		c := crowd.dial()
		c.head(http.MethodPut, fmt.Sprint("/bkt/held", i), firstBytes+1)
		if _, err := io.WriteString(c, strings.Repeat("x", firstBytes)); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for len(w.server.uploads) < len(held) {
		runtime.Gosched()
	}
	crowd.want(503, "SlowDown", http.MethodPut, "/bkt/more", "x")
	for i := range 10 {
		w.want(200, "", http.MethodPut, fmt.Sprint("/bkt/normal", i), "x")
	}
	for _, c := range held {
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		c.answer(http.MethodPut, 200)
	}
	crowd.want(200, "", http.MethodPut, "/bkt/more", "x")
	if n := len(w.server.holders.of); n != 0 {
		t.Errorf("%d keys still hold places", n)
	}
}

// TestSlowUploadsTakeNoPlace: uploads, and completions, that have sent next to nothing keep nobody out, and end like all others.
func TestSlowUploadsTakeNoPlace(t *testing.T) {
	w := newWorld(t, Config{})
	w.server.uploads = make(chan struct{}, 1)
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/k")
	done := w.begin("/bkt/done")
	doc := completed("1", w.part("/bkt/done", done, 1, "part"))
	type slow struct {
		*wire
		method, rest string
	}
	var held []slow
	for i := range 12 {
		method, target, body := http.MethodPut, fmt.Sprint("/bkt/slow", i), strings.Repeat("x", 100)
		switch i % 3 {
		case 0:
			target = fmt.Sprintf("/bkt/k?partNumber=%d&%s", i+1, up)
		case 2: // the others find it done
			method, target, body = http.MethodPost, "/bkt/done?"+done, doc
		}
		c := w.dial()
		c.head(method, target, len(body), "Expect", "100-continue")
		c.answer(method, http.StatusContinue) // its body is asked for
		if _, err := io.WriteString(c, body[:1]); err != nil {
			t.Fatal(err)
		}
		held = append(held, slow{c, method, body[1:]})
	}
	w.want(200, "", http.MethodPut, "/bkt/normal", strings.Repeat("x", 2*firstBytes))
	w.part("/bkt/k", up, 2, "part")
	for _, c := range held {
		if _, err := io.WriteString(c, c.rest); err != nil {
			t.Fatal(err)
		}
		c.answer(c.method, 200)
	}
	if len(w.server.uploads) != 0 || !w.exists("bkt", "slow1") || !w.exists("bkt", "done") {
		t.Error("a place was not given back, or nothing was stored")
	}
}

// TestConditionBeforeBody: who waits for "100 Continue" is told of a condition that does not hold instead.
func TestConditionBeforeBody(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/there", "x")
	for _, c := range []struct {
		target, header, value string
		status                int
	}{
		{"/bkt/there", "If-None-Match", "*", 412},
		{"/bkt/there", "If-Match", `"other"`, 412},
		{"/bkt/gone", "If-Match", `"other"`, 404},
		{"/bkt/gone", "If-None-Match", "*", 100},
	} {
		for _, n := range []int{2, 1 << 30} {
			conn := w.dial()
			conn.head(http.MethodPut, c.target, n, "Expect", "100-continue", c.header, c.value)
			conn.answer(http.MethodPut, c.status)
			_ = conn.Close()
		}
	}
}

// TestXMLMemory: what a document takes is about what it is long, whatever it is made of.
func TestXMLMemory(t *testing.T) {
	const size = maxDeleteXML
	fill := func(before, s, after string) string { return before + strings.Repeat(s, size/len(s)) + after }
	key := func(s string) string { return fill("<Delete><Object><Key>", s, "</Key></Object></Delete>") }
	for name, body := range map[string]string{
		"attributes":      fill("<Delete", " a=''", "/>"),
		"some attributes": fill("<Delete>", "<a"+strings.Repeat(" a=''", 3000)+"/>", "</Delete>"),
		"objects":         fill("<Delete>", "<Object/>", "</Delete>"),
		"elements":        fill("<Delete>", "<a/>", "</Delete>"),
		"comments":        fill("<Delete>", "<!---->", "</Delete>"),
		"a comment":       fill("<Delete><!--", "<", "--></Delete>"),
		"raw key":         key("\x01"),
		"key":             key("k"),
		"reference":       key("&#1;"),
		"no end":          fill("<Delete>&#", "1", ""),
		"ampersands":      key("&#"),
		"cdata":           key("<![CDATA[\x01]]>"),
		"long keys":       fill("<Delete>", "<Object><Key>"+strings.Repeat("\x01", 8000)+"</Key></Object>", "</Delete>"),
	} {
		data := []byte(body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decodeXML(data, deleteXML, &struct{ Object []deletion }{})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 2*size {
			t.Errorf("%s: %d bytes for %d, %v", name, n, len(data), err)
		}
	}
	full := "<Delete>" + strings.Repeat("<Object>\n <Key>"+strings.Repeat("&#x01;", 1000)+"</Key>\n <VersionId>null</VersionId></Object>\n", maxDeletes) + "</Delete>"
	var list struct{ Object []deletion }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := decodeXML([]byte(full), deleteXML, &list)
	runtime.ReadMemStats(&after)
	if err != nil || len(list.Object) != maxDeletes || string(list.Object[999].Key) != strings.Repeat("\x01", 1000) {
		t.Fatalf("the longest document: %d objects, %v", len(list.Object), err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 8*uint64(len(full)) {
		t.Errorf("the longest document: %d bytes for %d", n, len(full))
	}
}

// TestPartLimit: parts, copies of parts and completions take the places that objects take, once their upload was found.
func TestPartLimit(t *testing.T) {
	w := newWorld(t, Config{})
	w.server.uploads = make(chan struct{}, 1)
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/src", "x")
	up := w.begin("/bkt/k")
	doc := completed("1", w.part("/bkt/k", up, 1, "x"))
	w.server.uploads <- struct{}{}
	for range 2 {
		w.want(503, "SlowDown", http.MethodPut, "/bkt/k?partNumber=1&"+up, "x")
		w.want(503, "SlowDown", http.MethodPut, "/bkt/k?partNumber=1&"+up, "", "x-amz-copy-source", "bkt/src")
		w.want(503, "SlowDown", http.MethodPost, "/bkt/k?"+up, doc)
	}
	<-w.server.uploads
	// Meanwhile somebody else takes the last place: what finds no upload did not want it.
	before := func(op string) {
		if op == "Upload" && len(w.server.uploads) == 0 {
			w.server.uploads <- struct{}{}
		}
	}
	for _, c := range []struct{ method, query, source, body string }{
		{http.MethodPut, "partNumber=1&", "", "x"},
		{http.MethodPut, "partNumber=1&", "bkt/src", ""},
		{http.MethodPost, "", "", doc},
	} {
		var headers []string
		if c.source != "" {
			headers = []string{"x-amz-copy-source", c.source}
		}
		for upload, code := range map[string]string{"uploadId=none": "NoSuchUpload", up: "SlowDown"} {
			w.calls.before = before
			if re := w.do(c.method, "/bkt/k?"+c.query+upload, c.body, headers...); re.code() != code {
				t.Errorf("%s %s: %d %s, want %s", c.method, c.query+upload, re.status, re.code(), code)
			}
			w.calls.before = nil
			select {
			case <-w.server.uploads:
			default:
				t.Errorf("%s %s: it had a place before its upload was looked for", c.method, c.query+upload)
			}
		}
	}
	// Each gives its place back.
	w.want(404, "NoSuchUpload", http.MethodPut, "/bkt/k?partNumber=1&uploadId=none", "x")
	w.want(200, "", http.MethodPut, "/bkt/k?partNumber=1&"+up, "x")
	w.want(200, "", http.MethodPut, "/bkt/k?partNumber=1&"+up, "", "x-amz-copy-source", "bkt/src")
	w.want(400, "MalformedXML", http.MethodPost, "/bkt/k?"+up, "")
	w.want(200, "", http.MethodPost, "/bkt/k?"+up, doc)
	if len(w.server.uploads) != 0 {
		t.Error("a place was not given back")
	}
}

// TestLongestCompletion: the document of 10,000 parts with all that a client may say of them is taken, in bounded memory.
func TestLongestCompletion(t *testing.T) {
	row := "\n  <Part>\n    <ChecksumSHA256>" + sumText("sha256", "x") + "</ChecksumSHA256>\n    <ETag>&quot;" + strings.Repeat("a", 32) + "&quot;</ETag>\n    <PartNumber>%d</PartNumber>\n  </Part>"
	var b strings.Builder
	b.WriteString(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for i := range object.MaxParts {
		fmt.Fprintf(&b, row, i+1)
	}
	b.WriteString("</CompleteMultipartUpload>")
	var list struct{ Part []completedPart }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := decodeXML([]byte(b.String()), completeXML, &list)
	runtime.ReadMemStats(&after)
	if err != nil || len(list.Part) != object.MaxParts || list.Part[9999].PartNumber != 10000 || int64(b.Len()) > completeXML.limit {
		t.Fatalf("%d bytes, %d parts, %v", b.Len(), len(list.Part), err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 16*uint64(b.Len()) {
		t.Errorf("%d bytes for %d", n, b.Len())
	}
}

// TestLargeXML: large documents wait for each other, small ones do not, and there is an end to the wait.
func TestLargeXML(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	del := func(w *world, status int, code string, space int) {
		t.Helper()
		body := "<Delete>" + strings.Repeat(" ", space%8000) + strings.Repeat("<!--"+strings.Repeat(" ", 8000)+"-->", space/8000) + "<Object><Key>k</Key></Object></Delete>"
		w.want(status, code, http.MethodPost, "/bkt?delete", body, "x-amz-checksum-crc32", strings.TrimPrefix(crc32Trailer([]byte(body)), "x-amz-checksum-crc32:"))
	}
	del(w, 200, "", 2*largeXML)
	for _, u := range []*queue{w.server.large, w.server.largeOf[w.server.keys[testAccess]]} {
		for range cap(u.taken) {
			u.taken <- struct{}{}
		}
		del(w, 200, "", largeXML/2)
		u.give()
		del(w, 200, "", 2*largeXML)
		u.taken <- struct{}{} // the place was given back, or this would not end
		for range cap(u.taken) {
			u.give()
		}
	}
	short := newWorld(t, Config{})
	short.server.stall = time.Second
	short.want(200, "", http.MethodPut, "/bkt", "")
	own := short.server.largeOf[short.server.keys[testAccess]]
	for range 2 * largeOfKey { // each gives back what it got
		short.server.large = newQueue(0) // nobody ever gets a place
		del(short, 503, "SlowDown", 2*largeXML)
	}
	if len(own.taken) != 0 {
		t.Error("who got no place holds one of its key")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newQueue(0).take(ctx); err == nil {
		t.Error("a request that is over goes on waiting")
	}
}

// TestOneKeyLeavesLargeXML: however many large documents one key keeps us waiting for, those of others are read.
func TestOneKeyLeavesLargeXML(t *testing.T) {
	greedy := Key{AccessKey: "AKGREEDY", SecretKey: "secret-of-it", Mode: "create"}
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, greedy}})
	w.server.stall = time.Hour // who is slow is not let go in time
	w.want(200, "", http.MethodPut, "/bkt", "")
	crowd := w.as(greedy)
	own := w.server.largeOf[w.server.keys[greedy.AccessKey]]
	var held []*wire
	for range 2 * maxLargeXML {
		c := crowd.dial()
		c.head(http.MethodPost, "/bkt/k?uploadId=any", 2*largeXML)
		if _, err := io.WriteString(c, strings.Repeat(" ", largeXML+1)); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for len(w.server.large.taken)+int(w.server.large.wanted.Load()+own.wanted.Load()) < len(held) {
		runtime.Gosched()
	}
	normal := w.dial()
	normal.head(http.MethodPost, "/bkt/k?uploadId=any", 2*largeXML)
	if _, err := io.WriteString(normal, strings.Repeat(" ", 2*largeXML)); err != nil {
		t.Fatal(err)
	}
	normal.answer(http.MethodPost, 400) // it was read to its end
	for _, c := range held {
		_ = c.Close()
	}
}

// TestXMLDisguise: no document names a key by another key's disguise, however it is written.
func TestXMLDisguise(t *testing.T) {
	for text, want := range map[string]string{
		"&#xE001;":                                "\uE001",
		"<![CDATA[a]]>&#xE001;":                   "a\uE001",
		"&#xE020;&#57345;<![CDATA[a]]>":           "\uE020\uE001a",
		"<![CDATA[&#1;\x01\uE001\uE020]]>&#1;":    "&#1;\x01\uE001\uE020\x01",
		"<!--><![CDATA[-->&#xE001;<!-- ]]>-->":    "\uE001",
		"<!--]]>-->&#x1;<?a <![CDATA[?>&#x0E001;": "\x01\uE001",
		"&#xF8FF;&#xF701;":                        "\uF8FF\uF701",
		"&#0000000000000000000000000001;&#x1f;":   "\x01\x1f",
		"&#x10FFFF;&#9;&amp;#1;":                  "\U0010FFFF\t&#1;",
	} {
		var v struct{ Key xmlKey }
		if err := decodeXML([]byte("<a><Key>"+text+"</Key></a>"), document{root: "a"}, &v); err != nil || string(v.Key) != want {
			t.Errorf("%q: %q, want %q, %v", text, v.Key, want, err)
		}
	}
	for _, text := range []string{"&#;", "&#x;", "&#", "&#x110000;", "&#99999999999999999999999999;", "<![CDATA["} {
		if err := decodeXML([]byte("<a><Key>"+text+"</Key></a>"), document{root: "a"}, &struct{ Key xmlKey }{}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// countedBody counts what is read of it.
type countedBody struct {
	io.Reader
	n int
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.n += n
	return n, err
}

// TestLinger: what is on its way is taken off the wire, and a body that the client still holds back is not asked for.
func TestLinger(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	for target, want := range map[string]int{"/bkt/k": lingerBytes / 2, "/gone/k": 0} {
		body := &countedBody{Reader: strings.NewReader(strings.Repeat("x", lingerBytes/2))}
		r := w.raw(http.MethodPut, target, nil)
		r.Header.Set("X-Amz-Decoded-Content-Length", "100")
		r.Header.Set("Expect", "100-continue")
		w.signer.sign(r, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		r.Body, r.ContentLength = io.NopCloser(body), lingerBytes/2
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, r)
		if rec.Code < 400 || body.n != want {
			t.Errorf("%s: %d after %d bytes, want %d", target, rec.Code, body.n, want)
		}
	}
}

var errBroken = errors.New("broken")
