package config

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestManPageHasEveryKey looks for each key that this version acts on in the man page, where fields of what is in a list stand
// by their own names.
func TestManPageHasEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../man/file-bucket.json.5")
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]bool)
	for _, item := range regexp.MustCompile(`(?m)^\.It Va (.*)$`).FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(item[1], " , ") {
			described[name] = true
		}
	}
	// Of the driver "hub", which there is not yet.
	later := []string{"storage.endpoint", "storage.namespace", "storage.token", "storage.token_file", "storage.public"}
	for key := range unsupported {
		if key != "storage.driver" {
			later = append(later, key)
		}
	}
	known := make(map[string]bool)
	walkKeys("", Default(), known)
	keys := slices.Sorted(maps.Keys(known))
	for _, key := range keys {
		inside := func(outer string) bool { return strings.HasPrefix(key, outer+".") || strings.HasPrefix(key, outer+"[") }
		section := slices.ContainsFunc(keys, func(k string) bool { return key == "" || strings.HasPrefix(k, key+".") })
		if section || slices.Contains(later, key) || slices.ContainsFunc(later, inside) {
			continue
		}
		name := key
		if _, field, ok := strings.Cut(key, "[]."); ok {
			name = field
		}
		if !described[strings.TrimSuffix(name, "[]")] {
			t.Errorf("%s is not in the man page", key)
		}
	}
}
