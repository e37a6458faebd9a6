package ftp

import (
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"hugbucket/internal/object"
)

// place is where a path leads. The zero place is the root; with no key it is a bucket.
type place struct{ bucket, key string }

func (p place) isRoot() bool   { return p.bucket == "" }
func (p place) isBucket() bool { return p.bucket != "" && p.key == "" }

// dir is the prefix of all keys below a place that is a directory.
func (p place) dir() string {
	if p.key == "" {
		return ""
	}
	return p.key + "/"
}

// base is the last name of the path.
func (p place) base() string {
	if p.key == "" {
		return p.bucket
	}
	return p.key[strings.LastIndexByte(p.key, '/')+1:]
}

// placeOf follows a path from the directory that the client is in. What leads above the root ends there. A name that is not UTF-8 is
// taken for Windows-1252, which has the characters of Latin-1: scanners write names so. Each byte is a character of its own there, so the
// same bytes lead to the same place again, as do those of the name that listings show. Bytes that are none are no name: two of these
// must not become one.
func placeOf(cwd, name string) (place, error) {
	if !strings.HasPrefix(name, "/") {
		name = cwd + "/" + name
	}
	name = path.Clean("/" + name)[1:]
	name, ok := toUTF8(name)
	if !ok || strings.ContainsFunc(name, isControl) {
		return place{}, errName
	}
	bucket, key, _ := strings.Cut(name, "/")
	if len(key) > object.MaxKeyLen {
		return place{}, errName
	}
	return place{bucket, key}, nil
}

// toUTF8 reads those names of a path that are not UTF-8 as Windows-1252; false when one is neither.
func toUTF8(path string) (_ string, ok bool) {
	if utf8.ValidString(path) {
		return path, true
	}
	names := strings.Split(path, "/")
	for i, name := range names {
		if utf8.ValidString(name) {
			continue
		}
		var out strings.Builder
		for _, b := range []byte(name) {
			r := charmap.Windows1252.DecodeByte(b)
			if r == utf8.RuneError {
				return "", false
			}
			out.WriteRune(r)
		}
		names[i] = out.String()
	}
	return strings.Join(names, "/"), true
}

// nameable says whether a path can lead to a key: it has no segment that paths lose, and nothing that breaks a line. A marker's
// key ends in a "/".
func nameable(key string) bool {
	for segment := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, isControl) {
			return false
		}
	}
	return true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isPattern says whether a name may stand for several.
func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }
