package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestFramingWithoutLength: GHSA-v2ch-c8v8-fgr7 (aws-chunked without a length ended the process).
func TestFramingWithoutLength(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	for _, mode := range payloadModes[2:] {
		for _, length := range []string{"", "\r\nX-Amz-Decoded-Content-Length: ", "\r\nX-Amz-Decoded-Content-Length: 7"} {
			for _, framing := range []string{"", "\r\nContent-Length: 0", "\r\nTransfer-Encoding: chunked", "\r\nTransfer-Encoding: chunked\r\nContent-Length: 5"} {
				r := w.raw(http.MethodPut, "/bkt/k", nil)
				if name, value, ok := strings.Cut(strings.TrimSpace(length), ":"); ok {
					r.Header.Set(name, strings.TrimSpace(value))
				}
				w.signer.sign(r, mode)
				c := w.dial()
				fmt.Fprintf(c, "PUT /bkt/k HTTP/1.1\r\nHost: %s\r\nContent-Encoding: aws-chunked\r\nConnection: close%s\r\n", r.Host, framing) //nolint:errcheck // it is read from below
				if err := r.Header.Write(c); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(c, "\r\n0\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(c.r, nil)
				if err != nil {
					t.Fatalf("%s%s%s: %v", mode, length, framing, err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != 411 && resp.StatusCode != 400 {
					t.Errorf("%s%s%s: %s", mode, length, framing, resp.Status)
				}
			}
		}
	}
	if w.exists("bkt", "k") {
		t.Error("something was stored")
	}
	w.want(200, "", http.MethodPut, "/bkt/k", "it is still there")
}

// TestSmuggling: with two lengths, the one that net/http reads by is the only one that there is; a signature over the other fails.
func TestSmuggling(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	ask := func(signLength bool, framing, body string) (status int, closes bool, c *wire) {
		t.Helper()
		r := w.raw(http.MethodPut, "/bkt/k", nil)
		r.Header.Set("X-Amz-Date", w.signer.date())
		r.Header.Set("X-Amz-Content-Sha256", unsigned)
		names := amzHeaders(r)
		if signLength {
			names = append(names, "content-length")
			r.Header.Set("Content-Length", "4")
		}
		signed, sig := w.signer.signature(r, names, unsigned)
		r.Header.Del("Content-Length")
		r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", testAccess, w.signer.scope(), signed, sig))
		c = w.dial()
		fmt.Fprintf(c, "PUT /bkt/k HTTP/1.1\r\nHost: %s\r\n%s", r.Host, framing) //nolint:errcheck // it is read from below
		if err := r.Header.Write(c); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "\r\n"+body); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode, resp.Close, c
	}
	const chunked = "4\r\nabcd\r\n0\r\n\r\n"
	if status, _, _ := ask(true, "Content-Length: 4\r\n", "abcd"); status != 200 {
		t.Errorf("a signed length that is right: %d", status)
	}
	if status, _, _ := ask(true, "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunked); status != 403 {
		t.Errorf("a signed length beside another: %d", status)
	}
	if status, _, _ := ask(true, "Content-Length: 5\r\n", "abcde"); status != 403 {
		t.Errorf("another length than the signed one: %d", status)
	}
	for _, framing := range []string{"Content-Length: 4\r\nContent-Length: 5\r\n", "Content-Length: +4\r\n", "Content-Length: 4, 5\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding : chunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"} {
		if status, closes, _ := ask(false, framing, "abcd"); status != 400 && status != 501 || !closes {
			t.Errorf("%q: %d", framing, status)
		}
	}
	// What is behind the body is another request, and never the rest of a shorter body.
	status, _, c := ask(false, "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunked+"DELETE /bkt/k HTTP/1.1\r\nHost: x\r\n\r\n")
	if status != 200 {
		t.Errorf("both lengths: %d", status)
	}
	if next, err := http.ReadResponse(c.r, nil); err == nil {
		if next.StatusCode != 403 {
			t.Errorf("the next request is answered with %s", next.Status)
		}
		_ = next.Body.Close()
	}
	if re := w.want(200, "", http.MethodGet, "/bkt/k", ""); re.body != "abcd" {
		t.Errorf("stored %q", re.body)
	}
}

// TestOddFramings are what live servers were tried with: a negative size, 2^64-1, and 9 KB of extension. They are refused
// without memory for what they announce.
func TestOddFramings(t *testing.T) {
	for _, line := range []string{"-1", "ffffffffffffffff", "7fffffffffffffff", "1;" + strings.Repeat("x", 9<<10), strings.Repeat("0", 9<<10) + "1", "0x10", "1_0", "１"} {
		for name, mode := range streamModes {
			for _, suffix := range []string{"", chunkSignature + strings.Repeat("0", 64)} {
				n := testing.AllocsPerRun(1, func() {
					c := newChunkReader(strings.NewReader(line+suffix+"\r\nx\r\n"), mode, 1<<40, seal{})
					if _, err := c.Read(make([]byte, 16)); err == nil || errors.Is(err, io.EOF) {
						if size, perr := strconv.ParseInt(line, 16, 63); perr != nil || size > 1<<40 {
							t.Errorf("%s: %.20q was taken: %v", name, line, err)
						}
					}
				})
				if n > 100 {
					t.Errorf("%s: %.20q: %v allocations", name, line, n)
				}
			}
		}
	}
}
