package s3

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"hugbucket/internal/object"
)

func FuzzAuthorization(f *testing.F) {
	f.Add(authorization("host;range", strings.Repeat("0", 64)))
	f.Add("AWS4-HMAC-SHA256 Credential=a/20130524/r/s3/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("f", 64))
	f.Add("AWS4-HMAC-SHA256 ,,=,")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseAuthorization(s)
		if err != nil {
			return
		}
		if c.accessKey == "" || c.region == "" || len(c.day) != 8 || len(c.signature) != 64 {
			t.Errorf("%q: %+v", s, c)
		}
		again, err := parseAuthorization("AWS4-HMAC-SHA256 Credential=" + c.accessKey + "/" + c.scope() + ",SignedHeaders=" + strings.Join(c.signed, ";") + ",Signature=" + c.signature)
		if err != nil || again.scope() != c.scope() || strings.Join(again.signed, ";") != strings.Join(c.signed, ";") {
			t.Errorf("%q does not come back: %v", s, err)
		}
	})
}

func FuzzCanonicalQuery(f *testing.F) {
	f.Add("max-keys=2&prefix=J")
	f.Add("acl&b=%2F+%20&a;c=d&X-Amz-Signature=x&=&&a=2&a=1")
	f.Fuzz(func(t *testing.T, raw string) {
		v, ok := parseQuery(raw)
		if !ok {
			return
		}
		canonical := func(v query) string {
			var b strings.Builder
			canonicalQuery(&b, v)
			return b.String()
		}
		first := canonical(v)
		again, ok := parseQuery(first)
		if !ok || canonical(again) != first {
			t.Errorf("%q: %q becomes %q", raw, first, canonical(again))
		}
		if strings.Contains(raw, ";") {
			return
		}
		std, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		for name, values := range std {
			if name != "" && v.get(name) != values[0] {
				t.Errorf("%q: %s is %q, not %q", raw, name, v.get(name), values[0])
			}
		}
	})
}

// naiveChunks takes unsigned framing off a body that is in memory. It is right about what is valid, no more.
func naiveChunks(body string, size int) (string, bool) {
	var out strings.Builder
	small := false
	for {
		line, rest, ok := strings.Cut(body, "\r\n")
		if !ok || len(line) > 16 || strings.Trim(line, "0123456789abcdefABCDEF") != "" {
			return "", false
		}
		n, err := strconv.ParseUint(line, 16, 63)
		if err != nil {
			return "", false
		}
		if n == 0 {
			return out.String(), rest == "x-amz-checksum-crc32:"+strings.TrimPrefix(crc32Trailer([]byte(out.String())), "x-amz-checksum-crc32:")+"\r\n\r\n" && out.Len() == size
		}
		if small || n > uint64(len(rest)) || !strings.HasPrefix(rest[n:], "\r\n") {
			return "", false
		}
		small = n < minChunk
		out.WriteString(rest[:n])
		body = rest[n+2:]
	}
}

func FuzzChunks(f *testing.F) {
	content := bytes.Repeat([]byte("x"), 9000)
	f.Add(string(frame{chunk: 8192, trailer: crc32Trailer(content)}.encode(content)), 9000)
	f.Add(string(frame{chunk: 8192, trailer: crc32Trailer([]byte("ab"))}.encode([]byte("ab"))), 2)
	f.Add("0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 0)
	f.Add("1\r\na\r\n1\r\nb\r\n0\r\n\r\n", 2)
	f.Fuzz(func(t *testing.T, body string, size int) {
		if size < 0 {
			return
		}
		h := http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32"}}
		sum := newChecksum("crc32")
		c := newChunkReader(iotest.HalfReader(strings.NewReader(body)), streamModes["STREAMING-UNSIGNED-PAYLOAD-TRAILER"], int64(size), seal{})
		if err := c.expectTrailer(h, sum); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(&checkedReader{r: c, size: int64(size), checks: []check{{sum.hash, sum.verify}}})
		want, ok := naiveChunks(body, size)
		if ok && (err != nil || string(got) != want) {
			t.Errorf("%q: %v", body, err)
		}
		if !ok && err == nil && !strings.Contains(body, "rc32:") && !strings.Contains(strings.ToLower(body), "x-amz-checksum") {
			t.Errorf("%q was taken", body)
		}
		if len(got) > size {
			t.Errorf("%d bytes of %d", len(got), size)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			t.Errorf("%q: %v could be taken for an end", body, err)
		}
	})
}

func FuzzSignedChunks(f *testing.F) {
	signer := testSigner{access: testAccess, secret: testSecret, region: DefaultRegion, now: testTime}
	content := bytes.Repeat([]byte("y"), 20_000)
	good := frame{chunk: 8192, signer: &signer, seed: "seed", trailer: crc32Trailer(content)}.encode(content)
	f.Add(0, byte(0))
	f.Add(100, byte(1))
	f.Fuzz(func(t *testing.T, at int, flip byte) {
		body := bytes.Clone(good)
		if at < 0 || at >= len(body) {
			return
		}
		body[at] ^= flip
		sum := newChecksum("crc32")
		s := seal{key: signer.key(), date: signer.date(), scope: signer.scope(), signature: "seed"}
		c := newChunkReader(bytes.NewReader(body), streamModes["STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"], int64(len(content)), s)
		if err := c.expectTrailer(http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32"}}, sum); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(&checkedReader{r: c, size: int64(len(content)), checks: []check{{sum.hash, sum.verify}}})
		if err == nil && !bytes.Equal(got, content) {
			t.Errorf("byte %d ^ %d: other content was taken", at, flip)
		}
		if flip == 0 && err != nil {
			t.Error(err)
		}
	})
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-9", int64(10))
	f.Add("bytes=-0", int64(0))
	f.Add("bytes=9223372036854775807-9223372036854775808", int64(5))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			return
		}
		r, partial, ok := parseRange(s, size)
		switch {
		case !ok && partial:
			t.Errorf("%q of %d: neither", s, size)
		case !ok:
		case r.off < 0 || r.n < 0 || r.off+r.n > size || partial && r.n == 0:
			t.Errorf("%q of %d: %+v", s, size, r)
		case !partial && r != (byteRange{0, size}):
			t.Errorf("%q of %d: not the whole, %+v", s, size, r)
		}
	})
}

