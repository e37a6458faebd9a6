package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestGetObjectAttributes compares whole documents.
func TestGetObjectAttributes(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/one", "x")
	parts := []string{noise(1, minPart), noise(2, minPart), "last"}
	up := w.begin("/bkt/k", "x-amz-checksum-algorithm", "SHA256")
	var list, rows []string
	for i, p := range parts {
		list = append(list, fmt.Sprint(i+1), w.part("/bkt/k", up, i+1, p))
		rows = append(rows, fmt.Sprintf("<Part><PartNumber>%d</PartNumber><Size>%d</Size><ChecksumSHA256>%s</ChecksumSHA256></Part>", i+1, len(p), sumText("sha256", p)))
	}
	w.want(200, "", http.MethodPost, "/bkt/k?"+up, completed(list...))
	sum := compositeText("sha256", parts...)
	bare, _, _ := strings.Cut(sum, "-")
	page := func(after, next, limit int, more bool, rows ...string) string {
		return fmt.Sprintf("<ObjectParts><PartsCount>3</PartsCount><PartNumberMarker>%d</PartNumberMarker><NextPartNumberMarker>%d</NextPartNumberMarker>"+
			"<MaxParts>%d</MaxParts><IsTruncated>%v</IsTruncated>%s</ObjectParts>", after, next, limit, more, strings.Join(rows, ""))
	}
	for _, c := range []struct {
		key     string
		headers []string
		want    string
	}{
		{"k", []string{"x-amz-object-attributes", "ObjectSize, ETag,Checksum,StorageClass"}, "<ETag>" + etagOf(parts...) + "</ETag><Checksum><ChecksumSHA256>" + sum +
			"</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType></Checksum><StorageClass>STANDARD</StorageClass>" + fmt.Sprintf("<ObjectSize>%d</ObjectSize>", 2*minPart+4)},
		{"k", []string{"x-amz-object-attributes", "ObjectParts"}, page(0, 3, 1000, false, rows...)},
		{"k", []string{"x-amz-object-attributes", "ObjectParts,Checksum"}, "<Checksum><ChecksumSHA256>" + bare +
			"</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType></Checksum>" + page(0, 3, 1000, false, rows...)},
		{"k", []string{"x-amz-object-attributes", "ObjectParts", "x-amz-max-parts", "2"}, page(0, 2, 2, true, rows[:2]...)},
		{"k", []string{"x-amz-object-attributes", "ObjectParts", "x-amz-max-parts", "2", "x-amz-part-number-marker", "2"}, page(2, 3, 2, false, rows[2])},
		{"k", []string{"x-amz-object-attributes", "ObjectParts", "x-amz-part-number-marker", "2147483647"}, page(2147483647, 2147483647, 1000, false)},
		{"one", []string{"x-amz-object-attributes", "ETag,Checksum,ObjectParts,ObjectSize"}, "<ETag>9dd4e461268c8034f5c8564e155c67a6</ETag><Checksum><ChecksumCRC64NVME>" +
			sumText("crc64nvme", "x") + "</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType></Checksum><ObjectSize>1</ObjectSize>"},
	} {
		re := w.want(200, "", http.MethodGet, "/bkt/"+c.key+"?attributes", "", c.headers...)
		_, got, _ := strings.Cut(re.body, `2006-03-01/">`)
		if got != c.want+"</GetObjectAttributesResponse>" || re.header.Get("Last-Modified") != testTime.Format(http.TimeFormat) {
			t.Errorf("%s %v: %s\nwant %s", c.key, c.headers, got, c.want)
		}
	}
	const what = "x-amz-object-attributes"
	w.want(400, "InvalidRequest", http.MethodGet, "/bkt/k?attributes", "")
	w.want(400, "InvalidArgument", http.MethodGet, "/bkt/k?attributes", "", what, "Colour")
	w.want(400, "InvalidArgument", http.MethodGet, "/bkt/k?attributes", "", what, "ETag", "x-amz-max-parts", "x")
	w.want(404, "NoSuchKey", http.MethodGet, "/bkt/gone?attributes", "", what, "ETag")
	w.want(412, "PreconditionFailed", http.MethodGet, "/bkt/k?attributes", "", what, "ETag", "If-Match", "other")
	w.want(501, "NotImplemented", http.MethodGet, "/bkt/k", "", what, "ETag")
}
