package s3

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// TestRequestLine: path, query and headers have bounds that hold before anything is verified, and within them anything goes.
func TestRequestLine(t *testing.T) {
	w := newWorld(t, Config{})
	asked := w.calls.n.Load()
	ask := func(target, host, headers string) *reply {
		t.Helper()
		c := w.dial()
		if host == "" {
			host = "x"
		}
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", target, host, headers); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if len(body) > maxTarget {
			t.Errorf("an answer of %d bytes", len(body))
		}
		return &reply{resp.StatusCode, resp.Header, string(body), err}
	}
	const tooLarge = "RequestHeaderSectionTooLarge"
	for _, c := range []struct {
		what, target, host, headers string
		status                      int
		code                        string
	}{
		{"a query within the limit", "/?x=" + strings.Repeat("q", maxTarget-5), "", "", 403, "AccessDenied"},
		{"a longer query", "/?x=" + strings.Repeat("q", maxTarget), "", "", 400, tooLarge},
		{"a query in the way of everything", "/?x=" + strings.Repeat("%22", 20<<10), "", "", 400, tooLarge},
		{"a longer path", "/bkt/" + strings.Repeat("p", maxTarget), "", "", 400, tooLarge},
		{"path and query", "/bkt/" + strings.Repeat("p", maxTarget/2) + "?" + strings.Repeat("q", maxTarget/2), "", "", 400, tooLarge},
		{"as many parameters as there may be", "/?" + strings.Repeat("a=b&", maxParams-1) + "a=b", "", "", 403, "AccessDenied"},
		{"more parameters", "/?" + strings.Repeat("a=b&", maxParams) + "a=b", "", "", 400, tooLarge},
		{"separators", "/?" + strings.Repeat("&", maxParams+1), "", "", 400, tooLarge},
		{"headers within the limit", "/", "", "X-Pad: " + strings.Repeat("h", maxHeaderSection-200) + "\r\n", 403, "AccessDenied"},
		{"a longer header", "/", "", "X-Pad: " + strings.Repeat("h", maxHeaderSection) + "\r\n", 400, tooLarge},
		{"many headers", "/", "", strings.Repeat("A: b\r\n", maxHeaderSection/5), 400, tooLarge},
		{"a longer host", "/", strings.Repeat("h", maxHeaderSection), "", 400, tooLarge},
	} {
		if re := ask(c.target, c.host, c.headers); re.status != c.status || re.code() != c.code {
			t.Errorf("%s: %d %s", c.what, re.status, re.code())
		}
	}
	if n := w.calls.n.Load() - asked; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestRefusalsAreShort: who has no key does not get a long answer, and does not have one made.
func TestRefusalsAreShort(t *testing.T) {
	w := newWorld(t, Config{})
	w.signer.secret = "another secret"
	for _, target := range []string{"/?x=" + strings.Repeat(`%22`, 5000), "/bkt/" + strings.Repeat("%01", 5000), "/?" + strings.Repeat("%22&", 250)} {
		for _, region := range []string{DefaultRegion, strings.Repeat("r", 4000)} {
			w.signer.region = region
			if re := w.want(403, "SignatureDoesNotMatch", http.MethodGet, target, ""); len(re.body) > 6*maxTold {
				t.Errorf("%.10s…: %d bytes", target, len(re.body))
			}
		}
	}
	w.signer.region = DefaultRegion
	if re := w.want(403, "SignatureDoesNotMatch", http.MethodGet, "/bkt/"+strings.Repeat("k", 1024), ""); !strings.Contains(re.body, "<CanonicalRequestBytes>") {
		t.Error("a common request is not told what should have been signed")
	}
}

// TestClaimsAreBounded: nothing is made of a claim that says too much.
func TestClaimsAreBounded(t *testing.T) {
	sig := strings.Repeat("0", 64)
	scope := "Credential=a/20130524/r/s3/aws4_request"
	for name, auth := range map[string]string{
		"fields":  "AWS4-HMAC-SHA256 " + strings.Repeat("a=b,", 2000),
		"fields,": "AWS4-HMAC-SHA256 " + fields(2000),
		"names":   "AWS4-HMAC-SHA256 " + scope + ", SignedHeaders=host" + names(2000) + ", Signature=" + sig,
		"scope":   "AWS4-HMAC-SHA256 Credential=a" + strings.Repeat("/", 8000) + ", SignedHeaders=host, Signature=" + sig,
	} {
		var err error
		n := testing.AllocsPerRun(1, func() { _, err = parseAuthorization(auth) })
		if err == nil || n > 30 {
			t.Errorf("%s: %v allocations, %v", name, n, err)
		}
	}
	auth := "AWS4-HMAC-SHA256 " + scope + ", SignedHeaders=host" + names(maxSignedNames-1) + ", Signature=" + sig
	if _, err := parseAuthorization(auth); err != nil {
		t.Error(err)
	}
	q := &request{}
	if _, ok := q.openToken(q.sealToken(strings.Repeat("k", object.MaxKeyLen+1))); !ok {
		t.Error("the longest token is refused")
	}
	n := testing.AllocsPerRun(1, func() { _, _ = q.openToken(strings.Repeat("A", maxTarget)) })
	if n > 1 { // the string of this test
		t.Errorf("a long token: %v allocations", n)
	}
}

