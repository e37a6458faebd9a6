package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clearSecrets keeps the environment of whoever runs the tests out of them.
func clearSecrets(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"CREDENTIALS_DIRECTORY", "HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "FTP_USERNAME", "FTP_PASSWORD",
		"INVOCATION_ID",
	} {
		t.Setenv(name, "")
	}
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := parse("config.json", []byte(text), false)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestDefaults(t *testing.T) {
	clearSecrets(t)
	cfg := mustParse(t, "{}")
	want := Default()
	want.Storage.Path = "/var/lib/file-bucket/store"
	want.file, want.lines = cfg.file, cfg.lines
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
}

func TestPathsAreAbsolute(t *testing.T) {
	clearSecrets(t)
	dir := t.TempDir()
	t.Chdir(dir)
	cfg := mustParse(t, `{"home": "h", "storage": {"path": "/x/../s"}, "tls": {"cert": "c", "key": "k"}}`)
	if cfg.Storage.Path != "/s" {
		t.Errorf("got %s", cfg.Storage.Path)
	}
	for name, got := range map[string]string{"h": cfg.Home, "c": cfg.TLS.Cert, "k": cfg.TLS.Key} {
		if want := filepath.Join(dir, name); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if cfg := mustParse(t, "{}"); cfg.TLS != (TLS{}) {
		t.Errorf("got %+v", cfg.TLS)
	}
}

func TestSecretFiles(t *testing.T) {
	clearSecrets(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("token-one"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := mustParse(t, `{"buckets": [{"name": "db", "token_file": "`+secret+`"}], "tls": {"cert": "/c", "key": "/k"}}`)
	if got, want := cfg.SecretFiles(), []string{"config.json", secret, "/k"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFourKeys(t *testing.T) {
	clearSecrets(t)
	// The ports of the other doors were nobody's when such a file was written.
	cfg := mustParse(t, `{
 "buckets": ["3547264155b541de5cb6a7eae0431a14", "9c7c64cfac3b922aacd4ba68cb631e82", "Zm9v+YmFyYmF6cXV4Zm9vYmFyYm.~ab="],
 "port": 9000,
 "home": "/srv/files",
 "host": "0.0.0.0"
}`)
	if len(cfg.Buckets) != 3 || cfg.Buckets[1].Token != "9c7c64cfac3b922aacd4ba68cb631e82" || cfg.Buckets[1].Name != "" {
		t.Errorf("buckets: %+v", cfg.Buckets)
	}
	if cfg.Port != 9000 || cfg.Home != "/srv/files" || cfg.Host != "0.0.0.0" {
		t.Errorf("got %s %d %s", cfg.Host, cfg.Port, cfg.Home)
	}
}

func TestLoadWholeShape(t *testing.T) {
	clearSecrets(t)
	cfg, err := Load("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	b := cfg.Buckets[1]
	if b.Name != "db01" || b.MaxSize != 100<<30 || !b.Overwrite ||
		b.Expect != Duration(26*time.Hour) || b.Keep != 14 || b.MaxAge != Duration(90*24*time.Hour) {
		t.Errorf("bucket: %+v", b)
	}
	if got := cfg.Buckets[2].TokenSHA256; len(got) != 1 || got[0] != strings.Repeat("ab", 32) {
		t.Errorf("token_sha256 %s is not lower case", got)
	}
	if len(cfg.Buckets[3].Tokens) != 2 {
		t.Errorf("tokens: %+v", cfg.Buckets[3])
	}
	if k := cfg.S3.Keys[0]; k.Mode != "create" || k.Buckets[0] != "db01" || k.SecretKey != "secret-one" {
		t.Errorf("key: %+v", k)
	}
	if want := (Metrics{Host: "::1", Port: 9100}); cfg.Metrics != want {
		t.Errorf("metrics: %+v", cfg.Metrics)
	}
}

func TestDomains(t *testing.T) {
	clearSecrets(t)
	for text, want := range map[string]Names{
		`""`: nil, `[]`: nil, `"S3.Lan"`: {"s3.lan"}, `["s3.lan", "localhost", "s3.example.com"]`: {"s3.lan", "localhost", "s3.example.com"},
	} {
		if got := mustParse(t, `{"s3": {"domain": `+text+`}}`).S3.Domain; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestLoadMissing(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.json")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("got %v", err)
	}
}

func TestLoadTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "is larger than 8388608 bytes") {
		t.Errorf("got %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestProblem(t *testing.T) {
	clearSecrets(t)
	cfg := mustParse(t, "{\n\"s3\": {\n\"port\": 1}}")
	for key, want := range map[string]string{
		"s3.port":   "config.json:3: s3.port: no 7",
		"s3.keys":   "config.json:2: s3.keys: no 7",
		"s3.a[0].b": "config.json:2: s3.a[0].b: no 7",
		"port":      "config.json:1: port: no 7",
	} {
		if got := cfg.Problem(key, "no %d", 7).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSecretOrder(t *testing.T) {
	clearSecrets(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("file", "from-file\n")
	value := `"access_key": "AK", "secret_key": "from-value"`
	both := value + `, "secret_key_file": "` + file + `"`
	check := func(s3, want string) {
		t.Helper()
		if got := mustParse(t, `{"s3": {`+s3+`}}`).S3.SecretKey; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	check(value, "from-value")
	check(both, "from-file")
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Join(dir, "none"))
	check(both, "from-file")
	write("s3-secret-key", "from-credential\n")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	check(both, "from-credential")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "from-environment")
	check(both, "from-environment")

	t.Setenv("AWS_ACCESS_KEY_ID", "AK2")
	t.Setenv("FTP_USERNAME", "user")
	t.Setenv("FTP_PASSWORD", "password")
	cfg := mustParse(t, "{}")
	if cfg.S3.AccessKey != "AK2" || cfg.FTP.Username != "user" || cfg.FTP.Password != "password" {
		t.Errorf("got %+v %+v", cfg.S3, cfg.FTP)
	}
	// The local store needs no token, and one in the environment is not the file's fault.
	t.Setenv("HF_TOKEN", "hf_x")
	if cfg := mustParse(t, "{}"); cfg.Storage.Token != "" {
		t.Errorf("token %s", cfg.Storage.Token)
	}
}

// A port that only a default holds keeps no file from before it was a default from being valid.
func TestPassivePortsByDefault(t *testing.T) {
	clearSecrets(t)
	if r := mustParse(t, `{"port": 30000, "ftp": {"port": 30099}}`).FTP.PassivePorts; r != (PortRange{30000, 30099}) {
		t.Errorf("got %v", r)
	}
	mustParse(t, `{"ftp": {"passive_ports": "9000-9000"}}`)
	mustParse(t, `{"ftp": {"port": 0, "passive_ports": "1-9463"}, "metrics": {"port": 9464}}`)
}

// TestSecretsInShell loads a configuration in a shell that holds the keys of something else.
func TestSecretsInShell(t *testing.T) {
	clearSecrets(t)
	t.Setenv("INVOCATION_ID", "of a service: its secret may be with another")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s3-secret-key"), []byte("credential"), 0o600); err != nil {
		t.Fatal(err)
	}
	const whole, half = `{"s3": {"access_key": "AK", "secret_key": "SK"}}`, `{"s3": {"access_key": "AK"}}`
	for _, c := range []struct{ text, env, secretEnv, credentials, access, secret string }{
		{whole, "CLOUD", "cloud", "", "AK", "SK"},
		{whole, "", "cloud", "", "AK", "SK"},
		{whole, "CLOUD", "cloud", dir, "AK", "credential"},
		{half, "CLOUD", "cloud", "", "AK", ""}, // which goes with another access key
		{half, "AK", "shell", "", "AK", "shell"},
		{half, "", "shell", "", "AK", "shell"},
		{"{}", "SHELL", "shell", "", "SHELL", "shell"},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", c.env)
		t.Setenv("AWS_SECRET_ACCESS_KEY", c.secretEnv)
		t.Setenv("CREDENTIALS_DIRECTORY", c.credentials)
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := LoadInShell(path)
		if err != nil || cfg.S3.AccessKey != c.access || cfg.S3.SecretKey != c.secret {
			t.Errorf("%+v: got %+v, %v", c, cfg, err)
		}
	}
}

func TestSecretErrors(t *testing.T) {
	clearSecrets(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := parse("config.json", []byte("{\"ftp\": {\"username\": \"u\",\n\"password_file\": \""+empty+"\"}}"), false)
	if want := "config.json:2: ftp.password_file: " + empty + " is empty"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = parse("config.json", []byte("{\"ftp\": {\"username\": \"u\",\n\"password_file\": \"/none/x\"}}"), false)
	want := "config.json:2: ftp.password_file: open /none/x: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = parse("config.json", []byte("{\"ftp\": {\"username\": \"u\",\n\"password_file\": \""+fifo+"\"}}"), false)
	if want := "config.json:2: ftp.password_file: " + fifo + " is a pipe into which nobody writes"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := os.Mkdir(filepath.Join(dir, "ftp-password"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if _, err = parse("config.json", []byte("{}"), false); err == nil || !strings.Contains(err.Error(), "systemd credential") {
		t.Errorf("got %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "AK")
	_, err = parse("config.json", []byte("{}"), false)
	want = "config.json:1: s3.access_key: is set but s3.secret_key is not; set both or neither"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestSecretsOfOtherDoors: a secret that systemd hands to one door does not keep the others from starting.
func TestSecretsOfOtherDoors(t *testing.T) {
	clearSecrets(t)
	const half = `{"s3": {"access_key": "AK"}}`
	if _, err := parse("config.json", []byte(half), false); err == nil {
		t.Error("half a pair was taken")
	}
	t.Setenv("INVOCATION_ID", "1")
	mustParse(t, half)
	// Without the access key the door would be open to everybody.
	if _, err := parse("config.json", []byte(`{"s3": {"secret_key": "SK"}}`), false); err == nil {
		t.Error("the other half was taken")
	}
	dir := t.TempDir()
	if stored("s3-secret-key", filepath.Join(dir, "none"), dir) != "" {
		t.Error("found where there is none")
	}
	if err := os.WriteFile(filepath.Join(dir, "s3-secret-key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if stored("s3-secret-key", filepath.Join(dir, "none"), dir) != filepath.Join(dir, "s3-secret-key") {
		t.Error("not found")
	}
}

// TestNetworks: proxies are addresses or networks, of both kinds.
func TestNetworks(t *testing.T) {
	clearSecrets(t)
	cfg := mustParse(t, `{"trusted_proxies": ["192.0.2.1", "10.0.0.0/8", "::1", "fd00::/8", "::ffff:198.51.100.1"]}`)
	var got []string
	for _, n := range cfg.TrustedProxies {
		got = append(got, n.String())
	}
	if want := []string{"192.0.2.1", "10.0.0.0/8", "::1", "fd00::/8", "198.51.100.1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	n := cfg.TrustedProxies
	for addr, of := range map[string]int{"192.0.2.1": 0, "::ffff:192.0.2.1": 0, "10.255.0.1": 1, "::1": 2, "fd12::3%eth0": 3, "192.0.2.2": -1} {
		if i := slices.IndexFunc(n, func(n Network) bool { return n.Contains(netip.MustParseAddr(addr)) }); i != of {
			t.Errorf("%s is in %d, want %d", addr, i, of)
		}
	}
}

// TestPipe reads a configuration from where one program gives it to another: /dev/stdin, or a shell's <(…).
func TestPipe(t *testing.T) {
	clearSecrets(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := w.WriteString(`{"port": 4321}`)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Error(err)
		}
	}()
	c, err := Load(fmt.Sprint("/proc/self/fd/", r.Fd()))
	if err != nil || c.Port != 4321 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
