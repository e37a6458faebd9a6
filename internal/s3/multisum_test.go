package s3

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// sumText is a checksum of s in base64.
func sumText(algorithm string, s ...string) string {
	c := newChecksum(algorithm)
	for _, p := range s {
		c.hash.Write([]byte(p))
	}
	return base64.StdEncoding.EncodeToString(c.hash.Sum(nil))
}

// compositeText is the checksum of the parts' checksums.
func compositeText(algorithm string, parts ...string) string {
	c := newChecksum(algorithm)
	for _, p := range parts {
		raw, _ := base64.StdEncoding.DecodeString(sumText(algorithm, p))
		c.hash.Write(raw)
	}
	return fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(c.hash.Sum(nil)), len(parts))
}

// sumCases are all algorithms with the types that they may have.
var sumCases = []struct{ algorithm, kind string }{
	{"crc32", "COMPOSITE"},
	{"crc32", "FULL_OBJECT"},
	{"crc32c", "COMPOSITE"},
	{"crc32c", "FULL_OBJECT"},
	{"crc64nvme", "FULL_OBJECT"},
	{"sha1", "COMPOSITE"},
	{"sha256", "COMPOSITE"},
}

// TestMultipartChecksums: each algorithm and type, whether the client sends the parts' checksums or not, is told by all that
// tells of the upload and of its object.
func TestMultipartChecksums(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	parts := []string{noise(5, minPart), noise(6, minPart), noise(7, 99)}
	for _, c := range sumCases {
		upper := strings.ToUpper(c.algorithm)
		header, elem := "x-amz-checksum-"+c.algorithm, "Checksum"+upper
		whole := sumText(c.algorithm, parts...)
		if c.kind == composite {
			whole = compositeText(c.algorithm, parts...)
		}
		both := fmt.Sprintf("<ChecksumAlgorithm>%s</ChecksumAlgorithm><ChecksumType>%s</ChecksumType>", upper, c.kind)
		up := w.begin("/bkt/k", "x-amz-checksum-algorithm", upper, "x-amz-checksum-type", c.kind)
		var list strings.Builder
		for i, p := range parts {
			var headers []string
			if i != 1 {
				headers = []string{header, sumText(c.algorithm, p)} // else the door computes it
			}
			re := w.want(200, "", http.MethodPut, fmt.Sprintf("/bkt/k?partNumber=%d&%s", i+1, up), p, headers...)
			if re.header.Get(header) != sumText(c.algorithm, p) || re.header.Get("X-Amz-Checksum-Type") != c.kind {
				t.Errorf("%v: part %d: %v", c, i, re.header)
			}
			sum := ""
			if i != 2 { // and the client need not know
				sum = "<" + elem + ">" + sumText(c.algorithm, p) + "</" + elem + ">"
			}
			fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag>%s</Part>", i+1, re.header.Get("Etag"), sum)
		}
		re := w.want(200, "", http.MethodGet, "/bkt/k?"+up, "")
		for _, p := range parts {
			if !strings.Contains(re.body, both) || !strings.Contains(re.body, "<"+elem+">"+sumText(c.algorithm, p)+"<") {
				t.Errorf("%v: ListParts: %s", c, re.body)
			}
		}
		if re := w.want(200, "", http.MethodGet, "/bkt?uploads", ""); !strings.Contains(re.body, both) {
			t.Errorf("%v: ListMultipartUploads: %s", c, re.body)
		}
		body := "<CompleteMultipartUpload>" + list.String() + "</CompleteMultipartUpload>"
		target := "/bkt/k?" + up
		otherSum := sumText(c.algorithm, "other")
		w.want(400, "BadDigest", http.MethodPost, target, body, header, otherSum)
		w.want(400, "InvalidPart", http.MethodPost, target, strings.Replace(body, sumText(c.algorithm, parts[1]), otherSum, 1))
		otherKind := map[string]string{composite: fullObject, fullObject: composite}[c.kind]
		w.want(400, "InvalidRequest", http.MethodPost, target, body, "x-amz-checksum-type", otherKind)
		if c.algorithm != "sha1" {
			w.want(400, "InvalidRequest", http.MethodPost, target, body, "x-amz-checksum-sha1", sumText("sha1", "x"))
		}
		value, _, _ := strings.Cut(whole, "-")
		w.want(400, "BadDigest", http.MethodPost, target, body, header, value+"-4")
		re = w.want(200, "", http.MethodPost, target, body, header, whole, "x-amz-checksum-type", c.kind)
		if !strings.Contains(re.body, "<"+elem+">"+whole+"</"+elem+"><ChecksumType>"+c.kind+"</ChecksumType>") {
			t.Errorf("%v: Complete: want %s in %s", c, whole, re.body)
		}
		w.want(200, "", http.MethodPut, "/bkt/copy", "", "x-amz-copy-source", "bkt/k")
		for _, key := range []string{"k", "copy"} {
			for _, m := range []string{http.MethodGet, http.MethodHead} {
				h := w.want(200, "", m, "/bkt/"+key, "", "x-amz-checksum-mode", "ENABLED").header
				if !slices.Equal(checksumHeaders(h), []string{http.CanonicalHeaderKey(c.algorithm)}) || h.Get(header) != whole || h.Get("X-Amz-Checksum-Type") != c.kind {
					t.Errorf("%v: %s %s: %v", c, m, key, h)
				}
				for i, p := range parts {
					h := w.want(206, "", m, fmt.Sprintf("/bkt/%s?partNumber=%d", key, i+1), "", "x-amz-checksum-mode", "ENABLED").header
					if h.Get(header) != sumText(c.algorithm, p) || h.Get("X-Amz-Checksum-Type") != c.kind {
						t.Errorf("%v: %s %s, part %d: %v", c, m, key, i+1, h)
					}
				}
			}
		}
		if re := w.want(200, "", http.MethodGet, "/bkt?list-type=2", ""); strings.Count(re.body, both) != 2 {
			t.Errorf("%v: %s", c, re.body)
		}
	}
}

