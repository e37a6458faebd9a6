package ftp

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

func TestRenameFile(t *testing.T) {
	r := newRig(t)
	c := r.login()
	c.cmd(257, "MKD /other")
	c.cmd(250, "CWD /bkt")
	c.stor("STOR upload.tmp", "new")
	c.stor("STOR upload", "old")
	rename := func(code int, from, to string) {
		t.Helper()
		c.cmd(350, "RNFR %s", from)
		c.cmd(code, "RNTO %s", to)
	}
	rename(250, "upload.tmp", "upload")
	if got, _ := r.content("upload"); got != "new" || r.keys() != "upload" {
		t.Errorf("%q, %s", got, r.keys())
	}
	rename(250, "upload", "upload")
	rename(250, "upload", "/other/a/b")
	rename(250, "/other/a/b", "/bkt/back")
	if got, _ := r.content("back"); got != "new" {
		t.Errorf("%q", got)
	}
	c.cmd(550, "RNFR none")
	c.cmd(257, "MKD d")
	rename(550, "back", "d")
	rename(550, "d", "back")
	rename(553, "back", "/bkt")
	rename(553, "/bkt", "/bkt3")
	rename(550, "back", "/none/x")
}

func TestRenameDirectory(t *testing.T) {
	r := newRig(t)
	c := r.login()
	for i := range 3 {
		r.put(fmt.Sprint("d/sub/", i), fmt.Sprint(i))
	}
	c.cmd(503, "RNTO x")
	c.cmd(250, "CWD /bkt")
	c.cmd(350, "RNFR d")
	c.cmd(250, "RNTO e/f")
	if got := r.keys(); got != "e/f/sub/0 e/f/sub/1 e/f/sub/2" {
		t.Error(got)
	}
	c.cmd(350, "RNFR e")
	c.cmd(553, "RNTO e/f/g")
	c.cmd(257, "MKD taken")
	c.cmd(350, "RNFR e")
	c.cmd(550, "RNTO taken")
	if e := r.last("RNTO"); e.Outcome != Refused {
		t.Errorf("%+v", e)
	}
}

// A rename that was refused is over: what comes next says anew what it means.
func TestRenameNeedsItsOwnSource(t *testing.T) {
	r := newRig(t)
	c := r.login()
	c.cmd(250, "CWD /bkt")
	r.put("a", "content")
	c.cmd(257, "MKD d")
	c.cmd(350, "RNFR a")
	c.cmd(550, "RNTO d")
	c.cmd(550, "RNTO b")
	c.cmd(550, "RNFR none")
	c.cmd(550, "RNTO b")
	if got := r.keys(); got != "a d/" {
		t.Error(got)
	}
	c.cmd(350, "RNFR a")
	c.cmd(250, "RNTO b")
	c.cmd(503, "RNTO c")
}

// MFMT, rclone over S3 and rclone over FTP mean the same time; the time of arrival stays.
func TestTimes(t *testing.T) {
	r := newRig(t)
	c := r.login()
	r.put("f", "content")
	was, err := r.store.Stat(t.Context(), "bkt", "f")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.cmd(213, "MDTM /bkt/f"); got != was.ModTime.Format("20060102150405") {
		t.Error(got)
	}
	c.cmd(213, "MFMT 20200102030405 /bkt/f")
	if got := c.cmd(213, "MDTM /bkt/f"); got != "20200102030405" {
		t.Error(got)
	}
	if got := c.retr("MLSD /bkt"); !strings.Contains(got, "Type=file;Size=7;Modify=20200102030405; f\r\n") {
		t.Errorf("%q", got)
	}
	if got := c.retr("LIST /bkt"); !regexp.MustCompile(`^-rw-r--r-- 1 ftp ftp +7 Jan  2  2020 f\r\n$`).MatchString(got) {
		t.Errorf("%q", got)
	}
	info, err := r.store.Stat(t.Context(), "bkt", "f")
	if err != nil || info.Attrs.Meta["mtime"] != "1577934245" || !info.ModTime.Equal(was.ModTime) {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := r.store.Amend(t.Context(), "bkt", "f", func(a *object.Attrs) { a.Meta["mtime"] = "1577934246.999" }); err != nil {
		t.Fatal(err)
	}
	if got := c.cmd(213, "MDTM /bkt/f"); got != "20200102030406" {
		t.Error(got)
	}
	c.cmd(257, "MKD /bkt/d")
	c.cmd(213, "MFMT 20200102030405 /bkt/d")
	if got := c.cmd(213, "MDTM /bkt/d"); got != "20200102030405" {
		t.Error(got)
	}
	c.cmd(550, "MFMT 20200102030405 /bkt/none")
	c.cmd(550, "MFMT 20200102030405 /bkt")
	c.cmd(501, "MFMT yesterday /bkt/f")
	c.stor("STOR /bkt/f", "a new file")
	if got := c.cmd(213, "MDTM /bkt/f"); got == "20200102030406" {
		t.Error("a new file has the time of the old one")
	}
}

// A directory that another door made by naming what is in it stays when the last is taken out, whoever looks: clients clear trees by
// several connections.
func TestEmptiedDirectoryStays(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{"tree/a/1", "tree/2", "tree/b/3", "tree/c/d/4"} {
		r.put(key, "content")
	}
	one, other := r.login(), r.login()
	other.cmd(250, "CWD /bkt/tree/a")
	one.cmd(550, "RMD /bkt/tree/none")
	one.cmd(250, "DELE /bkt/tree/a/1")
	one.cmd(550, "DELE /bkt/tree/a/1")
	if got := other.names("NLST"); got != "" {
		t.Errorf("%q", got)
	}
	other.cmd(250, "RMD /bkt/tree/a")
	one.cmd(550, "RMD /bkt/tree/a")
	one.cmd(550, "RMD /bkt/tree")
	one.cmd(250, "DELE /bkt/tree/2")
	one.cmd(350, "RNFR /bkt/tree/b/3")
	one.cmd(250, "RNTO /bkt/3")
	other.cmd(250, "RMD /bkt/tree/b")
	one.cmd(350, "RNFR /bkt/tree/c/d")
	one.cmd(250, "RNTO /bkt/d")
	if got := r.keys(); got != "3 d/4 tree/c/" {
		t.Error(got)
	}
	other.cmd(250, "RMD /bkt/tree/c")
	one.cmd(250, "RMD /bkt/tree")
	one.cmd(250, "DELE /bkt/3")
	if got := r.keys(); got != "d/4" {
		t.Error(got)
	}
}
