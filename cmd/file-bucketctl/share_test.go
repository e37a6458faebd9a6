package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
	"hugbucket/internal/s3"
)

// sharer is a store with an S3 door whose clock can be turned.
type sharer struct {
	testStore

	later *time.Duration
}

// newSharer serves the store with the S3 section of a configuration, in which %s stands for host and port.
func newSharer(t *testing.T, section string, keys s3.Config) sharer {
	t.Helper()
	s := sharer{newTestStore(t), new(time.Duration)}
	cfg := func(section string) {
		text := fmt.Sprintf(`{"storage": {"path": %q, "min_free": "1MiB"}, "s3": %s}`, s.dir, section)
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg(`{}`)
	loaded, err := daemon.LoadConfig(s.config)
	if err != nil {
		t.Fatal(err)
	}
	store, err := daemon.OpenStore(t.Context(), loaded, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	keys.Region = "us-east-1"
	keys.Now = func() time.Time { return time.Now().Add(*s.later) }
	door, err := s3.New(store, keys, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(door)
	t.Cleanup(func() {
		server.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg(fmt.Sprintf(section, fmt.Sprintf(`"host": %q, "port": %s`, at.Hostname(), at.Port())))
	return s
}

// share makes a link.
func (s sharer) share(t *testing.T, args ...string) (r shareResult) {
	t.Helper()
	code, out, fail := s.ctl(t, append([]string{"share", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil {
		t.Fatalf("%q: %d %q %q: %v", args, code, out, fail, err)
	}
	return r
}

// fetch returns what a link gives: status and body.
func fetch(t *testing.T, link string) (int, string) {
	t.Helper()
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

func TestShareGivesTheObjectUntilItExpires(t *testing.T) {
	s := newSharer(t, `{%s, "access_key": "AK", "secret_key": "S/K+="}`, s3.Config{Keys: []s3.Key{{AccessKey: "AK", SecretKey: "S/K+="}}})
	keys := []string{"a", "dir/ä b+c%41.tar", "a//b", "/x", "../x", "q?x=1&y#z", "~*'()!@:,;=$", "d/"}
	stored := s.put(t, 1000, keys...)
	for _, key := range keys {
		r := s.share(t, "backup/"+key)
		if code, body := fetch(t, r.URL); code != 200 || body != string(stored[key]) || r.AccessKey != "AK" {
			t.Errorf("%q: %d, %d bytes from %s", key, code, len(body), r.URL)
		}
		if code, _ := fetch(t, strings.Replace(r.URL, "X-Amz-Expires=86400", "X-Amz-Expires=86401", 1)); code != 403 {
			t.Errorf("%q: changed, and answered %d", key, code)
		}
	}
	r := s.share(t, "backup/a", "--expires", "2h")
	for later, want := range map[time.Duration]int{2*time.Hour - time.Minute: 200, 2*time.Hour + time.Minute: 403} {
		*s.later = later
		if code, body := fetch(t, r.URL); code != want {
			t.Errorf("after %v: %d %s", later, code, body)
		}
	}
	if r.Expires == nil || time.Until(*r.Expires) > 2*time.Hour {
		t.Errorf("got %+v", r)
	}
	s.say(t, 1, "", "file-bucketctl: there is no object backup/none\n", "share", "backup/none")
	s.say(t, 1, "", "file-bucketctl: there is no bucket none\n", "share", "none/a")
	for _, expires := range []string{"8d", "0s", "500ms"} {
		s.say(t, 64, "", "file-bucketctl: share: a link can work for 1s to 7d\n", "share", "backup/a", "--expires", expires)
	}
	_, out, _ := s.ctl(t, "share", "backup/a", "--quiet", "--host", "box.lan", "--expires", "7d")
	if !strings.HasPrefix(out, "http://box.lan:") || !strings.Contains(out, "&X-Amz-Expires=604800&") || strings.Count(out, "\n") != 1 {
		t.Errorf("got %q", out)
	}
}

// TestShareSignsWithTheConfigurationsKey shares in a shell that holds the keys of a cloud.
func TestShareSignsWithTheConfigurationsKey(t *testing.T) {
	s := newSharer(t, `{%s, "access_key": "AK", "secret_key": "SK"}`, s3.Config{Keys: []s3.Key{{AccessKey: "AK", SecretKey: "SK"}}})
	s.put(t, 10, "a")
	t.Setenv("AWS_ACCESS_KEY_ID", "CLOUD")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "cloud")
	var out, fail bytes.Buffer
	if err := run(t.Context(), []string{"share", "backup/a", "--quiet", "--config", s.config}, env{&out, &fail}); err != nil {
		t.Fatal(err, &fail)
	}
	if code, _ := fetch(t, strings.TrimSpace(out.String())); code != 200 {
		t.Errorf("%d from %s", code, &out)
	}
}

func TestShareOfAnOpenDoor(t *testing.T) {
	s := newSharer(t, `{%s}`, s3.Config{})
	s.put(t, 10, "a b")
	r := s.share(t, "backup/a b")
	if code, _ := fetch(t, r.URL); code != 200 || r.Expires != nil || r.AccessKey != "" || !strings.HasSuffix(r.URL, "/backup/a%20b") {
		t.Errorf("%d %+v", code, r)
	}
}

// TestShareSignsWithAKeyThatMayRead sees that a key is taken that the door lets read the object.
func TestShareSignsWithAKeyThatMayRead(t *testing.T) {
	keys := []config.S3Key{
		{AccessKey: "create", Mode: "create"},
		{AccessKey: "elsewhere", Buckets: []string{"other"}},
		{AccessKey: "prefix", Prefix: "db/", Mode: "read"},
		{AccessKey: "team", Owner: "team", Mode: "read"},
		{AccessKey: "bucket", Buckets: []string{"backup"}, Mode: "write"},
	}
	for want, c := range map[string]struct{ bucket, owner, key string }{
		"prefix": {"backup", "", "db/x"}, "bucket": {"backup", "", "x"}, "team": {"backup", "team", "db/x"}, "elsewhere": {"other", "", "x"},
	} {
		got, err := keyFor(config.S3{Keys: keys}, object.Bucket{Name: c.bucket, Owner: c.owner}, c.key)
		if err != nil || got.AccessKey != want {
			t.Errorf("%+v: got %q, want %q; %v", c, got.AccessKey, want, err)
		}
	}
	main := config.S3{AccessKey: "main", SecretKey: "s", Keys: keys}
	if got, err := keyFor(main, object.Bucket{Name: "backup"}, "db/x"); err != nil || got.AccessKey != "main" {
		t.Errorf("got %q, %v", got.AccessKey, err)
	}
	main.SecretKey = "" // only the door has it
	if got, err := keyFor(main, object.Bucket{Name: "backup"}, "db/x"); err != nil || got.AccessKey != "prefix" {
		t.Errorf("got %q, %v", got.AccessKey, err)
	}
	if _, err := keyFor(config.S3{AccessKey: "main"}, object.Bucket{Name: "backup"}, "x"); err == nil || !strings.Contains(err.Error(), "the secret of main is in the systemd credential s3-secret-key") {
		t.Error(err)
	}
	for _, b := range []object.Bucket{{Name: "third"}, {Name: "backup", Owner: "nobody"}} {
		if got, err := keyFor(config.S3{Keys: keys}, b, "x"); err == nil {
			t.Errorf("%+v: %q", b, got.AccessKey)
		}
	}
	if _, err := keyFor(config.S3{}, object.Bucket{Name: "backup", Owner: "team"}, "x"); err == nil {
		t.Error("an open door is not the owner of everything")
	}
}
