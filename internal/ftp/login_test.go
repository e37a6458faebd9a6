package ftp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/object/objecttest"
	"hugbucket/internal/throttle"
)

func TestLogin(t *testing.T) {
	r := newRig(t)
	for _, login := range [][2]string{{"user", "wrong"}, {"wrong", "secret"}, {"", ""}, {"user", "secret "}, {"user", ""}, {"p\tword1", "x"}} {
		c := r.dial()
		c.cmd(530, "LIST")
		c.cmd(331, "USER %s", login[0])
		c.cmd(530, "PASS %s", login[1])
		if _, err := c.text.ReadLine(); err == nil {
			t.Errorf("%q: the connection stays", login)
		}
	}
	c := r.dial()
	c.cmd(530, "PASS secret")
	line := regexp.MustCompile(`"level":"warn","event":"auth-failed","remote":"127.0.0.1".*"message":"auth failure bucket=\? remote=127.0.0.1 user=p\?"`)
	if logs := r.logs.String(); !line.MatchString(logs) || strings.Contains(logs, "word") {
		t.Error(logs)
	}
	if e := r.last("PASS"); e.Outcome != Refused {
		t.Errorf("%+v", e)
	}
	r.login()
	if e := r.last("PASS"); e.Outcome != OK {
		t.Errorf("%+v", e)
	}
}

func TestAnonymous(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Username, c.Password = "", "" })
	c := r.dial()
	c.cmd(331, "USER whoever")
	c.cmd(230, "PASS ")
	c.stor("STOR /bkt/f", "content")
	if !r.door.Anonymous() {
		t.Error("the door does not say that it is open")
	}
}

// An address that guesses is shut out, also with the right password, and with 421 before it can say a word.
func TestThrottle(t *testing.T) {
	r := newRig(t)
	waiting := r.dial()
	for range throttle.MaxStrikes {
		c := r.dial()
		c.cmd(331, "USER user")
		c.cmd(530, "PASS wrong")
	}
	c := r.connect(r.addr)
	c.read(421)
	if _, refused, _ := r.door.Sessions(); refused != 1 {
		t.Errorf("%d are counted as refused", refused)
	}
	waiting.cmd(331, "USER user")
	waiting.cmd(530, "PASS secret")
}

func TestLimits(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSessions, c.MaxPerAddress = 3, 2 })
	a, _ := r.login(), r.dial()
	c := r.connect(r.addr)
	if text := c.read(421); !strings.Contains(text, "from your address") {
		t.Error(text)
	}
	six := r.listen("[::1]:0")
	c = r.connect(six.Addr().String())
	c.read(220)
	c = r.connect(six.Addr().String())
	if text := c.read(421); strings.Contains(text, "address") {
		t.Error(text)
	}
	a.cmd(221, "QUIT")
	if _, err := a.text.ReadLine(); err == nil {
		t.Error("the connection stays")
	}
	r.dial()
	if begun, refused, open := r.door.Sessions(); begun != 4 || refused != 2 || open != 3 {
		t.Errorf("%d, %d, %d", begun, refused, open)
	}
}

// Who has a network of IPv6 has all of its addresses.
func TestLimitOfOneNetwork(t *testing.T) {
	s := newRig(t, func(c *Config) { c.MaxPerAddress = 2 }).door
	near, _ := net.Pipe()
	from := func(addr string) *session {
		x := newSession(s, near)
		x.remote = netip.MustParseAddr(addr)
		return x
	}
	var in []*session
	for _, addr := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "2001:db8::2"} {
		x := from(addr)
		if refusal := s.enter(x); refusal != "" {
			t.Errorf("%s: %q", addr, refusal)
		}
		in = append(in, x)
	}
	if refusal := s.enter(from("2001:db8::3")); !strings.Contains(refusal, "from your address") {
		t.Errorf("a third session of one network: %q", refusal)
	}
	for _, x := range in {
		s.leave(x)
	}
	if len(s.of) != 0 {
		t.Errorf("%d networks are remembered", len(s.of))
	}
}

func TestConfig(t *testing.T) {
	good := Config{FirstPort: 30000, LastPort: 30099}
	for text, change := range map[string]func(*Config){
		"":                         func(*Config) {},
		"username":                 func(c *Config) { c.Password = "x" },
		"password":                 func(c *Config) { c.Username = "x" },
		"30001-30000 is no range":  func(c *Config) { c.FirstPort, c.LastPort = 30001, 30000 },
		"0-30099 is no range":      func(c *Config) { c.FirstPort = 0 },
		`"ftp.lan" is no IPv4`:     func(c *Config) { c.PublicHost = "ftp.lan" },
		`"2001:db8::1" is no IPv4`: func(c *Config) { c.PublicHost = "2001:db8::1" },
		"must not be negative":     func(c *Config) { c.LoginDelay = -1 },
		"30000-65536 is no range":  func(c *Config) { c.LastPort = 65536 },
	} {
		cfg := good
		change(&cfg)
		_, err := New(cfg, objecttest.NewStore(t), zerolog.Nop())
		if got := fmt.Sprint(cfg.Validate()); text != "" && !strings.Contains(got, text) || (err == nil) != (text == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if text == "username" || text == "password" {
			if got := fmt.Sprint(cfg.Validate()); !strings.Contains(got, "username") || !strings.Contains(got, "password") {
				t.Errorf("%q does not name both", got)
			}
		}
	}
}

// A line that is too long ends the session, and nothing else.
func TestLongLine(t *testing.T) {
	r := newRig(t)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's
	if _, err := io.WriteString(conn, strings.Repeat("x", 9000)+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if out, _ := io.ReadAll(bufio.NewReader(conn)); strings.Count(string(out), "\n") > 1 {
		t.Errorf("%q", out)
	}
	r.login()
}
