package s3

import (
	"net/http"
	"strings"
	"testing"
)

// TestUploadScopes is who may do what to uploads. A key that may only add has its own uploads to itself, and touches no others.
func TestUploadScopes(t *testing.T) {
	all := Key{AccessKey: testAccess, SecretKey: testSecret}
	reader := Key{AccessKey: "AKR", SecretKey: "sr", Mode: "read"}
	writer := Key{AccessKey: "AKW", SecretKey: "sw", Mode: "write"}
	creator := Key{AccessKey: "AKC", SecretKey: "sc", Mode: "create"}
	other := Key{AccessKey: "AKD", SecretKey: "sd", Mode: "create"}
	prefix := Key{AccessKey: "AKP", SecretKey: "sp", Prefix: "in/"}
	stranger := Key{AccessKey: "AKX", SecretKey: "sx", Owner: "other"}
	w := newWorld(t, Config{Keys: []Key{all, reader, writer, creator, other, prefix, stranger}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/src", "source")
	w.want(200, "", http.MethodPut, "/bkt/in/src", "source")
	w.want(200, "", http.MethodPut, "/bkt/there", "x")
	mine := w.begin("/bkt/in/k")                 // by the key that may do everything
	theirs := w.as(creator).begin("/bkt/in/new") // and by one that may add
	part := w.part("/bkt/in/k", mine, 1, "part")
	doc := completed("1", part)
	const source = "x-amz-copy-source"
	for _, c := range []struct {
		key                   Key
		status                int
		code                  string
		method, target, query string
		source                string
	}{
		{reader, 403, "AccessDenied", "POST", "/bkt/in/r", "uploads", ""},
		{reader, 403, "AccessDenied", "PUT", "/bkt/in/k", "partNumber=1&" + mine, ""},
		{reader, 403, "AccessDenied", "POST", "/bkt/in/k", mine, ""},
		{reader, 403, "AccessDenied", "DELETE", "/bkt/in/k", mine, ""},
		{reader, 200, "", "GET", "/bkt/in/k", mine, ""},
		{reader, 200, "", "GET", "/bkt", "uploads", ""},

		{creator, 403, "AccessDenied", "GET", "/bkt/in/new", theirs, ""},
		{creator, 403, "AccessDenied", "GET", "/bkt", "uploads", ""},
		{creator, 403, "AccessDenied", "POST", "/bkt/there", "uploads", ""},
		{creator, 403, "AccessDenied", "PUT", "/bkt/in/new", "partNumber=2&" + theirs, "bkt/src"},
		{creator, 404, "NoSuchUpload", "PUT", "/bkt/in/k", "partNumber=1&" + mine, ""},
		{creator, 404, "NoSuchUpload", "POST", "/bkt/in/k", mine, ""},
		{creator, 404, "NoSuchUpload", "DELETE", "/bkt/in/k", mine, ""},
		{other, 404, "NoSuchUpload", "PUT", "/bkt/in/new", "partNumber=1&" + theirs, ""},
		{other, 404, "NoSuchUpload", "DELETE", "/bkt/in/new", theirs, ""},
		{creator, 404, "NoSuchUpload", "DELETE", "/bkt/in/new", "uploadId=none", ""},
		{creator, 200, "", "PUT", "/bkt/in/new", "partNumber=1&" + theirs, ""},

		{prefix, 403, "AccessDenied", "POST", "/bkt/out", "uploads", ""},
		{prefix, 200, "", "POST", "/bkt/in/p", "uploads", ""},
		{prefix, 403, "AccessDenied", "GET", "/bkt", "uploads", ""},
		{prefix, 403, "AccessDenied", "GET", "/bkt", "uploads&prefix=in", ""},
		{prefix, 200, "", "GET", "/bkt", "uploads&prefix=in/", ""},
		{prefix, 200, "", "GET", "/bkt/in/k", mine, ""},
		{prefix, 403, "AccessDenied", "PUT", "/bkt/in/k", "partNumber=3&" + mine, "bkt/src"},
		{prefix, 200, "", "PUT", "/bkt/in/k", "partNumber=3&" + mine, "bkt/in/src"},

		{reader, 400, "InvalidRequest", "GET", "/bkt/src", "attributes", ""}, // it may, and has not said what
		{creator, 403, "AccessDenied", "GET", "/bkt/src", "attributes", ""},

		{stranger, 403, "AccessDenied", "POST", "/bkt/x", "uploads", ""},
		{stranger, 403, "AccessDenied", "PUT", "/bkt/in/k", "partNumber=1&" + mine, ""},
		{stranger, 403, "AccessDenied", "POST", "/bkt/in/k", mine, ""},
		{stranger, 403, "AccessDenied", "DELETE", "/bkt/in/k", mine, ""},
		{stranger, 403, "AccessDenied", "GET", "/bkt/in/k", mine, ""},
		{stranger, 403, "AccessDenied", "GET", "/bkt", "uploads", ""},

		{writer, 200, "", "PUT", "/bkt/in/k", "partNumber=1&" + mine, ""},
	} {
		body := ""
		switch {
		case c.method == http.MethodPost && c.query != "uploads":
			body = doc
		case c.method == http.MethodPut && c.source == "":
			body = "part"
		}
		var headers []string
		if c.source != "" {
			headers = []string{source, c.source}
		}
		w.as(c.key).want(c.status, c.code, c.method, c.target+"?"+c.query, body, headers...)
	}
	w.want(200, "", http.MethodGet, "/bkt/in/k?"+mine, "") // nobody has dropped it
	// It adds, but what is there meanwhile stays.
	w.want(200, "", http.MethodPut, "/bkt/in/new", "faster")
	w.as(creator).want(412, "PreconditionFailed", http.MethodPost, "/bkt/in/new?"+theirs, doc, "If-None-Match", "*")
	w.as(creator).want(403, "AccessDenied", http.MethodPost, "/bkt/in/new?"+theirs, doc)
	w.as(creator).want(403, "AccessDenied", http.MethodPost, "/bkt/in/new?"+theirs, doc, "If-Match", "*")
	if re := w.want(200, "", http.MethodGet, "/bkt/in/new", ""); re.body != "faster" {
		t.Error("an upload that may only add has overwritten an object")
	}
	w.want(204, "", http.MethodDelete, "/bkt/in/new", "")
	for range 2 {
		w.as(creator).want(200, "", http.MethodPost, "/bkt/in/new?"+theirs, doc) // the second time it is there, and its own
	}
	own := w.as(creator).begin("/bkt/in/again")
	w.as(creator).want(204, "", http.MethodDelete, "/bkt/in/again?"+own, "")
	if strings.Contains(w.want(200, "", http.MethodGet, "/bkt?uploads", "").body, "again") {
		t.Error("it is still there")
	}
}
