package s3

import (
	"net/http"
	"testing"
)

// TestFileHash: every answer about an object tells its Xet file hash, which is the same for the same content, however it came.
func TestFileHash(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	body := noise(1, 6<<20)
	w.want(200, "", http.MethodPut, "/bkt/k", body)
	info, err := w.mem.Stat(t.Context(), "bkt", "k")
	if err != nil {
		t.Fatal(err)
	}
	hash := info.File.String()
	check := func(what, want string, re *reply) {
		t.Helper()
		if got := re.header.Values("X-Xet-Hash"); re.status/100 != 2 || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %d %q, want %s", what, re.status, got, want)
		}
	}
	check("PUT", hash, w.do(http.MethodPut, "/bkt/k", body))
	check("GET", hash, w.do(http.MethodGet, "/bkt/k", ""))
	check("range", hash, w.do(http.MethodGet, "/bkt/k", "", "Range", "bytes=5-9"))
	check("HEAD", hash, w.do(http.MethodHead, "/bkt/k", ""))
	check("copy", hash, w.do(http.MethodPut, "/bkt/copy", "", "x-amz-copy-source", "bkt/k"))
	upload := w.begin("/bkt/parts")
	first := w.part("/bkt/parts", upload, 1, body[:5<<20])
	doc := completed("1", first, "2", w.part("/bkt/parts", upload, 2, body[5<<20:]))
	check("complete", hash, w.do(http.MethodPost, "/bkt/parts?"+upload, doc))
	check("completed again", hash, w.do(http.MethodPost, "/bkt/parts?"+upload, doc))
	check("GET", hash, w.do(http.MethodGet, "/bkt/parts", ""))
	check("part", hash, w.do(http.MethodGet, "/bkt/parts?partNumber=2", ""))
	const empty = "0000000000000000000000000000000000000000000000000000000000000000"
	check("empty", empty, w.do(http.MethodPut, "/bkt/empty", ""))
	check("empty", empty, w.do(http.MethodHead, "/bkt/empty", ""))
	for _, re := range []*reply{
		w.do(http.MethodGet, "/bkt/none", ""), w.do(http.MethodGet, "/bkt", ""), w.do(http.MethodGet, "/bkt/k", "", "If-Match", "x"), w.send(w.raw(http.MethodGet, "/bkt/k", nil)),
	} {
		if got := re.header.Values("X-Xet-Hash"); got != nil {
			t.Errorf("%d: %q", re.status, got)
		}
	}
}
