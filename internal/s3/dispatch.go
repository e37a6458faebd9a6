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
	// params are the further query parameters that it understands, and headers the further x-amz-… headers.
	params  []string
	headers []string
	act     action
	// scope is the key that act is about, where it is not the target's.
	scope func(*request) string
	// streams says that the body may come in aws-chunked framing, and reads that there is one to be checked.
	streams bool
	reads   bool
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

// readParams are those of reads.
var readParams = append([]string{"partNumber"}, overrides...)

// listParams are those of both versions of listing: some clients send all of them, empty.
var listParams = []string{
	"prefix", "delimiter", "max-keys", "encoding-type", "marker", "start-after", "continuation-token", "fetch-owner",
}

// operations is the table. The first row that fits is taken, so rows with a selector or header come first.
var operations = slices.Concat(settingReads(), []operation{
	{
		name: "ListBuckets", method: http.MethodGet, level: onService, act: actListBuckets, run: (*request).listBuckets,
		params: []string{"max-buckets", "continuation-token", "prefix", "bucket-region"},
	},
	{name: "GetBucketAcl", method: http.MethodGet, level: onBucket, selector: "acl", act: actProbe, run: (*request).getACL},
	{
		name: "PutBucketAcl", method: http.MethodPut, level: onBucket, selector: "acl", act: actOverwrite, reads: true,
		run: (*request).putACL,
	},
	{name: "CreateBucket", method: http.MethodPut, level: onBucket, act: actMakeBucket, reads: true, run: (*request).createBucket},
	{name: "HeadBucket", method: http.MethodHead, level: onBucket, act: actProbe, run: (*request).headBucket},
	{name: "DeleteBucket", method: http.MethodDelete, level: onBucket, act: actDropBucket, run: (*request).deleteBucket},
	{
		name: "GetBucketLocation", method: http.MethodGet, level: onBucket, selector: "location",
		act: actProbe, run: (*request).getBucketLocation,
	},
	{
		name: "DeleteObjects", method: http.MethodPost, level: onBucket, selector: "delete", streams: true, reads: true,
		act: actDelete, scope: (*request).ownPrefix, run: (*request).deleteObjects,
		headers: []string{bypassHeader},
	},
	{
		name: "ListMultipartUploads", method: http.MethodGet, level: onBucket, selector: "uploads",
		act: actList, scope: (*request).listedPrefix, run: (*request).listUploads,
		params: []string{"prefix", "delimiter", "max-uploads", "key-marker", "upload-id-marker", "encoding-type"},
	},
	{
		name: "ListObjectVersions", method: http.MethodGet, level: onBucket, selector: "versions",
		act: actList, scope: (*request).listedPrefix, run: (*request).listVersions,
		params: []string{"prefix", "delimiter", "max-keys", "encoding-type", "key-marker", "version-id-marker"},
	},
	{
		name: "ListObjectsV2", method: http.MethodGet, level: onBucket, selector: "list-type",
		act: actList, scope: (*request).listedPrefix, run: (*request).listObjectsV2,
		params: listParams,
	},
	{
		name: "ListObjects", method: http.MethodGet, level: onBucket,
		act: actList, scope: (*request).listedPrefix, run: (*request).listObjects,
		params: listParams,
	},
	{
		name: "CreateMultipartUpload", method: http.MethodPost, level: onObject, selector: "uploads",
		act: actCreate, run: (*request).createUpload,
		headers: []string{"X-Amz-Checksum-Algorithm", "X-Amz-Checksum-Type"},
	},
	{
		name: "UploadPartCopy", method: http.MethodPut, level: onObject, selector: "partNumber", header: "X-Amz-Copy-Source",
		act: actCreate, run: (*request).uploadPartCopy,
		params: []string{"uploadId"}, headers: []string{"X-Amz-Copy-Source-Range"},
	},
	{
		name: "UploadPart", method: http.MethodPut, level: onObject, selector: "partNumber", streams: true, reads: true,
		act: actCreate, run: (*request).uploadPart,
		params: []string{"uploadId"},
	},
	{
		name: "CompleteMultipartUpload", method: http.MethodPost, level: onObject, selector: "uploadId", reads: true,
		act: actCreate, run: (*request).completeUpload,
		headers: []string{"X-Amz-Checksum-Type", "X-Amz-Mp-Object-Size"},
	},
	{
		name: "AbortMultipartUpload", method: http.MethodDelete, level: onObject, selector: "uploadId",
		act: actCreate, run: (*request).abortUpload, // takes nothing away that was an object; see ownUpload
	},
	{
		name: "ListParts", method: http.MethodGet, level: onObject, selector: "uploadId",
		act: actList, run: (*request).listParts,
		params: []string{"max-parts", "part-number-marker", "encoding-type"},
	},
	{
		name: "GetObjectAttributes", method: http.MethodGet, level: onObject, selector: "attributes",
		act: actRead, run: (*request).getObjectAttributes,
		headers: []string{"X-Amz-Object-Attributes", "X-Amz-Max-Parts", "X-Amz-Part-Number-Marker"},
	},
	{name: "GetObjectAcl", method: http.MethodGet, level: onObject, selector: "acl", act: actRead, run: (*request).getACL},
	{
		name: "PutObjectAcl", method: http.MethodPut, level: onObject, selector: "acl", act: actOverwrite, reads: true,
		run: (*request).putACL,
	},
	{
		name: "GetObjectTagging", method: http.MethodGet, level: onObject, selector: "tagging",
		act: actRead, run: (*request).getObjectTagging,
	},
	{
		name: "GetObjectRetention", method: http.MethodGet, level: onObject, selector: "retention",
		act: actRead, run: (*request).getObjectLock,
	},
	{
		name: "GetObjectLegalHold", method: http.MethodGet, level: onObject, selector: "legal-hold",
		act: actRead, run: (*request).getObjectLock,
	},
	{
		name: "CopyObject", method: http.MethodPut, level: onObject, header: "X-Amz-Copy-Source",
		act: actCreate, run: (*request).copyObject,
	},
	{
		name: "PutObject", method: http.MethodPut, level: onObject, streams: true, reads: true,
		act: actCreate, run: (*request).putObject,
	},
	{
		name: "GetObject", method: http.MethodGet, level: onObject, params: readParams,
		act: actRead, run: (*request).getObject,
	},
	{
		name: "HeadObject", method: http.MethodHead, level: onObject, params: readParams,
		act: actRead, run: (*request).headObject,
	},
	{
		name: "DeleteObject", method: http.MethodDelete, level: onObject, act: actDelete, run: (*request).deleteObject,
		headers: []string{bypassHeader},
	},
})

