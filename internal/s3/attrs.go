package s3

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"hugbucket/internal/object"
)

const (
	// maxMetadata is how many bytes the names and values of user metadata may have together.
	maxMetadata = 2 << 10

	metaPrefix         = "X-Amz-Meta-"
	defaultContentType = "binary/octet-stream"
)

// contentHeaders are kept with an object, by their names in requests and in object.Attrs.
var contentHeaders = []struct{ header, attr string }{
	{"Content-Type", "content-type"},
	{"Cache-Control", "cache-control"},
	{"Content-Disposition", "content-disposition"},
	{"Content-Encoding", "content-encoding"},
	{"Content-Language", "content-language"},
	{"Expires", "expires"},
}

// readAttrs reads what a request says about the object that it makes.
func readAttrs(h http.Header) (object.Attrs, error) {
	a := object.Attrs{Headers: map[string]string{}, Meta: map[string]string{}}
	for _, c := range contentHeaders {
		v := strings.Join(h[c.header], ", ")
		if c.header == "Content-Encoding" {
			v = withoutAWSChunked(v)
		}
		if v != "" {
			a.Headers[c.attr] = validText(v)
		}
	}
	size := 0
	for header, values := range h {
		name, ok := strings.CutPrefix(header, metaPrefix)
		if !ok || name == "" {
			continue
		}
		v := validText(strings.Join(values, ","))
		size += len(name) + len(v)
		a.Meta[strings.ToLower(name)] = v
	}
	if size > maxMetadata {
		return a, metadataTooLarge.err("Size", strconv.Itoa(size), "MaxSizeAllowed", strconv.Itoa(maxMetadata))
	}
	return a, nil
}

// validText makes text of a header value. What is not UTF-8 is Latin-1, as HTTP once had it.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// writeAttrs sets the headers that tell what readAttrs read. Names are spelled as Amazon's answers have them.
func writeAttrs(h http.Header, a *object.Attrs) {
	h["Content-Type"] = []string{defaultContentType}
	for _, c := range contentHeaders {
		if v := a.Headers[c.attr]; v != "" {
			h[c.header] = []string{headerText(v)}
		}
	}
	for name, v := range a.Meta {
		if name = headerName(name); name != "" {
			h["x-amz-meta-"+name] = []string{headerText(v)}
		}
	}
}

// writeFileHash tells the Xet file hash of an object: who has the same content has the same hash, and need not fetch it. In
// the answer to a read it is that of the whole object, whatever part is sent.
func writeFileHash(h http.Header, info *object.Info) {
	h["X-Xet-Hash"] = []string{info.File.String()}
}

// headerText makes text fit for a header: other doors may keep values that hold line ends.
func headerText(s string) string {
	if !strings.ContainsFunc(s, isControl) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if isControl(c) {
			return ' '
		}
		return c
	}, s)
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7F }

// headerName is empty for a name that cannot be part of a header's.
func headerName(s string) string {
	if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7F || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c) }) {
		return ""
	}
	return s
}
