package s3

import (
	"net/http"
	"slices"
	"strings"
)

// accepted are the x-amz-… headers that the door acts on, or that ask for nothing. With those that metaPrefix begins, those
// in only, checksums, and what the operation adds, they are all: a header that it ignored would be a promise broken.
var accepted = []string{
	"X-Amz-Content-Sha256", "X-Amz-Copy-Source", "X-Amz-Copy-Source-If-Match", "X-Amz-Copy-Source-If-Modified-Since",
	"X-Amz-Copy-Source-If-None-Match", "X-Amz-Copy-Source-If-Unmodified-Since", "X-Amz-Date",
	"X-Amz-Decoded-Content-Length", "X-Amz-Expected-Bucket-Owner", "X-Amz-Metadata-Directive",
	"X-Amz-Optional-Object-Attributes", // what is restored from archives, and nothing is
	"X-Amz-Request-Payer", "X-Amz-Sdk-Checksum-Algorithm", "X-Amz-Source-Expected-Bucket-Owner", "X-Amz-Storage-Class",
	"X-Amz-Trailer", "X-Amz-User-Agent",
}

// only are headers of which one value, in any case, says what is so anyway; others are refused.
var only = map[string]string{
	"X-Amz-Acl":                        "private",
	"X-Amz-Bucket-Object-Lock-Enabled": "false",
	"X-Amz-Checksum-Type":              fullObject,
	"X-Amz-Object-Ownership":           "BucketOwnerEnforced",
	"X-Amz-Tagging-Directive":          "COPY",
}

// refuseHeaders refuses a request for headers that ask for what the door does not do.
func (q *request) refuseHeaders(op *operation) error {
	// No key of ours is temporary. A door without keys looks at nothing that is for proving who asks.
	if !q.id.anybody && (q.r.Header["X-Amz-Security-Token"] != nil || q.query.has("X-Amz-Security-Token")) {
		return invalidToken.err()
	}
	for name, values := range q.r.Header {
		if strings.HasPrefix(name, "X-Amz-") && !slices.Contains(op.headers, name) && !q.takesHeader(op, name, values) {
			return unknownHeader(name)
		}
	}
	if class := q.r.Header.Get("X-Amz-Storage-Class"); class != "" && class != "STANDARD" {
		return invalidStorageClass.err("StorageClassRequested", class)
	}
	if _, streaming := streamModes[q.seal.payload]; streaming && !op.streams {
		return badArgument("x-amz-content-sha256", q.seal.payload, "This operation takes no streaming payload.")
	}
	return checkAlgorithm(op, q.r.Header)
}

// takesHeader says whether an x-amz-… header, with these values, is one that the operation keeps its word on.
func (q *request) takesHeader(op *operation, name string, values []string) bool {
	if v, ok := only[name]; ok {
		return !slices.ContainsFunc(values, func(s string) bool { return !strings.EqualFold(s, v) })
	}
	sum, isSum := strings.CutPrefix(strings.ToLower(name), checksumPrefix)
	switch {
	case name == "X-Amz-Security-Token":
		return q.id.anybody
	case !isSum:
		return slices.Contains(accepted, name) || strings.HasPrefix(name, metaPrefix)
	case sum == "mode":
		return true
	case sum == "algorithm":
		// A copy is given the checksum that every object has, and an upload the one that it brings.
		return len(values) == 1 && (strings.EqualFold(values[0], "crc64nvme") || op.reads && newChecksum(strings.ToLower(values[0])) != nil)
	case op.reads:
		return newChecksum(sum) != nil
	default:
		// Nobody would compare it with anything. Some SDKs presign that of no body, which is true of a read.
		return op.header == "" && len(values) == 1 && emptyChecksum(name, values[0])
	}
}

// checkAlgorithm refuses an upload that names another algorithm than that of the checksum it brings.
func checkAlgorithm(op *operation, h http.Header) error {
	alg := strings.ToLower(h.Get("X-Amz-Checksum-Algorithm"))
	if alg == "" || !op.reads || slices.Contains(op.headers, "X-Amz-Checksum-Algorithm") {
		return nil
	}
	sum, err := announcedChecksum(h)
	if err != nil {
		return err
	}
	if sum == nil && alg == "crc64nvme" || sum != nil && sum.name == alg {
		return nil
	}
	return invalidRequest.says("x-amz-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.").err()
}
