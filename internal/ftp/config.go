package ftp

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// What a zero in Config stands for.
const (
	DefaultMaxSessions   = 512
	DefaultMaxPerAddress = 200
	DefaultIdleTimeout   = 5 * time.Minute
	DefaultStallTimeout  = time.Minute
	DefaultLoginDelay    = 2 * time.Second
)

// Config of the door.
type Config struct {
	// Username and Password are asked for at login. Both empty: any name and password will do, and everybody may do everything.
	Username, Password string
	// FirstPort to LastPort is the range of passive ports. Each waits for one connection at a time from each address of
	// clients.
	FirstPort, LastPort int
	// PublicHost is the IPv4 address in the answer to PASV, for clients behind another network; empty is the address that the
	// client reached. EPSV needs none.
	PublicHost string
	// TLS lets clients ask for encryption (AUTH TLS) when it is not nil. The pointer is used for every connection: certificates
	// are renewed by its GetCertificate.
	TLS *tls.Config
	// MaxSessions and MaxPerAddress are how many sessions there may be, in all and of one address, of IPv6 of one network of 64 bits;
	// one more is refused with 421.
	MaxSessions, MaxPerAddress int
	// IdleTimeout ends a session that sends no command and transfers nothing. It counts in whole seconds.
	IdleTimeout time.Duration
	// StallTimeout aborts a transfer of which nothing moves.
	StallTimeout time.Duration
	// LoginDelay is how long the answer to a wrong password takes.
	LoginDelay time.Duration
	// Observe, if it is not nil, is told of each operation when it has ended. It must not block.
	Observe func(Event)
}

// How an operation may end.
const (
	OK      = "ok"
	Refused = "refused" // the client may not, or asked for what is not there
	Failed  = "failed"  // for a fault of ours
	Aborted = "aborted" // the client ended it, went away, or stalled
)

// Event is a transfer or a command that has ended.
type Event struct {
	Verb     string // the command: "STOR", "RETR", "LIST", "PASS", …
	Outcome  string // OK, Refused, Failed or Aborted
	Bucket   string // empty when none was concerned
	BytesIn  int64  // of content, received
	BytesOut int64  // of content, sent
	Hidden   int    // keys that a listing did not show, because FTP cannot name them
	Duration time.Duration
}

// Validate returns an error that names the field unless the configuration makes sense.
func (c Config) Validate() error {
	switch {
	case c.Username == "" && c.Password != "":
		return errors.New("password is set and username is not: set both, or neither for a door that is open to everybody")
	case c.Username != "" && c.Password == "":
		return errors.New("username is set and password is not: set both, or neither for a door that is open to everybody")
	case c.FirstPort < 1 || c.LastPort > 65535 || c.FirstPort > c.LastPort:
		return fmt.Errorf("passive_ports: %d-%d is no range of ports", c.FirstPort, c.LastPort)
	case c.MaxSessions < 0 || c.MaxPerAddress < 0 || c.IdleTimeout < 0 || c.StallTimeout < 0 || c.LoginDelay < 0:
		return errors.New("limits must not be negative")
	}
	if c.PublicHost != "" {
		if a, err := netip.ParseAddr(c.PublicHost); err != nil || !a.Is4() {
			return fmt.Errorf("public_host: %q is no IPv4 address", c.PublicHost)
		}
	}
	return nil
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	c.MaxSessions = cmp.Or(c.MaxSessions, DefaultMaxSessions)
	c.MaxPerAddress = cmp.Or(c.MaxPerAddress, DefaultMaxPerAddress)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, DefaultIdleTimeout)
	c.StallTimeout = cmp.Or(c.StallTimeout, DefaultStallTimeout)
	c.LoginDelay = cmp.Or(c.LoginDelay, DefaultLoginDelay)
	return c
}

// anonymous says whether any login will do.
func (c Config) anonymous() bool { return c.Username == "" }
