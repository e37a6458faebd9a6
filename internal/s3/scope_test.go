package s3

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestScopes(t *testing.T) {
	all := Key{AccessKey: testAccess, SecretKey: testSecret}
	reader := Key{AccessKey: "AKR", SecretKey: "sr", Mode: "read"}
	writer := Key{AccessKey: "AKW", SecretKey: "sw", Mode: "write"}
	creator := Key{AccessKey: "AKC", SecretKey: "sc", Mode: "create"}
	bucket := Key{AccessKey: "AKB", SecretKey: "sb", Buckets: []string{"bkt"}}
	prefix := Key{AccessKey: "AKP", SecretKey: "sp", Prefix: "in/"}
	stranger := Key{AccessKey: "AKX", SecretKey: "sx", Owner: "other"}
	w := newWorld(t, Config{Keys: []Key{all, reader, writer, creator, bucket, prefix, stranger}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/elsewhere", "")
	w.want(200, "", http.MethodPut, "/bkt/in/k", "x")
	w.want(200, "", http.MethodPut, "/bkt/out", "x")
	w.want(200, "", http.MethodPut, "/elsewhere/in/k", "x")
	const source = "x-amz-copy-source"
	delete1 := "<Delete><Object><Key>in/gone</Key></Object></Delete>"
	for _, c := range []struct {
		key                           Key
		status                        int
		method, target, header, value string
	}{
		{reader, 200, "GET", "/", "", ""},
		{reader, 200, "GET", "/bkt", "", ""},
		{reader, 200, "HEAD", "/bkt", "", ""},
		{reader, 200, "GET", "/bkt/in/k", "", ""},
		{reader, 403, "PUT", "/bkt/new", "", ""},
		{reader, 403, "PUT", "/bkt/new", source, "bkt/in/k"},
		{reader, 403, "DELETE", "/bkt/in/gone", "", ""},
		{reader, 403, "POST", "/bkt?delete", "", ""},
		{reader, 403, "PUT", "/newbkt", "", ""},
		{reader, 403, "DELETE", "/bkt", "", ""},

		{writer, 200, "GET", "/bkt/in/k", "", ""},
		{writer, 200, "PUT", "/bkt/out", "", ""},
		{writer, 200, "PUT", "/bkt/out", source, "bkt/in/k"},
		{writer, 204, "DELETE", "/bkt/in/gone", "", ""},
		{writer, 200, "PUT", "/writers", "", ""},
		{writer, 403, "DELETE", "/writers", "", ""},

		{creator, 200, "PUT", "/bkt/created", "", ""},
		{creator, 403, "PUT", "/bkt/created", "", ""},
		{creator, 403, "PUT", "/bkt/out", "", ""},
		{creator, 412, "PUT", "/bkt/out", "If-None-Match", "*"},
		{creator, 403, "PUT", "/bkt/out", "If-Match", `"9dd4e461268c8034f5c8564e155c67a6"`},
		{creator, 403, "PUT", "/bkt/out", "If-None-Match", `"other"`},
		{creator, 403, "PUT", "/bkt/out", "If-None-Match", `"9dd4e461268c8034f5c8564e155c67a6"`},
		{creator, 412, "PUT", "/bkt/out", "If-None-Match", `"other", *`},
		{creator, 403, "PUT", "/bkt/copied", source, "bkt/in/k"},
		{creator, 403, "GET", "/bkt/in/k", "", ""},
		{creator, 403, "HEAD", "/bkt/in/k", "", ""},
		{creator, 403, "HEAD", "/bkt/gone", "", ""},
		{creator, 403, "GET", "/bkt", "", ""},
		{creator, 403, "GET", "/", "", ""},
		{creator, 403, "DELETE", "/bkt/in/k", "", ""},
		{creator, 403, "POST", "/bkt?delete", "", ""},
		{creator, 403, "DELETE", "/bkt", "", ""},
		{creator, 200, "HEAD", "/bkt", "", ""},
		{creator, 200, "GET", "/bkt?location", "", ""},
		{creator, 403, "PUT", "/creators", "", ""},
		{creator, 403, "PUT", "/bkt", "", ""},

		{bucket, 200, "GET", "/bkt", "", ""},
		{bucket, 200, "GET", "/", "", ""},
		{bucket, 403, "GET", "/elsewhere", "", ""},
		{bucket, 403, "GET", "/missing", "", ""},
		{bucket, 403, "PUT", "/mine", "", ""},
		{bucket, 403, "GET", "/elsewhere/in/k", "", ""},
		{bucket, 403, "PUT", "/bkt/c", source, "elsewhere/in/k"},
		{bucket, 403, "PUT", "/elsewhere/c", source, "bkt/in/k"},
		{bucket, 200, "PUT", "/bkt/c", source, "bkt/in/k"},

		{prefix, 200, "GET", "/bkt/in/k", "", ""},
		{prefix, 200, "GET", "/elsewhere/in/k", "", ""},
		{prefix, 403, "GET", "/bkt/out", "", ""},
		{prefix, 403, "GET", "/bkt/in", "", ""},
		{prefix, 403, "PUT", "/bkt/out", "", ""},
		{prefix, 403, "DELETE", "/bkt/out", "", ""},
		{prefix, 403, "PUT", "/bkt/in/c", source, "bkt/out"},
		{prefix, 403, "PUT", "/bkt/c", source, "bkt/in/k"},
		{prefix, 200, "PUT", "/bkt/in/c", source, "bkt/in/k"},
		{prefix, 403, "GET", "/bkt", "", ""},
		{prefix, 403, "GET", "/bkt?list-type=2&prefix=in", "", ""},
		{prefix, 200, "GET", "/bkt?list-type=2&prefix=in/", "", ""},
		{prefix, 200, "HEAD", "/bkt", "", ""},
		{prefix, 403, "PUT", "/newbkt", "", ""},
		{prefix, 403, "DELETE", "/writers", "", ""},

		{stranger, 403, "GET", "/bkt", "", ""},
		{stranger, 403, "HEAD", "/bkt", "", ""},
		{stranger, 403, "GET", "/bkt?location", "", ""},
		{stranger, 403, "GET", "/bkt/in/k", "", ""},
		{stranger, 403, "PUT", "/bkt/new", "", ""},
		{stranger, 403, "DELETE", "/bkt/in/k", "", ""},
		{stranger, 403, "DELETE", "/bkt", "", ""},
		{stranger, 409, "PUT", "/bkt", "", ""},
		{stranger, 200, "PUT", "/theirs", "", ""},
		{stranger, 403, "PUT", "/theirs/k", source, "bkt/in/k"},
		{all, 403, "GET", "/theirs", "", ""},

		{all, 200, "GET", "/bkt", "x-amz-expected-bucket-owner", "default"},
		{all, 403, "GET", "/bkt", "x-amz-expected-bucket-owner", "other"},
		{all, 403, "PUT", "/bkt/c", "x-amz-expected-bucket-owner", "other"},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{c.header, c.value}
		}
		code := map[int]string{403: "AccessDenied", 412: "PreconditionFailed"}[c.status]
		if c.method == http.MethodHead {
			code = ""
		}
		body := ""
		if strings.HasSuffix(c.target, "?delete") {
			body = delete1
			headers = []string{"Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="}
		}
		w.as(c.key).want(c.status, code, c.method, c.target, body, headers...)
	}
	sum := strings.TrimPrefix(crc32Trailer([]byte(delete1)), "x-amz-checksum-crc32:")
	if re := w.as(prefix).want(200, "", http.MethodPost, "/bkt?delete", delete1, "x-amz-checksum-crc32", sum); !strings.Contains(re.body, "<Deleted>") {
		t.Error(re.body)
	}
	out := strings.Replace(delete1, "in/gone", "out", 1)
	sum = strings.TrimPrefix(crc32Trailer([]byte(out)), "x-amz-checksum-crc32:")
	if re := w.as(prefix).want(200, "", http.MethodPost, "/bkt?delete", out, "x-amz-checksum-crc32", sum); !strings.Contains(re.body, "<Code>AccessDenied</Code>") || !w.exists("bkt", "out") {
		t.Error(re.body)
	}
}

// TestNotImplemented: what the door does not do it refuses, and leaves everything as it was.
func TestNotImplemented(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/k", "content")
	w.want(200, "", http.MethodPut, "/empty", "")
	served := map[string]string{ // methods, of buckets and of objects
		"/empty?uploads": "GET", "/bkt/k?uploads": "POST", "/bkt/k?uploadId": "GET POST DELETE", "/bkt/k?partNumber": "GET PUT HEAD",
		"/bkt/k?attributes": "GET", "/empty?acl": "GET PUT", "/bkt/k?acl": "GET PUT", "/empty?versions": "GET", "/bkt/k?tagging": "GET",
		"/bkt/k?retention": "GET", "/bkt/k?legal-hold": "GET",
	}
	for _, s := range settings {
		served["/empty?"+s.selector] = http.MethodGet
	}
	for _, sub := range subresources {
		if sub == "list-type" || sub == "delete" || sub == "location" {
			continue
		}
		for _, m := range []string{"GET", "PUT", "POST", "DELETE", "HEAD"} {
			for _, target := range []string{"/empty?" + sub, "/bkt/k?" + sub, "/bkt/k?" + sub + "=1"} {
				if slices.Contains(strings.Fields(served[strings.TrimSuffix(target, "=1")]), m) {
					continue
				}
				re := w.want(501, "", m, target, "<x/>")
				if m != http.MethodHead && !strings.Contains(re.body, "<Parameter>"+sub+"</Parameter>") {
					t.Errorf("%s %s: %s", m, target, re.body)
				}
			}
		}
	}
	for _, target := range []string{"/empty?nosuch", "/bkt/k?nosuch", "/bkt/k?nosuch=1", "/bkt/k?x-foo", "/bkt/k?versionId=1", "/bkt/k?delete", "/empty?location"} {
		for _, m := range []string{"PUT", "DELETE"} {
			w.want(501, "NotImplemented", m, target, "y")
		}
	}
	for _, target := range []string{"/bkt?nosuch=1", "/bkt?list-type=2&marker=", "/bkt/k?nosuch=1", "/bkt/k?versionId=null&x-id=GetObject"} {
		w.want(200, "", http.MethodGet, target, "")
	}
	w.want(200, "", http.MethodPut, "/bkt/k?x-id=PutObject&x-own=1", "content")
	for header, value := range map[string]string{
		"x-amz-server-side-encryption": "AES256", "x-amz-server-side-encryption-customer-algorithm": "AES256", "x-amz-tagging": "a=b",
		"x-amz-acl": "public-read", "x-amz-grant-read": "id=x", "x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-legal-hold": "ON",
		"x-amz-website-redirect-location": "/x", "x-amz-write-offset-bytes": "7", "x-amz-copy-source-range": "bytes=0-1",
		"x-amz-mfa": "1", "x-amz-bucket-object-lock-enabled": "true", "x-amz-object-ownership": "ObjectWriter",
	} {
		for _, m := range []string{"PUT", "DELETE"} {
			re := w.want(501, "NotImplemented", m, "/bkt/k", "y", header, value)
			if !strings.Contains(re.body, "<Header>"+header+"</Header>") {
				t.Error(re.body)
			}
		}
	}
	w.want(400, "InvalidStorageClass", http.MethodPut, "/bkt/k", "y", "x-amz-storage-class", "GLACIER")
	for _, c := range []struct{ method, target, allow string }{
		{"PUT", "/", "GET"}, {"DELETE", "/", "GET"}, {"POST", "/bkt", "DELETE, GET, HEAD, PUT"}, {"POST", "/bkt/k", "DELETE, GET, HEAD, PUT"}, {"PATCH", "/bkt/k", "DELETE, GET, HEAD, PUT"},
	} {
		if re := w.want(405, "MethodNotAllowed", c.method, c.target, ""); re.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow is %q", c.method, c.target, re.header.Get("Allow"))
		}
	}
	r := w.raw(http.MethodPost, "/bkt", []byte("form"))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	w.wantReply(w.send(r), 501, "NotImplemented", "form upload")
	r = w.raw(http.MethodOptions, "/bkt/k", nil)
	w.wantReply(w.send(r), 400, "BadRequest", "preflight without origin")
	r.Header.Set("Origin", "http://x")
	r.Header.Set("Access-Control-Request-Method", "GET")
	w.wantReply(w.send(r), 403, "AccessForbidden", "preflight")
	if re := w.want(200, "", http.MethodGet, "/bkt/k", ""); re.body != "content" {
		t.Errorf("the object is now %q", re.body)
	}
	w.want(200, "", http.MethodHead, "/empty", "")
}