// TestChecksumChoice: which algorithm goes with which type, and what a part may bring.
func TestChecksumChoice(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	for _, c := range []struct{ algorithm, kind, gets, code string }{
		{"CRC32", "", "COMPOSITE", ""},
		{"CRC32C", "", "COMPOSITE", ""},
		{"CRC64NVME", "", "FULL_OBJECT", ""},
		{"SHA1", "", "COMPOSITE", ""},
		{"sha256", "composite", "COMPOSITE", ""},
		{"CRC64NVME", "COMPOSITE", "", "InvalidRequest"},
		{"SHA1", "FULL_OBJECT", "", "InvalidRequest"},
		{"SHA256", "FULL_OBJECT", "", "InvalidRequest"},
		{"CRC32", "HALF", "", "InvalidRequest"},
		{"SHA512", "", "", "NotImplemented"},
		{"", "COMPOSITE", "", "InvalidRequest"},
	} {
		var headers []string
		for name, v := range map[string]string{"x-amz-checksum-algorithm": c.algorithm, "x-amz-checksum-type": c.kind} {
			if v != "" {
				headers = append(headers, name, v)
			}
		}
		re := w.do(http.MethodPost, "/bkt/k?uploads", "", headers...)
		if re.code() != c.code || re.header.Get("X-Amz-Checksum-Type") != c.gets ||
			c.code == "" && re.header.Get("X-Amz-Checksum-Algorithm") != strings.ToUpper(c.algorithm) {
			t.Errorf("%v: %d %q %v", c, re.status, re.code(), re.header)
		}
	}
	up := w.begin("/bkt/k", "x-amz-checksum-algorithm", "SHA256")
	re := w.want(400, "InvalidRequest", http.MethodPut, "/bkt/k?partNumber=1&"+up, "x", "x-amz-checksum-crc32", sumText("crc32", "x"))
	if !strings.Contains(re.body, "expected checksum Type: sha256, actual checksum Type: crc32") {
		t.Error(re.body)
	}
	up = w.begin("/bkt/k") // nothing was chosen: what a part brings is verified, and the object has its CRC-64/NVME
	re = w.want(200, "", http.MethodPut, "/bkt/k?partNumber=1&"+up, "x", "x-amz-checksum-crc32", sumText("crc32", "x"))
	body := completed("1", re.header.Get("Etag"))
	w.want(400, "BadDigest", http.MethodPost, "/bkt/k?"+up, body, "x-amz-checksum-crc64nvme", sumText("crc64nvme", "y"))
	w.want(400, "InvalidRequest", http.MethodPost, "/bkt/k?"+up, body, "x-amz-checksum-type", "COMPOSITE")
	re = w.want(200, "", http.MethodPost, "/bkt/k?"+up, body, "x-amz-checksum-crc64nvme", sumText("crc64nvme", "x"))
	if !strings.Contains(re.body, "<ChecksumCRC64NVME>"+sumText("crc64nvme", "x")) {
		t.Error(re.body)
	}
}

