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

// BenchmarkGates is what a request costs before and after the store: authentication, dispatch, answer, log line.
func BenchmarkGates(b *testing.B) {
	store := object.New(objecttest.NewMemory(), object.Config{})
	s, err := New(store, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}}, Now: func() time.Time { return testTime }}, zerolog.New(io.Discard))
	if err != nil {
		b.Fatal(err)
	}
	signer := testSigner{access: testAccess, secret: testSecret, region: DefaultRegion, now: testTime}
	do := func(b *testing.B, method, target string, body []byte) {
		b.Helper()
		r := httptest.NewRequestWithContext(b.Context(), method, target, bytes.NewReader(body))
		signer.sign(r, "UNSIGNED-PAYLOAD")
		for b.Loop() {
			r.Body = io.NopCloser(bytes.NewReader(body))
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, r)
			if rec.Code >= 300 {
				b.Fatal(rec.Code, rec.Body)
			}
		}
	}
	if err := store.CreateBucket(b.Context(), "bkt", ""); err != nil {
		b.Fatal(err)
	}
	if _, err := store.Put(b.Context(), "bkt", "k", strings.NewReader(strings.Repeat("x", 4096)), object.PutOptions{}); err != nil {
		b.Fatal(err)
	}
	b.Run("head", func(b *testing.B) { do(b, http.MethodHead, "/bkt/k", nil) })
}

// BenchmarkChunks takes signed framing off.
func BenchmarkChunks(b *testing.B) {
	signer := testSigner{access: testAccess, secret: testSecret, region: DefaultRegion, now: testTime}
	content := make([]byte, 8<<20)
	body := frame{chunk: 64 << 10, signer: &signer, seed: "seed"}.encode(content)
	buf := make([]byte, 384<<10)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		c := newChunkReader(bytes.NewReader(body), streamModes["STREAMING-AWS4-HMAC-SHA256-PAYLOAD"], int64(len(content)),
			seal{key: signer.key(), date: signer.date(), scope: signer.scope(), signature: "seed"})
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, buf); err != nil {
			b.Fatal(err)
		}
	}
}
