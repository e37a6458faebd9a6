package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// noise is content that does not repeat.
func noise(seed uint64, n int) string {
	r := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return string(b)
}

// begin creates an upload and returns the query that names it.
func (w *world) begin(target string, headers ...string) string {
	w.t.Helper()
	re := w.want(200, "", http.MethodPost, target+"?uploads", "", headers...)
	_, id, _ := strings.Cut(re.body, "</Key><UploadId>")
	id, _, ok := strings.Cut(id, "</UploadId></InitiateMultipartUploadResult>")
	if !ok || id == "" {
		w.t.Fatal(re.body)
	}
	return "uploadId=" + id
}

// part uploads a part and returns its ETag.
func (w *world) part(target, upload string, number int, body string, headers ...string) string {
	w.t.Helper()
	re := w.want(200, "", http.MethodPut, fmt.Sprintf("%s?partNumber=%d&%s", target, number, upload), body, headers...)
	sum := md5.Sum([]byte(body))
	if want := `"` + hex.EncodeToString(sum[:]) + `"`; re.header.Get("Etag") != want {
		w.t.Errorf("part %d: ETag %s, want %s", number, re.header.Get("Etag"), want)
	}
	return re.header.Get("Etag")
}

// completed is the document that names parts: numbers, each with its ETag and further elements.
func completed(parts ...string) string {
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for i := 0; i+1 < len(parts); i += 2 {
		b.WriteString("<Part><PartNumber>" + parts[i] + "</PartNumber><ETag>" + parts[i+1] + "</ETag></Part>")
	}
	b.WriteString("</CompleteMultipartUpload>")
	return b.String()
}

// etagOf is the ETag of an object that has these parts.
func etagOf(parts ...string) string {
	var sums []byte
	for _, p := range parts {
		sum := md5.Sum([]byte(p))
		sums = append(sums, sum[:]...)
	}
	return fmt.Sprintf("%x-%d", md5.Sum(sums), len(parts))
}

// TestMultipart: parts in any order, with gaps, one of them sent twice and one left out, make one object.
func TestMultipart(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	const target = "/bkt/dir/a b"
	if re := w.want(200, "", http.MethodPost, target+"?uploads=", ""); !strings.Contains(re.body, "<Bucket>bkt</Bucket><Key>dir/a b</Key><UploadId>") {
		t.Error(re.body)
	}
	up := w.begin(target, "Content-Type", "text/x", "x-amz-meta-m", "1", "Cache-Control", "no-cache")
	first, second, last := noise(1, minPart), noise(2, minPart+12345), noise(3, 100)
	w.part(target, up, 9000, last)
	w.part(target, up, 3, "to be replaced")
	w.part(target, up, 7, "to be left out")
	e2 := w.part(target, up, 3, second)
	e1 := w.part(target, up, 1, first)
	e3 := w.part(target, up, 9000, last)
	if w.exists("bkt", "dir/a b") {
		t.Error("it is there before it is complete")
	}
	want := etagOf(first, second, last)
	for i, body := range []string{ // the second and third time with quotes left out or escaped
		completed("1", e1, "3", e2, "9000", e3),
		completed("1", strings.Trim(e1, `"`), "3", e2, "9000", e3),
		completed("1", strings.ReplaceAll(e1, `"`, "&quot;"), "3", e2, "9000", e3),
	} {
		re := w.want(200, "", http.MethodPost, target+"?"+up, body)
		for _, s := range []string{
			"<Location>http://" + w.http.Listener.Addr().String() + "/bkt/dir/a%20b</Location>", "<Bucket>bkt</Bucket><Key>dir/a b</Key>",
			"<ETag>&quot;" + want + "&quot;</ETag>", "<ChecksumType>FULL_OBJECT</ChecksumType>", "<ChecksumCRC64NVME>",
		} {
			if !strings.Contains(re.body, s) {
				t.Errorf("answer %d: no %s in %s", i, s, re.body)
			}
		}
	}
	w.want(404, "NoSuchUpload", http.MethodPost, target+"?"+up, completed("1", e1, "3", e2))
	re := w.want(200, "", http.MethodGet, target, "")
	if re.body != first+second+last || re.header.Get("Etag") != `"`+want+`"` || re.header.Get("Content-Type") != "text/x" ||
		re.header.Get("X-Amz-Meta-M") != "1" || re.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d bytes, %v", len(re.body), re.header)
	}
	if re := w.want(200, "", http.MethodGet, "/bkt?list-type=2", ""); !strings.Contains(re.body, want) {
		t.Error(re.body)
	}
	w.want(200, "", http.MethodPut, "/bkt/whole", first+second+last)
	a, _ := w.mem.Stat(context.Background(), "bkt", "dir/a b")
	b, _ := w.mem.Stat(context.Background(), "bkt", "whole")
	if a.File != b.File || !bytes.Equal(a.Digests.CRC64NVME, b.Digests.CRC64NVME) {
		t.Error("it is another file than the same bytes in one piece")
	}
	for _, c := range []struct{ method, query, body string }{ // what is done is closed
		{http.MethodPut, "partNumber=1&", "x"}, {http.MethodDelete, "", ""}, {http.MethodGet, "", ""},
	} {
		w.want(404, "NoSuchUpload", c.method, target+"?"+c.query+up, c.body)
	}
}

// TestMultipartRefusals is a table of requests that are refused, and by what.
func TestMultipartRefusals(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	up := w.begin("/bkt/k")
	small, large := "small", noise(1, minPart)
	eSmall, eLarge := w.part("/bkt/k", up, 1, small), w.part("/bkt/k", up, 2, large)
	w.part("/bkt/k", up, 3, small)
	long := "<CompleteMultipartUpload>" + strings.Repeat("<!--"+strings.Repeat(" ", 8000)+"-->", 600) + "</CompleteMultipartUpload>"
	many := make([]string, 0, 20002)
	for i := range object.MaxParts + 1 {
		many = append(many, fmt.Sprint(i+1), eSmall)
	}
	for _, c := range []struct {
		status             int
		code, method       string
		target, body, says string
	}{
		{400, "InvalidArgument", "PUT", "/bkt/k?partNumber=0&" + up, "x", "Part number must be an integer between 1 and 10000, inclusive"},
		{400, "InvalidArgument", "PUT", "/bkt/k?partNumber=10001&" + up, "x", "<ArgumentName>partNumber</ArgumentName><ArgumentValue>10001<"},
		{400, "InvalidArgument", "PUT", "/bkt/k?partNumber=%2B1&" + up, "x", ""},
		{400, "InvalidArgument", "PUT", "/bkt/k?partNumber=&" + up, "x", ""},
		{400, "InvalidArgument", "PUT", "/bkt/k?partNumber=1", "x", "<ArgumentName>uploadId</ArgumentName>"},
		{501, "NotImplemented", "PUT", "/bkt/k?" + up, "x", "<Parameter>uploadId</Parameter>"},
		{404, "NoSuchUpload", "PUT", "/bkt/k?partNumber=1&uploadId=none", "x", "<UploadId>none</UploadId>"},
		{404, "NoSuchUpload", "PUT", "/bkt/k?partNumber=1&uploadId=", "x", ""},
		{404, "NoSuchUpload", "PUT", "/bkt/k?partNumber=1&uploadId=../../etc", "x", ""},
		{404, "NoSuchUpload", "PUT", "/bkt/other?partNumber=1&" + up, "x", ""},
		{404, "NoSuchUpload", "GET", "/bkt/other?" + up, "", ""},
		{404, "NoSuchUpload", "DELETE", "/bkt/other?" + up, "", ""},
		{404, "NoSuchUpload", "POST", "/bkt/other?" + up, completed("2", eLarge), ""},
		{404, "NoSuchUpload", "POST", "/bkt/k?uploadId=none", completed("2", eLarge, "1", eSmall), ""},
		{404, "NoSuchBucket", "POST", "/gone/k?uploads", "", ""},
		{404, "NoSuchBucket", "GET", "/gone?uploads", "", ""},
		{400, "InvalidRequest", "POST", "/bkt/k?uploads", "body", ""},
		{400, "MalformedXML", "POST", "/bkt/k?" + up, "", ""},
		{400, "MalformedXML", "POST", "/bkt/k?" + up, completed(), ""},
		{400, "MalformedXML", "POST", "/bkt/k?" + up, "<Complete/>", ""},
		{400, "MalformedXML", "POST", "/bkt/k?" + up, completed("one", eSmall), ""},
		{400, "MalformedXML", "POST", "/bkt/k?" + up, completed(many...), ""},
		{400, "MaxMessageLengthExceeded", "POST", "/bkt/k?" + up, long, ""},
		{400, "InvalidArgument", "POST", "/bkt/k?" + up, completed("0", eSmall), "PartNumber must be &gt;= 1"},
		{400, "InvalidPartOrder", "POST", "/bkt/k?" + up, completed("2", eLarge, "1", eSmall), "Parts must be ordered by part number."},
		{400, "InvalidPartOrder", "POST", "/bkt/k?" + up, completed("1", eSmall, "1", eSmall), ""},
		{400, "InvalidPart", "POST", "/bkt/k?" + up, completed("1", eLarge), "<PartNumber>1</PartNumber><ETag>" + strings.Trim(eLarge, `"`) + "</ETag>"},
		{400, "InvalidPart", "POST", "/bkt/k?" + up, completed("1", eSmall, "4", eSmall), "<PartNumber>4</PartNumber>"},
		{400, "InvalidPart", "POST", "/bkt/k?" + up, completed("10001", eSmall), ""},
		{400, "InvalidPart", "POST", "/bkt/k?" + up, completed("1", ""), ""},
		{400, "EntityTooSmall", "POST", "/bkt/k?" + up, completed("1", eSmall, "2", eLarge), "<ProposedSize>5</ProposedSize><MinSizeAllowed>5242880</MinSizeAllowed><PartNumber>1</PartNumber><ETag>" + strings.Trim(eSmall, `"`) + "</ETag>"},
	} {
		re := w.want(c.status, c.code, c.method, c.target, c.body)
		if !strings.Contains(re.body, c.says) {
			t.Errorf("%s %s: no %s in %s", c.method, c.target, c.says, re.body)
		}
	}
	r := w.raw(http.MethodPut, "/bkt/k?partNumber=1&"+up, []byte("tampered"))
	w.signer.sign(r, testHash("signed"))
	w.wantReply(w.send(r), 400, "XAmzContentSHA256Mismatch", "another body than the signed one")
	w.want(400, "BadDigest", http.MethodPut, "/bkt/k?partNumber=1&"+up, "x", "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
	w.want(400, "BadDigest", http.MethodPut, "/bkt/k?partNumber=1&"+up, "x", "x-amz-checksum-crc32", "AAAAAA==")
	w.want(400, "InvalidRequest", http.MethodPost, "/bkt/k?"+up, completed("2", eLarge, "3", eSmall), "x-amz-mp-object-size", "1")
	w.want(400, "InvalidArgument", http.MethodPost, "/bkt/k?"+up, completed("2", eLarge, "3", eSmall), "x-amz-mp-object-size", "-1")
	if w.exists("bkt", "k") {
		t.Error("a refused upload left an object")
	}
	// After all of that the upload is as it was.
	w.want(200, "", http.MethodPost, "/bkt/k?"+up, completed("2", eLarge, "3", eSmall), "x-amz-mp-object-size", fmt.Sprint(minPart+5))
	w.want(204, "", http.MethodDelete, "/bkt/k?"+w.begin("/bkt/k"), "")
}

// TestCompleteConditions: conditions are those of the key when the upload is completed, and a repetition asks nothing.
func TestCompleteConditions(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	there := w.want(200, "", http.MethodPut, "/bkt/there", "x").header.Get("Etag")
	for _, c := range []struct {
		key, header, value string
		status             int
		code               string
	}{
		{"there", "If-None-Match", "*", 412, "PreconditionFailed"},
		{"there", "If-None-Match", there, 412, "PreconditionFailed"},
		{"there", "If-Match", `"other"`, 412, "PreconditionFailed"},
		{"gone", "If-Match", there, 404, "NoSuchKey"},
		{"new", "If-None-Match", "*", 200, ""},
		{"there", "If-Match", there, 200, ""},
	} {
		up := w.begin("/bkt/" + c.key)
		body := completed("1", w.part("/bkt/"+c.key, up, 1, "part"))
		re := w.want(c.status, c.code, http.MethodPost, "/bkt/"+c.key+"?"+up, body, c.header, c.value)
		if c.status == 412 && !strings.Contains(re.body, "<Condition>"+c.header+"</Condition>") {
			t.Error(re.body)
		}
		if c.status == 200 { // the key is there now, or has another ETag
			w.want(200, "", http.MethodPost, "/bkt/"+c.key+"?"+up, body, c.header, c.value)
		} else {
			w.want(204, "", http.MethodDelete, "/bkt/"+c.key+"?"+up, "")
			w.want(404, "NoSuchUpload", http.MethodDelete, "/bkt/"+c.key+"?"+up, "")
		}
	}
}

// TestUploadPartCopy: parts come from ranges of objects, with the ETag and the checksum of their bytes.
func TestUploadPartCopy(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	src := noise(4, minPart+300_000)
	etag := w.want(200, "", http.MethodPut, "/bkt/src", src).header.Get("Etag")
	up := w.begin("/bkt/k", "x-amz-checksum-algorithm", "SHA256")
	cp := func(status int, code string, number int, headers ...string) *reply {
		t.Helper()
		return w.want(status, code, http.MethodPut, fmt.Sprintf("/bkt/k?partNumber=%d&%s", number, up), "", append([]string{"x-amz-copy-source", "/bkt/src"}, headers...)...)
	}
	last := len(src) - 1
	ranges := []string{src[7 : minPart+8], src, src[last:]}
	parts := make([]string, 0, 6)
	for i, r := range []string{fmt.Sprintf("bytes=7-%d", minPart+7), "", fmt.Sprintf("bytes=%d-%d", last, last)} {
		var headers []string
		if r != "" {
			headers = []string{"x-amz-copy-source-range", r}
		}
		var doc struct{ LastModified, ETag, ChecksumSHA256 string }
		re := cp(200, "", i+1, headers...)
		sum := md5.Sum([]byte(ranges[i]))
		if err := xml.Unmarshal([]byte(re.body), &doc); err != nil || doc.ETag != `"`+hex.EncodeToString(sum[:])+`"` || doc.LastModified != "2026-03-14T15:09:26.000Z" ||
			doc.ChecksumSHA256 != sha256Sum(ranges[i]) || !strings.Contains(re.body, "<CopyPartResult xmlns=") {
			t.Errorf("%s: %v: %s", r, err, re.body)
		}
		parts = append(parts, fmt.Sprint(i+1), doc.ETag)
	}
	for _, r := range []string{"bytes=0-", "bytes=-5", "0-5", "bytes=5-4", "bytes=a-b", "bytes=0-1,3-4", "bytes=0-99999999999999999999"} {
		cp(400, "InvalidArgument", 4, "x-amz-copy-source-range", r)
	}
	for _, r := range []string{fmt.Sprintf("bytes=0-%d", len(src)), fmt.Sprintf("bytes=%d-%d", len(src), len(src)+1)} {
		if re := cp(416, "InvalidRange", 4, "x-amz-copy-source-range", r); !strings.Contains(re.body, "<RangeRequested>"+r+"</RangeRequested>") {
			t.Error(re.body)
		}
	}
	cp(412, "PreconditionFailed", 4, "x-amz-copy-source-if-match", `"other"`)
	cp(412, "PreconditionFailed", 4, "x-amz-copy-source-if-none-match", etag)
	cp(404, "NoSuchKey", 4, "x-amz-copy-source", "bkt/gone")
	cp(404, "NoSuchBucket", 4, "x-amz-copy-source", "gone/gone")
	cp(400, "InvalidArgument", 10001)
	w.want(400, "InvalidRequest", http.MethodPut, "/bkt/k?partNumber=1&"+up, "body", "x-amz-copy-source", "bkt/src")
	w.want(200, "", http.MethodPost, "/bkt/k?"+up, completed(parts...))
	if re := w.want(200, "", http.MethodGet, "/bkt/k", ""); re.body != strings.Join(ranges, "") || re.header.Get("Etag") != `"`+etagOf(ranges...)+`"` {
		t.Errorf("%d bytes, %v", len(re.body), re.header)
	}
}

func sha256Sum(s string) string {
	c := newChecksum("sha256")
	c.hash.Write([]byte(s))
	return base64.StdEncoding.EncodeToString(c.hash.Sum(nil))
}
