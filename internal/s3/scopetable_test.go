package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// needs is what each operation of the table needs, in the words of Key.Mode's documentation. An operation without a row fails
// the test: say here what it needs.
var needs = map[string]string{
	"ListBuckets":   "list buckets",
	"HeadBucket":    "probe",
	"CreateBucket":  "make bucket",
	"DeleteBucket":  "drop bucket",
	"DeleteObjects": "delete",
	"DeleteObject":  "delete",

	"GetBucketLocation": "probe", "GetBucketAcl": "probe", "PutBucketAcl": "set bucket",
	"ListObjects": "list", "ListObjectsV2": "list", "ListObjectVersions": "list", "ListMultipartUploads": "list", "ListParts": "list key",
	"GetObject": "read", "HeadObject": "read", "GetObjectAttributes": "read",
	"GetObjectAcl": "read", "GetObjectTagging": "read", "GetObjectRetention": "read", "GetObjectLegalHold": "read",
	"PutObjectAcl": "set",
	"PutObject":    "add", "CreateMultipartUpload": "add", "UploadPart": "own upload", "CompleteMultipartUpload": "own upload",
	"AbortMultipartUpload": "own upload",
	"CopyObject":           "read and add", "UploadPartCopy": "read and add",

	// What nobody can set tells nothing but that the bucket is there.
	"GetBucketPolicy": "probe", "GetBucketPolicyStatus": "probe", "GetBucketCors": "probe", "GetBucketTagging": "probe",
	"GetBucketLifecycleConfiguration": "probe", "GetBucketWebsite": "probe", "GetObjectLockConfiguration": "probe",
	"GetBucketOwnershipControls": "probe", "GetPublicAccessBlock": "probe", "GetBucketEncryption": "probe",
	"GetBucketReplication": "probe", "GetBucketVersioning": "probe", "GetBucketAccelerateConfiguration": "probe",
	"GetBucketLogging": "probe", "GetBucketNotificationConfiguration": "probe", "GetBucketRequestPayment": "probe",
}

// notSet is how operations answer that read what nobody has set.
func notSet(op *operation) string {
	for _, s := range settings {
		if s.op == op.name {
			return s.none.code
		}
	}
	if op.selector == "retention" || op.selector == "legal-hold" {
		return invalidRequest.code
	}
	return ""
}

// allowed is what each mode may do; "overwrite" is to add where something is.
var allowed = map[string]string{
	"":       "list buckets|probe|make bucket|drop bucket|delete|list|list key|read|add|overwrite|own upload|read and add|set|set bucket",
	"read":   "list buckets|probe|list|list key|read",
	"write":  "list buckets|probe|make bucket|delete|list|list key|read|add|overwrite|own upload|read and add|set|set bucket",
	"create": "probe|add|own upload",
}

// place is where a request goes. Scoped keys are for the buckets "mine" and "theirs", which has another owner, and the prefix
// "in/".
type place struct{ name, bucket, key string }

var places = []place{
	{"in scope", "mine", "in/k"},
	{"other prefix", "mine", "in"},
	{"other bucket", "other", "in/k"},
	{"missing bucket", "none", "in/k"},
	{"other owner", "theirs", "in/k"},
}

// sample is a request of an operation that goes through, if it may.
type sample struct {
	method, target, body string
	headers              []string
}

