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
	tests := []struct {
		name     string
		opts     object.ListOptions
		objects  []string
		prefixes []string
		next     string
	}{
		{"all", object.ListOptions{}, keys, nil, ""},
		{
			"delimiter",
			object.ListOptions{Delimiter: "/"},
			[]string{"a", "a0"},
			[]string{"a/", "b/", "\u00e9/", "\U0010ffff/", "\U0010ffff\U0010ffff/"},
			"",
		},
		{"the prefix is not a group of itself", object.ListOptions{Prefix: "a/", Delimiter: "/"}, []string{"a/", "a/b"}, []string{"a//", "a/c/"}, ""},
		{"prefix without the delimiter", object.ListOptions{Prefix: "a", Delimiter: "/"}, []string{"a", "a0"}, []string{"a/"}, ""},
		{"delimiter of two", object.ListOptions{Prefix: "a", Delimiter: "//"}, []string{"a", "a/", "a/b", "a/c/d", "a0"}, []string{"a//"}, ""},
		{"delimiter at the end of the prefix", object.ListOptions{Prefix: "a/c", Delimiter: "c"}, []string{"a/c/d"}, nil, ""},
		{"prefix that ends inside a character", object.ListOptions{Prefix: "\xc3", Delimiter: "/"}, nil, []string{"\u00e9/"}, ""},
		{"after a group's first key", object.ListOptions{Delimiter: "/", StartAfter: "a/", Limit: 1}, nil, []string{"a/"}, "a0"},
		{"after a group's last key", object.ListOptions{Delimiter: "/", StartAfter: "a/c/d", Limit: 1}, []string{"a0"}, nil, "b/x"},
		{"after a group's name, which is a key", object.ListOptions{Delimiter: "/", StartAfter: "b/", Limit: 1}, nil, []string{"b/"}, "\u00e9/x"},
		{"from a key on", object.ListOptions{Start: "a0", Limit: 2}, []string{"a0", "b/x"}, nil, "\u00e9/x"},
		{"the last of all characters", object.ListOptions{Delimiter: "/", Start: "\U0010ffff"}, nil, []string{"\U0010ffff/", "\U0010ffff\U0010ffff/"}, ""},
		{"behind the last of all characters", object.ListOptions{Prefix: "\U0010ffff", Delimiter: "\U0010ffff", Start: "\U0010ffff/y"}, nil, []string{"\U0010ffff\U0010ffff"}, ""},
		{"page that ends with a group", object.ListOptions{Delimiter: "/", Limit: 2}, []string{"a"}, []string{"a/"}, "a0"},
		{"page of just all", object.ListOptions{Delimiter: "/", Limit: 7}, []string{"a", "a0"}, []string{"a/", "b/", "\u00e9/", "\U0010ffff/", "\U0010ffff\U0010ffff/"}, ""},
		{"behind the prefix", object.ListOptions{Prefix: "a", Start: "b"}, nil, nil, ""},
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
