package ftp

import (
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
)

func FuzzPlace(f *testing.F) {
	for _, s := range []string{"/", "a", "../..", "//bkt///a/./b/../c", "/bkt/d/", "\x00", "/bkt/\r\n", "a\xff", "\xc3\xbc/\xfc", "*?[", "/..bkt/..a", ". /.. "} {
		f.Add("/", s)
		f.Add("/bkt/dir", s)
	}
	f.Fuzz(func(t *testing.T, cwd, name string) {
		p, err := placeOf(cwd, name)
		if err != nil {
			return
		}
		if p.bucket == "" && p.key != "" || strings.Contains(p.bucket, "/") || p.bucket == ".." || p.bucket == "." {
			t.Fatalf("%q is bucket %q, key %q", name, p.bucket, p.key)
		}
		if p.key != "" && (!nameable(p.key) || object.ValidKey(p.key) != nil || strings.HasSuffix(p.key, "/")) {
			t.Fatalf("%q is the key %q, which has no name", name, p.key)
		}
		if again, err := placeOf("/elsewhere", p.path()); err != nil || again != p {
			t.Fatalf("%q is %+v, and %q is %+v", name, p, p.path(), again)
		}
		if up := p.parent(); p.key != "" && (up.bucket != p.bucket || up.dir()+p.base() != p.key) {
			t.Fatalf("the parent of %+v is %+v", p, up)
		}
	})
}

func FuzzNameable(f *testing.F) {
	for _, s := range []string{"a", "d/", "a//b", "/a", "a/../b", "a\nb", "", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if object.ValidKey(key) != nil || !nameable(key) {
			return
		}
		p, err := placeOf("/", "/bkt/"+key)
		if err != nil || p.bucket != "bkt" || p.key != strings.TrimSuffix(key, "/") {
			t.Fatalf("%q is shown, and its path leads to %+v, %v", key, p, err)
		}
	})
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"0", "1354040105.123456789", "-1.5", "1e9", "99999999999999", ".5", "1.", "1.x", "-62135596800"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime(s)
		if !ok {
			return
		}
		if year := got.Year(); year < 0 || year > 9999 {
			t.Fatalf("%q is in the year %d", s, year)
		}
		again, ok := parseTime(formatTime(got))
		if !ok || again.Unix() != got.Unix() {
			t.Fatalf("%q is %v, and comes back as %v", s, got, again)
		}
	})
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Time{
		"1354040105.123456789":    time.Unix(1354040105, 123456789),
		"1354040105.1234567891":   time.Unix(1354040105, 123456789),
		"1354040105.5":            time.Unix(1354040105, 500_000_000),
		"1354040105":              time.Unix(1354040105, 0),
		"-1.5":                    time.Unix(-2, 500_000_000),
		"-0.5":                    time.Unix(-1, 500_000_000),
		"":                        {},
		"x":                       {},
		"1.-5":                    {},
		"253402300800":            {},
		"9999999999999999999":     {},
		"2020-01-02T03:04:05Z":    {},
		"1354040105.123456789abc": time.Unix(1354040105, 123456789),
	} {
		if got, ok := parseTime(s); ok == want.IsZero() || ok && !got.Equal(want) {
			t.Errorf("%q: %v, %t", s, got, ok)
		}
	}
}

// Names that are not UTF-8 are read as Windows-1252. The same bytes lead to the same file again, whatever is done with it, and so does
// what listings show.
func TestNamesOfWindows(t *testing.T) {
	r := newRig(t)
	c := r.login()
	c.cmd(257, "MKD /bkt/B\xfcro")
	c.cmd(250, "CWD /bkt/B\xfcro")
	c.stor("STOR Stra\xdfe \x80.pdf", "scan")
	if got := r.keys(); got != "Büro/ Büro/Straße €.pdf" {
		t.Errorf("%q", got)
	}
	if got := c.cmd(257, "PWD"); !strings.HasPrefix(got, "\"/bkt/B\xfcro\"") {
		t.Errorf("%q", got)
	}
	if got := c.retr("NLST"); got != "Straße €.pdf\r\n" {
		t.Errorf("%q", got)
	}
	for _, pattern := range []string{"*.pdf", "Stra\xdfe*", "Straße*"} {
		if got := c.retr("NLST " + pattern); got != "Straße €.pdf\r\n" {
			t.Errorf("%q: %q", pattern, got)
		}
	}
	for _, name := range []string{"Stra\xdfe \x80.pdf", "/bkt/Büro/Stra\xdfe \x80.pdf", "/bkt/B\xfcro/Straße €.pdf"} {
		c.cmd(213, "SIZE %s", name)
		if got := c.retr("RETR " + name); got != "scan" {
			t.Errorf("%q: %q", name, got)
		}
	}
	c.cmd(350, "RNFR Stra\xdfe \x80.pdf")
	c.cmd(250, "RNTO /bkt/\xe4")
	c.cmd(550, "SIZE Stra\xdfe \x80.pdf")
	c.cmd(250, "CWD /bkt")
	c.cmd(250, "RMD B\xfcro")
	c.stor("STOR \xe4", "again") // replaces it
	if got, _ := r.content("ä"); got != "again" || r.keys() != "ä" {
		t.Errorf("%q, %q", r.keys(), got)
	}
	c.cmd(250, "DELE \xe4")
	if got := r.keys(); got != "" {
		t.Errorf("%q", got)
	}
	for _, b := range []string{"\x81", "\x8d", "\x8f", "\x90", "\x9d"} {
		c.cmd(553, "STOR a%s\xe4", b)
	}
	c.cmd(553, "STOR %s", strings.Repeat("\xe4", 513)) // 1026 bytes of UTF-8
}

func TestEveryByteIsAName(t *testing.T) {
	seen := make(map[place]int)
	for b := 0x80; b < 0x100; b++ {
		p, err := placeOf("/", "/bkt/"+string([]byte{byte(b)}))
		if err != nil {
			continue
		}
		if other, ok := seen[p]; ok {
			t.Errorf("%x and %x are both %q", b, other, p.key)
		}
		seen[p] = b
	}
	if len(seen) != 128-5 {
		t.Errorf("%d names", len(seen))
	}
}
