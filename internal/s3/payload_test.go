package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestTamperedBodies changes one thing in a body that is on its way. Nothing is stored.
func TestTamperedBodies(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	content := bytes.Repeat([]byte("0123456789"), 20_000)
	replace := func(old, n string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(n), 1) }
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	const (
		signed   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
		both     = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
		trailing = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	)
	for i, c := range []struct {
		mode, what string
		change     func([]byte) []byte
		status     int
		code       string
	}{
		{"hash", "flip", flip, 400, "XAmzContentSHA256Mismatch"},
		{"hash", "cut", cut(1), 400, "XAmzContentSHA256Mismatch"},
		{signed, "flip", flip, 403, "SignatureDoesNotMatch"},
		{both, "flip", flip, 403, "SignatureDoesNotMatch"},
		{trailing, "flip", flip, 400, "BadDigest"},
		{trailing, "checksum", replace("crc32:", "crc32:A"), 400, "BadDigest"},
		{trailing, "trailer name", replace("crc32:", "crc32c:"), 400, "MalformedTrailerError"},
		{trailing, "no trailer", replace("x-amz-checksum", "\r\nx-amz-checksum"), 400, "MalformedTrailerError"},
		{trailing, "two trailers", replace("\r\nx-amz-checksum-crc32:", "\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:"), 400, "MalformedTrailerError"},
		{trailing, "signature", replace("10000\r\n", "10000;chunk-signature="+strings.Repeat("0", 64)+"\r\n"), 400, "IncompleteBody"},
		{both, "trailer", func(b []byte) []byte { b[bytes.Index(b, []byte("crc32:"))+6] ^= 3; return b }, 403, "SignatureDoesNotMatch"},
		{both, "no trailer signature", replace("x-amz-trailer-signature:", "x-amz-trailer-sig:"), 400, "MalformedTrailerError"},
		{both, "trailer signature", replace("trailer-signature:", "trailer-signature:0"), 403, "SignatureDoesNotMatch"},
		{signed, "no signature", replace(";chunk-signature=", ";chunk-sig="), 400, "IncompleteBody"},
		{signed, "other signature", replace(";chunk-signature=", ";chunk-signature=0"), 400, "IncompleteBody"},
		{signed, "cut", cut(2), 400, "IncompleteBody"},
		{signed, "cut more", cut(100), 400, "IncompleteBody"},
		{trailing, "cut", cut(2), 400, "IncompleteBody"},
		{signed, "more", func(b []byte) []byte { return append(b, 'x') }, 400, "IncompleteBody"},
		{trailing, "long line", replace("10000\r\n", "10000"+strings.Repeat(" ", 9000)+"\r\n"), 400, "IncompleteBody"},
		{trailing, "negative", replace("10000\r\n", "-10000\r\n"), 400, "IncompleteBody"},
		{trailing, "plus", replace("10000\r\n", "+10000\r\n"), 400, "IncompleteBody"},
		{trailing, "huge", replace("10000\r\n", "ffffffffffffffff\r\n"), 400, "IncompleteBody"},
		{trailing, "17 digits", replace("10000\r\n", "00000000000010000\r\n"), 400, "IncompleteBody"},
		{trailing, "more than announced", replace("10000\r\n", "7fffffffffffffff\r\n"), 400, "IncompleteBody"},
		{trailing, "no size", replace("10000\r\n", "\r\n"), 400, "IncompleteBody"},
		{trailing, "bare LF", replace("10000\r\n", "10000\n"), 400, "IncompleteBody"},
		{trailing, "small chunk", replace("10000\r\n0123", "4\r\n0123\r\nfffc\r\n"), 400, "InvalidChunkSizeError"},
	} {
		key := fmt.Sprint("k", i)
		what := c.mode + " " + c.what
		w.wantReply(w.send(w.putRequest("/bkt/"+key, c.mode, false, content, c.change)), c.status, c.code, what)
		if w.exists("bkt", key) {
			t.Errorf("%s: it was stored", what)
		}
	}
	// Announced lengths that the body does not have.
	for _, n := range []string{"199999", "200001", "0", "5368709121", "-1", "x", ""} {
		r := w.raw(http.MethodPut, "/bkt/len", nil)
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		if n != "" {
			r.Header.Set("X-Amz-Decoded-Content-Length", n)
		}
		w.signer.sign(r, trailing)
		body := frame{chunk: 64 << 10, trailer: crc32Trailer(content)}.encode(content)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		code := map[string]string{"5368709121": "EntityTooLarge", "-1": "InvalidArgument", "x": "InvalidArgument", "": "MissingContentLength"}[n]
		status := 400
		if n == "" {
			status = 411
		}
		if code == "" {
			code = "IncompleteBody"
		}
		w.wantReply(w.send(r), status, code, "decoded length "+n)
	}
	if w.exists("bkt", "len") {
		t.Error("stored with a wrong length")
	}
}

