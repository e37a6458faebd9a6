package object

import (
	"context"
	"strings"
)

const (
	// maxPage is the most a driver is asked for at once, and the most that List returns.
	maxPage = 1000
	// shortPage is how many rows are read at least: enough to see the next few groups.
	shortPage = 8
)

// ListOptions say what to list. The zero value lists a bucket from its first key.
type ListOptions struct {
	Prefix     string
	Delimiter  string // any string; keys that have it after Prefix are rolled up into one common prefix
	StartAfter string // only keys > StartAfter
	Start      string // only keys >= Start; Listing.Next goes here
	Limit      int    // how many objects and common prefixes together, at most 1000; 0 means 1000
}

// Listing is one page of a bucket, in byte order of keys.
type Listing struct {
	Objects  []Info   // without their Parts
	Prefixes []string // common prefixes, each once, ending with the delimiter
	// Truncated says that there is more; Next is then the Start of the next page. Next need not be valid UTF-8.
	Truncated bool
	Next      string
}

// List returns one page of a bucket. Its cost grows with what it returns, not with what the bucket holds: a group of keys
// under a common prefix is stepped over by seeking behind it. Errors: ErrNoBucket.
func (s *Store) List(ctx context.Context, bucket string, opts ListOptions) (Listing, error) {
	if ValidBucket(bucket) != nil {
		return Listing{}, wrap("list", bucket, "", ErrNoBucket)
	}
	l, err := s.list(ctx, bucket, opts)
	return l, wrap("list", bucket, "", err)
}

func (s *Store) list(ctx context.Context, bucket string, opts ListOptions) (Listing, error) {
	var out Listing
	limit := opts.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	start := max(opts.Start, opts.Prefix)
	if opts.StartAfter != "" {
		start = max(start, opts.StartAfter+"\x00")
	}
	pageSize := limit
	for {
		had := len(out.Objects) + len(out.Prefixes)
		page, more, err := s.driver.List(ctx, bucket, Page{Prefix: opts.Prefix, Start: start, Limit: pageSize})
		if err != nil {
			return Listing{}, err
		}
		skipTo := "" // rows below it belong to a group that is listed already
		for _, info := range page {
			if info.Key < skipTo {
				continue
			}
			if len(out.Objects)+len(out.Prefixes) == limit {
				out.Truncated, out.Next = true, info.Key
				return out, nil
			}
			group, in := commonPrefix(info.Key, opts.Prefix, opts.Delimiter)
			if !in {
				out.Objects = append(out.Objects, info)
				continue
			}
			out.Prefixes = append(out.Prefixes, group)
			var ok bool
			if skipTo, ok = PrefixEnd(group); !ok {
				return out, nil // nothing sorts behind this group
			}
		}
		if !more || len(page) == 0 {
			return out, nil
		}
		start = max(page[len(page)-1].Key+"\x00", skipTo)
		// Rows of groups were read in vain: the next page is as long as this one was useful.
		useful := len(out.Objects) + len(out.Prefixes) - had
		pageSize = min(max(2*useful, shortPage), maxPage)
	}
}

// commonPrefix returns the part of key up to and with the first delimiter after prefix, if there is one.
func commonPrefix(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

// PrefixEnd returns the smallest string that sorts behind every string with this prefix; false when there is none. It need
// not be valid UTF-8.
func PrefixEnd(prefix string) (string, bool) {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xFF {
			b[i]++
			return string(b[:i+1]), true
		}
	}
	return "", false
}
