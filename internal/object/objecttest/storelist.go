package objecttest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"hugbucket/internal/object"
)

// listing is what List must answer: names of objects and common prefixes.
type listing struct {
	objects, prefixes []string
	truncated         bool
}

// list works out a listing of up to limit entries from all keys, which are sorted.
func list(keys []string, o object.ListOptions, limit int) listing {
	var l listing
	for _, key := range keys {
		rest, in := strings.CutPrefix(key, o.Prefix)
		if !in || key < o.Start || o.StartAfter != "" && key <= o.StartAfter {
			continue
		}
		group := ""
		if o.Delimiter != "" {
			if head, _, found := strings.Cut(rest, o.Delimiter); found {
				group = o.Prefix + head + o.Delimiter
			}
		}
		if group != "" && len(l.prefixes) > 0 && l.prefixes[len(l.prefixes)-1] == group {
			continue
		}
		if len(l.objects)+len(l.prefixes) == limit {
			l.truncated = true
			break
		}
		if group != "" {
			l.prefixes = append(l.prefixes, group)
		} else {
			l.objects = append(l.objects, key)
		}
	}
	return l
}

// listIs compares each page of a listing with list, and all pages together.
func (e *env) listIs(s *object.Store, bucket string, keys []string, o object.ListOptions) {
	e.Helper()
	limit := o.Limit
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	var objects, prefixes []string
	whole := list(keys, o, math.MaxInt)
	for {
		got, err := s.List(e.Context(), bucket, o)
		e.ok(err)
		want := list(keys, o, limit)
		names := make([]string, 0, len(got.Objects))
		for _, info := range got.Objects {
			names = append(names, info.Key)
		}
		if !slices.Equal(names, want.objects) || !slices.Equal(got.Prefixes, want.prefixes) || got.Truncated != want.truncated {
			e.Fatalf("list %+v: got %.40q, %.40q, truncated %v, want %+v", o, names, got.Prefixes, got.Truncated, want)
		}
		objects, prefixes = append(objects, names...), append(prefixes, got.Prefixes...)
		if !got.Truncated {
			break
		}
		if got.Next <= o.Start {
			e.Fatalf("list %+v: the next page begins at %.40q", o, got.Next)
		}
		o.Start = got.Next
	}
	e.sameStrings(fmt.Sprintf("objects of all pages of %+v", o), objects, whole.objects)
	e.sameStrings(fmt.Sprintf("prefixes of all pages of %+v", o), prefixes, whole.prefixes)
}

// testListShapes lists keys of every shape with options of every shape.
func testListShapes(e *env) {
	e.bucket("bucket")
	keys := append(oddKeys(), "dir/one", "dir/two", "dir/sub/one", "dir/sub/two", "dir0", "dir//x", "dirbone")
	slices.Sort(keys)
	e.keys("bucket", keys)
	n := 0
	for _, prefix := range []string{"", "a", "a/", "a//", "dir/", "dir/sub", "\xc3", "e", "\U0010ffff", "nothing"} {
		for _, delimiter := range []string{"", "/", "//", "b", "../", "\x00", "\u0301", "\xff"} {
			for _, after := range []string{"", "a/b", "dir/sub/one", "\U0010ffff/", "a/\xff"} {
				n++
				o := object.ListOptions{Prefix: prefix, Delimiter: delimiter, StartAfter: after}
				e.listIs(e.store, "bucket", keys, o)
				o.Limit = []int{1, 2, 3, 7, 11}[n%5]
				e.listIs(e.store, "bucket", keys, o)
			}
		}
	}
}

// groupKeys are keys of which most are in groups of so many each, with single ones between them.
func groupKeys(groups, each int) []string {
	var keys []string
	for g := range groups {
		keys = append(keys, fmt.Sprintf("%03d", g))
		for i := range each {
			keys = append(keys, fmt.Sprintf("%03d/%05d", g, i))
		}
	}
	slices.Sort(keys)
	return keys
}

func testListGroups(e *env) {
	e.bucket("bucket")
	keys := append(groupKeys(3, 2500), "\U0010ffff/1", "\U0010ffff/2")
	e.keys("bucket", keys)
	for _, o := range []object.ListOptions{
		{},
		{Delimiter: "/"},
		{Delimiter: "/", Limit: 1},
		{Delimiter: "/", Limit: 2},
		{Delimiter: "/", Limit: 3},
		{Delimiter: "/", StartAfter: "001/01000"},
		{Delimiter: "/", StartAfter: "001/02499", Limit: 1},
		{Delimiter: "/", Prefix: "002/", Limit: 700},
		{Delimiter: "1/", Limit: 900},
		{Delimiter: "9", Prefix: "001/0", Limit: 17},
		{Prefix: "001/", Limit: 999},
		{Prefix: "001/", StartAfter: "001/02400"},
		{Prefix: "001/", StartAfter: "002"},
		{Limit: 5000},
		{Limit: -1, Prefix: "00"},
	} {
		e.listIs(e.store, "bucket", keys, o)
	}
}

