package ftp

import (
	"context"
	"strings"
	"testing"

	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

func TestDirectories(t *testing.T) {
	r := newRig(t)
	c := r.login()
	c.cmd(257, "MKD /new-bucket")
	c.cmd(550, "MKD /new-bucket")
	c.cmd(550, "MKD /x")
	c.cmd(250, "CWD bkt")
	c.cmd(257, "MKD d")
	c.cmd(550, "MKD d")
	c.cmd(257, "MKD a/b/c")
	c.stor("STOR d/f", "content")
	c.stor("STOR there/is/none", "content")
	if got := r.keys(); got != "a/b/c/ d/ d/f there/is/none" {
		t.Errorf("keys %q", got)
	}
	if got := c.names("NLST"); got != "a d there" {
		t.Errorf("%q", got)
	}
	c.cmd(250, "CWD a/b")
	if got := c.names("NLST"); got != "c" {
		t.Errorf("%q", got)
	}
	c.cmd(250, "CDUP")
	c.cmd(250, "CWD ../d")
	if got := c.names("NLST"); got != "f" {
		t.Errorf("%q", got)
	}
	c.cmd(250, "CWD /")
	if got := c.names("NLST"); got != "bkt new-bucket" {
		t.Errorf("%q", got)
	}
	c.cmd(550, "CWD /bkt/none")
	c.cmd(550, "CWD /none")
	c.cmd(550, "CWD /bkt/d/f")
	c.cmd(550, "RMD /bkt/d")
	c.cmd(550, "RMD /bkt")
	c.cmd(550, "RMD /bkt/d/f")
	c.cmd(550, "RMD /bkt/none")
	c.cmd(550, "DELE /bkt/d")
	c.cmd(550, "DELE /bkt/none")
	c.cmd(250, "DELE /bkt/d/f")
	c.cmd(250, "RMD /bkt/d")
	c.cmd(250, "RMD /new-bucket")
	c.cmd(550, "RMD /")
	c.cmd(553, "STOR /f")
	c.cmd(553, "STOR /")
	c.cmd(553, "STOR /bkt/a")
	c.cmd(550, "STOR /none/f")
}

// Content under a key that ends in a slash has no name here. It is counted as hidden, and no command takes it for an empty directory.
func TestContentOfADirectory(t *testing.T) {
	r := newRig(t)
	r.put("d/", "content")
	c := r.login()
	if got := c.names("NLST /bkt"); got != "bkt/d" {
		t.Errorf("%q", got)
	}
	if got := c.names("NLST /bkt/d"); got != "" || r.last("NLST").Hidden != 1 {
		t.Errorf("%q, %+v", got, r.last("NLST"))
	}
	if !strings.Contains(r.logs.String(), `"hidden":1`) {
		t.Error("the log does not say how many")
	}
	if text := c.cmd(550, "RMD /bkt/d"); !strings.HasSuffix(text, "directory is not empty") {
		t.Error(text)
	}
	c.cmd(550, "DELE /bkt/d")
	c.cmd(550, "MKD /bkt/d")
	c.cmd(553, "STOR /bkt/d")
	c.stor("STOR /bkt/d/f", "file")
	c.cmd(250, "DELE /bkt/d/f")
	c.stor("STOR /bkt/d/f", "file")
	c.cmd(350, "RNFR /bkt/d/f")
	c.cmd(250, "RNTO /bkt/f")
	c.cmd(350, "RNFR /bkt/d")
	c.cmd(250, "RNTO /bkt/e")
	if got, _ := r.content("e/"); got != "content" || r.keys() != "e/ f" {
		t.Errorf("%q in %q", got, r.keys())
	}
}

// filling is a store in which somebody puts content under the key of a directory as soon as it was looked at.
type filling struct {
	object.Driver
	fill func()
}

func (f filling) List(ctx context.Context, bucket string, q object.Page) ([]object.Info, bool, error) {
	page, more, err := f.Driver.List(ctx, bucket, q)
	f.fill()
	return page, more, err
}

func TestDirectoryThatGetsContentWhileItIsRemoved(t *testing.T) {
	d, err := disk.Open(t.Context(), t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var r *rig
	r = newRigOver(t, filling{d, func() { r.put("d/", "content") }})
	r.put("d/", "")
	c := r.login()
	c.cmd(550, "RMD /bkt/d")
	if got, _ := r.content("d/"); got != "content" {
		t.Errorf("%q is left", got)
	}
}
