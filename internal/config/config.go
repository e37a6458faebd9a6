// Package config reads config.json, the one file that configures every door
// of the appliance.
//
// Decoding is strict: a key that is not known, a value of the wrong type, a
// key given twice and a value that breaks a rule are errors that name the
// file, the line and the key. An option that this version knows of but does
// not act on is an error too, unless its value asks for what happens anyway:
// nothing an administrator wrote is ignored in silence.
//
// Words: a key is a dotted path such as "s3.port" or "buckets[1].token"; a
// rule is the sentence that says what is wrong with its value.
package config

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// DefaultPath is where a packaged installation keeps its configuration.
const DefaultPath = "/etc/file-bucket/config.json"

// maxFile bounds the configuration file in bytes.
const maxFile = 8 << 20

// Config is the whole file. Load fills in the defaults.
type Config struct {
	// Host and Port are where the push door listens. An empty host is every address; port 0 is any free port.
	Host string `json:"host"`
	Port int    `json:"port"`
	// Home is the directory of the plain files of bare tokens.
	Home    string   `json:"home"`
	Buckets []Bucket `json:"buckets"`

	Hooks          Hooks     `json:"hooks"`
	Storage        Storage   `json:"storage"`
	S3             S3        `json:"s3"`
	FTP            FTP       `json:"ftp"`
	Hub            Hub       `json:"hub"`
	TLS            TLS       `json:"tls"`
	Metrics        Metrics   `json:"metrics"`
	TrustedProxies []Network `json:"trusted_proxies"`
	Log            Log       `json:"log"`

	file  string         // as it was given to Load
	lines map[string]int // by key
}

// Bucket is a push bucket: an object with a name, or a string, which is a
// bare token. At most one of Token, TokenFile and Tokens is set, and one at
// least of these and TokenSHA256; Load replaces TokenFile by Token.
type Bucket struct {
	Name        string   `json:"name"` // empty for a bare token
	Token       string   `json:"token"`
	TokenFile   string   `json:"token_file"`
	TokenSHA256 Names    `json:"token_sha256"` // lower-case hex
	Tokens      []string `json:"tokens"`
	MaxSize     Size     `json:"max_size"` // of one file; 0 is no limit
	Quota       Size     `json:"quota"`
	Overwrite   bool     `json:"overwrite"`
	Stamp       bool     `json:"stamp"`   // put the time of a push before the name of its file
	Expect      Duration `json:"expect"`  // within which something has to come; 0 is no matter when
	Keep        int      `json:"keep"`    // how many of the newest objects never expire; 0 is not said
	MaxAge      Duration `json:"max_age"` // after which objects may expire; 0 is not said

	bare bool // written as a string
}

// Hooks are scripts run before and after a push.
type Hooks struct {
	Dir     string   `json:"dir"`
	Timeout Duration `json:"timeout"`
	Failure string   `json:"failure"` // "deny" or "allow"
}

// Storage says where content and names are kept.
type Storage struct {
	Driver  string `json:"driver"` // "disk" or "hub"
	Path    string `json:"path"`
	MinFree Size   `json:"min_free"` // 0 leaves the floor to the driver

	// The following are for the driver "hub" only.
	Endpoint  string `json:"endpoint"`
	Namespace string `json:"namespace"`
	Token     string `json:"token"`
	TokenFile string `json:"token_file"`
	Public    bool   `json:"public"`
}

// S3 configures the S3 door. AccessKey and SecretKey are both set or both
// empty; without any key the door is open to anonymous clients.
type S3 struct {
	Host          string   `json:"host"`
	Port          int      `json:"port"`
	Region        string   `json:"region"`
	AccessKey     string   `json:"access_key"`
	SecretKey     string   `json:"secret_key"`
	SecretKeyFile string   `json:"secret_key_file"`
	Keys          []S3Key  `json:"keys"`
	Domain        Names    `json:"domain"` // names below which buckets are addressed; Load makes them lower case
	StrictRegion  bool     `json:"strict_region"`
	UploadExpiry  Duration `json:"upload_expiry"` // of multipart uploads that get no more parts
}

// S3Key is a further key pair, of an owner, limited to buckets, a prefix and a mode.
type S3Key struct {
	AccessKey     string   `json:"access_key"`
	SecretKey     string   `json:"secret_key"`
	SecretKeyFile string   `json:"secret_key_file"`
	Owner         string   `json:"owner"`
	Buckets       []string `json:"buckets"` // nil is all of its owner's
	Prefix        string   `json:"prefix"`
	Mode          string   `json:"mode"` // "read", "write" or "create"; empty is everything
}

// FTP configures the FTP door. Username and Password are both set or both
// empty; when empty anonymous clients get in.
type FTP struct {
	Host         string    `json:"host"`
	Port         int       `json:"port"`
	PassivePorts PortRange `json:"passive_ports"` // of data connections
	PublicHost   string    `json:"public_host"`   // an IPv4 address that PASV names; empty is the one that the client reached
	Username     string    `json:"username"`
	Password     string    `json:"password"`
	PasswordFile string    `json:"password_file"`
}

// Hub configures the hub door.
type Hub struct {
	Host      string     `json:"host"`
	Port      int        `json:"port"`
	PublicURL string     `json:"public_url"`
	Namespace string     `json:"namespace"`
	Tokens    []HubToken `json:"tokens"`
}