func fields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "f%d=x,", i)
	}
	return b.String()
}

func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ";h%d", i)
	}
	return b.String()
}

// TestArguments: what a request names has bounds.
func TestArguments(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/src", "x")
	up := w.begin("/bkt/k")
	long := strings.Repeat("k", object.MaxKeyLen)
	w.want(200, "", http.MethodPut, "/bkt/"+long, "x")
	w.want(200, "", http.MethodPut, "/bkt/"+strings.Repeat("%01", object.MaxKeyLen), "x")
	w.want(200, "", http.MethodPut, "/bkt/"+strings.Repeat("ü", object.MaxKeyLen/2), "x")
	w.want(200, "", http.MethodPut, "/bkt/copy", "", "X-Amz-Copy-Source", "bkt/"+long)
	for _, key := range []string{long + "k", strings.Repeat("ü", object.MaxKeyLen/2) + "k", strings.Repeat("%2F", object.MaxKeyLen+1)} {
		for _, r := range everyOperation("bkt", key, up) {
			if r.op.level != onObject {
				continue
			}
			code := "KeyTooLongError"
			if r.method == http.MethodHead {
				code = ""
			}
			w.want(400, code, r.method, r.target, "", "X-Amz-Copy-Source", "bkt/src")
		}
		w.want(400, "InvalidArgument", http.MethodPut, "/bkt/copy", "", "X-Amz-Copy-Source", "bkt/"+key)
	}
	for _, n := range []string{"0", "10001", "-1", "+1", "1e3", "99999999999999999999", "", "0x1", "1.0", "%20", "%D9%A1"} {
		w.want(400, "InvalidArgument", http.MethodPut, "/bkt/k?partNumber="+n+"&"+up, "x")
		w.want(400, "InvalidArgument", http.MethodPut, "/bkt/k?partNumber="+n+"&"+up, "", "X-Amz-Copy-Source", "bkt/src")
		w.want(400, "InvalidArgument", http.MethodGet, "/bkt/src?partNumber="+n, "")
	}
	w.part("/bkt/k", up, object.MaxParts, "x")
	for _, n := range []string{"-1", "2147483648", "99999999999999999999", "x", "1e3"} {
		for _, target := range []string{"/bkt?max-keys=", "/bkt?list-type=2&max-keys=", "/bkt?uploads&max-uploads=", "/bkt/k?" + up + "&max-parts=", "/bkt/k?" + up + "&part-number-marker=", "/?max-buckets="} {
			w.want(400, "InvalidArgument", http.MethodGet, target+n, "")
		}
	}
	for _, token := range []string{strings.Repeat("A", 8000), "AQ", "%00", base64.RawURLEncoding.EncodeToString(make([]byte, 100))} {
		w.want(400, "InvalidArgument", http.MethodGet, "/bkt?list-type=2&continuation-token="+token, "")
		w.want(400, "InvalidArgument", http.MethodGet, "/?continuation-token="+token, "")
	}
	w.want(400, "MetadataTooLarge", http.MethodPut, "/bkt/meta", "x", "X-Amz-Meta-A", strings.Repeat("v", maxMetadata))
	w.want(200, "", http.MethodPut, "/bkt/meta", "x", "X-Amz-Meta-A", strings.Repeat("v", maxMetadata-1))
	for _, target := range []string{"/bkt/huge", "/bkt/k?partNumber=1&" + up} {
		c := w.dial()
		c.head(http.MethodPut, target, maxUpload+1, "Expect", "100-continue")
		c.answer(http.MethodPut, 400)
	}
}

