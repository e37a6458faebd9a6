package object

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"hugbucket/internal/xet"
)

// MaxKeyLen is the longest key in bytes.
const MaxKeyLen = 1024

// Bucket describes a bucket.
type Bucket struct {
	Name    string
	Owner   string // the owner of the access key that made it; empty is the default owner
	Created time.Time
}

// Info describes an object. It is a value: copying it is safe as long as nobody writes to its maps and slices.
type Info struct {
	Bucket  string
	Key     string
	Size    int64     // bytes
	ModTime time.Time // when the object came to be under this key, or what the client set; to the millisecond, UTC
	ETag    string    // without quotes; an MD5 in hex, or something with a "-" in it (see ETagOf)
	File    xet.Hash  // the Xet file hash of the content
	Digests Digests
	Attrs   Attrs
	// Parts are the sizes of the parts of an object that was uploaded in parts, in order; nil when it came in one piece, and in
	// a listing.
	Parts []PartRun
	// Note is what a door keeps with the object, for example a checksum of its own; the store does not look at it.
	Note string
}

// IsMarker says whether this is a directory rather than an object: an empty object whose key ends in "/", as programs make them that
// show keys as paths.
func (i *Info) IsMarker() bool { return i.Size == 0 && strings.HasSuffix(i.Key, "/") }

// PartRun are parts of equal sizes that follow each other. Neighbours in a list of runs have different sizes.
type PartRun struct {
	Count int
	Size  int64 // bytes of each
}

// Digests of the whole content. Each is nil when it is not known.
type Digests struct {
	MD5       []byte `json:"md5,omitempty"`       // 16 bytes
	SHA256    []byte `json:"sha256,omitempty"`    // 32 bytes
	CRC64NVME []byte `json:"crc64nvme,omitempty"` // 8 bytes, big endian
}

// Attrs are what a client said about an object beside its bytes. The store keeps them and gives them back, no more.
type Attrs struct {
	// Headers are the content headers: lower-case names such as "content-type" or "cache-control".
	Headers map[string]string `json:"headers,omitempty"`
	// Meta is user metadata: lower-case names without any protocol's prefix.
	Meta map[string]string `json:"meta,omitempty"`
}

// Same says whether two Infos are the same in everything.
func (i *Info) Same(o *Info) bool {
	return i.Bucket == o.Bucket && i.Key == o.Key && i.Size == o.Size && i.ModTime.Equal(o.ModTime) && i.ETag == o.ETag && i.File == o.File &&
		bytes.Equal(i.Digests.MD5, o.Digests.MD5) && bytes.Equal(i.Digests.SHA256, o.Digests.SHA256) &&
		bytes.Equal(i.Digests.CRC64NVME, o.Digests.CRC64NVME) &&
		maps.Equal(i.Attrs.Headers, o.Attrs.Headers) && maps.Equal(i.Attrs.Meta, o.Attrs.Meta) &&
		slices.Equal(i.Parts, o.Parts) && i.Note == o.Note
}

// validAttrs returns an InvalidError unless all names and values are valid UTF-8: drivers keep them as text.
func validAttrs(a Attrs) error {
	for _, m := range []map[string]string{a.Headers, a.Meta} {
		for name, value := range m {
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				return &InvalidError{"metadata", fmt.Sprintf("the name or value of %q is not valid UTF-8", name)}
			}
		}
	}
	return nil
}

// ETagOf is the ETag of content that came in one piece: its MD5 in hex, or, when the MD5 is unknown, the first 32 hex
// digits of the file hash and "-1": anything that is not an MD5 holds a "-", or clients report corruption.
func ETagOf(md5 []byte, file xet.Hash) string {
	if len(md5) == 16 {
		return hex.EncodeToString(md5)
	}
	return file.String()[:32] + "-1"
}

// ValidKey returns an InvalidError unless key is 1 to MaxKeyLen bytes of valid UTF-8. Nothing else is forbidden:
// "a", "a/b", "a//b", "../x" and "d/" are different keys and none is a path.
func ValidKey(key string) error {
	switch {
	case key == "":
		return &InvalidError{"key", "it is empty"}
	case len(key) > MaxKeyLen:
		return &InvalidError{"key", "it is longer than 1024 bytes"}
	case !utf8.ValidString(key):
		return &InvalidError{"key", "it is not valid UTF-8"}
	}
	return nil
}

// ValidBucket returns an InvalidError unless name is a bucket name as S3 allows it (Amazon S3 User Guide, "General
// purpose bucket naming rules"): 3 to 63 of a-z, 0-9, "." and "-", beginning and ending with a letter or digit, no
// two dots in a row, not in the form of an IPv4 address, none of the reserved prefixes and suffixes.
func ValidBucket(name string) error {
	bad := func(rule string) error { return &InvalidError{"bucket", rule} }
	if len(name) < 3 || len(name) > 63 {
		return bad("a bucket name has 3 to 63 characters")
	}
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	dots, digits := 0, 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			dots++
			if i > 0 && name[i-1] == '.' {
				return bad("a bucket name has no two dots in a row")
			}
		case c >= '0' && c <= '9':
			digits++
		case !alnum(c) && c != '-':
			return bad("a bucket name is made of a-z, 0-9, '.' and '-'")
		}
	}
	if !alnum(name[0]) || !alnum(name[len(name)-1]) {
		return bad("a bucket name begins and ends with a letter or digit")
	}
	if dots == 3 && dots+digits == len(name) {
		return bad("a bucket name is not an IP address")
	}
	for _, p := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if len(name) >= len(p) && name[:len(p)] == p {
			return bad("a bucket name does not begin with " + p)
		}
	}
	for _, s := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if len(name) >= len(s) && name[len(name)-len(s):] == s {
			return bad("a bucket name does not end with " + s)
		}
	}
	return nil
}
