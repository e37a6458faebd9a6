package s3

import (
	"slices"
	"strings"
)

// hosts are the door's domains in lower case, longer ones first.
type hosts []string

func newHosts(domains []string) hosts {
	h := make(hosts, 0, len(domains))
	for _, d := range domains {
		h = append(h, strings.ToLower(d))
	}
	slices.SortFunc(h, func(a, b string) int { return len(b) - len(a) })
	return h
}

// bucket is the bucket that a Host header names, if it is a name below a domain. Of domains that are below each other the
// longest decides. Bucket names may hold dots.
func (h hosts) bucket(host string) (name string, ok bool) {
	if len(h) == 0 {
		return "", false
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && isDigits(host[i+1:]) {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, domain := range h {
		switch rest, below := strings.CutSuffix(host, domain); {
		case !below:
		case rest == "":
			return "", false
		case strings.HasSuffix(rest, "."):
			return rest[:len(rest)-1], true
		}
	}
	return "", false
}