// sampleOf makes one. upload is an upload of the key, as "uploadId=…"; there is a part of the body "part" in it.
func sampleOf(op *operation, p place, upload string) sample {
	s := sample{method: op.method, target: "/" + p.bucket}
	switch op.level {
	case onService:
		return sample{method: op.method, target: "/"}
	case onObject:
		s.target += "/" + p.key
	case onBucket:
	}
	query := op.selector
	list := "<Delete><Object><Key>" + p.key + "</Key></Object></Delete>"
	switch op.name {
	case "CreateBucket":
		s.target += "-new"
	case "DeleteBucket":
		s.target += "-empty"
	case "ListObjects":
		query = "prefix=" + p.key
	case "ListObjectsV2":
		query = "list-type=2&prefix=" + p.key
	case "ListObjectVersions":
		query = "versions&prefix=" + p.key
	case "PutBucketAcl", "PutObjectAcl":
		s.headers = []string{"X-Amz-Acl", "private"}
	case "ListMultipartUploads":
		query = "uploads&prefix=" + p.key
	case "DeleteObjects":
		sum := md5.Sum([]byte(list))
		s.body, s.headers = list, []string{"Content-Md5", base64.StdEncoding.EncodeToString(sum[:])}
	case "GetObjectAttributes":
		s.headers = []string{"X-Amz-Object-Attributes", "ETag"}
	case "UploadPart", "UploadPartCopy":
		query, s.body = "partNumber=1&"+upload, "part"
	case "CompleteMultipartUpload":
		query, s.body = upload, completed("1", hexMD5("part"))
	case "AbortMultipartUpload", "ListParts":
		query = upload
	case "PutObject":
		s.body = "new"
	}
	if op.header != "" {
		s.body, s.headers = "", []string{op.header, p.bucket + "/" + p.key}
	}
	if op.name == "CopyObject" {
		s.target += "-copy"
	}
	if query != "" {
		s.target += "?" + query
	}
	return s
}

// verdict is what a cell of the table must come to.
type verdict string

const (
	granted verdict = "granted"
	denied  verdict = "denied"
	missing verdict = "missing"
	eachKey verdict = "denied for the key" // DeleteObjects decides on each
)

// cell is one combination. there says whether an object is where something is to be added.
type cell struct {
	op     *operation
	mode   string
	scoped bool
	place  place
	there  bool
}

func (c *cell) can(need string) bool {
	return slices.Contains(strings.Split(allowed[c.mode], "|"), need)
}

// adds says whether the operation brings an object under the key.
func (c *cell) adds() bool {
	return needs[c.op.name] == "add" || c.op.name == "CompleteMultipartUpload"
}

// inScope says whether the key may have been given to the place.
func (c *cell) inScope() bool {
	return c.place.bucket != "theirs" && (!c.scoped || c.place.bucket == "mine" && c.place.key == "in/k")
}

// verdict goes through the rules: mode, buckets, prefix; the bucket is there; its owner; what is there is not overwritten.
func (c *cell) verdict() verdict {
	need := needs[c.op.name]
	wholeBucket := need == "make bucket" || need == "drop bucket" || need == "set bucket"
	switch {
	case need == "read and add" && c.can("add") && c.place.bucket == "none" && !c.scoped:
		return missing // before anything is read
	case !c.can(need):
		return denied
	case c.op.level == onService:
		return granted
	case c.scoped && (c.place.bucket == "other" || c.place.bucket == "none" || wholeBucket):
		return denied
	case c.scoped && c.place.key == "in" && need != "probe" && c.op.name != "DeleteObjects":
		return denied // also a listing of more than the prefix
	case need == "make bucket":
		return granted // nobody has one of this name
	case c.place.bucket == "none":
		return missing
	case c.place.bucket == "theirs":
		return denied
	case c.scoped && c.place.key == "in" && need == "delete":
		return eachKey
	case c.there && c.adds() && !c.can("overwrite"):
		return denied
	}
	return granted
}

// TestScopeTable sends every operation with a key of every mode, with and without limits, to every place. What is denied is
// answered AccessDenied and changes nothing.
func TestScopeTable(t *testing.T) {
	seen := map[verdict]int{}
	for i := range operations {
		op := &operations[i]
		if needs[op.name] == "" {
			t.Errorf("%s: nobody has said what it needs", op.name)
			continue
		}
		for mode := range modes {
			for _, scoped := range []bool{true, false} {
				for _, p := range places {
					for _, there := range []bool{false, true} {
						c := &cell{op, mode, scoped, p, there}
						if there && !c.adds() {
							continue
						}
						seen[c.verdict()]++
						t.Run(fmt.Sprintf("%s/%q/scoped=%t/%s/there=%t", op.name, mode, scoped, p.name, there), c.run)
					}
				}
			}
		}
	}
	t.Log(seen)
}

