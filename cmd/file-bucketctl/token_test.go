package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// tokenConfig is a configuration that somebody has written by hand.
const tokenConfig = `{
	"host" : "192.0.2.7",
	"buckets": [ "3547264155b541de5cb6a7eae0431a14",
	             {"name": "db01", "token": "9c7c64cfac3b922aacd4ba68cb631e82", "max_size": "1GiB"},
	             {"name": "db02", "token_sha256": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"} ],
	"home":"/srv/files"
}`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

const laterNote = " is changed; file-bucketd takes it when it starts; when it runs already, send it SIGUSR2\n"

var freshToken = regexp.MustCompile(`[0-9a-f]{32}`)

func TestTokenNewAddsABucketAndKeepsTheRest(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	code, out, fail := ctl(t, "token", "new", "db03", "--config", path)
	token := freshToken.FindString(out)
	if want := "Bucket db03\n  push:      curl -f -F file=@backup.tar http://192.0.2.7:1234/" + token + "\n" + path + laterNote; code != 0 || out != want || fail != "" {
		t.Errorf("%d %q %q", code, out, fail)
	}
	has(t, path, strings.Replace(tokenConfig, `2d8"} ]`, "2d8\"},\n\t             {\"name\": \"db03\", \"token\": \""+token+`"} ]`, 1))
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o640 {
		t.Errorf("mode %v %v", fi.Mode(), err)
	}
}

func TestTokensRotate(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	const old = "9c7c64cfac3b922aacd4ba68cb631e82"
	code, out, fail := ctl(t, "token", "new", "db01", "--config", path, "--json", "--host", "box")
	var made newTokenResult
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil || made.Name != "db01" || len(made.Tokens) != 1 || made.Reloaded {
		t.Fatalf("%d %q %q: %v", code, out, fail, err)
	}
	if made.Tokens[0] == old || !freshToken.MatchString(made.Tokens[0]) || made.PushURLs[0] != "http://box:1234/"+made.Tokens[0] {
		t.Errorf("got %+v", made)
	}
	both := strings.Replace(tokenConfig, `"token": "`+old+`"`, `"tokens": ["`+old+`", "`+made.Tokens[0]+`"]`, 1)
	has(t, path, both)
	expect(t, 0, "the token of bucket db01 is revoked; it has 1 token left\n"+path+laterNote, "", "token", "revoke", old, "--config", path)
	one := strings.Replace(both, `"`+old+`", `, "", 1)
	has(t, path, one)
	expect(t, 1, "", "file-bucketctl: there is no such token\n", "token", "revoke", old, "--config", path)
	expect(t, 1, "", "file-bucketctl: it is the only token of bucket db01: make another first, with token new db01, or have the bucket's entry go with it, with --last\n",
		"token", "revoke", made.Tokens[0], "--config", path)
	has(t, path, one)
	expect(t, 0, "the token is revoked, and bucket db01 is no longer in "+path+": nobody can push to it; its objects stay\n"+path+laterNote, "",
		"token", "revoke", made.Tokens[0], "--last", "--config", path)
	code, out, fail = ctl(t, "token", "revoke", "3547264155b541de5cb6a7eae0431a14", "--config", path)
	if code != 0 || out != "the token is revoked; its files stay in /srv/files/3547264155b541de5cb6a7eae0431a14\n"+path+laterNote {
		t.Errorf("%d %q %q", code, out, fail)
	}
	expect(t, 0, `{
  "bucket": "db02",
  "left": 0,
  "reloaded": false
}
`, "", "token", "revoke", "password", "--last", "--json", "--config", path) // whose digest the file has
	has(t, path, "{\n\t\"host\" : \"192.0.2.7\",\n\t\"buckets\": [ ],\n\t\"home\":\"/srv/files\"\n}")
}

