package s3

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// route is a request that some row of operations, or none, is for.
type route struct {
	op             *operation // nil: none
	method, target string
	header, value  string
}

func (r route) String() string { return strings.TrimSpace(r.method + " " + r.target + " " + r.header) }

// everyOperation are routes to all rows of the table, about one bucket and one key. What is added to the table is tested with
// the rest.
func everyOperation(bucket, key, upload string) []route {
	var routes []route
	for i := range operations {
		op := &operations[i]
		r := route{op: op, method: op.method, target: [...]string{"/", "/" + bucket, "/" + bucket + "/" + key}[op.level]}
		var query []string
		switch op.selector {
		case "":
		case "list-type":
			query = append(query, "list-type=2")
		case "partNumber":
			query = append(query, "partNumber=1")
		case "uploadId":
			query = append(query, upload)
		default:
			query = append(query, op.selector)
		}
		if slices.Contains(op.params, "uploadId") {
			query = append(query, upload)
		}
		if query != nil {
			r.target += "?" + strings.Join(query, "&")
		}
		if op.header != "" {
			r.header, r.value = op.header, "/"+bucket+"/"+key
		}
		routes = append(routes, r)
	}
	return routes
}

// everySubresource are routes to what the door may or may not know, with every method, and to what other servers have beside
// their buckets: consoles, administration, metrics, profiles, and second ways to upload.
func everySubresource(bucket, key string) []route {
	var routes []route
	for _, m := range append([]string{http.MethodPatch, http.MethodTrace}, methods...) {
		if m == http.MethodOptions {
			continue // bears no signature; see TestNotImplemented
		}
		for _, sub := range append([]string{"nosuch", "Action=AssumeRole", "Action=CreateUser&Version=2010-05-08"}, subresources...) {
			for _, target := range []string{"/", "/" + bucket, "/" + bucket + "/" + key} {
				routes = append(routes, route{method: m, target: target + "?" + sub})
			}
		}
		for _, target := range []string{
			"/debug/pprof/", "/debug/vars", "/metrics", "/minio/admin/v3/info", "/minio/v2/metrics/cluster", "/minio/bootstrap/v1/verify",
			"/admin", "/_next/static", "/crossdomain.xml", "/favicon.ico", "/.well-known/x", "/" + bucket + "/../" + bucket, "/%2e%2e/" + bucket,
		} {
			routes = append(routes, route{method: m, target: target})
		}
		routes = append(routes, route{method: m, target: "/" + bucket + "/" + key, header: "X-Amz-Meta-Snowball-Auto-Extract", value: "true"})
	}
	return routes
}

// request makes the request of a route, unsigned.
func (w *world) request(r route) *http.Request {
	w.t.Helper()
	req := w.raw(r.method, r.target, nil)
	if r.header != "" {
		req.Header.Set(r.header, r.value)
	}
	return req
}

// what an answer is about, and what no two answers have in common
var ownWords = regexp.MustCompile(`<(RequestId|SignatureProvided|StringToSign|StringToSignBytes|CanonicalRequestBytes)>[^<]*</`)

// seen is all of an answer that could tell a stranger something: what is there and what is missing have names of one length.
func (r *reply) seen() string {
	h := maps.Clone(r.header)
	for _, own := range []string{"X-Amz-Request-Id", "Date"} {
		delete(h, own)
	}
	body := ownWords.ReplaceAllString(r.body, "<$1></")
	return strings.NewReplacer("missingb", "bkt-here", "gonez", "there", "none0", "open0").Replace(fmt.Sprint(r.status, h, body))
}

