package ftp

import "testing"

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
