package s3

import (
	"net/http"
	"strings"
	"testing"
)

// doHost is do with a Host header of its own.
func (w *world) doHost(method, host, target, body string, headers ...string) *reply {
	w.t.Helper()
	r := w.raw(method, target, []byte(body))
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w.signer.sign(r, testHash(body))
	return w.send(r)
}

func TestHosts(t *testing.T) {
	h := newHosts([]string{"lan", "S3.Lan", "s3.example.com"})
	for host, want := range map[string]string{
		"bkt.s3.lan": "bkt", "bkt.s3.lan:9000": "bkt", "BKT.S3.LAN": "bkt", "bkt.s3.lan.": "bkt", "bkt.s3.lan.:9000": "bkt",
		"a.dotted.name.s3.lan": "a.dotted.name", "a.b.s3.example.com:1": "a.b", "s3.lan.s3.lan": "s3.lan",
		"s3.lan": "-", "S3.lan:9000": "-", "lan": "-", "s3.example.com.": "-",
		"other.lan": "other", "xs3.lan": "xs3", // below "lan"
		"example.com": "-", "xs3.example.com": "-", "s3.example.com.evil": "-", "": "-", ":9000": "-", "lan.": "-",
		"192.0.2.1": "-", "192.0.2.1:9000": "-", "[::1]:9000": "-", "[::1]": "-", "localhost:9000": "-",
		".s3.lan": "", "..s3.lan": ".",
	} {
		got, ok := h.bucket(host)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	if _, ok := newHosts(nil).bucket("bkt.s3.lan"); ok {
		t.Error("a door without domains")
	}
}

// TestVirtualHost: both styles name the same objects, side by side, and keys are opaque in both.
func TestVirtualHost(t *testing.T) {
	w := newWorld(t, Config{Domains: []string{"s3.lan", "s3.example.com"}})
	for host, bucket := range map[string]string{"bkt.s3.lan": "bkt", "BKT2.s3.lan:9000": "bkt2", "a.dotted.name.s3.example.com": "a.dotted.name"} {
		wants := func(status int, method, target, body string, headers ...string) *reply {
			t.Helper()
			re := w.doHost(method, host, target, body, headers...)
			w.wantReply(re, status, "", method+" "+host+target)
			return re
		}
		wants(200, "PUT", "/", "")
		w.want(200, "", "HEAD", "/"+bucket, "")
		for _, key := range []string{"k", "a/b", "/lead", "a//b", "./k", "../x", "d/", "a%2Fc", "+ü%20%25", bucket, bucket + "/k", "_health/ready"} {
			wants(200, "PUT", "/"+key, "of "+key)
			if re := w.want(200, "", "GET", "/"+bucket+"/"+key, ""); re.body != "of "+key {
				t.Errorf("%s: %q", key, re.body)
			}
			w.want(200, "", "PUT", "/"+bucket+"/"+key, "other "+key)
			if re := wants(200, "GET", "/"+key, ""); re.body != "other "+key {
				t.Errorf("%s: %q", key, re.body)
			}
		}
		if re := wants(200, "GET", "/?list-type=2&prefix=a/", ""); !strings.Contains(re.body, "<Name>"+bucket+"</Name>") || !strings.Contains(re.body, "<Key>a/b</Key>") {
			t.Error(re.body)
		}
		wants(200, "GET", "/?location", "")
		wants(200, "PUT", "/copy", "", "x-amz-copy-source", bucket+"/k")
		upload := between(wants(200, "POST", "/a/parts?uploads", "").body, "<UploadId>", "</UploadId>")
		wants(200, "PUT", "/a/parts?partNumber=1&uploadId="+upload, "part")
		re := wants(200, "POST", "/a/parts?uploadId="+upload, completed("1", hexMD5("part")))
		if want := "<Location>http://" + host + "/a/parts</Location>"; !strings.Contains(re.body, want) {
			t.Errorf("no %s in %s", want, re.body)
		}
		if re := w.want(200, "", "GET", "/"+bucket+"/a/parts", ""); re.body != "part" {
			t.Errorf("%q", re.body)
		}
		wants(204, "DELETE", "/a/parts", "")
		wants(409, "DELETE", "/", "")
		if re := wants(404, "GET", "/gone", ""); !strings.Contains(re.body, "<Key>gone</Key>") || !strings.Contains(re.body, "<Resource>/"+bucket+"/gone</Resource>") {
			t.Error(re.body)
		}

		r := w.raw(http.MethodGet, "/a/b", nil)
		r.Host = host
		w.signer.presign(r, 60, "UNSIGNED-PAYLOAD")
		w.wantReply(w.send(r), 200, "", "presigned")
	}
	// A domain itself names no bucket, nor does what is no name below one.
	for _, host := range []string{"s3.lan", "s3.example.com:9000", "bkt.elsewhere.lan", "192.0.2.1"} {
		re := w.doHost(http.MethodGet, host, "/", "")
		w.wantReply(re, 200, "", host)
		if !strings.Contains(re.body, "<ListAllMyBucketsResult") {
			t.Error(re.body)
		}
		w.wantReply(w.doHost(http.MethodGet, host, "/bkt/a/b", ""), 200, "", host)
	}
	for host, code := range map[string]string{"x.s3.lan": "InvalidBucketName", "a_b.s3.lan": "InvalidBucketName", "192.0.2.1.s3.lan": "InvalidBucketName", ".s3.lan": "InvalidURI", "none.s3.lan": "NoSuchBucket"} {
		re := w.doHost(http.MethodGet, host, "/k", "")
		if re.code() != code {
			t.Errorf("%s: %d %s, want %s", host, re.status, re.body, code)
		}
	}
}

// TestSignedHost: a signature is good for the Host that was sent, to the letter, so no request can be moved to another bucket.
func TestSignedHost(t *testing.T) {
	w := newWorld(t, Config{Domains: []string{"s3.lan"}})
	for _, b := range []string{"bkt", "other"} {
		w.want(200, "", "PUT", "/"+b, "")
		w.want(200, "", "PUT", "/"+b+"/bkt/k", b)
		w.want(200, "", "PUT", "/"+b+"/k", b)
	}
	for _, c := range []struct {
		signed, sent string
		status       int
	}{
		{"bkt.s3.lan", "bkt.s3.lan", 200},
		{"BKT.s3.lan:9000", "BKT.s3.lan:9000", 200},
		{"bkt.s3.lan", "other.s3.lan", 403},
		{"bkt.s3.lan", "s3.lan", 403},
		{"s3.lan", "other.s3.lan", 403},
		{"bkt.s3.lan:9000", "bkt.s3.lan", 403},
		{"bkt.s3.lan", "BKT.s3.lan", 403},
	} {
		for _, presigned := range []bool{false, true} {
			r := w.raw(http.MethodGet, "/bkt/k", nil)
			r.Host = c.signed
			if presigned {
				w.signer.presign(r, 60, "UNSIGNED-PAYLOAD")
			} else {
				w.signer.sign(r, testHash(""))
			}
			r.Host = c.sent
			re := w.send(r)
			if re.status != c.status || c.status == 403 && re.code() != "SignatureDoesNotMatch" {
				t.Errorf("%v, presigned %t: %d %s", c, presigned, re.status, re.body)
			}
		}
	}
	// Scopes are about the bucket, wherever it is named.
	scoped := Key{AccessKey: "AKS", SecretKey: "ss", Buckets: []string{"bkt"}, Prefix: "in/"}
	w2 := newWorld(t, Config{Domains: []string{"s3.lan"}, Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, scoped}})
	w2.want(200, "", "PUT", "/bkt", "")
	w2.want(200, "", "PUT", "/other", "")
	for target, status := range map[string]int{"bkt.s3.lan/in/k": 200, "bkt.s3.lan/k": 403, "other.s3.lan/in/k": 403, "other.s3.lan/bkt/in/k": 403, "s3.lan/bkt/in/k": 200} {
		host, path, _ := strings.Cut(target, "/")
		w2.wantReply(w2.as(scoped).doHost(http.MethodPut, host, "/"+path, "x"), status, "", target)
	}
}

// between is what stands between two texts.
func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}
