package main

import (
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/ftp"
	"hugbucket/internal/object"
)

// breakOverwrite sends the beginning of a file over FTP, and ends before the door has it.
func breakOverwrite(t *testing.T, store *object.Store, path string) {
	t.Helper()
	const ports = 100 // of which others take some meanwhile
	first := min(freePort(t), 1<<16-ports)
	door, err := ftp.New(ftp.Config{Username: "user", Password: "secret", FirstPort: first, LastPort: first + ports - 1}, store, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- door.Serve(l) }()
	c, err := textproto.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	say := func(code int, line string) string {
		if err := c.PrintfLine("%s", line); err != nil {
			t.Fatal(err)
		}
		_, msg, err := c.ReadResponse(code)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return msg
	}
	say(331, "USER user")
	say(230, "PASS secret")
	port := regexp.MustCompile(`\|\|\|(\d+)\|`).FindStringSubmatch(say(229, "EPSV"))
	data, err := net.Dial("tcp", "127.0.0.1:"+port[1])
	if err != nil {
		t.Fatal(err)
	}
	say(150, "STOR "+path)
	if err := door.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_ = data.Close() // the door has cut them
	_ = c.Close()
}

// TestBucketWithFTPRecords deletes a bucket in which a file was not overwritten to the end: no multipart upload is under way there.
func TestBucketWithFTPRecords(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 10, "file")
	uploads := func() (n int) {
		s.use(t, func(store *object.Store) {
			page, _, err := store.ListUploads(t.Context(), "backup", object.UploadPage{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			n = len(page)
		})
		return n
	}
	begin := func(note string) {
		s.use(t, func(store *object.Store) {
			if _, err := store.CreateUpload(t.Context(), "backup", "file", object.UploadOptions{Note: note}); err != nil {
				t.Fatal(err)
			}
		})
	}
	s.use(t, func(store *object.Store) { breakOverwrite(t, store, "/backup/file") })
	if n := uploads(); n != 1 {
		t.Fatalf("%d records", n)
	}
	s.say(t, 0, "", "", "rm", "backup/file", "--quiet")
	for _, note := range []string{"", `{"by":"AK"}`, `{"push":1,"name":"file"}`} {
		begin(note)
	}
	s.say(t, 1, "", "file-bucketctl: 3 multipart uploads under way in bucket backup: rb --force backup drops what has come of them\n", "rb", "backup")
	s.say(t, 0, "deleted bucket backup, and 3 multipart uploads under way\n", "", "rb", "backup", "--force")

	s.put(t, 10, "file")
	s.use(t, func(store *object.Store) { breakOverwrite(t, store, "/backup/file") })
	s.say(t, 0, "", "", "rm", "backup/file", "--quiet")
	if n := uploads(); n != 1 {
		t.Fatalf("%d records", n)
	}
	code, out, fail := s.ctl(t, "rb", "backup", "--json")
	if code != 0 || fail != "" || !strings.Contains(out, `"uploads":0`) && !strings.Contains(out, `"uploads": 0`) {
		t.Errorf("%d %q %q", code, out, fail)
	}
}
