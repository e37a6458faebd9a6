package push

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
)

// maxChanges is how many buckets Changes names: a line of the log has an end.
const maxChanges = 20

// Changes says in words for the log what a list of buckets, both of them valid, changes of the one before. Bare tokens are called by
// their beginnings, and others are counted: whoever reads it cannot push.
func Changes(before, now []Bucket) string {
	was, is := byKey(before), byKey(now)
	var said []string
	for _, b := range now {
		old, there := was[b.key()]
		if !there {
			said = append(said, b.label()+" added")
		} else if how := changed(old, b); how != "" {
			said = append(said, b.label()+" "+how)
		}
	}
	for _, b := range before {
		if _, there := is[b.key()]; !there {
			said = append(said, b.label()+" removed")
		}
	}
	if len(said) == 0 {
		return "none"
	}
	if more := len(said) - maxChanges; more > 0 {
		said = append(said[:maxChanges], fmt.Sprintf("%d more", more))
	}
	return strings.Join(said, ", ")
}

func byKey(list []Bucket) map[string]Bucket {
	out := make(map[string]Bucket, len(list))
	for _, b := range list {
		out[b.key()] = b
	}
	return out
}

// changed says what is other about a bucket; nothing when it is the same, whichever way its tokens are written.
func changed(before, now Bucket) string {
	was, is := digestSet(before), digestSet(now)
	var said []string
	if n := lacking(is, was); n > 0 {
		said = append(said, fmt.Sprintf("tokens +%d", n))
	}
	if n := lacking(was, is); n > 0 {
		said = append(said, fmt.Sprintf("tokens -%d", n))
	}
	before.Token, before.TokenSHA256, before.Tokens = "", nil, nil
	now.Token, now.TokenSHA256, now.Tokens = "", nil, nil
	if !reflect.DeepEqual(before, now) {
		said = append(said, "settings changed")
	}
	return strings.Join(said, " ")
}

func digestSet(b Bucket) map[[sha256.Size]byte]bool {
	digests, _ := b.digests() // it was checked
	out := make(map[[sha256.Size]byte]bool, len(digests))
	for _, d := range digests {
		out[d] = true
	}
	return out
}

// lacking is how many of a set another has not.
func lacking(set, from map[[sha256.Size]byte]bool) (n int) {
	for d := range set {
		if !from[d] {
			n++
		}
	}
	return n
}