func FuzzCopySource(f *testing.F) {
	f.Add("/bkt/key%20x?versionId=null")
	f.Add("bkt%2Fk")
	f.Add("bkt/../../etc/passwd")
	f.Fuzz(func(t *testing.T, s string) {
		bucket, key, err := parseCopySource(s)
		if err != nil {
			return
		}
		if object.ValidBucket(bucket) != nil || object.ValidKey(key) != nil {
			t.Errorf("%q: %q %q", s, bucket, key)
		}
		b, k, err := parseCopySource("/" + bucket + "/" + url.PathEscape(key))
		if err != nil || b != bucket || k != key {
			t.Errorf("%q: %q %q %v", s, b, k, err)
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add("/bkt/a%2Fb//..")
	f.Fuzz(func(t *testing.T, s string) {
		bucket, key, ok := parsePath(s)
		if ok && (!utf8.ValidString(bucket+key) || key != "" && bucket == "") {
			t.Errorf("%q: %q %q", s, bucket, key)
		}
	})
}

func FuzzToken(f *testing.F) {
	q := &request{id: identity{key: &Key{AccessKey: "a", SecretKey: "s"}}, target: target{bucket: "bkt"}}
	f.Add("start", "AQ")
	f.Add("\xff/", q.sealToken("x"))
	f.Add("x", q.sealToken("x")+"\n")
	f.Fuzz(func(t *testing.T, start, token string) {
		if len(start) > object.MaxKeyLen {
			return // no listing goes on there
		}
		if got, ok := q.openToken(q.sealToken(start)); !ok || got != start {
			t.Errorf("%q comes back as %q", start, got)
		}
		if got, ok := q.openToken(token); ok && q.sealToken(got) != token {
			t.Errorf("%q is taken", token)
		}
	})
}

// FuzzXMLKey: every key that a client can name comes through, raw or as references.
func FuzzXMLKey(f *testing.F) {
	f.Add("a\x01\x00b\uE000\uE020\uE001 \uE020\uE020]]>&#x1;")
	f.Add("\uFFFE\uFFFF\uE021\uE022\uE020\uFFFE\uFFFD")
	f.Add(strings.Repeat("\x01", object.MaxKeyLen))
	f.Fuzz(func(t *testing.T, key string) {
		if len(key) > object.MaxKeyLen || !utf8.ValidString(key) || strings.Contains(key, "\r") {
			return
		}
		x := newXML()
		x.open("Delete")
		x.open("Object")
		x.elem("Key", key)
		x.close("Object")
		x.open("Object")
		x.WriteString("<Key>" + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(key) + "</Key>")
		x.close("Object")
		x.close("Delete")
		var list struct{ Object []struct{ Key xmlKey } }
		if err := decodeXML(x.Bytes(), deleteXML, &list); err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		if len(list.Object) != 2 {
			t.Fatalf("%q: %d objects", key, len(list.Object))
		}
		for _, got := range list.Object {
			if string(got.Key) != key {
				t.Errorf("%q comes back as %q", key, got.Key)
			}
		}
	})
}

// FuzzCompleteXML: what is taken for a list of parts ascends, and is not longer than an upload can be.
func FuzzCompleteXML(f *testing.F) {
	f.Add([]byte(completed("1", `"a"`, "2", "b")))
	f.Add([]byte(completed("1", "&quot;a&quot;", "1", "b")))
	f.Add([]byte("<CompleteMultipartUpload><Part><ETag/><PartNumber> 3 </PartNumber><ChecksumSHA256>x</ChecksumSHA256></Part></CompleteMultipartUpload>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list struct{ Part []completedPart }
		if decodeXML(data, completeXML, &list) != nil {
			return
		}
		c := completion{parts: list.Part}
		if c.inOrder() != nil {
			return
		}
		last := 0
		for _, ref := range c.refs {
			if ref.Number <= last || strings.HasPrefix(ref.ETag, `"`) {
				t.Errorf("%q: %v", data, c.refs)
			}
			last = ref.Number
		}
		if len(c.refs) > object.MaxParts {
			t.Errorf("%d parts", len(c.refs))
		}
	})
}

func FuzzXML(f *testing.F) {
	f.Add([]byte("<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>"))
	f.Add([]byte(`<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>`))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><Delete>&b;</Delete>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list struct {
			Quiet  bool
			Object []deletion
		}
		if decodeXML(data, deleteXML, &list) != nil {
			return
		}
		if !bytes.Contains(data, []byte("Delete")) || bytes.Contains(data, []byte("<!DOCTYPE")) && !bytes.Contains(data, []byte("<!--")) && !bytes.Contains(data, []byte("CDATA")) && !bytes.Contains(data, []byte("<?")) {
			t.Errorf("%q was taken", data)
		}
		for _, d := range list.Object {
			if !utf8.ValidString(string(d.Key)) {
				t.Errorf("%q: key %q", data, d.Key)
			}
		}
	})
}
