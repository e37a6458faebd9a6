package ftp

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/rs/zerolog"

	"hugbucket/internal/disk"
	"hugbucket/internal/object"
)

// Each error of the store has an answer of its own, and none tells more than its words.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		err     error
		code    error
		outcome string
		text    string
	}{
		{fs.ErrNotExist, nil, Refused, "no such file or directory"},
		{object.ErrNoBucket, nil, Refused, "no such bucket"},
		{object.ErrBucketExists, nil, Refused, "already exists"},
		{object.ErrBucketNotEmpty, nil, Refused, "bucket is not empty"},
		{object.ErrNoSpace, ftpserver.ErrStorageExceeded, Failed, "no space left"},
		{object.ErrTooLarge, ftpserver.ErrStorageExceeded, Refused, "file is too large"},
		{object.ErrTooMany, nil, Refused, "too many files for one step"},
		{object.ErrTaken, nil, Refused, "already exists"},
		{object.ErrCorrupt, nil, Failed, "the stored file is damaged"},
		{fmt.Errorf("%w: %w", object.ErrCorrupt, fs.ErrNotExist), nil, Failed, "the stored file is damaged"},
		{object.ErrPrecondition, nil, Refused, "somebody else changed the file meanwhile"},
		{&object.InvalidError{Field: "bucket", Rule: "so it is"}, ftpserver.ErrFileNameNotAllowed, Refused, "invalid bucket: so it is"},
		{errors.New("dial 10.0.0.1: /var/lib/x"), nil, Failed, "internal error"},
		{context.Canceled, nil, Aborted, "interrupted"},
	} {
		r, outcome := replyTo(&object.Error{Op: "put", Bucket: "b", Key: "k", Err: c.err})
		if r.Error() != c.text || !errors.Is(r.code, c.code) || outcome != c.outcome {
			t.Errorf("%v: %q, %v, %s", c.err, r, r.code, outcome)
		}
	}
}

func TestSite(t *testing.T) {
	r := newRig(t)
	c := r.login()
	c.cmd(550, "SITE CHMOD 600 /bkt/f")
	c.cmd(550, "SITE CHMOD")
	c.cmd(550, "SITE CHOWN 0 /bkt/f")
	c.cmd(550, "SITE SYMLINK a b")
	c.cmd(550, "SITE UTIME x")
	c.cmd(550, "SITE RMDIR /bkt")
	c.cmd(214, "SITE HELP")
	c.cmd(500, "SITE")
	c.cmd(500, "SITE EXEC ls")
	c.cmd(250, "SITE MKDIR /bkt/a/b")
	c.cmd(502, "STRU F")
	c.cmd(502, "STOU")
	c.cmd(200, "TYPE A")
	c.stor("STOR /bkt/f", "a\r\nb\n")
	if got, _ := r.content("f"); got != "a\r\nb\n" {
		t.Errorf("TYPE A changed the file to %q", got)
	}
	if got := c.cmd(213, "SIZE /bkt/f"); got != "5" {
		t.Error(got)
	}
}

func TestSpace(t *testing.T) {
	r := newRig(t)
	c := r.login()
	if n, err := strconv.ParseInt(c.cmd(213, "AVBL /bkt"), 10, 64); err != nil || n <= 0 {
		t.Error(n, err)
	}
	c.cmd(550, "AVBL /bkt/none")
}

// reserved is a store that keeps some of its room free.
type reserved struct {
	*disk.Driver
	free, floor int64
}

func (r *reserved) Free() (free, floor int64, err error) { return r.free, r.floor, nil }

func (r *reserved) Room(n int64) error {
	if r.free-n < r.floor {
		return object.ErrNoSpace
	}
	return nil
}

