package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// checker collects the rules that a configuration breaks.
type checker struct {
	cfg  *Config
	errs []*Error
}

func (c *checker) fail(key, format string, args ...any) {
	c.errs = append(c.errs, c.cfg.Problem(key, format, args...))
}

// has says whether the file itself has the key.
func (c *checker) has(key string) bool {
	return c.cfg.Has(key)
}

func (c *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.fail(key, "must be %s, not %q", strings.Join(quoted(allowed), " or "), value)
	}
}

// bothOrNeither checks a pair of values and names both when one is missing.
func (c *checker) bothOrNeither(key, value, otherKey, other string) {
	switch {
	case value != "" && other == "":
		c.fail(key, "is set but %s is not; set both or neither", otherKey)
	case value == "" && other != "":
		c.fail(otherKey, "is set but %s is not; set both or neither", key)
	}
}

func checkRules(cfg *Config) []*Error {
	c := &checker{cfg: cfg}
	c.addresses()
	c.storage()
	c.buckets()
	c.s3()
	c.ftp()
	c.hub()
	c.bothOrNeither("tls.cert", cfg.TLS.Cert, "tls.key", cfg.TLS.Key)
	c.oneOf("hooks.failure", cfg.Hooks.Failure, "deny", "allow")
	c.oneOf("log.level", cfg.Log.Level, "debug", "info", "warn", "error")
	if cfg.Home == "" {
		c.fail("home", "must not be empty")
	}
	if cfg.Hooks.Dir == "" {
		c.fail("hooks.dir", "must not be empty")
	}
	if cfg.Hooks.Timeout < Duration(time.Second) {
		c.fail("hooks.timeout", "must be at least 1s")
	}
	return c.errs
}

// hostName is what a host may look like that is not an address.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