// HubToken is a token of the hub door.
type HubToken struct {
	Token     string `json:"token"`
	TokenFile string `json:"token_file"`
	Role      string `json:"role"` // "read" or "write"
}

// TLS names a certificate and its key, both or neither, as PEM files.
type TLS struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// Metrics is where file-bucketd serves metrics and the status page; the daemons of the S3, FTP and hub doors serve metrics on the
// next ports, in this order.
type Metrics struct {
	Host string `json:"host"`
	Port int    `json:"port"` // 0 is off
}

// metricsPorts is how many ports Metrics takes.
const metricsPorts = 4

// Log says how much is logged.
type Log struct {
	Level string `json:"level"` // "debug", "info", "warn" or "error"
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Host:    "0.0.0.0",
		Port:    1234,
		Home:    "/var/lib/file-bucket/files",
		Hooks:   Hooks{Dir: "/etc/file-bucket", Timeout: Duration(10 * time.Minute), Failure: "deny"},
		Storage: Storage{Driver: "disk", Endpoint: "https://huggingface.co"},
		S3:      S3{Host: "0.0.0.0", Port: 9000, Region: "us-east-1", UploadExpiry: Duration(7 * 24 * time.Hour)},
		FTP:     FTP{Host: "0.0.0.0", Port: 2121, PassivePorts: PortRange{First: 30000, Last: 30099}},
		Hub:     Hub{Host: "127.0.0.1", Port: 8090, Namespace: "local"},
		Metrics: Metrics{Host: "127.0.0.1", Port: 9464},
		Log:     Log{Level: "info"},
	}
}

// defaultStore is where each driver keeps its files.
var defaultStore = map[string]string{
	"disk": "/var/lib/file-bucket/store",
	"hub":  "/var/lib/file-bucket/hub",
}

// Load reads and validates a configuration file, and fetches the secrets that
// it leaves to other sources. What is wrong with the content is reported as
// one or several Errors, joined in the order of their lines.
func Load(path string) (*Config, error) { return load(path, false) }

// LoadInShell is Load for programs that people run in shells of their own, which may hold the keys of something else: of the
// environment it takes only what the configuration and credentials leave open.
func LoadInShell(path string) (*Config, error) { return load(path, true) }

func load(path string, inShell bool) (*Config, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parse(path, data, inShell)
}

// parse is load without the reading.
func parse(path string, data []byte, inShell bool) (*Config, error) {
	root, err := parseTree(path, data)
	if err != nil {
		return nil, err
	}
	cfg := Default()
	cfg.file = path
	cfg.lines = make(map[string]int)
	// Each step builds on the one before: a key that could not be decoded would only make the rules complain about its
	// default.
	for _, step := range []func() []*Error{
		func() []*Error { return decodeTree(cfg, root) },
		func() []*Error { return fetchSecrets(cfg, inShell) },
		func() []*Error { return checkRules(cfg) },
	} {
		if errs := step(); len(errs) > 0 {
			return nil, joinErrors(errs)
		}
	}
	return cfg, cfg.completePaths()
}

// completePaths makes paths absolute, and fills in the default that depends on the driver.
func (c *Config) completePaths() (err error) {
	if c.Storage.Path == "" {
		c.Storage.Path = defaultStore[c.Storage.Driver]
	}
	for _, path := range []*string{&c.Home, &c.Storage.Path, &c.Hooks.Dir, &c.TLS.Cert, &c.TLS.Key} {
		if *path == "" {
			continue // no TLS
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return fmt.Errorf("make %s absolute: %w", *path, err)
		}
	}
	return nil
}

// Peek reads what it can of a configuration file: what is missing, not known or of the wrong type is as if it were not there.
// No rule is checked and no secret fetched, so that it never waits for anything but the file. It is for who must be told
// where things are while the file may have a fault that a daemon would refuse. It fails when the file cannot be read or is
// not JSON.
func Peek(path string) (*Config, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	root, err := parseTree(path, data)
	if err != nil {
		return nil, err
	}
	cfg := Default()
	cfg.file = path
	cfg.lines = make(map[string]int)
	decodeTree(cfg, root)
	return cfg, cfg.completePaths()
}

// Has says whether the file itself has a key, or a section.
func (c *Config) Has(key string) bool {
	_, ok := c.lines[key]
	return ok
}

// File is the path that the configuration was loaded from, as it was given.
func (c *Config) File() string { return c.file }

// Problem returns an Error about a key, for rules that are known only to
// whoever uses the value. The line is the key's own, or that of the nearest
// key around it.
func (c *Config) Problem(key, format string, args ...any) *Error {
	return &Error{File: c.file, Line: c.line(key), Key: key, Rule: fmt.Sprintf(format, args...)}
}

// Error is one thing that is wrong with a configuration file.
type Error struct {
	File string
	Line int    // from 1
	Key  string // dotted path; empty when the error is not about a key
	Rule string
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Rule)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Key, e.Rule)
}

// joinErrors joins errors in the order of their lines.
func joinErrors(errs []*Error) error {
	slices.SortStableFunc(errs, func(a, b *Error) int { return a.Line - b.Line })
	list := make([]error, len(errs))
	for i, err := range errs {
		list[i] = err
	}
	return errors.Join(list...)
}

// readFile reads a whole file of at most limit bytes, or what a pipe has, such as /dev/stdin, for which nothing waits long.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err == nil && !fi.Mode().IsRegular() && len(data) == 0 {
		return nil, fmt.Errorf("%s is a pipe into which nobody writes", path)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, nil
}