// What the store keeps free is not available, and who has nothing else is told before it sends a file.
func TestSpaceThatIsKeptFree(t *testing.T) {
	d, err := disk.Open(t.Context(), t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	full := &reserved{d, 1000, 300}
	c := newRigOver(t, full).login()
	if got := c.cmd(213, "AVBL /bkt"); got != "700" {
		t.Error(got)
	}
	c.stor("STOR /bkt/f", "content")
	full.free = 200
	if got := c.cmd(213, "AVBL /bkt"); got != "0" {
		t.Error(got)
	}
	for _, command := range []string{"STOR /bkt/f", "APPE /bkt/f"} {
		c.open()
		if text := c.cmd(552, "%s", command); !strings.HasSuffix(text, "no space left") {
			t.Error(text)
		}
	}
	if got := c.retr("RETR /bkt/f"); got != "content" {
		t.Errorf("%q", got)
	}
}

func TestHash(t *testing.T) {
	r := newRig(t)
	c := r.login()
	content := noise(300_000)
	c.cmd(250, "CWD /bkt")
	c.stor("STOR f", content)
	sum := sha1.Sum([]byte(content[1000:200_000]))
	for command, want := range map[string]string{
		"XSHA1 f 1000 200000": hex.EncodeToString(sum[:]),
		"XCRC /bkt/f":         fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(content))),
	} {
		if got := c.cmd(250, "%s", command); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q", command, got)
		}
	}
	info, err := r.store.Stat(t.Context(), "bkt", "f")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.cmd(250, "MD5 f"); !strings.HasSuffix(got, hex.EncodeToString(info.Digests.MD5)) {
		t.Error(got)
	}
	if got := c.cmd(213, "HASH f"); !strings.Contains(got, "SHA-256 0-300000 ") {
		t.Error(got)
	}
	for _, bounds := range []string{"5 4", "0 300001", "-1 3"} {
		if got := c.cmd(550, "XSHA256 f %s", bounds); !strings.Contains(got, "no such range") {
			t.Errorf("%s: %q", bounds, got)
		}
	}
	c.cmd(550, "HASH none")
}

// panicky is a driver that breaks on keys of a certain name.
type panicky struct{ object.Driver }

func (p panicky) Stat(ctx context.Context, bucket, key string) (object.Info, error) {
	if key == "panic" {
		panic("at the disk, 10.0.0.1")
	}
	return p.Driver.Stat(ctx, bucket, key)
}

func (p panicky) Open(ctx context.Context, bucket, key string) (object.Info, object.Content, error) {
	info, content, err := p.Driver.Open(ctx, bucket, key)
	return info, panickyContent{content}, err
}

type panickyContent struct{ object.Content }

func (panickyContent) Block(context.Context, int64, int64) ([]byte, error) {
	panic("at the disk, 10.0.0.1")
}

// A fault of ours ends the operation and not the session, and the client learns no more than that.
func TestPanic(t *testing.T) {
	d, err := disk.Open(t.Context(), t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOver(t, panicky{d})
	r.put("f", "content")
	c := r.login()
	for _, command := range []string{"DELE /bkt/panic", "STOR /bkt/panic", "RETR /bkt/panic", "SIZE /bkt/panic", "MFMT 20200102030405 /bkt/panic"} {
		if got := c.cmd(550, "%s", command); !strings.Contains(got, "internal error") || strings.Contains(got, "disk") {
			t.Errorf("%s: %q", command, got)
		}
	}
	if got, err := io.ReadAll(c.begin("RETR /bkt/f")); err == nil {
		t.Errorf("%q looks like the whole file", got)
	}
	if got := c.read(550); !strings.Contains(got, "internal error") {
		t.Error(got)
	}
	if e := r.last("RETR"); e.Outcome != Failed {
		t.Errorf("%+v", e)
	}
	if logs := r.logs.String(); !strings.Contains(logs, "panic: at the disk") || !strings.Contains(logs, `"level":"error"`) {
		t.Error("the log does not have the panic")
	}
	c.cmd(221, "QUIT")
	<-r.door.idle()
}

// What the library logs goes to the door's log, at a level below the door's own lines.
func TestBridge(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(bridge{log: zerolog.New(&out).Level(zerolog.DebugLevel)}).With("clientId", 7).WithGroup("g")
	log.Info("not of interest")
	log.Warn("odd", "err", errors.New("x\ny"))
	log.Error("worse", "n", 3)
	want := `{"level":"debug","clientId":"7","g.err":"x\ny","message":"ftpserverlib: odd"}` + "\n" +
		`{"level":"info","clientId":"7","g.n":"3","message":"ftpserverlib: worse"}` + "\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}
