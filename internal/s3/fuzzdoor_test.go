package s3

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// fuzzDoor is a door without sockets, on a store in memory that has one bucket.
func fuzzDoor(f *testing.F) (*Server, *countingDriver, testSigner) {
	f.Helper()
	d := &countingDriver{Driver: objecttest.NewMemory()}
	now := func() time.Time { return testTime }
	s, err := New(object.New(d, object.Config{Now: now}), Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}}, Now: now}, zerolog.Nop())
	if err != nil {
		f.Fatal(err)
	}
	if err := d.CreateBucket(f.Context(), object.Bucket{Name: "bkt"}); err != nil {
		f.Fatal(err)
	}
	return s, d, testSigner{access: testAccess, secret: testSecret, region: DefaultRegion, now: testTime}
}

// FuzzRequest: whatever comes over the wire, without the secret it gets an answer that refuses it, and the store is not asked.
func FuzzRequest(f *testing.F) {
	s, d, signer := fuzzDoor(f)
	signer.secret = "not the door's" // or what is wrong with a seed could be put right
	for _, r := range append(everyOperation("bkt", "k", "uploadId=x"), everySubresource("bkt", "k")[:40]...) {
		for i, disguise := range disguises {
			if i%7 != len(r.target)%7 {
				continue
			}
			req := httptest.NewRequestWithContext(f.Context(), r.method, "http://x"+strings.ReplaceAll(r.target, "..", "."), nil)
			if r.header != "" {
				req.Header.Set(r.header, r.value)
			}
			disguise.sign(&world{signer: signer, t: &testing.T{}}, req)
			var b bytes.Buffer
			if err := req.Write(&b); err != nil {
				f.Fatal(err)
			}
			f.Add(b.Bytes())
		}
	}
	f.Add([]byte("PUT /bkt/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Encoding: aws-chunked\r\nX-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		asked := d.n.Load()
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		if rec.Code < 400 || rec.Code >= 500 && rec.Code != 501 {
			t.Errorf("%q: %d %s", data, rec.Code, rec.Body)
		}
		if n := d.n.Load() - asked; n != 0 {
			t.Errorf("%q: the store was asked %d times", data, n)
		}
		if strings.Contains(rec.Body.String(), testSecret) && !bytes.Contains(data, []byte(testSecret)) {
			t.Errorf("%q: %s", data, rec.Body)
		}
	})
}

// FuzzHeaders: no header changes anything about an object but what it is for.
func FuzzHeaders(f *testing.F) {
	s, d, signer := fuzzDoor(f)
	for _, name := range []string{"X-Amz-Meta-A", "Cache-Control", "X-Amz-Storage-Class", "X-Amz-Copy-Source", "X-Amz-Checksum-Crc32", "X-Minio-Internal-X", "Etag", "X-Amz-Trailer", "If-Match"} {
		f.Add(name, "value")
	}
	kept := map[string]bool{"Content-Type": true, "Cache-Control": true, "Content-Disposition": true, "Content-Encoding": true, "Content-Language": true, "Expires": true}
	f.Fuzz(func(t *testing.T, name, value string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/bkt/k", strings.NewReader("content"))
		// Only what net/http takes for a header gets so far.
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\n" + name + ": " + value + "\r\n\r\n")))
		if err != nil || len(in.Header) != 1 {
			return
		}
		maps.Copy(r.Header, in.Header)
		name = slices.Collect(maps.Keys(in.Header))[0]
		if name == "Authorization" || name == "X-Amz-Date" || name == "X-Amz-Content-Sha256" {
			return
		}
		signer.sign(r, testHash("content"))
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		info, err := d.Stat(t.Context(), "bkt", "k")
		if rec.Code != 200 {
			return
		}
		switch {
		case err != nil:
			t.Fatal(err)
		case info.Size != 7 || info.ETag != "9a0364b9e99bb480dd25e1f0284c8555" || info.Parts != nil || !info.ModTime.Equal(testTime):
			t.Errorf("%s: %q: %+v", name, value, info)
		case info.Note != "" && !strings.HasPrefix(name, "X-Amz-Checksum-"):
			t.Errorf("%s: %q: note %q", name, value, info.Note)
		case len(info.Attrs.Meta) > 0 && !strings.HasPrefix(name, metaPrefix), len(info.Attrs.Headers) > 0 && !kept[name]:
			t.Errorf("%s: %q: %+v", name, value, info.Attrs)
		}
	})
}