func TestTokenNewWritesADigest(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	code, out, fail := ctl(t, "token", "new", "db03", "--digest", "--config", path)
	token := freshToken.FindString(out)
	text, err := os.ReadFile(path)
	if code != 0 || err != nil || token == "" || strings.Contains(string(text), token) {
		t.Fatalf("%d %q %q: %s", code, out, fail, text)
	}
	if code, out, fail = ctl(t, "token", "revoke", token, "--last", "--config", path); code != 0 {
		t.Errorf("%d %q %q", code, out, fail)
	}
	has(t, path, tokenConfig)
	code, out, fail = ctl(t, "token", "revoke", "5E884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "--last", "--config", path)
	if code != 0 {
		t.Errorf("by its digest: %d %q %q", code, out, fail)
	}
}

func TestTokenIsReadFromAPipe(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	cmd := child(t, "token", "revoke", "-", "--config", path)
	cmd.Stdin = strings.NewReader("3547264155b541de5cb6a7eae0431a14\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if cfg, err := daemon.LoadConfig(path); err != nil || len(cfg.Buckets) != 2 {
		t.Errorf("%v", err)
	}
}

// TestDigestsRotate: a bucket keeps its entry, and who keeps no token in the file gets none there.
func TestDigestsRotate(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	const old, sha = "9c7c64cfac3b922aacd4ba68cb631e82", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
	made := func(bucket, before string, flags ...string) (token, digest string) {
		t.Helper()
		code, out, fail := ctl(t, append([]string{"token", "new", bucket, "--config", path}, flags...)...)
		if token = freshToken.FindString(out); code != 0 || token == "" {
			t.Fatalf("%d %q %q", code, out, fail)
		}
		if want := path + " has only the token's SHA-256: nobody can show it again\nWhen all clients use it, take away what they used before:\n" +
			"  file-bucketctl token revoke --config " + path + " " + before + "\n"; !strings.Contains(out, want) {
			t.Errorf("no %q in %q", want, out)
		}
		sum := sha256.Sum256([]byte(token))
		return token, hex.EncodeToString(sum[:])
	}
	dropped, _ := made("db02", sha)
	expect(t, 0, "the token of bucket db02 is revoked; it has 1 token left\n"+path+laterNote, "", "token", "revoke", dropped, "--config", path)
	has(t, path, strings.Replace(tokenConfig, `"`+sha+`"`, `["`+sha+`"]`, 1))
	second, secondSHA := made("db02", sha)
	two := strings.Replace(tokenConfig, `"`+sha+`"`, `["`+sha+`", "`+secondSHA+`"]`, 1)
	has(t, path, two)
	expect(t, 0, "the token of bucket db02 is revoked; it has 1 token left\n"+path+laterNote, "", "token", "revoke", "password", "--config", path)
	has(t, path, strings.Replace(two, `"`+sha+`", `, "", 1))
	expect(t, 1, "", "file-bucketctl: it is the only token of bucket db02: make another first, with token new db02, or have the bucket's entry go with it, with --last\n",
		"token", "revoke", second, "--config", path)

	// From a token in the file to one that is not.
	_, first := made("db01", old, "--digest")
	code, out, fail := ctl(t, "token", "list", "--config", path)
	if code != 0 || !strings.Contains(out, "/"+old+"\n  digest:    "+first+"\n") {
		t.Errorf("%d %q %q", code, out, fail)
	}
	expect(t, 0, "the token of bucket db01 is revoked; it has 1 token left\n"+path+laterNote, "", "token", "revoke", old, "--config", path)
	want := strings.Replace(tokenConfig, `"token": "`+old+`", "max_size": "1GiB"`, `"max_size": "1GiB", "token_sha256": "`+first+`"`, 1)
	has(t, path, strings.Replace(want, `"`+sha+`"`, `["`+secondSHA+`"]`, 1))

	// A file with a token stays what it is, and can be left.
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("token-of-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"buckets": [{"name": "db01", "token_file": %q}]}`, file)
	path = writeConfig(t, text)
	expect(t, 1, "", "file-bucketctl: bucket db01 has its token in "+file+", which stands alone: change it there, or add one with --digest\n",
		"token", "new", "db01", "--config", path)
	_, third := made("db01", "token-of-a-file", "--digest")
	expect(t, 0, "the token of bucket db01 is revoked; it has 1 token left\n"+path+laterNote, "", "token", "revoke", "token-of-a-file", "--config", path)
	has(t, path, `{"buckets": [{"name": "db01", "token_sha256": "`+third+`"}]}`)
}

// TestTokenCommandsChangeNothingWhenTheyFail sees that a file that is not valid, or would not be, stays as it is.
func TestTokenCommandsChangeNothingWhenTheyFail(t *testing.T) {
	for text, want := range map[string]string{
		"{\n\"prot\": 1, \"buckets\": [\"aaaaaaaa\"]}": "78 :2: prot: unknown key",
		"{": "78 unexpected end of JSON",
	} {
		path := writeConfig(t, text)
		for _, args := range [][]string{{"token", "new", "db01"}, {"token", "revoke", "aaaaaaaa"}} {
			code, out, fail := ctl(t, append(args, "--config", path)...)
			if wantCode, wantText, _ := strings.Cut(want, " "); fmt.Sprint(code) != wantCode || out != "" || !strings.Contains(fail, wantText) {
				t.Errorf("%q: %d %q %q", args, code, out, fail)
			}
		}
		alone(t, path, text)
	}
	path := writeConfig(t, tokenConfig)
	expect(t, 64, "", "file-bucketctl: token new: \"Db\" is no bucket name: a bucket name has 3 to 63 characters\n", "token", "new", "Db", "--config", path)
	alone(t, path, tokenConfig)
	code, _, fail := ctl(t, "token", "new", "db01", "--config", path+"x")
	if code != 78 || !strings.Contains(fail, "read configuration: ") {
		t.Errorf("%d %q", code, fail)
	}
}

// TestEditIsRefusedWhenItWouldBreakTheFile sees that what a change makes is looked at before it takes the place of what was.
func TestEditIsRefusedWhenItWouldBreakTheFile(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	_, err := editConfig(path, func(_ *config.Config, d *config.Draft) error {
		return d.AddBucket(config.Member{Name: "name", Value: "db01"}, config.Member{Name: "token", Value: "another-token"})
	})
	if _, ok := errors.AsType[*daemon.ConfigError](err); !ok || !strings.Contains(err.Error(), `"db01" is also buckets[1].name`) {
		t.Errorf("got %v", err)
	}
	alone(t, path, tokenConfig)
}

// TestEditGivesWayToAnEditor: people's editors ask for no lock, and what they saved meanwhile must neither be lost nor be taken for what
// was looked at.
func TestEditGivesWayToAnEditor(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	saved := strings.Replace(tokenConfig, "db01", "db02", 1)
	_, err := editConfig(path, func(*config.Config, *config.Draft) error { return os.WriteFile(path, []byte(saved), 0o600) })
	if err == nil || !strings.Contains(err.Error(), "somebody else has changed") {
		t.Errorf("got %v", err)
	}
	alone(t, path, saved)
}

// TestLockIsNotWaitedForInVain: whoever may read the configuration may hold the lock for ever.
func TestLockIsNotWaitedForInVain(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	held, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // it was only read
	if err := flock(other, 0); err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("got %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := flock(other, 0); err != nil {
		t.Error(err)
	}
}

// alone fails the test unless a directory has one file, with a text.
func alone(t *testing.T, path, text string) {
	t.Helper()
	has(t, path, text)
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}

// TestEditKeepsOwnerModeAndLinks sees that who may read the configuration may still, and that a link is not replaced.
func TestEditKeepsOwnerModeAndLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := writeConfig(t, tokenConfig)
	if err := os.Chown(path, 64121, 64122); err != nil {
		t.Fatal(err)
	}
	// Version 2; the owner rw, user 64123 r, the group r, the mask r, others nothing.
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0x7b, 0xfa, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
	lists := unix.Setxattr(path, "system.posix_acl_access", acl, 0) == nil
	if !lists {
		t.Log("the file system has no access lists")
	}
	link := filepath.Join(t.TempDir(), "config.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if code, out, fail := ctl(t, "token", "new", "db09", "--config", link); code != 0 {
		t.Fatalf("%d %q %q", code, out, fail)
	}
	if to, err := os.Readlink(link); err != nil || to != path {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := fi.Sys().(*syscall.Stat_t) //nolint:errcheck // it is Linux
	if st.Uid != 64121 || st.Gid != 64122 || fi.Mode() != 0o640 {
		t.Errorf("it is %v of %d:%d", fi.Mode(), st.Uid, st.Gid)
	}
	got := make([]byte, 100)
	if n, err := unix.Getxattr(path, "system.posix_acl_access", got); lists && (err != nil || string(got[:n]) != string(acl)) {
		t.Errorf("the access list is %v, %v", got[:max(n, 0)], err)
	}
	if cfg, err := daemon.LoadConfig(path); err != nil || len(cfg.Buckets) != 4 {
		t.Errorf("%v", err)
	}
}

// TestEditsDoNotLoseEachOther has several write one file at a time.
func TestEditsDoNotLoseEachOther(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	const n = 20
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			cmd := child(t, "token", "new", fmt.Sprintf("bucket-%d", i), "--config", path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wait.Wait()
	if cfg, err := daemon.LoadConfig(path); err != nil || len(cfg.Buckets) != 3+n {
		t.Fatalf("%v, %+v", err, cfg)
	}
}

func TestReloadGoesThroughTheServiceManager(t *testing.T) {
	path := writeConfig(t, tokenConfig)
	const reload = "reload file-bucketd.service\n"
	for what, c := range map[string]struct {
		files          map[string]string
		booted, config string // others than those that are there
		calls          string
		done           bool
		fails          string
	}{
		"active": {files: map[string]string{"file-bucketd.service": "", oldState: "3 ok\n"}, calls: reload, done: true},
		"starting": {
			files: map[string]string{"file-bucketd.service": "activating", "file-bucketd.service.starts": "1\n"},
			calls: reload + reload, done: true,
		},
		"refused": {
			files: map[string]string{"file-bucketd.service": "", "file-bucketd.service.refuses": "", oldState: "3 :1: no\n"}, calls: reload,
			fails: path + " is changed, but file-bucketd did not take it: not reloaded, the old configuration is kept: :1: no\njournalctl -u file-bucketd says more",
		},
		"not active":     {},
		"not its file":   {files: map[string]string{"file-bucketd.service": ""}, config: writeConfig(t, tokenConfig)},
		"no file of its": {files: map[string]string{"file-bucketd.service": ""}, config: "/none"},
		"not booted":     {files: map[string]string{"file-bucketd.service": ""}, booted: "/none"},
	} {
		if c.files == nil {
			c.files = make(map[string]string)
		}
		s, calls := fakeSystemd(t, c.files)
		s.booted, s.config = cmp.Or(c.booted, s.booted), cmp.Or(c.config, path)
		done, note, err := s.reloadPushDoor(t.Context(), path)
		if err != nil && err.Error() != c.fails || (err == nil) != (c.fails == "") {
			t.Errorf("%s: %v", what, err)
		}
		if done != c.done || (note == "") != (err != nil) || err == nil && strings.Contains(note, "SIGUSR2") == c.done {
			t.Errorf("%s: %v %q", what, done, note)
		}
		if calls() != c.calls {
			t.Errorf("%s: asked %q, want %q", what, calls(), c.calls)
		}
	}
	s := systemd{systemctl: "/none", booted: t.TempDir(), config: path}
	if _, _, err := s.reloadPushDoor(t.Context(), path); err == nil {
		t.Error("a systemctl that is missing went unnoticed")
	}
}
