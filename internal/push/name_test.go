package push

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"hugbucket/internal/object"
)

func TestBaseName(t *testing.T) {
	for sent, want := range map[string]string{
		"dump.sql":                      "dump.sql",
		"../../x":                       "x",
		"/etc/passwd":                   "passwd",
		"a/b/":                          "b",
		`C:\Users\me\dump.sql`:          "dump.sql",
		`..\..\x`:                       "x",
		`a\b/c`:                         "c",
		`a/b\c\/`:                       "c",
		"with space":                    "with space",
		" ":                             " ",
		"größe 日本.tar":                  "größe 日本.tar",
		"\uFFFD\U0001F600":              "\uFFFD\U0001F600",
		"a%22b%2Fc%00":                  "a%22b%2Fc%00",
		`a"b`:                           `a"b`,
		"a..":                           "a..",
		"a-":                            "a-",
		"con":                           "con",
		strings.Repeat("n", 255):        strings.Repeat("n", 255),
		"d/" + strings.Repeat("n", 255): strings.Repeat("n", 255),
	} {
		if got, err := baseName(sent); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", sent, got, err, want)
		}
	}
	for sent, rule := range map[string]string{
		"":                        "empty",
		"/":                       "empty",
		`\\`:                      "empty",
		".":                       "dot",
		"..":                      "dot",
		"a/..":                    "dot",
		`a\.`:                     "dot",
		".hidden":                 "dot",
		".partial-x":              "dot",
		"-rf":                     "dash",
		"x/-":                     "dash",
		"a\nb":                    "control",
		"a\x00":                   "control",
		"a\x7f":                   "control",
		"a\u0085b":                "control",
		"a\uFFFE":                 "control",
		"\uFFFF":                  "control",
		"\U0010FFFFb":             "control",
		"a\uFDD0":                 "control",
		"\xff":                    "UTF-8",
		"a\xc3":                   "UTF-8",
		strings.Repeat("n", 256):  "255",
		strings.Repeat("ü", 128):  "255",
		strings.Repeat("n", 3000): "255",
	} {
		got, err := baseName(sent)
		if !errors.Is(err, object.ErrInvalid) || !strings.Contains(err.Error(), rule) || got != "" {
			t.Errorf("%q: %q, %v; want the rule about %q", sent, got, err, rule)
		}
	}
}

func FuzzBaseName(f *testing.F) {
	for _, s := range []string{"dump.sql", "../../x", `C:\x`, "..", "-rf", ".hidden", "a\nb", "\xff", "größe", "\uFFFF", "a/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		name, err := baseName(sent)
		if err != nil {
			if !errors.Is(err, object.ErrInvalid) || name != "" {
				t.Errorf("%q: %q, %v", sent, name, err)
			}
			return
		}
		switch {
		case name == "", len(name) > 255, !utf8.ValidString(name), strings.ContainsAny(name, "/\\\x00"),
			strings.HasPrefix(name, "."), strings.HasPrefix(name, "-"), strings.ContainsFunc(name, unicode.IsControl), strings.ContainsAny(name, "\uFFFE\uFFFF"):
			t.Errorf("%q is taken as %q", sent, name)
		case !strings.Contains(sent, name), object.ValidKey(name) != nil:
			t.Errorf("%q became %q", sent, name)
		}
		if again, err := baseName(name); err != nil || again != name {
			t.Errorf("%q became %q and then %q, %v", sent, name, again, err)
		}
	})
}