// rowCounter counts what is asked of Driver.List.
type rowCounter struct {
	object.Driver
	rows atomic.Int64
	bad  atomic.Int64 // pages asked for out of bounds
}

func (c *rowCounter) List(ctx context.Context, bucket string, q object.Page) ([]object.Info, bool, error) {
	if q.Limit < 1 || q.Limit > 1000 {
		c.bad.Add(1)
	}
	page, more, err := c.Driver.List(ctx, bucket, q)
	c.rows.Add(int64(len(page)))
	return page, more, err
}

// testListSeeks proves that listing steps over groups, by counting the rows that it reads.
func testListSeeks(e *env) {
	e.bucket("bucket")
	const groups, each = 16, 999 // so that pages of 1000 can end where groups do
	keys := groupKeys(groups, each)
	e.keys("bucket", keys)
	counter := &rowCounter{Driver: e.driver}
	store := object.New(counter, object.Config{}) // not closed: e.store does that
	for _, o := range []object.ListOptions{
		{Delimiter: "/"},
		{Delimiter: "/", Limit: 1},
		{Delimiter: "/", Limit: 5},
		{Delimiter: "/", StartAfter: "000"},
		{Delimiter: "/", StartAfter: "003/00500"},
		{Delimiter: "/", Prefix: "00"},
		{Delimiter: "/", Prefix: "015"},
		{Delimiter: "/", Prefix: "015/", Limit: 3},
		{Limit: 10, StartAfter: "015/00900"},
		{Limit: 10, Prefix: "006/", StartAfter: "006/00995"},
		{Limit: 10, Prefix: "nothing"},
	} {
		counter.rows.Store(0)
		got, err := store.List(e.Context(), "bucket", o)
		e.ok(err)
		limit := o.Limit
		if limit == 0 {
			limit = 1000
		}
		if want := list(keys, o, limit); len(want.objects)+len(want.prefixes) != len(got.Objects)+len(got.Prefixes) {
			e.Errorf("list %+v: got %d and %d, want %d and %d", o, len(got.Objects), len(got.Prefixes), len(want.objects), len(want.prefixes))
		}
		// A page as long as was asked for, and a few rows for each entry.
		if rows, bound := counter.rows.Load(), int64(limit+16*(len(got.Objects)+len(got.Prefixes)+2)); rows > bound {
			e.Errorf("list %+v: %d rows were read for %d entries, want %d at most",
				o, rows, len(got.Objects)+len(got.Prefixes), bound)
		}
	}
	if n := counter.bad.Load(); n != 0 {
		e.Errorf("%d pages were asked for that have less than 1 or more than 1000 rows", n)
	}
}

// testListEdges looks at where pages end.
func testListEdges(e *env) {
	e.bucket("bucket", "other")
	e.listIs(e.store, "bucket", nil, object.ListOptions{})
	e.listIs(e.store, "bucket", nil, object.ListOptions{Prefix: "a", Delimiter: "/", StartAfter: "a", Limit: 1})
	e.put("other", "other", nil)
	e.listIs(e.store, "bucket", nil, object.ListOptions{})

	keys := groupKeys(2, 30)
	e.keys("bucket", keys)
	for limit := 1; limit <= len(keys)+1; limit++ {
		e.listIs(e.store, "bucket", keys, object.ListOptions{Limit: limit})
		e.listIs(e.store, "bucket", keys, object.ListOptions{Limit: limit, Delimiter: "/"})
		e.listIs(e.store, "bucket", keys, object.ListOptions{Limit: limit, Prefix: "001/"})
	}
	// A page that ends with the last group is the last, however many keys are in it.
	l, err := e.store.List(e.Context(), "bucket", object.ListOptions{Delimiter: "/", Limit: 4})
	if err != nil || l.Truncated || l.Next != "" || len(l.Prefixes) != 2 || len(l.Objects) != 2 {
		e.Errorf("a page of just all entries: %d and %d, truncated %v to %q, %v", len(l.Objects), len(l.Prefixes), l.Truncated, l.Next, err)
	}
	// What comes between two pages is seen if it sorts behind the first, and nothing is seen twice.
	l, err = e.store.List(e.Context(), "bucket", object.ListOptions{Delimiter: "/", Limit: 2})
	e.ok(err)
	more := append([]string{"000/99999", "000~"}, keys...)
	e.keys("bucket", more[:2])
	slices.Sort(more)
	o := object.ListOptions{Delimiter: "/", Start: l.Next}
	e.listIs(e.store, "bucket", more, o)
}
