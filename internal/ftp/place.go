package ftp

import (
	"path"
	"strings"
	"unicode/utf8"

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

// placeOf follows a path from the directory that the client is in. What leads above the root ends there.
func placeOf(cwd, name string) (place, error) {
	if !strings.HasPrefix(name, "/") {
		name = cwd + "/" + name
	}
	name = path.Clean("/" + name)[1:]
	if !utf8.ValidString(name) || strings.ContainsFunc(name, isControl) {
		return place{}, errName
	}
	bucket, key, _ := strings.Cut(name, "/")
	if len(key) > object.MaxKeyLen {
		return place{}, errName
	}
	return place{bucket, key}, nil
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