// TestTrailerLineEnds: some clients end the checksum's line with LF CRLF.
func TestTrailerLineEnds(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	for _, newline := range []bool{false, true} {
		content := []byte("content")
		r := w.raw(http.MethodPut, "/bkt/k", nil)
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(content)))
		seed := w.signer.sign(r, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
		body := frame{chunk: 1 << 16, signer: &w.signer, seed: seed, trailer: crc32Trailer(content), newline: newline}.encode(content)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		w.wantReply(w.send(r), 200, "", fmt.Sprint("newline ", newline))
	}
}

// TestTruncatedBody hangs up in the middle of a body, in each mode.
func TestTruncatedBody(t *testing.T) {
	for _, mode := range payloadModes {
		w := newWorld(t, Config{})
		w.want(200, "", http.MethodPut, "/bkt", "")
		content := bytes.Repeat([]byte("truncate me "), 50_000)
		r := w.putRequest("/bkt/k", mode, false, content, nil)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		r.Body = nil
		var head bytes.Buffer
		fmt.Fprintf(&head, "PUT /bkt/k HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Host, len(body))
		if err := r.Header.Write(&head); err != nil {
			t.Fatal(err)
		}
		head.WriteString("\r\n")
		conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(append(head.Bytes(), body[:len(body)-3]...)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil { //nolint:errcheck,forcetypeassert // it is one
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		if !bytes.Contains(answer, []byte("400 Bad Request")) || !bytes.Contains(answer, []byte("<Code>IncompleteBody</Code>")) {
			t.Errorf("%s: %s", mode, answer)
		}
		if w.exists("bkt", "k") {
			t.Errorf("%s: a truncated body was stored", mode)
		}
	}
}

func TestDigests(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	const content = "123456789"
	sum := md5.Sum([]byte(content))
	good := base64.StdEncoding.EncodeToString(sum[:])
	other := base64.StdEncoding.EncodeToString(make([]byte, 16))
	for _, c := range []struct {
		header, value string
		status        int
		code          string
	}{
		{"Content-MD5", good, 200, ""},
		{"Content-MD5", other, 400, "BadDigest"},
		{"Content-MD5", "", 400, "InvalidDigest"},
		{"Content-MD5", "AAAA", 400, "InvalidDigest"},
		{"Content-MD5", "not base64", 400, "InvalidDigest"},
		// The check values of the CRC catalogue, and of "123456789" in general.
		{"x-amz-checksum-crc32", "y/Q5Jg==", 200, ""},
		{"x-amz-checksum-crc32c", "4waSgw==", 200, ""},
		{"x-amz-checksum-crc64nvme", "rosUhgp5mIg=", 200, ""},
		{"x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE=", 200, ""},
		{"x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", 200, ""},
		{"x-amz-checksum-crc32", "y/Q5Jw==", 400, "BadDigest"},
		{"x-amz-checksum-crc64nvme", "rosUhgp5mIk=", 400, "BadDigest"},
		{"x-amz-checksum-sha256", "y/Q5Jg==", 400, "BadDigest"},
		{"x-amz-checksum-sha1", "junk!", 400, "BadDigest"},
		{"x-amz-checksum-sha512", "AAAA", 501, "NotImplemented"},
		{"x-amz-sdk-checksum-algorithm", "CRC32", 400, "InvalidRequest"},
		{"x-amz-trailer", "x-amz-checksum-crc32", 400, "InvalidRequest"},
	} {
		key := "/bkt/" + strings.NewReplacer("/", "", "+", "", "=", "").Replace(c.header+c.value)
		re := w.want(c.status, c.code, http.MethodPut, key, content, c.header, c.value)
		if stored := w.exists("bkt", strings.TrimPrefix(key, "/bkt/")); stored != (c.status == 200) {
			t.Errorf("%s %q: stored is %v", c.header, c.value, stored)
		}
		if c.status == 200 && strings.HasPrefix(c.header, "x-amz-checksum") &&
			(re.header.Get(c.header) != c.value || re.header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT") {
			t.Errorf("%s: answered with %v", c.header, re.header)
		}
	}
	re := w.want(200, "", http.MethodPut, "/bkt/plain", content)
	if re.header.Get("X-Amz-Checksum-Crc64nvme") != "rosUhgp5mIg=" {
		t.Errorf("without a checksum: %v", re.header)
	}
	w.want(400, "InvalidRequest", http.MethodPut, "/bkt/k", content, "x-amz-checksum-crc32", "y/Q5Jg==", "x-amz-checksum-crc32c", "4waSgw==")
	w.want(400, "InvalidRequest", http.MethodPut, "/bkt/k", content, "x-amz-checksum-crc32", "y/Q5Jg==", "x-amz-sdk-checksum-algorithm", "SHA256")
	// With two digests, the answer is about the one that is wrong.
	for _, c := range []struct{ md5, payload, code string }{{other, content, "BadDigest"}, {good, "x", "XAmzContentSHA256Mismatch"}} {
		r := w.raw(http.MethodPut, "/bkt/two", []byte(content))
		r.Header.Set("Content-MD5", c.md5)
		w.signer.sign(r, testHash(c.payload))
		w.wantReply(w.send(r), 400, c.code, c.code)
	}
	// Checksums are told with the whole object only, and only when asked for: the one that the client chose, or CRC-64/NVME.
	for sum, value := range map[string]string{
		"crc32": "y/Q5Jg==", "crc32c": "4waSgw==", "crc64nvme": "rosUhgp5mIg=", "sha1": "98O8HYCOBHMq32eZZczDTKeuNEE=",
		"sha256": "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", "": "",
	} {
		name, want := "x-amz-checksum-"+sum, value
		if sum == "" {
			w.want(200, "", http.MethodPut, "/bkt/sum", content)
			sum, name, want = "crc64nvme", "x-amz-checksum-crc64nvme", "rosUhgp5mIg="
		} else {
			w.want(200, "", http.MethodPut, "/bkt/sum", content, name, value)
		}
		copied := w.want(200, "", http.MethodPut, "/bkt/copy", "", "x-amz-copy-source", "bkt/sum")
		if !strings.Contains(copied.body, "<Checksum"+strings.ToUpper(sum)+">"+want+"</Checksum"+strings.ToUpper(sum)+"><ChecksumType>FULL_OBJECT<") {
			t.Error(copied.body)
		}
		for _, target := range []string{"/bkt/sum", "/bkt/copy", "/bkt/sum?partNumber=1"} {
			status := 200
			if strings.Contains(target, "?") {
				status = 206
			}
			h := w.want(status, "", http.MethodGet, target, "", "x-amz-checksum-mode", "ENABLED").header
			if got := checksumHeaders(h); len(got) != 1 || h.Get(name) != want || h.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
				t.Errorf("%s %s: %v", sum, target, h)
			}
		}
		for method, headers := range map[string][]string{http.MethodGet: {"x-amz-checksum-mode", "ENABLED", "Range", "bytes=1-2"}, http.MethodHead: nil} {
			if h := w.do(method, "/bkt/sum", "", headers...).header; len(checksumHeaders(h)) != 0 || h.Get("X-Amz-Checksum-Type") != "" {
				t.Error(h)
			}
		}
		if re := w.want(200, "", http.MethodGet, "/bkt?prefix=sum", ""); !strings.Contains(re.body, "<ChecksumAlgorithm>"+strings.ToUpper(sum)+"</ChecksumAlgorithm><ChecksumType>FULL_OBJECT<") {
			t.Error(re.body)
		}
	}
	if re := w.want(200, "", http.MethodPut, "/bkt/copy", "", "x-amz-copy-source", "bkt/sum", "x-amz-checksum-algorithm", "CRC64NVME"); !strings.Contains(re.body, "<ChecksumCRC64NVME>") {
		t.Error(re.body)
	}
}

// checksumHeaders are the algorithms of the checksums that an answer tells.
func checksumHeaders(h http.Header) []string {
	var names []string
	for name := range h {
		if sum, ok := strings.CutPrefix(name, "X-Amz-Checksum-"); ok && sum != "Type" && sum != "Algorithm" {
			names = append(names, sum)
		}
	}
	return names
}

func TestLengths(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	r := w.raw(http.MethodPut, "/bkt/chunked", nil)
	w.signer.sign(r, "UNSIGNED-PAYLOAD")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("no length given")), -1
	w.wantReply(w.send(r), 200, "", "transfer-encoding: chunked")
	if re := w.want(200, "", http.MethodGet, "/bkt/chunked", ""); re.body != "no length given" {
		t.Error(re.body)
	}
	r = w.raw(http.MethodPut, "/bkt/none", nil)
	w.signer.sign(r, "UNSIGNED-PAYLOAD")
	conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's connection
	var head bytes.Buffer
	fmt.Fprintf(&head, "PUT /bkt/none HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", r.Host)
	if err := r.Header.Write(&head); err != nil {
		t.Fatal(err)
	}
	head.WriteString("\r\n")
	if _, err := conn.Write(head.Bytes()); err != nil {
		t.Fatal(err)
	}
	if answer, _ := io.ReadAll(conn); !bytes.Contains(answer, []byte("411 Length Required")) {
		t.Errorf("no length: %s", answer)
	}
}