func TestConfig(t *testing.T) {
	good := Key{AccessKey: "a", SecretKey: "s"}
	for want, c := range map[string]Config{
		"":                             {Keys: []Key{good, {AccessKey: "b", SecretKey: "s", Mode: "create", Buckets: []string{"bkt"}}}, Now: time.Now},
		"access_key is set but secret": {Keys: []Key{{AccessKey: "a"}}},
		"secret_key is set but access": {Keys: []Key{{SecretKey: "s"}}},
		"access_key and secret_key":    {Keys: []Key{good, {}}},
		"there twice":                  {Keys: []Key{good, good}},
		"mode \"rw\"":                  {Keys: []Key{{AccessKey: "a", SecretKey: "s", Mode: "rw"}}},
		"buckets: \"X\"":               {Keys: []Key{{AccessKey: "a", SecretKey: "s", Buckets: []string{"X"}}}},
		"prefix \"\\xff\"":             {Keys: []Key{{AccessKey: "a", SecretKey: "s", Prefix: "\xff"}}},
		"without '/'":                  {Keys: []Key{{AccessKey: "a/b", SecretKey: "s"}}},
		"domain \"s3.lan:9000\"":       {Domains: []string{"lan", "s3.lan:9000"}},
		"domain \".lan\"":              {Domains: []string{".lan"}},
		"owner \"default\"":            {Keys: []Key{{AccessKey: "a", SecretKey: "s", Owner: "default"}}},
		"region":                       {Region: "a b"},
		"upload expiry":                {UploadExpiry: -1},
	} {
		err := c.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
