package s3

import (
	"net/http"
	"slices"
	"strings"
)

// level is what an operation is about.
type level int

const (
	onService level = iota
	onBucket
	onObject
)

func (l level) String() string {
	return [...]string{"SERVICE", "BUCKET", "OBJECT"}[l]
}

// operation is a row of the closed table: when a request is it, what it does, and who does it.
type operation struct {
	name   string
	method string
	level  level
	// selector is the query parameter that asks for this operation, and header the header; empty when there is none.
	selector string
	header   string
	// params are the further query parameters that it understands.
	params []string
	act    action
	// scope is the key that act is about, where it is not the target's.
	scope func(*request) string
	// streams says that the body may come in aws-chunked framing.
	streams bool
	run     func(*request) error
}

// methods are those that have routes. All others are refused without looking further.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodOptions,
}

// overrides are the parameters that replace headers of an answer to a read.
var overrides = []string{
	"response-content-type", "response-content-language", "response-expires", "response-cache-control",
	"response-content-disposition", "response-content-encoding",
}

// operations is the table. The first row that fits is taken, so rows with a selector or header come first.
var operations = []operation{
	{
		name: "ListBuckets", method: http.MethodGet, level: onService, act: actListBuckets, run: (*request).listBuckets,
		params: []string{"max-buckets", "continuation-token", "prefix", "bucket-region"},
	},
	{name: "CreateBucket", method: http.MethodPut, level: onBucket, act: actMakeBucket, run: (*request).createBucket},
	{name: "HeadBucket", method: http.MethodHead, level: onBucket, act: actProbe, run: (*request).headBucket},
	{name: "DeleteBucket", method: http.MethodDelete, level: onBucket, act: actDropBucket, run: (*request).deleteBucket},
	{
		name: "GetBucketLocation", method: http.MethodGet, level: onBucket, selector: "location",
		act: actProbe, run: (*request).getBucketLocation,
	},
	{
		name: "GetBucketVersioning", method: http.MethodGet, level: onBucket, selector: "versioning",
		act: actProbe, run: (*request).getBucketVersioning,
	},
	{
		name: "DeleteObjects", method: http.MethodPost, level: onBucket, selector: "delete", streams: true,
		act: actDelete, scope: (*request).ownPrefix, run: (*request).deleteObjects,
	},
	{
		name: "ListObjectsV2", method: http.MethodGet, level: onBucket, selector: "list-type",
		act: actList, scope: (*request).listedPrefix, run: (*request).listObjectsV2,
		params: []string{
			"prefix", "delimiter", "max-keys", "encoding-type", "start-after", "continuation-token", "fetch-owner",
		},
	},
	{
		name: "ListObjects", method: http.MethodGet, level: onBucket,
		act: actList, scope: (*request).listedPrefix, run: (*request).listObjects,
		params: []string{"prefix", "delimiter", "max-keys", "encoding-type", "marker"},
	},
	{
		name: "CopyObject", method: http.MethodPut, level: onObject, header: "X-Amz-Copy-Source",
		act: actCreate, run: (*request).copyObject,
	},
	{
		name: "PutObject", method: http.MethodPut, level: onObject, streams: true,
		act: actCreate, run: (*request).putObject,
	},
	{
		name: "GetObject", method: http.MethodGet, level: onObject, params: overrides,
		act: actRead, run: (*request).getObject,
	},
	{
		name: "HeadObject", method: http.MethodHead, level: onObject, params: overrides,
		act: actRead, run: (*request).headObject,
	},
	{name: "DeleteObject", method: http.MethodDelete, level: onObject, act: actDelete, run: (*request).deleteObject},
}

// subresources are the query parameters that stand for something other than the bucket or object itself. Where no row of
// operations knows one, the request is refused: to answer it as if the parameter were not there would list, overwrite or
// delete what the client did not mean.
var subresources = []string{
	"abac", "accelerate", "acl", "analytics", "append", "attributes", "cors", "delete", "encryption", "events",
	"intelligent-tiering", "inventory", "legal-hold", "lifecycle", "list-type", "location", "logging",
	"metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics", "notification",
	"object-lock", "ownershipControls", "partNumber", "policy", "policyStatus", "position", "publicAccessBlock",
	"renameObject", "replication", "requestPayment", "restore", "retention", "select", "select-type", "session", "tagging",
	"torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
}

