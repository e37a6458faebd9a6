package ftp

import (
	"context"
	"io"
	"maps"
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

// What another stored after the client was allowed to go on with a file stays as it is, however little comes.
func TestResumeOfWhatWasReplaced(t *testing.T) {
	r := newRig(t)
	c, other := r.login(), r.login()
	replaced := func() { other.stor("STOR /bkt/f", strings.Repeat("Z", 2000)) }
	for name, one := range map[string]struct {
		rest  int // -1 for APPE, -2 for APPE to what is not there
		sent  string
		other func()
		kept  string // what is there in the end
	}{
		"replaced":             {500, "tail", replaced, strings.Repeat("Z", 2000)},
		"replaced, large":      {500, noise(2 * firstPart), replaced, strings.Repeat("Z", 2000)},
		"replaced, at its end": {1000, "", replaced, strings.Repeat("Z", 2000)},
		"replaced, APPE":       {-1, "tail", replaced, strings.Repeat("Z", 2000)},
		"shorter":              {500, "tail", func() { other.stor("STOR /bkt/f", "Z") }, "Z"},
		"another door":         {500, "tail", func() { r.put("f", strings.Repeat("Y", 1000)) }, strings.Repeat("Y", 1000)},
		"appended":             {1000, "tail", func() { other.stor("APPE /bkt/f", "more") }, strings.Repeat("A", 1000) + "more"},
		"deleted":              {500, "tail", func() { other.cmd(250, "DELE /bkt/f") }, ""},
		"new":                  {-2, "tail", replaced, strings.Repeat("Z", 2000)},
	} {
		r.put("f", strings.Repeat("A", 1000))
		command := "STOR /bkt/f"
		switch one.rest {
		case -2:
			c.cmd(250, "DELE /bkt/f")
			command = "APPE /bkt/f"
		case -1:
			command = "APPE /bkt/f"
		default:
			c.cmd(350, "REST %d", one.rest)
		}
		data := c.begin("%s", command)
		one.other()
		if _, err := io.WriteString(data, one.sent); err != nil {
			t.Fatal(err)
		}
		_ = data.Close()
		c.send("NOOP")
		if code, text, _ := c.text.ReadResponse(0); code != 550 || name != "deleted" && !strings.HasSuffix(text, "somebody else changed the file meanwhile") {
			t.Errorf("%s: %d %q", name, code, text)
		}
		c.read(200)
		if got, _ := r.content("f"); got != one.kept {
			t.Errorf("%s: %.20q… of %d bytes", name, got, len(got))
		}
	}
	// The same content again is what was there.
	r.put("f", "same")
	data := c.begin("APPE /bkt/f")
	r.put("f", "same")
	_, _ = io.WriteString(data, " and more")
	_ = data.Close()
	c.read(226)
	if got, _ := r.content("f"); got != "same and more" {
		t.Errorf("%q", got)
	}
}

// Appending keeps what another door said of the file, but its time and its digests.
func TestAppendKeepsAttributes(t *testing.T) {
	r := newRig(t)
	attrs := object.Attrs{Headers: map[string]string{"content-type": "text/plain"}, Meta: map[string]string{
		"mtime": "1000000000", "a": "b", "md5chksum": "XrY7u+Ae7tCTyyK7j1rNww==",
		"s3cmd-attrs": "ctime:1/gname:root/md5:d3b07384d113edec49eaa6238ad5ff00/mode:33188/mtime:1/uid:0", "mc-attrs": "md5:d3b0/mtime:1#5",
	}}
	if _, err := r.store.Put(context.Background(), "bkt", "log", strings.NewReader("one\n"), object.PutOptions{Attrs: attrs}); err != nil {
		t.Fatal(err)
	}
	c := r.login()
	if got := c.cmd(213, "MDTM /bkt/log"); got != "20010909014640" {
		t.Error(got)
	}
	data := c.begin("APPE /bkt/log")
	if _, err := data.Write([]byte("two\n" + noise(firstPart))); err != nil { // it is under way
		t.Fatal(err)
	}
	if _, err := r.store.Amend(t.Context(), "bkt", "log", func(a *object.Attrs) { a.Meta["new"] = "c" }); err != nil {
		t.Fatal(err)
	}
	_ = data.Close()
	c.read(226)
	info, err := r.store.Stat(t.Context(), "bkt", "log")
	want := map[string]string{"a": "b", "new": "c", "s3cmd-attrs": "gname:root/mode:33188/uid:0"}
	if err != nil || info.Attrs.Headers["content-type"] != "text/plain" || !maps.Equal(info.Attrs.Meta, want) {
		t.Errorf("%+v, %v", info, err)
	}
	if got, _ := r.content("log"); got != "one\ntwo\n"+noise(firstPart) {
		t.Errorf("%q", got)
	}
}

// A restart point is for the transfer that follows, not for one that comes after other commands.
func TestRestartPointIsLost(t *testing.T) {
	server, cfg := serverTLS(t)
	r := newRig(t, func(c *Config) { c.TLS = server })
	r.put("f", "0123456789")
	for name, c := range map[string]*client{"clear": r.dial(), "TLS": r.dial()} {
		if name == "TLS" {
			c.encrypt(cfg)
		}
		c.auth()
		if name == "TLS" {
			c.cmd(200, "PROT P")
		}
		for _, other := range []string{"LIST /bkt", "SIZE /bkt/f", "CWD /bkt", "DELE /bkt/none", "MLST /bkt/f", "NOOP", "XYZ"} {
			for transfer, whole := range map[string]func(){
				"RETR /bkt/f": func() {
					if got := c.retr("RETR /bkt/f"); got != "0123456789" {
						t.Errorf("%s, %s: %q", name, other, got)
					}
				},
				"STOR /bkt/f": func() { c.stor("STOR /bkt/f", "0123456789") },
			} {
				c.cmd(350, "REST 5")
				if other == "LIST /bkt" {
					c.retr(other)
				} else {
					c.send("%s", other)
					if _, _, err := c.text.ReadResponse(0); err != nil {
						t.Fatal(err)
					}
				}
				c.open()
				if text := c.cmd(550, "%s", transfer); !strings.HasSuffix(text, "REST was not followed by this transfer") {
					t.Error(text)
				}
				whole()
				if got, _ := r.content("f"); got != "0123456789" {
					t.Fatalf("%s, %s: %q is stored", name, other, got)
				}
			}
		}
		// What belongs to the transfer may come between, and one may come after other commands.
		c.cmd(350, "REST 1")
		c.retr("LIST /bkt")
		c.cmd(350, "REST 5")
		c.cmd(200, "TYPE I")
		c.cmd(229, "EPSV")
		if got := c.retr("RETR /bkt/f"); got != "56789" {
			t.Errorf("%s: %q", name, got)
		}
		c.cmd(350, "REST 0") // as clients ask whether there is REST
		c.retr("LIST /bkt")
		if got := c.retr("RETR /bkt/f"); got != "0123456789" {
			t.Errorf("%s: %q", name, got)
		}
		// Who does not wait for answers is not followed, and believed.
		data := c.open()
		c.send("REST 7\r\nRETR /bkt/f")
		c.read(350)
		c.read(150)
		if got, _ := io.ReadAll(data); string(got) != "789" {
			t.Errorf("%s: %q", name, got)
		}
		c.read(226)
	}
}