// FuzzPresigned: what is taken for the claim of a link says all that it must, and is in time.
func FuzzPresigned(f *testing.F) {
	signer := testSigner{access: testAccess, secret: testSecret, region: DefaultRegion, now: testTime}
	r := httptest.NewRequestWithContext(f.Context(), http.MethodGet, "/bkt/k", nil)
	signer.presign(r, 600, unsigned)
	f.Add(r.URL.RawQuery)
	f.Add(strings.ReplaceAll(r.URL.RawQuery, "600", "-9223372036854775808"))
	f.Add("X-Amz-Expires=9999999999999999999999&" + r.URL.RawQuery)
	f.Fuzz(func(t *testing.T, raw string) {
		v, ok := parseQuery(raw)
		if !ok {
			return
		}
		q := &request{r: &http.Request{Header: http.Header{}}, target: target{query: v}}
		c, err := q.claimFromQuery(testTime)
		if err != nil {
			return
		}
		expires, perr := strconv.Atoi(v.get("X-Amz-Expires"))
		age := testTime.Sub(c.time)
		if perr != nil || expires < 1 || expires > maxExpires || age < -maxSkew || age > time.Duration(expires)*time.Second {
			t.Errorf("%q: %v old, good for %d s", raw, age, expires)
		}
		if c.accessKey == "" || c.region == "" || c.day != c.time.Format(isoDay) || c.payload == "" || !slices.Contains(c.signed, "host") || len(c.signed) > maxSignedNames {
			t.Errorf("%q: %+v", raw, c)
		}
	})
}

// takenFraming is what a body in aws-chunked framing holds: whole in memory, and by other means than chunkReader.
func takenFraming(body string, mode streamMode, signer testSigner) (content string, ok bool) {
	var out strings.Builder
	prev, small := "seed", false
	sign := func(kind, what string) string {
		return hexHMAC(signer.key(), strings.Join([]string{"AWS4-HMAC-SHA256-" + kind, signer.date(), signer.scope(), prev, what}, "\n"))
	}
	for {
		line, rest, found := strings.Cut(body, "\r\n")
		sig := ""
		if mode.signed {
			var has bool
			line, sig, has = strings.Cut(line, ";chunk-signature=")
			found = found && has
		}
		n, err := strconv.ParseUint(line, 16, 63)
		if !found || err != nil || len(line) > 16 || strings.ContainsAny(line, "+-_") || n > uint64(len(rest)) {
			return "", false
		}
		data := rest[:n]
		if mode.signed {
			if sig != sign("PAYLOAD", testHash("")+"\n"+testHash(data)) {
				return "", false
			}
			prev = sig
		}
		if n == 0 {
			body = rest
			break
		}
		if small || !strings.HasPrefix(rest[n:], "\r\n") {
			return "", false
		}
		small = n < minChunk
		out.WriteString(data)
		body = rest[n+2:]
	}
	content = out.String()
	if !mode.trailer {
		return content, body == "\r\n"
	}
	trailer, body, found := strings.Cut(body, "\r\n")
	name, value, _ := strings.Cut(strings.TrimSuffix(trailer, "\n"), ":")
	trailer = strings.ToLower(name) + ":" + strings.TrimSpace(value)
	sum, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if !found || err != nil || !strings.EqualFold(name, "x-amz-checksum-crc32") ||
		"x-amz-checksum-crc32:"+base64.StdEncoding.EncodeToString(sum) != crc32Trailer([]byte(content)) {
		return "", false
	}
	if mode.signed {
		line, rest, _ := strings.Cut(body, "\r\n")
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !strings.EqualFold(name, trailerSignature) || strings.TrimSpace(value) != sign("TRAILER", testHash(trailer+"\n")) {
			return "", false
		}
		body = rest
	}
	return content, body == "\r\n"
}