// operation finds the row for the request. When there is none, the row is empty and the error says why; it is for the
// client once it is known who it is.
func (q *request) operation() (*operation, error) {
	l := onObject
	switch {
	case q.bucket == "":
		l = onService
	case q.key == "":
		l = onBucket
	}
	var allow []string
	for i := range operations {
		op := &operations[i]
		if op.level != l {
			continue
		}
		if op.method != q.r.Method {
			if op.selector == "" && op.header == "" {
				allow = append(allow, op.method)
			}
			continue
		}
		if op.selector != "" && !q.query.has(op.selector) || op.header != "" && q.r.Header[op.header] == nil {
			continue
		}
		return op, q.explain(op)
	}
	for _, p := range q.query {
		if slices.Contains(subresources, p.name) {
			return &operation{}, notImplementedParameter.err("Parameter", p.name)
		}
	}
	if isForm(q.r) {
		return &operation{}, notImplemented.err("Header", "Content-Type")
	}
	return &operation{}, methodNotAllowed.err("Method", q.r.Method, "ResourceType", l.String()).
		with("Allow", strings.Join(slices.Compact(slices.Sorted(slices.Values(allow))), ", "))
}

// explain refuses a request with query parameters that the operation does not understand. A read may bear parameters that
// mean nothing to anybody, as Amazon has it.
func (q *request) explain(op *operation) error {
	reads := q.r.Method == http.MethodGet || q.r.Method == http.MethodHead
	for _, p := range q.query {
		switch {
		case p.name == op.selector, slices.Contains(op.params, p.name), q.isNoise(p):
		case p.name == "versionId" && p.value == "null" && op.level == onObject:
		case slices.Contains(subresources, p.name):
			return notImplementedParameter.err("Parameter", p.name)
		case !reads:
			return notImplementedParameter.err("Parameter", p.name)
		}
	}
	return nil
}

// isNoise says whether a parameter does not change what a request is: the name of the operation that some SDKs add, what
// presigned links are made of, and the client's own "x-" parameters, but no value-less ones.
func (q *request) isNoise(p param) bool {
	name := strings.ToLower(p.name)
	if strings.HasPrefix(name, "x-amz-") {
		return q.id.presigned
	}
	return name == "x-id" || strings.HasPrefix(name, "x-") && p.value != ""
}

// isForm says whether a request is an upload by an HTML form, which bears its credentials in the body.
func isForm(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/form-data")
}

// refused are headers that ask for what the door does not do. A header that it ignored would be a promise broken.
var refused = []string{
	"X-Amz-Bypass-Governance-Retention", "X-Amz-Copy-Source-Range", "X-Amz-If-Match-Last-Modified-Time",
	"X-Amz-If-Match-Size", "X-Amz-Mfa", "X-Amz-Rename-Source", "X-Amz-Tagging", "X-Amz-Website-Redirect-Location",
	"X-Amz-Write-Offset-Bytes",
}

// refusedPrefixes are refused by how they begin.
var refusedPrefixes = []string{
	"X-Amz-Server-Side-Encryption", "X-Amz-Copy-Source-Server-Side-Encryption", "X-Amz-Object-Lock-", "X-Amz-Grant-",
	"X-Amz-Bucket-Object-Lock-", "X-Amz-Rename-Source-",
}

// only are headers of which one value, in any case, says what is so anyway; others are refused.
var only = map[string]string{
	"X-Amz-Acl":                        "private",
	"X-Amz-Bucket-Object-Lock-Enabled": "false",
	"X-Amz-Object-Ownership":           "BucketOwnerEnforced",
	"X-Amz-Tagging-Directive":          "COPY",
}

// refuseHeaders refuses a request for headers that ask for what the door does not do.
func (q *request) refuseHeaders(op *operation) error {
	for name, values := range q.r.Header {
		if !strings.HasPrefix(name, "X-Amz-") {
			continue
		}
		if v, ok := only[name]; ok && !slices.ContainsFunc(values, func(s string) bool { return !strings.EqualFold(s, v) }) {
			continue
		} else if ok || slices.Contains(refused, name) ||
			slices.ContainsFunc(refusedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return notImplemented.err("Header", strings.ToLower(name))
		}
	}
	if class := q.r.Header.Get("X-Amz-Storage-Class"); class != "" && class != "STANDARD" {
		return invalidStorageClass.err("StorageClassRequested", class)
	}
	if _, streaming := streamModes[q.seal.payload]; streaming && !op.streams {
		return badArgument("x-amz-content-sha256", q.seal.payload, "This operation takes no streaming payload.")
	}
	return nil
}
