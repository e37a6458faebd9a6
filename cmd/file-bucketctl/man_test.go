package main

import (
	"flag"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestManPageHasEverything compares the commands and flags of the man page with those that there are.
func TestManPageHasEverything(t *testing.T) {
	text, err := os.ReadFile("../../man/file-bucketctl.8")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	_, sections, ok := strings.Cut(page, "\n.Sh COMMANDS\n")
	if !ok {
		t.Fatal("no section COMMANDS")
	}
	sections, _, _ = strings.Cut(sections, "\n.Sh ")
	described := make(map[string]string)
	var order, want []string
	for section := range strings.SplitSeq("\n"+sections, "\n.Ss ") {
		title, body, _ := strings.Cut(section, "\n")
		if title = strings.TrimSpace(title); title != "" {
			described[title] = body
			order = append(order, title)
		}
	}
	for _, c := range commands() {
		want = append(want, c.name)
		if !strings.Contains(page, "\n.Cm "+c.name+"\n") {
			t.Errorf("%s is not in the synopsis", c.name)
		}
		var flags []string
		set := newFlags(c)
		c.setup(set)
		set.VisitAll(func(f *flag.Flag) { flags = append(flags, f.Name) })
		var items []string
		for _, item := range regexp.MustCompile(`(?m)^\.It Fl (\S+)`).FindAllStringSubmatch(described[c.name], -1) {
			items = append(items, item[1])
		}
		if !slices.Equal(items, flags) {
			t.Errorf("%s has the flags %q, and in the man page %q", c.name, flags, items)
		}
	}
	if !slices.Equal(order, want) {
		t.Errorf("the commands are %q, and in the man page %q", want, order)
	}
	for _, code := range regexp.MustCompile(`(?m)^  (\d+) `).FindAllStringSubmatch(helpOfAll(t), -1) {
		if !strings.Contains(page, "\n.It "+code[1]+"\n") {
			t.Errorf("exit code %s is not in the man page", code[1])
		}
	}
}

// TestManPageNamesWhatStatsCounts compares the fields of the JSON of stats with the man page.
func TestManPageNamesWhatStatsCounts(t *testing.T) {
	text, err := os.ReadFile("../../man/file-bucketctl.8")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n.Ss stats\n")
	section, _, _ = strings.Cut(section, "\n.Ss ")
	for _, result := range []any{statsResult{}, statsBucket{}} {
		for f := range reflect.TypeOf(result).Fields() {
			if field := f.Tag.Get("json"); !regexp.MustCompile(`(?m)^\.Ic ` + field + `\b`).MatchString(section) {
				t.Errorf("%s is not in the man page", field)
			}
		}
	}
}

// helpOfAll is the help of all commands.
func helpOfAll(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, c := range commands() {
		_, out, _ := ctl(t, append([]string{"help"}, strings.Fields(c.name)...)...)
		b.WriteString(out)
	}
	return b.String()
}