// pairs are routes about what is there, and the same about what is missing.
func (w *world) pairs() (there, missing []route) {
	w.t.Helper()
	w.want(200, "", http.MethodPut, "/bkt-here", "")
	w.want(200, "", http.MethodPut, "/bkt-here/there", "content")
	upload := w.begin("/bkt-here/there")
	there = append(everyOperation("bkt-here", "there", upload), everySubresource("bkt-here", "there")...)
	missing = append(everyOperation("missingb", "gonez", strings.Repeat("0", len(upload))), everySubresource("missingb", "gonez")...)
	none := "uploadId=" + strings.Repeat("0", len(upload)-len("uploadId="))
	for i := range missing {
		missing[i].target = strings.ReplaceAll(missing[i].target, strings.Repeat("0", len(upload)), none)
		there[i].target = strings.ReplaceAll(there[i].target, upload, none) // it tells nothing else, and is another each time
	}
	return there, missing
}

// TestMatrix sends every route with every shape of bad authentication. The store is never asked, nothing gets in, and what is
// there is answered like what is missing.
func TestMatrix(t *testing.T) {
	w := newWorld(t, Config{StrictRegion: true})
	there, missing := w.pairs()
	asked := w.calls.n.Load()
	for i, r := range there {
		for j, d := range disguises {
			if r.op == nil && j%16 != i%16 {
				continue // each of these routes with a few of the disguises, and each disguise with many of the routes
			}
			var seen [2]string
			for k, r := range []route{r, missing[i]} {
				req := w.request(r)
				d.sign(w, req)
				re := w.send(req)
				code := d.code
				if r.method == http.MethodHead {
					code = ""
				}
				if w.wantReply(re, d.status, code, d.name+": "+r.String()); t.Failed() {
					return
				}
				seen[k] = re.seen()
			}
			if seen[0] != seen[1] {
				t.Fatalf("%s: %s\nwhat is there:   %s\nwhat is missing: %s", d.name, r, seen[0], seen[1])
			}
		}
	}
	if n := w.calls.n.Load() - asked; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestMatrixOfScopes sends every operation with keys that may not do it. Where the key's scope says no, the store is not asked,
// and what is there is answered like what is missing.
func TestMatrixOfScopes(t *testing.T) {
	keys := []Key{
		{AccessKey: testAccess, SecretKey: testSecret},
		{AccessKey: "AKREAD", SecretKey: "secret of read", Mode: "read"},
		{AccessKey: "AKWRITE", SecretKey: "secret of write", Mode: "write"},
		{AccessKey: "AKCREATE", SecretKey: "secret of create", Mode: "create"},
		{AccessKey: "AKBUCKET", SecretKey: "secret of bucket", Buckets: []string{"elsewhere"}},
		{AccessKey: "AKPREFIX", SecretKey: "secret of prefix", Prefix: "in/"},
	}
	w := newWorld(t, Config{Keys: keys})
	there, missing := w.pairs()
	refused := map[string]int{}
	for i, r := range there {
		if r.op == nil {
			continue
		}
		for j := range keys {
			k := &keys[j]
			key := ""
			if r.op.level == onObject {
				key = "there"
			}
			bucket := ""
			if r.op.level != onService {
				bucket = "bkt-here"
			}
			if (identity{key: k}).allows(r.op.act, bucket, key) {
				continue
			}
			if r.op.name == "DeleteObjects" && k.Prefix != "" {
				continue // is asked of each key it names
			}
			refused[k.AccessKey]++
			var seen [2]string
			for n, r := range []route{r, missing[i]} {
				asked := w.calls.n.Load()
				req := w.request(r)
				w.as(*k).signer.sign(req, emptySHA256)
				re := w.send(req)
				code := "AccessDenied"
				if r.method == http.MethodHead {
					code = ""
				}
				w.wantReply(re, 403, code, k.AccessKey+": "+r.String())
				if n := w.calls.n.Load() - asked; n != 0 {
					t.Errorf("%s: %s: the store was asked %d times", k.AccessKey, r, n)
				}
				seen[n] = re.seen()
			}
			if seen[0] != seen[1] {
				t.Errorf("%s: %s\nwhat is there:   %s\nwhat is missing: %s", k.AccessKey, r, seen[0], seen[1])
			}
		}
	}
	for _, k := range keys[1:] {
		if refused[k.AccessKey] == 0 {
			t.Errorf("%s was refused nothing", k.AccessKey)
		}
	}
}