// run makes the buckets, an object or an upload for the request to be about, and sends it.
func (c *cell) run(t *testing.T) {
	all := Key{AccessKey: testAccess, SecretKey: testSecret, Owner: "me"}
	stranger := Key{AccessKey: "AKX", SecretKey: "sx", Owner: "stranger"}
	key := Key{AccessKey: "AKEY", SecretKey: "secret-of-it", Owner: "me", Mode: c.mode}
	if c.scoped {
		key.Buckets, key.Prefix = []string{"mine", "mine-new", "mine-empty", "theirs", "theirs-new", "theirs-empty"}, "in/"
	}
	w := newWorld(t, Config{Keys: []Key{all, key, stranger}})
	for _, b := range []string{"mine", "mine-empty", "other", "other-empty"} {
		w.want(200, "", http.MethodPut, "/"+b, "")
	}
	for _, b := range []string{"theirs", "theirs-empty"} {
		w.as(stranger).want(200, "", http.MethodPut, "/"+b, "")
	}
	owner := w
	if c.place.bucket == "theirs" {
		owner = w.as(stranger)
	}
	object := "/" + c.place.bucket + "/" + c.place.key
	upload := "uploadId=none"
	if c.place.bucket != "none" {
		begins := owner
		if c.can("own upload") && c.inScope() {
			begins = w.as(key)
		}
		upload = begins.begin(object)
		begins.part(object, upload, 1, "part")
		if c.there || strings.HasPrefix(needs[c.op.name], "read") || needs[c.op.name] == "set" {
			owner.want(200, "", http.MethodPut, object, "old")
		}
	}
	s := sampleOf(c.op, c.place, upload)
	before := w.state()
	re := w.as(key).do(s.method, s.target, s.body, s.headers...)
	refused := re.status == 403 && (s.method == http.MethodHead || re.code() == "AccessDenied")
	want, ok := c.verdict(), false
	switch want {
	case granted:
		ok = re.status/100 == 2 && !strings.Contains(re.body, "AccessDenied") || notSet(c.op) != "" && re.code() == notSet(c.op)
	case missing:
		ok = re.status == 404
	case denied:
		ok = refused && w.state() == before
	case eachKey:
		ok = re.status == 200 && strings.Contains(re.body, "<Code>AccessDenied</Code>") && w.state() == before
	}
	if !ok {
		t.Errorf("want %s: %d %s\nbefore:\n%snow:\n%s", want, re.status, re.body, before, w.state())
	}
}

// state is all that is stored, as text.
func (w *world) state() string {
	w.t.Helper()
	var b strings.Builder
	ctx := w.t.Context()
	buckets, _, err := w.mem.Buckets(ctx, "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, bucket := range buckets {
		fmt.Fprintf(&b, "%s of %s\n", bucket.Name, bucket.Owner)
		objects, _, err := w.mem.List(ctx, bucket.Name, object.Page{Limit: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range objects {
			fmt.Fprintf(&b, " %s %s %v\n", o.Key, o.ETag, o.Attrs)
		}
		uploads, _, err := w.mem.ListUploads(ctx, bucket.Name, object.UploadPage{Limit: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, u := range uploads {
			fmt.Fprintf(&b, " %s upload %s\n", u.Key, u.ID)
			parts, _, err := w.mem.Parts(ctx, u.ID, 0, 1000)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, p := range parts {
				fmt.Fprintf(&b, "  %d %s\n", p.Number, p.ETag())
			}
		}
	}
	return b.String()
}

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