// TestDocuments: each XML body is refused when it is too long, deep or wide, has a DOCTYPE, another root or encoding, or more
// behind it; and a key that may create is not told more than any other.
func TestDocuments(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/k")
	etag := w.part("/bkt/k", up, 1, "x")
	for _, c := range []struct {
		method, target, root, good, twice string
		limit                             int64
	}{
		{http.MethodPost, "/bkt?delete", "Delete", "<Object><Key>k</Key></Object>", "<Object><Key>k</Key><Key>k</Key></Object>", 8 << 20},
		{
			http.MethodPost, "/bkt/k?" + up, "CompleteMultipartUpload", "<Part><PartNumber>1</PartNumber><ETag>" + etag + "</ETag></Part>",
			"<Part><PartNumber>1</PartNumber><ETag>" + etag + "</ETag><PartNumber>1</PartNumber></Part>", 4 << 20,
		},
		{http.MethodPut, "/newbkt", "CreateBucketConfiguration", "<LocationConstraint>us-east-1</LocationConstraint>", "", 64 << 10},
	} {
		wrap := func(s string) string { return "<" + c.root + ">" + s + "</" + c.root + ">" }
		send := func(what, body string, status int, code string) {
			t.Helper()
			asked := w.calls.n.Load()
			headers := []string{}
			if c.root == "Delete" {
				headers = []string{"x-amz-checksum-crc32", strings.TrimPrefix(crc32Trailer([]byte(body)), "x-amz-checksum-crc32:")}
			}
			w.wantReply(w.do(c.method, c.target, body, headers...), status, code, what+" "+c.root)
			if n := w.calls.n.Load() - asked; status != 200 && n > 1 { // the bucket
				t.Errorf("%s %s: the store was asked %d times", what, c.root, n)
			}
		}
		bad := func(what, body string) { t.Helper(); send(what, body, 400, "MalformedXML") }
		bad("doctype", "<!DOCTYPE "+c.root+">"+wrap(c.good))
		bad("entity", `<!DOCTYPE a [<!ENTITY b "1">]>`+wrap(c.good))
		bad("entity elsewhere", `<!DOCTYPE a SYSTEM "file:///etc/passwd">`+wrap(c.good))
		bad("unknown entity", wrap("<Key>&b;</Key>"+c.good))
		bad("root", "<x>"+c.good+"</x>")
		bad("two roots", wrap(c.good)+wrap(c.good))
		bad("text behind", wrap(c.good)+"x")
		bad("text before", "x"+wrap(c.good))
		bad("no end", strings.TrimSuffix(wrap(c.good), ">"))
		bad("deep", wrap(strings.Repeat("<a>", 20)+strings.Repeat("</a>", 20)+c.good))
		bad("deeper", strings.Repeat("<"+c.root+">", 1000))
		bad("attributes", "<"+c.root+strings.Repeat(` a="b"`, 9)+">"+c.good+"</"+c.root+">")
		bad("latin-1", `<?xml version="1.0" encoding="ISO-8859-1"?>`+wrap(c.good))
		bad("utf-16", "\xff\xfe<\x00")
		bad("not utf-8", wrap("<!--\xff-->"+c.good))
		bad("surrogate", wrap("<Key>a&#xD800;b</Key>"+c.good)) // U+FFFD would be another key
		if c.twice != "" {
			bad("twice", wrap(c.twice))
			bad("within", wrap(strings.Replace(c.good, "</", "<b/></", 1)))
			bad("too many", wrap(strings.Replace(c.good, "><", ">"+manyFields()+"<", 1)))
		}
		bad("text", wrap("<Key>"+strings.Repeat("k", maxXMLText+1)+"</Key>"+c.good))
		send("too long", wrap(c.good+strings.Repeat(" ", int(c.limit))), 400, "MaxMessageLengthExceeded")
		send("good", wrap(c.good), 200, "")
	}
	rows := func(n int, s string) string { return strings.Repeat(s, n) }
	doc := "<Delete>" + rows(maxDeletes+1, "<Object><Key>k</Key></Object>") + "</Delete>"
	w.want(400, "MalformedXML", http.MethodPost, "/bkt?delete", doc, "x-amz-checksum-crc32", strings.TrimPrefix(crc32Trailer([]byte(doc)), "x-amz-checksum-crc32:"))
	w.want(400, "MalformedXML", http.MethodPost, "/bkt/k2?"+up, "<CompleteMultipartUpload>"+rows(object.MaxParts+1, "<Part/>")+"</CompleteMultipartUpload>")
}

// manyFields are elements that differ, one more than a row may have.
func manyFields() string {
	var b strings.Builder
	for i := range maxXMLFields {
		fmt.Fprintf(&b, "<a%d/>", i)
	}
	return b.String()
}
