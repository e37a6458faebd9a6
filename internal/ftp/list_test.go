package ftp

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestListing(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{"a", "a/below", "b.bin", "c.txt", "d/x", "d.bin"} {
		r.put(key, "12345")
	}
	c := r.login()
	c.cmd(257, "MKD /bkt/marked")
	line := regexp.MustCompile(`^[d-]rw[x-]r-[x-]r-[x-] 1 ftp ftp +\d+ [A-Z][a-z][a-z] [ \d]\d (\d\d:\d\d| \d{4}) \S+$`)
	for l := range strings.SplitSeq(strings.TrimSuffix(c.retr("LIST /bkt"), "\r\n"), "\r\n") {
		if !line.MatchString(l) {
			t.Errorf("%q", l)
		}
	}
	mlsd := c.retr("MLSD /bkt")
	for _, want := range []string{"Type=file;Size=5;Modify=", "Type=dir;Size=0;Modify=", "; a\r\n", "; d\r\n", "; marked\r\n"} {
		if !strings.Contains(mlsd, want) {
			t.Errorf("no %q in %q", want, mlsd)
		}
	}
	for command, want := range map[string]string{
		"NLST /bkt":          "bkt/a bkt/a bkt/b.bin bkt/c.txt bkt/d bkt/d.bin bkt/marked",
		"NLST /bkt/a":        "bkt/a/below", // where a file and a directory have one name, lists show the directory
		"NLST /bkt/b.bin":    "bkt/b.bin",
		"NLST /bkt/*.bin":    "bkt/b.bin bkt/d.bin",
		"NLST -la /bkt/*":    "bkt/a bkt/a bkt/b.bin bkt/c.txt bkt/d bkt/d.bin bkt/marked",
		"NLST /bkt/[bc].???": "bkt/b.bin bkt/c.txt",
		"NLST /bkt/[":        "",
		"NLST /bkt/*.none":   "",
		"NLST /b*":           "bkt",
		"NLST -la /bkt/d":    "bkt/d/x",
		"NLST":               "bkt",
		"NLST /bkt/marked":   "",
	} {
		if got := c.names(command); got != want {
			t.Errorf("%s: %q", command, got)
		}
	}
	c.cmd(250, "CWD /bkt")
	if got := c.names("NLST *.bin"); got != "b.bin d.bin" {
		t.Errorf("%q", got)
	}
	if got := c.retr("LIST -la *.txt"); !strings.HasSuffix(got, " c.txt\r\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
	c.open()
	c.cmd(450, "LIST none")
	c.cmd(450, "NLST none/*/x")
	c.cmd(550, "MLSD none")
	c.cmd(250, "CWD a")
	if got := c.retr("RETR ../a"); got != "12345" {
		t.Errorf("%q", got)
	}
	if got := c.cmd(213, "SIZE /bkt/a"); got != "5" {
		t.Error(got)
	}
	if got := c.cmd(250, "MLST /bkt/d"); !strings.Contains(got, "Type=dir;Size=0;") {
		t.Errorf("%q", got)
	}
	c.cmd(550, "SIZE /bkt/d")
}

// Options of ls change nothing, whatever they are, and a name that looks like some is a name where there is one.
func TestOptions(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{"a", "d/x", "d/y.bin"} {
		r.put(key, "12345")
	}
	c := r.login()
	for cwd, commands := range map[string]map[string]string{
		"/": {
			"NLST -R": "bkt", "NLST -1": "bkt", "NLST -1 /bkt": "bkt/a bkt/d", "NLST -a -l": "bkt", "NLST -T bkt/d": "bkt/d/x bkt/d/y.bin",
			"NLST -lR /bkt/a": "bkt/a", "NLST -F -1 bkt/d/*.bin": "bkt/d/y.bin", "NLST -alF /bkt/d": "bkt/d/x bkt/d/y.bin", "NLST -1 /b*": "bkt",
		},
		"/bkt": {
			"NLST -R": "a d", "NLST -1": "a d", "NLST -1 /bkt/d": "d/x d/y.bin", "NLST -a -l": "a d", "NLST -tr d": "d/x d/y.bin",
			"NLST -F a": "a", "NLST -F ../bkt/a": "a", "NLST -1 d/../*": "a d",
		},
	} {
		c.cmd(250, "CWD %s", cwd)
		for command, want := range commands {
			if got := c.names(command); got != want {
				t.Errorf("in %s %s: %q, want %q", cwd, command, got, want)
			}
			list := strings.Replace(command, "NLST", "LIST", 1)
			if got, want := strings.Count(c.retr(list), "\n"), len(strings.Fields(want)); got != want {
				t.Errorf("in %s %s: %d lines, want %d", cwd, list, got, want)
			}
		}
	}
	if got := c.cmd(212, "STAT -lR /bkt"); strings.Count(got, " ftp ftp ") != 2 {
		t.Errorf("%q", got)
	}
	c.cmd(250, "CWD /bkt")
	c.open()
	for _, command := range []string{"NLST -1 none", "NLST -x", "NLST -", "NLST --all", "NLST -F /", "NLST none -F"} {
		c.cmd(450, "%s", command)
	}
	c.cmd(550, "CWD -R")
	c.stor("STOR -R", "")
	if got := c.names("NLST -R"); got != "-R" {
		t.Errorf("%q", got)
	}
	c.stor("STOR -F/f", "")
	if got := c.names("NLST -F"); got != "-F/f" {
		t.Errorf("%q", got)
	}
}

// A name may hold what a pattern is made of.
func TestNameThatIsAPattern(t *testing.T) {
	r := newRig(t)
	c := r.login()
	c.cmd(250, "CWD /bkt")
	c.stor("STOR a*b", "star")
	c.stor("STOR a1b", "one")
	if got := c.retr("RETR a*b"); got != "star" {
		t.Errorf("%q", got)
	}
	if got := c.names("NLST a*b"); got != "a*b" {
		t.Errorf("%q", got)
	}
	c.cmd(550, "RETR a?b")
	c.cmd(550, "DELE a?b")
	c.cmd(257, "MKD [d]")
	c.stor("STOR [d]/f", "")
	if got := c.names("NLST [d]"); got != "[d]/f" {
		t.Errorf("%q", got)
	}
}

// Keys that FTP cannot name are not shown, and counted.
func TestHiddenKeys(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{
		"a\rb", "a\nb", "//x", "/y", "d//e", "d/./f", "d/../g", "d/h/", "d/ok", "..", ".", "\x00", "\x7f", "é ok", "d/\x1b[2J",
	} {
		r.put(key, "")
	}
	c := r.login()
	c.cmd(250, "CWD /bkt")
	if got := c.retr("NLST"); got != "d\r\né ok\r\n" {
		t.Errorf("%q", got)
	}
	if e := r.last("NLST"); e.Hidden != 7 { // the two under "/" are one directory without a name
		t.Errorf("%+v", e)
	}
	if got := c.names("NLST d"); got != "d/h d/ok" {
		t.Errorf("%q", got)
	}
	if e := r.last("NLST"); e.Hidden != 4 {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(r.logs.String(), `"hidden":7`) {
		t.Error("the log does not say how many")
	}
	c.cmd(553, "STOR a\tb")
	c.cmd(553, "STOR a\x81b")
	c.cmd(553, "STOR %s", strings.Repeat("k", 1025))
	c.cmd(550, "MKD a\x01b")
}

// A listing goes over all pages of the store.
func TestLongListing(t *testing.T) {
	r := newRig(t)
	const n = 2100
	for i := range n {
		r.put(fmt.Sprintf("d/%04d", i), "")
	}
	c := r.login()
	if got := strings.Count(c.retr("NLST /bkt/d"), "\n"); got != n {
		t.Errorf("%d names", got)
	}
	if got := strings.Count(c.retr("NLST /bkt/d/1*"), "\n"); got != 1000 {
		t.Errorf("%d names", got)
	}
}

func TestPathsEndAtTheRoot(t *testing.T) {
	r := newRig(t)
	c := r.login()
	c.stor("STOR ../../bkt//x/./y/../f", "content")
	if got := r.keys(); got != "x/f" {
		t.Errorf("%q", got)
	}
	c.cmd(250, "CWD /bkt/x/..")
	if got := c.cmd(257, "PWD"); got != `"/bkt" is the current directory` {
		t.Error(got)
	}
	c.cmd(250, "CWD /../../..")
	if got := c.cmd(257, "PWD"); got != `"/" is the current directory` {
		t.Error(got)
	}
}
