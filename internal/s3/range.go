package s3

import (
	"math"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// byteRange is a part of an object.
type byteRange struct {
	off, n int64
}

// header is the Content-Range of an answer that sends the range.
func (r byteRange) header(size int64) string {
	return "bytes " + strconv.FormatInt(r.off, 10) + "-" + strconv.FormatInt(r.off+r.n-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// parseRange reads a Range header for an object of the given size. partial is false when the whole object is to be sent:
// what is malformed, in another unit, or more than one range is ignored, as Amazon does. ok is false when nothing of the
// object is in the range.
func parseRange(s string, size int64) (r byteRange, partial, ok bool) {
	whole := byteRange{0, size}
	spec, isBytes := strings.CutPrefix(s, "bytes=")
	first, last, isRange := strings.Cut(spec, "-")
	if !isBytes || !isRange || !isDigits(first) || !isDigits(last) || first == "" && last == "" {
		return whole, false, true
	}
	if first == "" {
		n := parseOffset(last)
		switch {
		case n == 0:
			return byteRange{}, false, false
		case size == 0:
			return whole, false, true
		}
		n = min(n, size)
		return byteRange{size - n, n}, true, true
	}
	from, to := parseOffset(first), int64(math.MaxInt64)
	if last != "" {
		to = parseOffset(last)
	}
	switch {
	case from > to:
		return whole, false, true
	case from >= size:
		return byteRange{}, false, false
	}
	return byteRange{from, min(to, size-1) - from + 1}, true, true
}

// partRange is the n-th part, counted from 1, of an object that has so many.
func partRange(parts []object.PartRun, n int) byteRange {
	var off int64
	for _, run := range parts {
		if n <= run.Count {
			return byteRange{off + int64(n-1)*run.Size, run.Size}
		}
		n -= run.Count
		off += int64(run.Count) * run.Size
	}
	return byteRange{off, 0}
}

func isDigits(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}

// parseOffset reads digits; a number that is too large is as good as the largest.
func parseOffset(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}