// bypassHeader asks to delete what is under retention of a kind, and nothing is.
const bypassHeader = "X-Amz-Bypass-Governance-Retention"

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
			return &operation{}, unknownParameter(p.name)
		}
	}
	if isForm(q.r) {
		return &operation{}, unknownHeader("Content-Type")
	}
	return &operation{}, methodNotAllowed.err("Method", q.r.Method, "ResourceType", l.String()).
		with("Allow", strings.Join(slices.Compact(slices.Sorted(slices.Values(allow))), ", "))
}

// explain refuses a request with query parameters that the operation does not understand. A read may bear parameters with a
// value that mean nothing to anybody, as Amazon has it. Those that mean something may be there once: the signature does not
// cover their order, so one that is there twice could be read in two ways.
func (q *request) explain(op *operation) error {
	reads := q.r.Method == http.MethodGet || q.r.Method == http.MethodHead
	for i, p := range q.query {
		known := p.name == op.selector || slices.Contains(op.params, p.name)
		switch {
		case known, q.isNoise(p):
		case p.name == "versionId" && p.value == "null" && op.level == onObject:
		case slices.Contains(subresources, p.name), !reads, p.value == "":
			return unknownParameter(p.name)
		}
		if known || p.name == "versionId" || strings.HasPrefix(strings.ToLower(p.name), "x-amz-") {
			if slices.ContainsFunc(q.query[:i], func(o param) bool { return o.name == p.name }) {
				return badArgument(p.name, p.value, "This query parameter may be there once.")
			}
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