// TestGetPart: parts are read by their place in the object.
func TestGetPart(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	parts := []string{noise(1, minPart), noise(2, minPart), noise(3, minPart+1), "last"}
	up := w.begin("/bkt/k")
	var list []string
	for i, p := range parts {
		list = append(list, fmt.Sprint(10*i+10), w.part("/bkt/k", up, 10*i+10, p))
	}
	w.want(200, "", http.MethodPost, "/bkt/k?"+up, completed(list...))
	w.want(200, "", http.MethodPut, "/bkt/one", "one piece")
	w.want(200, "", http.MethodPut, "/bkt/empty", "")
	size := 3*minPart + 5
	for _, c := range []struct {
		key, part, contentRange, count, body string
		status                               int
	}{
		{"k", "1", fmt.Sprintf("bytes 0-%d/%d", minPart-1, size), "4", parts[0], 206},
		{"k", "2", fmt.Sprintf("bytes %d-%d/%d", minPart, 2*minPart-1, size), "4", parts[1], 206},
		{"k", "3", fmt.Sprintf("bytes %d-%d/%d", 2*minPart, 3*minPart, size), "4", parts[2], 206},
		{"k", "4", fmt.Sprintf("bytes %d-%d/%d", 3*minPart+1, size-1, size), "4", parts[3], 206},
		{"one", "1", "bytes 0-8/9", "", "one piece", 206},
		{"empty", "1", "", "", "", 200},
	} {
		for _, m := range []string{http.MethodGet, http.MethodHead} {
			re := w.want(c.status, "", m, "/bkt/"+c.key+"?partNumber="+c.part, "")
			if re.header.Get("Content-Range") != c.contentRange || re.header.Get("X-Amz-Mp-Parts-Count") != c.count ||
				re.header.Get("Content-Length") != fmt.Sprint(len(c.body)) || m == http.MethodGet && re.body != c.body {
				t.Errorf("%s %s part %s: %v", m, c.key, c.part, re.header)
			}
		}
	}
	if h := w.want(200, "", http.MethodHead, "/bkt/k", "").header; h.Get("X-Amz-Mp-Parts-Count") != "" {
		t.Error(h)
	}
	re := w.want(416, "InvalidPartNumber", http.MethodGet, "/bkt/k?partNumber=5", "")
	if !strings.Contains(re.body, "<PartNumberRequested>5</PartNumberRequested><ActualPartCount>4</ActualPartCount>") {
		t.Error(re.body)
	}
	w.want(416, "InvalidPartNumber", http.MethodGet, "/bkt/one?partNumber=2", "")
	w.want(416, "", http.MethodHead, "/bkt/one?partNumber=2", "")
	w.want(400, "InvalidArgument", http.MethodGet, "/bkt/k?partNumber=0", "")
	w.want(400, "InvalidRequest", http.MethodGet, "/bkt/k?partNumber=1", "", "Range", "bytes=0-1")
	w.want(412, "PreconditionFailed", http.MethodGet, "/bkt/k?partNumber=1", "", "If-Match", `"other"`)
}

// TestManyPartSums: the checksums of so many parts are not kept, and none is told then.
func TestManyPartSums(t *testing.T) {
	upload := note{Algorithm: "sha256", Type: composite}
	for n, kept := range map[int]bool{maxPartSums / 32: true, maxPartSums/32 + 1: false} {
		parts := make([]object.Part, n)
		for i := range parts {
			parts[i] = object.Part{Number: i + 1, Size: minPart, Note: note{Algorithm: "sha256", Value: bytes.Repeat([]byte{byte(i)}, 32)}.String()}
		}
		got, err := upload.ofObject(parts)
		info := object.Info{Parts: []object.PartRun{{Count: n, Size: minPart}}, Note: got.String()}
		if err != nil || (sumOfPart(&info, 2).value != "") != kept || !strings.HasSuffix(sumOf(&info).value, fmt.Sprintf("=-%d", n)) {
			t.Errorf("%d parts: %v, %v, %v", n, err, sumOfPart(&info, 2), sumOf(&info))
		}
		if len(info.Note) > 2*maxPartSums {
			t.Errorf("the note of %d parts has %d bytes", n, len(info.Note))
		}
		parts[n-1].Note = ""
		if _, err := upload.ofObject(parts); err == nil {
			t.Error("a part without a checksum went unnoticed")
		}
	}
}
