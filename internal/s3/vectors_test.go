package s3

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// Amazon's published examples ("Authenticating Requests (AWS Signature Version 4)"): their key, day and signatures.
const (
	vectorAccess = "AKIAIOSFODNN7EXAMPLE"
	vectorSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	vectorScope  = "20130524/us-east-1/s3/aws4_request"
)

func vectorServer(t *testing.T) *Server {
	t.Helper()
	s, err := New(object.New(objecttest.NewMemory(), object.Config{}), Config{
		Keys: []Key{{AccessKey: vectorAccess, SecretKey: vectorSecret}},
		Now:  func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) },
	}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// vectorRequest verifies a request and returns it for what comes next.
func vectorRequest(t *testing.T, method, target string, headers map[string]string) (*request, error) {
	t.Helper()
	s := vectorServer(t)
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	r.Host = "examplebucket.s3.amazonaws.com"
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	if v := headers["Host"]; v != "" {
		r.Host = v
		r.Header.Del("Host")
	}
	q := &request{s: s, w: newResponse(httptest.NewRecorder(), r, s.stall), r: r}
	if err := q.parseTarget(); err != nil {
		t.Fatal(err)
	}
	return q, q.authenticate()
}

func authorization(signed, signature string) string {
	return "AWS4-HMAC-SHA256 Credential=" + vectorAccess + "/" + vectorScope + ",SignedHeaders=" + signed + ",Signature=" + signature
}

func TestVectors(t *testing.T) {
	for _, v := range []struct {
		name, method, target string
		headers              map[string]string
	}{
		{"get object", http.MethodGet, "/test.txt", map[string]string{
			"Range": "bytes=0-9", "x-amz-content-sha256": emptySHA256, "x-amz-date": "20130524T000000Z",
			"Authorization": authorization("host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
		}},
		{"put object", http.MethodPut, "/test$file.text", map[string]string{
			"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-date": "20130524T000000Z", "x-amz-storage-class": "REDUCED_REDUNDANCY",
			"x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			"Authorization":        authorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
		}},
		{"get bucket lifecycle", http.MethodGet, "/?lifecycle", map[string]string{
			"x-amz-content-sha256": emptySHA256, "x-amz-date": "20130524T000000Z",
			"Authorization": authorization("host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
		}},
		{"list objects", http.MethodGet, "/?max-keys=2&prefix=J", map[string]string{
			"x-amz-content-sha256": emptySHA256, "x-amz-date": "20130524T000000Z",
			"Authorization": authorization("host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
		}},
		{"presigned get", http.MethodGet, "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", nil},
	} {
		t.Run(v.name, func(t *testing.T) {
			if _, err := vectorRequest(t, v.method, v.target, v.headers); err != nil {
				t.Error(err)
			}
			for k, h := range v.headers {
				if k == "Authorization" {
					v.headers[k] = h[:len(h)-1] + string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", h[len(h)-1])+1)%16])
				}
			}
			if v.headers == nil {
				v.target = strings.Replace(v.target, "86400", "86401", 1)
			}
			_, err := vectorRequest(t, v.method, v.target, v.headers)
			if e := answerTo(err, "", ""); e.code != "SignatureDoesNotMatch" {
				t.Errorf("changed by a digit: %v", err)
			}
		})
	}
}

// TestVectorChunked is the example of a chunked upload: 65 KiB of "a" in chunks of 64 KiB.
func TestVectorChunked(t *testing.T) {
	content := strings.Repeat("a", 66560)
	for _, v := range []struct {
		name, mode, signed, seed string
		chunks                   [3]string
		trailer                  string
	}{
		{
			"signed", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
			"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
			[3]string{
				"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
				"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
				"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
			},
			"",
		},
		{
			"signed with trailer", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
			"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
			[3]string{
				"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
				"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
				"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
			},
			"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
		},
	} {
		t.Run(v.name, func(t *testing.T) {
			headers := map[string]string{
				"Host": "s3.amazonaws.com", "x-amz-date": "20130524T000000Z", "x-amz-storage-class": "REDUCED_REDUNDANCY",
				"x-amz-content-sha256": v.mode, "Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": "66560",
				"Authorization": authorization(v.signed, v.seed),
			}
			if v.trailer == "" {
				headers["Content-Length"] = "66824"
			} else {
				headers["x-amz-trailer"] = "x-amz-checksum-crc32c"
			}
			q, err := vectorRequest(t, http.MethodPut, "/examplebucket/chunkObject.txt", headers)
			if err != nil {
				t.Fatal(err)
			}
			body := "10000;chunk-signature=" + v.chunks[0] + "\r\n" + content[:65536] + "\r\n" +
				"400;chunk-signature=" + v.chunks[1] + "\r\n" + content[65536:] + "\r\n" +
				"0;chunk-signature=" + v.chunks[2] + "\r\n" + v.trailer + "\r\n"
			q.r.Body = io.NopCloser(strings.NewReader(body))
			p, err := q.openPayload()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, []byte(content)) {
				t.Fatalf("read %d bytes: %v", len(got), err)
			}
		})
	}
}
