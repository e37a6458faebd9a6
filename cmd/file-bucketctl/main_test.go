package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
)

// TestMain lets the test binary stand in for a daemon, see fakeDoors, and for the tool itself.
func TestMain(m *testing.M) {
	switch os.Getenv("FB_TEST_CTL") {
	case "ctl": // see child
		err := run(context.Background(), os.Args[1:], env{os.Stdout, os.Stderr})
		os.Exit(daemon.Report(os.Stderr, name, err)) //nolint:forbidigo // this is a main
	case "stubborn": // see TestSecondSignalEndsTheProcess
		beStubborn()
	case "reloaded": // see TestReloadWait
		beReloaded()
		return
	case "meter": // see TestBarFitsTheTerminal
		showSteps()
		return
	}
	if name := os.Getenv("FB_TEST_DOOR"); name != "" {
		err := daemon.Run(context.Background(), fakeDoor(name), os.Args[1:], os.Stdout, os.Stderr)
		os.Exit(daemon.Report(os.Stderr, name, err)) //nolint:forbidigo // this is a main
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is a main
}

// fakeDoor is a door that dies when it is told to.
func fakeDoor(name string) daemon.Program {
	return daemon.Program{
		Name: name,
		Address: func(cfg *config.Config) (string, int) {
			switch name {
			case doorNames[0]:
				return cfg.Host, cfg.Port
			case ftpDoor:
				return cfg.FTP.Host, cfg.FTP.Port
			}
			return cfg.S3.Host, cfg.S3.Port
		},
		Open: func(*config.Config, *object.Store, zerolog.Logger) (*daemon.Door, error) {
			if os.Getenv("FB_TEST_REFUSE") == name {
				return nil, errors.New("refused to open")
			}
			return &daemon.Door{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				os.Exit(7) //nolint:forbidigo // dies
			})}, nil
		},
	}
}

// ctl runs a command line and returns its exit code and output.
func ctl(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	for _, key := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "FTP_USERNAME", "FTP_PASSWORD", "HF_TOKEN"} {
		t.Setenv(key, "")
	}
	var out, fail bytes.Buffer
	err := run(t.Context(), args, env{&out, &fail})
	code = daemon.Report(&fail, name, err)
	return code, out.String(), fail.String()
}

// expect fails the test unless a command line ends as it should.
func expect(t *testing.T, code int, stdout, stderr string, args ...string) {
	t.Helper()
	gotCode, gotOut, gotErr := ctl(t, args...)
	if gotCode != code || gotOut != stdout || gotErr != stderr {
		t.Errorf("%s:\ngot  %d %q %q\nwant %d %q %q", args, gotCode, gotOut, gotErr, code, stdout, stderr)
	}
}

func TestUsage(t *testing.T) {
	expect(t, 64, "", "file-bucketctl: no command; see --help\n")
	expect(t, 64, "", "file-bucketctl: unknown command \"tokne\"; see --help\n", "tokne", "list")
	expect(t, 64, "", "file-bucketctl: \"token\" is not a whole command; there is \"token new\" and \"token list\" and \"token revoke\"\n", "token")
	expect(t, 64, "", "file-bucketctl: \"config chekc\" is not a whole command; there is \"config check\"\n", "config", "chekc", "x")
	expect(t, 64, "", "file-bucketctl: init: flag provided but not defined: -prot\n", "init", "--prot")
	expect(t, 64, "", "file-bucketctl: init: invalid value \"0644\" for flag -mode: must be 0600 or 0640\n", "init", "--mode", "0644")
	expect(t, 64, "", "file-bucketctl: init: flag provided but not defined: -prot\n", "init", "now", "--prot")
	expect(t, 64, "", "file-bucketctl: unexpected argument \"--host\"\n", "init", "--", "--host")
	for _, c := range commands() {
		words := strings.Fields(c.name)
		endless := false
		for i, what := range strings.Fields(c.args) {
			if i == 0 && what[0] != '[' {
				expect(t, 64, "", "file-bucketctl: "+c.name+": "+what+" is missing\n", words...)
			}
			if what == "[--" {
				break // what follows is a command
			}
			words = append(words, strings.ToLower(strings.Trim(what, "[].")))
			endless = endless || strings.HasSuffix(what, "...")
		}
		if !endless {
			expect(t, 64, "", "file-bucketctl: unexpected argument \"now\"\n", append(words, "now")...)
		}
		expect(t, 64, "", "file-bucketctl: "+c.name+": flag provided but not defined: -now\n", append(words, "--now")...)
	}
	if code, out, _ := ctl(t, "--version"); code != 0 || !strings.HasPrefix(out, "file-bucketctl devel (go") {
		t.Errorf("got %d %q", code, out)
	}
}

