package ftp

import (
	"context"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// A file that comes in two goes, in any of the ways that clients have, is the one that comes in one.
func TestResume(t *testing.T) {
	r := newRig(t)
	c := r.login()
	whole := noise(1 << 20)
	c.stor("STOR /bkt/whole", whole)
	want, err := r.store.Stat(t.Context(), "bkt", "whole")
	if err != nil {
		t.Fatal(err)
	}
	for name, finish := range map[string]func(cut int){
		"APPE": func(cut int) { c.stor("APPE /bkt/f", whole[cut:]) },
		"REST": func(cut int) {
			c.cmd(350, "REST %d", cut)
			c.stor("STOR /bkt/f", whole[cut:])
		},
		"REST, a part again": func(cut int) {
			c.cmd(350, "REST %d", cut/2)
			c.stor("STOR /bkt/f", whole[cut/2:])
		},
	} {
		for _, cut := range []int{1, 100_000, 1<<20 - 1} {
			c.stor("STOR /bkt/f", whole[:cut])
			finish(cut)
			got, err := r.store.Stat(t.Context(), "bkt", "f")
			if err != nil || got.File != want.File || got.Size != want.Size {
				t.Errorf("%s at %d: %+v, %v", name, cut, got, err)
			}
			if content := c.retr("RETR /bkt/f"); content != whole {
				t.Errorf("%s at %d: another content", name, cut)
			}
		}
	}
	c.stor("APPE /bkt/new", "appended to nothing")
	if got, _ := r.content("new"); got != "appended to nothing" {
		t.Errorf("%q", got)
	}
	c.cmd(350, "REST 1048000")
	if got := c.retr("RETR /bkt/whole"); got != whole[1048000:] {
		t.Error("RETR does not begin where REST says")
	}
	for _, rest := range []string{"1048577", "-5"} {
		c.cmd(350, "REST %s", rest)
		c.open()
		c.cmd(550, "RETR /bkt/whole")
		c.cmd(350, "REST %s", rest)
		c.cmd(550, "STOR /bkt/whole")
	}
	if got := c.retr("RETR /bkt/whole"); got != whole {
		t.Error("a restart point outlived its command")
	}
}

// Appending keeps what another door said of the file, but its time.
func TestAppendKeepsAttributes(t *testing.T) {
	r := newRig(t)
	attrs := object.Attrs{Headers: map[string]string{"content-type": "text/plain"}, Meta: map[string]string{"mtime": "1000000000", "a": "b"}}
	if _, err := r.store.Put(context.Background(), "bkt", "log", strings.NewReader("one\n"), object.PutOptions{Attrs: attrs}); err != nil {
		t.Fatal(err)
	}
	c := r.login()
	if got := c.cmd(213, "MDTM /bkt/log"); got != "20010909014640" {
		t.Error(got)
	}
	c.stor("APPE /bkt/log", "two\n")
	info, err := r.store.Stat(t.Context(), "bkt", "log")
	if err != nil || info.Attrs.Headers["content-type"] != "text/plain" || info.Attrs.Meta["a"] != "b" || info.Attrs.Meta["mtime"] != "" {
		t.Errorf("%+v, %v", info, err)
	}
	if got, _ := r.content("log"); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
}