// domainName is labels with dots between them.
var domainName = regexp.MustCompile(`^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(?i:\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	// What ends in a number is an address with a fault, by RFC 1123 section 2.1.
	last := host[strings.LastIndexByte(host, '.')+1:]
	return hostName.MatchString(host) && strings.Trim(last, "0123456789") != ""
}

const (
	// leastExpect is the shortest time after which silence means something: arrivals are known to the minute.
	leastExpect = 5 * time.Minute
	// leastAge keeps a slip of the finger, "1m" for a month, from deleting everything.
	leastAge = 24 * time.Hour
)

// aging checks when something has to come into a bucket, and how long it stays there.
func (c *checker) aging(b *Bucket, key string) {
	if b.Expect != 0 && time.Duration(b.Expect) < leastExpect {
		c.fail(key+".expect", "must be at least 5m")
	}
	if b.Keep < 0 {
		c.fail(key+".keep", "must not be negative")
	}
	if b.MaxAge != 0 && time.Duration(b.MaxAge) < leastAge {
		c.fail(key+".max_age", "must be at least 1d")
	}
}

// address is where a section of the configuration listens, with so many ports in a row.
type address struct {
	section, host string
	port, ports   int
}

func (c *checker) addressList() []address {
	cfg := c.cfg
	return []address{
		{"", cfg.Host, cfg.Port, 1},
		{"s3", cfg.S3.Host, cfg.S3.Port, 1},
		{"ftp", cfg.FTP.Host, cfg.FTP.Port, 1},
		{"hub", cfg.Hub.Host, cfg.Hub.Port, 1},
		{"metrics", cfg.Metrics.Host, cfg.Metrics.Port, metricsPorts},
	}
}

// addresses checks that each door has a host and a port of its own.
func (c *checker) addresses() {
	list := c.addressList()
	anywhere := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	for i, a := range list {
		key := join(a.section, "port")
		if !validHost(a.host) {
			c.fail(join(a.section, "host"), "%q is neither an address nor a host name", a.host)
		}
		if most := 65536 - a.ports; a.port < 0 || a.port > most {
			c.fail(key, "must be 0 to %d, not %d", most, a.port)
		}
		// A default does not count: an old file with a port that another door has now must stay valid.
		for _, b := range list[:i] {
			if !c.has(key) || !c.has(join(b.section, "port")) || a.port == 0 || b.port == 0 {
				continue
			}
			if b.port < a.port || b.port >= a.port+a.ports || a.host != b.host && !anywhere(a.host) && !anywhere(b.host) {
				continue
			}
			if a.port == b.port {
				c.fail(key, "%d is also %s", a.port, join(b.section, "port"))
			} else {
				c.fail(key, "it takes %d to %d, and %d is %s", a.port, a.port+a.ports-1, b.port, join(b.section, "port"))
			}
		}
	}
}

func (c *checker) storage() {
	s := c.cfg.Storage
	c.oneOf("storage.driver", s.Driver, "disk", "hub")
	if s.Driver != "hub" {
		for _, name := range []string{"endpoint", "namespace", "token", "token_file", "public"} {
			if key := "storage." + name; c.has(key) {
				c.fail(key, "is for the driver \"hub\" only")
			}
		}
	}
	// A daemon and an administrator's shell are in different directories.
	if s.Path != "" && !filepath.IsAbs(s.Path) {
		c.fail("storage.path", "%q must begin with a slash", s.Path)
	}
	store, home := filepath.Clean(cmp.Or(s.Path, defaultStore[s.Driver])), filepath.Clean(c.cfg.Home)
	switch {
	case home == "/":
		c.fail("home", "must not be the root directory")
	case home == store || strings.HasPrefix(home, store+"/"):
		c.fail("home", "%s is in the store, storage.path; it takes a directory of its own", home)
	}
	if s.Driver != "hub" {
		return
	}
	c.url("storage.endpoint", s.Endpoint)
}

func (c *checker) url(key, text string) {
	if u, err := url.Parse(text); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		c.fail(key, "%q is not an http or https URL", text)
	}
}

var (
	// What a credential in a signature may hold: printable ASCII but for the characters that end it there.
	accessKey = regexp.MustCompile(`^[!-+\-.0-<>-~]+$`)
	region    = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
)

func (c *checker) s3() {
	s := c.cfg.S3
	if !region.MatchString(s.Region) {
		c.fail("s3.region", "must be letters, digits, \".\", \"_\" and \"-\"")
	}
	if s.UploadExpiry < Duration(time.Hour) {
		c.fail("s3.upload_expiry", "must be at least 1h")
	}
	c.domains(s.Domain)
	if s.SecretKey != "" || !heldElsewhere(S3Credential) {
		c.bothOrNeither("s3.access_key", s.AccessKey, "s3.secret_key", s.SecretKey)
	}
	c.accessKey("s3.access_key", s.AccessKey)
	seen := map[string]string{}
	if s.AccessKey != "" {
		seen[s.AccessKey] = "s3.access_key"
	}
	for i, k := range s.Keys {
		key := Index("s3.keys", i)
		switch {
		case k.AccessKey == "" && k.SecretKey == "":
			c.fail(key, "must have an access_key and a secret_key")
		case k.AccessKey == "":
			c.fail(key+".access_key", "must not be empty")
		case k.SecretKey == "":
			c.fail(key+".secret_key", "must not be empty")
		}
		if first, ok := seen[k.AccessKey]; ok && k.AccessKey != "" {
			c.fail(key+".access_key", "is also %s", first)
		}
		c.accessKey(key+".access_key", k.AccessKey)
		seen[k.AccessKey] = key + ".access_key"
		c.scope(key, k)
	}
}

// scope checks what a key is for. That buckets and prefixes can be such is for who knows the store to check.
func (c *checker) scope(key string, k S3Key) {
	if k.Mode != "" {
		c.oneOf(key+".mode", k.Mode, "read", "write", "create")
	}
	if k.Owner == "default" {
		c.fail(key+".owner", "must not be \"default\", which is what the owner of keys without one is called; leave it out")
	}
	c.noControls(key+".owner", k.Owner)
	if c.has(key+".buckets") && len(k.Buckets) == 0 {
		c.fail(key+".buckets", "must not be empty; leave it out for all buckets")
	}
	for i, b := range k.Buckets {
		if first := slices.Index(k.Buckets, b); first < i {
			c.fail(Index(key+".buckets", i), "%q is also %s", b, Index(key+".buckets", first))
		}
	}
}

// domains checks the names below which buckets are, and makes them lower case.
func (c *checker) domains(list Names) {
	for i, name := range list {
		key := "s3.domain"
		if c.has(Index(key, 0)) {
			key = Index(key, i)
		}
		list[i] = strings.ToLower(name)
		_, isAddr := netip.ParseAddr(name)
		switch first := slices.Index(list, list[i]); {
		case !domainName.MatchString(name) || len(name) > 253 || isAddr == nil:
			c.fail(key, "%q is not the name of a host; write it without port and leading dot, like \"s3.example.com\"", name)
		case first < i:
			c.fail(key, "%q is also %s", name, Index("s3.domain", first))
		}
	}
}

func (c *checker) noControls(key, value string) {
	if strings.ContainsFunc(value, unicode.IsControl) {
		c.fail(key, "must not hold control characters")
	}
}

func (c *checker) accessKey(key, value string) {
	if value != "" && !accessKey.MatchString(value) {
		c.fail(key, "must be printable ASCII without spaces, \"/\", \",\" and \"=\"")
	}
}

func (c *checker) ftp() {
	f := c.cfg.FTP
	if f.Password != "" || !heldElsewhere(FTPCredential) {
		c.bothOrNeither("ftp.username", f.Username, "ftp.password", f.Password)
	}
	c.noControls("ftp.username", f.Username)
	c.noControls("ftp.password", f.Password)
	c.passivePorts(f.PassivePorts)
	if f.PublicHost != "" {
		if addr, err := netip.ParseAddr(f.PublicHost); err != nil || !addr.Is4() {
			c.fail("ftp.public_host", "%q is not an IPv4 address", f.PublicHost)
		}
	}
}

// passivePorts checks that no other port is in the range. As with the ports of doors, a default does not count.
func (c *checker) passivePorts(r PortRange) {
	const key = "ftp.passive_ports"
	if !c.has(key) {
		return
	}
	for _, a := range c.addressList() {
		if at := join(a.section, "port"); c.has(at) && a.port != 0 && a.port <= r.Last && a.port+a.ports > r.First {
			c.fail(key, "%d-%d holds %d, which is %s", r.First, r.Last, max(a.port, r.First), at)
		}
	}
}

func (c *checker) hub() {
	h := c.cfg.Hub
	if h.PublicURL != "" {
		c.url("hub.public_url", h.PublicURL)
	}
	if h.Namespace == "" {
		c.fail("hub.namespace", "must not be empty")
	}
	for i, t := range h.Tokens {
		key := Index("hub.tokens", i)
		if t.Token == "" {
			c.fail(key+".token", "must not be empty")
		}
		c.oneOf(key+".role", t.Role, "read", "write")
	}
}

// Index appends an index to a key.
func Index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func quoted(words []string) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = fmt.Sprintf("%q", w)
	}
	return list
}