func TestHelp(t *testing.T) {
	_, all, _ := ctl(t, "--help")
	for _, c := range commands() {
		if !strings.Contains(all, "\n  "+c.name+" ") {
			t.Errorf("%s is not in the help", c.name)
		}
		code, out, _ := ctl(t, append(strings.Fields(c.name), "--help")...)
		_, same, _ := ctl(t, append([]string{"help"}, strings.Fields(c.name)...)...)
		codes := cmp.Or(c.codes, daemon.ExitCodes)
		if code != 0 || out != same || !strings.Contains(out, c.summary) || strings.Contains(out, "-config FILE") == (c.name == "completion") ||
			!strings.HasSuffix(out, codes) {
			t.Errorf("%s: %d %s", c.name, code, out)
		}
	}
	if !strings.HasSuffix(all, daemon.ExitCodes) {
		t.Errorf("no exit codes in %s", all)
	}
	expect(t, 64, "", "file-bucketctl: unknown command \"tokne\"; see --help\n", "help", "tokne")
}

func TestInit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "etc", "config.json")
	args := []string{"init", "--config", path, "--var", filepath.Join(dir, "var"), "--host", "127.0.0.1"}
	expect(t, 0, path+": made\n", "", args...)
	expect(t, 0, path+": ok\n", "", "config", "check", "--config", path)
	cfg, err := daemon.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ got, want string }{
		"token":    {cfg.Buckets[0].Token, `^[0-9a-f]{32}$`},
		"bucket":   {cfg.Buckets[0].Name, `^backup$`},
		"access":   {cfg.S3.AccessKey, `^[A-Z2-7]{20}$`},
		"secret":   {cfg.S3.SecretKey, `^[A-Za-z0-9_-]{40}$`},
		"user":     {cfg.FTP.Username, `^backup$`},
		"password": {cfg.FTP.Password, `^[a-z2-7]{20}$`},
		"host":     {cfg.Host + cfg.S3.Host + cfg.FTP.Host, `^(127\.0\.0\.1){3}$`},
	} {
		if !regexp.MustCompile(c.want).MatchString(c.got) {
			t.Errorf("%s: %q does not match %s", what, c.got, c.want)
		}
	}
	for path, mode := range map[string]fs.FileMode{
		path: 0o600, filepath.Join(dir, "var", "files"): fs.ModeDir | 0o700, filepath.Join(dir, "var", "store"): fs.ModeDir | 0o700,
	} {
		if fi, err := os.Stat(path); err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v %v, want %v", path, fi.Mode(), err, mode)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := path + ": exists and is kept\n"
	expect(t, 0, "", kept, args...)
	expect(t, 0, "", kept+path+": host stays 127.0.0.1; edit the file to make it 0.0.0.0\n"+path+": s3.host stays 127.0.0.1; edit the file to make it 0.0.0.0\n"+
		path+": ftp.host stays 127.0.0.1; edit the file to make it 0.0.0.0\n",
		"init", "--config", path, "--host", "0.0.0.0")
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("overwritten: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}

	other := filepath.Join(dir, "other.json")
	home, store := filepath.Join(dir, "h"), filepath.Join(dir, "s")
	expect(t, 0, other+": made\n", "", "init", "--config", other, "--home", home, "--storage", store, "--mode", "0640", "--port", "1", "--s3-port", "2", "--ftp-port", "3")
	cfg2, err := daemon.LoadConfig(other)
	if err != nil {
		t.Fatal(err)
	}
	if cfg2.Home != home || cfg2.Storage.Path != store || cfg2.Port != 1 || cfg2.S3.Port != 2 || cfg2.FTP.Port != 3 {
		t.Errorf("got %+v", cfg2)
	}
	if cfg2.Buckets[0].Token == cfg.Buckets[0].Token || cfg2.S3.AccessKey == cfg.S3.AccessKey || cfg2.S3.SecretKey == cfg.S3.SecretKey || cfg2.FTP.Password == cfg.FTP.Password {
		t.Error("secrets are not random")
	}
	if fi, err := os.Stat(other); err != nil || fi.Mode() != 0o640 {
		t.Errorf("mode %v %v", fi.Mode(), err)
	}
}

func TestInitErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	code, _, fail := ctl(t, "init", "--config", path, "--var", dir, "--host", "no host")
	if code != 78 || !strings.Contains(fail, `host: "no host" is neither`) {
		t.Errorf("got %d %s", code, fail)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a bad configuration was left behind")
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, 78, "", "file-bucketctl: "+path+":1: unexpected end of JSON input\n", "init", "--config", path)
	if _, err := os.Stat(path); err != nil {
		t.Error("somebody's file was removed")
	}
	if code, _, _ := ctl(t, "init", "--config", filepath.Join(path, "x"), "--var", dir); code != 1 {
		t.Errorf("got %d", code)
	}
}

func TestConfigCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte("{\n\"prot\": 1,\n\"home\": 2}"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, 78, "", "file-bucketctl: "+path+":2: prot: unknown key (did you mean \"port\"?)\n"+path+":3: home: must be a string\n", "config", "check", "--config", path)
}

// TestConfigCheckFiles sees that the check refuses what daemons would, and warns of what they warn of.
func TestConfigCheckFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	args := []string{"config", "check", "--config", path}
	if err := os.WriteFile(path, []byte(`{"tls": {"cert": "/none/c", "key": "/none/k"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, 78, "", "file-bucketctl: "+path+":1: tls.cert: load certificate: open /none/c: no such file or directory\n", args...)
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	expect(t, 0, path+": ok\n", "file-bucketctl: warning: "+path+": holds secrets and is open to every user (mode 0604); chmod o= helps\n", args...)
	hook := filepath.Join(dir, "post-push.sh")
	for name, text := range map[string]string{path: fmt.Sprintf(`{"hooks": {"dir": %q}}`, dir), hook: ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, 0, path+": ok\n", "file-bucketctl: warning: "+hook+": is not run: it is not executable (mode 0600); chmod +x helps\n", args...)
}

const sampleConfig = `{
  "host": "192.0.2.7", "home": "/srv/files",
  "buckets": ["3547264155b541de5cb6a7eae0431a14", {"name": "db01", "tokens": ["old-token", "new-token"]},
              {"name": "db02", "token_sha256": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"}],
  "storage": {"path": "/srv/store"},
  "s3": {"host": "192.0.2.7", "access_key": "AK", "secret_key": "S$K"}
}`

func TestTokenList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(sampleConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	const curl = `curl -f --aws-sigv4 aws:amz:us-east-1:s3 --user 'AK:S$K'`
	expect(t, 0, `Token 3547264155b541de5cb6a7eae0431a14, plain files in /srv/files/3547264155b541de5cb6a7eae0431a14
  push:      curl -f -F file=@backup.tar http://192.0.2.7:1234/3547264155b541de5cb6a7eae0431a14

Bucket db01
  push:      curl -f -F file=@backup.tar http://192.0.2.7:1234/old-token
  push:      curl -f -F file=@backup.tar http://192.0.2.7:1234/new-token
  read back: `+curl+` -o copy-of-backup.tar http://192.0.2.7:9000/db01/backup.tar

Bucket db02
  only a digest of the token is known: put the token itself in place of TOKEN
  push:      curl -f -F file=@backup.tar http://192.0.2.7:1234/TOKEN
  digest:    5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
  read back: `+curl+` -o copy-of-backup.tar http://192.0.2.7:9000/db02/backup.tar

S3 at http://192.0.2.7:9000, region us-east-1
  export AWS_ACCESS_KEY_ID=AK
  export AWS_SECRET_ACCESS_KEY='S$K'
  export AWS_DEFAULT_REGION=us-east-1
  aws --endpoint-url http://192.0.2.7:9000 s3 ls
  aws --endpoint-url http://192.0.2.7:9000 s3 ls s3://db02/
  aws --endpoint-url http://192.0.2.7:9000 s3 cp s3://db02/backup.tar copy-of-backup.tar

The store is in /srv/store
`, "", "token", "list", "--config", path)

	_, out, _ := ctl(t, "token", "list", "--config", path, "--file", "ä b+c.tar")
	for _, line := range []string{
		"curl -f -F file=@'ä b+c.tar' http://192.0.2.7:1234/old-token\n",
		" -o 'copy-of-ä b+c.tar' http://192.0.2.7:9000/db01/%C3%A4%20b%2Bc.tar\n",
		" s3 cp s3://db02/'ä b+c.tar' 'copy-of-ä b+c.tar'\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in %s", line, out)
		}
	}

	_, out, _ = ctl(t, "token", "list", "--json", "--config", path, "--host", "storage.lan")
	var g guide
	if err := json.Unmarshal([]byte(out), &g); err != nil {
		t.Fatal(err)
	}
	if got := g.Buckets[1].PushURLs[1]; got != "http://storage.lan:1234/new-token" {
		t.Errorf("got %s", got)
	}
	if len(g.Buckets[2].Tokens) != 0 || g.S3.SecretKey != "S$K" || g.Buckets[0].Dir == "" || g.Buckets[1].S3URL != "http://storage.lan:9000/db01" {
		t.Errorf("got %+v", g)
	}
}

func TestTokenListVariants(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"host": "192.0.2.7", "s3": {"host": "192.0.2.7"}}`)
	expect(t, 0, "S3 at http://192.0.2.7:9000, region us-east-1, open to everybody\n  aws --no-sign-request --endpoint-url http://192.0.2.7:9000 s3 ls\n\nThe store is in /var/lib/file-bucket/store\n",
		"", "token", "list", "--config", path)
	write(`{"tls": {"cert": "/c", "key": "/k"}, "s3": {"keys": [{"access_key": "K", "secret_key": "S"}]}}`)
	_, out, _ := ctl(t, "token", "list", "--config", path, "--host", "::1")
	if !strings.Contains(out, "S3 at https://[::1]:9000") || !strings.Contains(out, "AWS_ACCESS_KEY_ID=K\n") {
		t.Errorf("got %s", out)
	}
	write(`{"s3": {"keys": [{"access_key": "C", "secret_key": "S", "mode": "create"}, {"access_key": "R", "secret_key": "S", "mode": "read"}]}}`)
	if _, out, _ := ctl(t, "token", "list", "--config", path); !strings.Contains(out, "AWS_ACCESS_KEY_ID=R\n") {
		t.Errorf("got %s", out)
	}
	for text, want := range map[string]string{
		`{"ftp": {"host": "192.0.2.7", "username": "u", "password": "p w"}, "buckets": [{"name": "db01", "token": "token-one"}]}`: `
FTP at ftp://192.0.2.7:2121
  curl -f --user 'u:p w' --ftp-create-dirs -T 'a b' ftp://192.0.2.7:2121/db01/
  curl -f --user 'u:p w' -o 'copy-of-a b' ftp://192.0.2.7:2121/db01/a%20b
  lftp -u 'u,p w' ftp://192.0.2.7:2121/db01/

The store`,
		`{"ftp": {"host": "192.0.2.7"}, "tls": {"cert": "/c", "key": "/k"}, "buckets": [{"name": "db01", "token": "token-one"}]}`: `
FTP at ftp://192.0.2.7:2121, open to everybody
  curl -f --ssl-reqd --ftp-create-dirs -T 'a b' ftp://192.0.2.7:2121/db01/
  curl -f --ssl-reqd -o 'copy-of-a b' ftp://192.0.2.7:2121/db01/a%20b
  lftp -e 'set ftp:ssl-force true; open ftp://192.0.2.7:2121/db01/'
  A certificate of "tls init" is trusted by a copy of it: --cacert c (curl), set ssl:ca-file c; (lftp, before the rest)

The store`,
		`{"ftp": {"host": "192.0.2.7", "username": "u", "password": "p"}, "tls": {"cert": "/c", "key": "/k"}}`: `
  lftp -e 'set ftp:ssl-force true; open -u u,p ftp://192.0.2.7:2121/'
`,
		`{"ftp": {"host": "192.0.2.7", "username": "u", "password": "p w;'\"\\"}, "tls": {"cert": "/c", "key": "/k"}}`: `
  lftp -e 'set ftp:ssl-force true; open -u "u,p w;'\''\"\\" ftp://192.0.2.7:2121/'
`,
		`{"ftp": {"host": "192.0.2.7", "username": "u", "password": "p"}}`: `
FTP at ftp://192.0.2.7:2121
  lftp -u u,p ftp://192.0.2.7:2121/

The store`,
	} {
		write(text)
		if _, out, _ := ctl(t, "token", "list", "--config", path, "--file", "a b"); !strings.Contains(out, want) {
			t.Errorf("%s: got %s", text, out)
		}
	}
	expect(t, 78, "", "file-bucketctl: read configuration: open /none: no such file or directory\n", "token", "list", "--config", "/none")
}

// TestTokenListWithoutTheSecret has the S3 secret where only the S3 door gets it.
func TestTokenListWithoutTheSecret(t *testing.T) {
	t.Setenv("INVOCATION_ID", "of a service, which is not told of the credentials of others")
	path := writeConfig(t, `{"host": "192.0.2.7", "s3": {"host": "192.0.2.7", "access_key": "AK"}, "buckets": [{"name": "db01", "token": "token-one"}]}`)
	_, out, fail := ctl(t, "token", "list", "--config", path)
	for _, want := range []string{
		" --user AK:SECRET -o ", "  export AWS_SECRET_ACCESS_KEY=SECRET\n",
		"\n  the secret of AK is in the systemd credential s3-secret-key", ": put it in place of SECRET\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in it: %s %s", want, out, fail)
		}
	}
}

func TestReachable(t *testing.T) {
	network := func(text string) net.Addr {
		ip, n, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		return &net.IPNet{IP: ip, Mask: n.Mask}
	}
	lan := func() ([]net.Addr, error) {
		return []net.Addr{network("127.0.0.1/8"), network("fe80::1/64"), network("192.0.2.9/24")}, nil
	}
	none := func() ([]net.Addr, error) { return nil, errors.New("no interfaces") }
	for _, c := range []struct {
		listen string
		addrs  func() ([]net.Addr, error)
		want   string
	}{
		{"0.0.0.0", lan, "192.0.2.9"},
		{"", lan, "192.0.2.9"},
		{"::", lan, "192.0.2.9"},
		{"198.51.100.1", lan, "198.51.100.1"},
		{"storage.lan", lan, "storage.lan"},
		{"0.0.0.0", none, "127.0.0.1"},
		{"0.0.0.0", func() ([]net.Addr, error) { return nil, nil }, "127.0.0.1"},
	} {
		if got := reachable(c.listen, c.addrs); got != c.want {
			t.Errorf("%q: got %s, want %s", c.listen, got, c.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"a.tar": "a.tar", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "~x": "'~x'"} {
		if got := quote(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}
