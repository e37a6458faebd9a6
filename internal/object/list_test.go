package object_test

import (
	"slices"
	"strings"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestListTable spells out what the suite works out: which keys make a common prefix, and where a listing goes on.
func TestListTable(t *testing.T) {
	store := objecttest.NewStore(t)
	if err := store.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	keys := []string{
		"a", "a/", "a//b", "a/b", "a/c/d", "a0", "b/x", "\u00e9/x", "\u00e9/y", "\U0010ffff/x", "\U0010ffff\U0010ffff/x",
	}
	for _, key := range keys {
		if _, err := store.Put(t.Context(), "bucket", key, strings.NewReader(""), object.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	type options = object.ListOptions
	tests := []struct {
		name     string
		opts     options
		objects  []string
		prefixes []string
		next     string
	}{
		{"all", options{}, keys, nil, ""},
		{
			"delimiter",
			options{Delimiter: "/"},
			[]string{"a", "a0"},
			[]string{"a/", "b/", "\u00e9/", "\U0010ffff/", "\U0010ffff\U0010ffff/"},
			"",
		},
		{"prefix that is a key", options{Prefix: "a/", Delimiter: "/"}, []string{"a/", "a/b"}, []string{"a//", "a/c/"}, ""},
		{"prefix without the delimiter", options{Prefix: "a", Delimiter: "/"}, []string{"a", "a0"}, []string{"a/"}, ""},
		{"delimiter of two", options{Prefix: "a", Delimiter: "//"}, []string{"a", "a/", "a/b", "a/c/d", "a0"}, []string{"a//"}, ""},
		{"delimiter at the end of the prefix", options{Prefix: "a/c", Delimiter: "c"}, []string{"a/c/d"}, nil, ""},
		{"prefix that ends inside a character", options{Prefix: "\xc3", Delimiter: "/"}, nil, []string{"\u00e9/"}, ""},
		{"after a group's first key", options{Delimiter: "/", StartAfter: "a/", Limit: 1}, nil, []string{"a/"}, "a0"},
		{"after a group's last key", options{Delimiter: "/", StartAfter: "a/c/d", Limit: 1}, []string{"a0"}, nil, "b/x"},
		{"after a group's name, which is a key", options{Delimiter: "/", StartAfter: "b/", Limit: 1}, nil, []string{"b/"}, "\u00e9/x"},
		{"from a key on", options{Start: "a0", Limit: 2}, []string{"a0", "b/x"}, nil, "\u00e9/x"},
		{"last of characters", options{Delimiter: "/", Start: "\U0010ffff0"}, nil, []string{"\U0010ffff\U0010ffff/"}, ""},
		{"group of the last of characters", options{Delimiter: "\U0010ffff", StartAfter: "b/x"}, []string{"\u00e9/x", "\u00e9/y"}, []string{"\U0010ffff"}, ""},
		{"page that ends with a group", options{Delimiter: "/", Limit: 2}, []string{"a"}, []string{"a/"}, "a0"},
		{"page of just all", options{Prefix: "a", Delimiter: "/", Limit: 3}, []string{"a", "a0"}, []string{"a/"}, ""},
		{"behind the prefix", options{Prefix: "a", Start: "b"}, nil, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := store.List(t.Context(), "bucket", test.opts)
			if err != nil {
				t.Fatal(err)
			}
			var objects []string
			for _, info := range got.Objects {
				objects = append(objects, info.Key)
			}
			if !slices.Equal(objects, test.objects) || !slices.Equal(got.Prefixes, test.prefixes) {
				t.Errorf("got %q and %q, want %q and %q", objects, got.Prefixes, test.objects, test.prefixes)
			}
			if got.Next != test.next || got.Truncated != (test.next != "") {
				t.Errorf("got truncated %v and next %q, want %q", got.Truncated, got.Next, test.next)
			}
		})
	}
}
