package config

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/full.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full))
	for _, text := range []string{
		"", "{}", "[]", "null", `{"port": 1e3}`, `{"port": 1, "port": 2}`, `{"buckets": ["aaaaaaaa", {"name": "x"}, 7, null]}`,
		`{"s3": {"keys": [{}]}}`, `{"a.b[0]": {"": 1}}`, "{\"\\u0000\": 1}", "{\"\xff\": 1}", `{"hooks": {"timeout": "99999999w"}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "_file") {
			return // it would read whatever file the fuzzer thinks of
		}
		cfg, err := parse("f", []byte(text), false)
		if (cfg == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", cfg, err)
		}
		if err == nil {
			return
		}
		lines := 1 + strings.Count(text, "\n")
		list := []error{err}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			list = joined.Unwrap()
		}
		for _, err := range list {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Line < 1 || e.Line > lines || e.Rule == "" {
				t.Fatalf("%v is not an Error with one of %d lines and a rule", err, lines)
			}
		}
	})
}

// walkKeys collects the keys of a type, with [] for an index.
func walkKeys(key string, value any, known map[string]bool) {
	var walk func(key string, t reflect.Type)
	walk = func(key string, t reflect.Type) {
		known[key] = true
		switch t.Kind() {
		case reflect.Pointer:
			walk(key, t.Elem())
		case reflect.Slice:
			walk(key+"[]", t.Elem())
		case reflect.Struct:
			for f := range t.Fields() {
				if name := f.Tag.Get("json"); name != "" {
					walk(join(key, name), f.Type)
				}
			}
		default:
		}
	}
	walk(key, reflect.TypeOf(value))
}