// FuzzFraming: in each kind of framing, a reader that takes the body as it comes takes what one does that has it whole, and
// nothing else; and it never yields more than was announced.
func FuzzFraming(f *testing.F) {
	signer := testSigner{access: testAccess, secret: testSecret, region: DefaultRegion, now: testTime}
	modes := []streamMode{{signed: true}, {signed: true, trailer: true}, {trailer: true}}
	for kind, mode := range modes {
		for _, content := range []string{"", "x", strings.Repeat("y", 9000), strings.Repeat("z", 20_000)} {
			fr := frame{chunk: 8192, seed: "seed"}
			if mode.signed {
				fr.signer = &signer
			}
			if mode.trailer {
				fr.trailer = crc32Trailer([]byte(content))
			}
			for _, fr.newline = range []bool{false, mode.trailer} {
				f.Add(kind, fr.encode([]byte(content)), len(content))
			}
		}
		f.Add(kind, []byte("ffffffffffffffff\r\n"), 1)
		f.Add(kind, []byte("0\r\nx-amz-checksum-crc32:AAAAAB==\r\n\r\n"), 0) // bits that no byte has room for
		f.Add(kind, []byte("1;chunk-signature="+strings.Repeat("0", 64)+"\r\n"), 1)
	}
	f.Fuzz(func(t *testing.T, kind int, body []byte, size int) {
		if kind < 0 || kind >= len(modes) || size < 0 {
			return
		}
		mode := modes[kind]
		s := seal{date: signer.date(), scope: signer.scope(), signature: "seed"}
		if mode.signed {
			s.key = signer.key()
		}
		c := newChunkReader(iotest.HalfReader(bytes.NewReader(body)), mode, int64(size), s)
		var checks []check
		if mode.trailer {
			sum := newChecksum("crc32")
			if err := c.expectTrailer(http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32"}}, sum); err != nil {
				t.Fatal(err)
			}
			checks = []check{{sum.hash, sum.verify}}
		}
		got, err := io.ReadAll(&checkedReader{r: c, size: int64(size), checks: checks})
		want, ok := takenFraming(string(body), mode, signer)
		if ok = ok && len(want) == size; ok != (err == nil) || ok && string(got) != want {
			t.Errorf("kind %d, %q: %v, and should be taken: %v", kind, body, err, ok)
		}
		if len(got) > size {
			t.Errorf("%d bytes of %d", len(got), size)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v could be taken for an end", err)
		}
	})
}

// FuzzCopyRange: what is taken for the bytes of a source can be counted.
func FuzzCopyRange(f *testing.F) {
	f.Add("bytes=0-9")
	f.Add("bytes=9223372036854775807-9223372036854775807")
	f.Add("bytes=-1")
	f.Fuzz(func(t *testing.T, s string) {
		q := &request{r: &http.Request{Header: http.Header{}}}
		q.r.Header.Set(copyRangeHeader, s)
		off, n, err := q.copyRange()
		switch {
		case err != nil, s == "" && off == 0 && n == -1:
		case off < 0 || n < 1 || off > math.MaxInt64-n:
			t.Errorf("%q: %d bytes at %d", s, n, off)
		}
	})
}

// FuzzCreateXML: what is taken for a configuration has the root of one, and is no larger than what it was read from.
func FuzzCreateXML(f *testing.F) {
	f.Add([]byte("<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>"))
	f.Add([]byte(`<?xml version="1.0"?><CreateBucketConfiguration xmlns="x"><Tags/></CreateBucketConfiguration>`))
	f.Add([]byte(`<CreateBucketConfiguration><LocationConstraint>&#1;<![CDATA[x]]></LocationConstraint></CreateBucketConfiguration>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var conf struct{ LocationConstraint string }
		if decodeXML(data, createXML, &conf) != nil {
			return
		}
		if !bytes.Contains(data, []byte("CreateBucketConfiguration")) || len(conf.LocationConstraint) > 3*len(data) {
			t.Errorf("%q: %q", data, conf.LocationConstraint)
		}
	})
}
