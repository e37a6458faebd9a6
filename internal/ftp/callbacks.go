package ftp

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

// callbacks are what ftpserverlib asks of a server.
type callbacks struct{ *Server }

var (
	_ ftpserver.MainDriver                         = callbacks{}
	_ ftpserver.MainDriverExtensionPassiveWrapper  = callbacks{}
	_ ftpserver.MainDriverExtensionPostAuthMessage = callbacks{}
)

// GetSettings implements ftpserver.MainDriver. Multiplexing, no active mode and an IPv4 address for everybody are what keeps others
// from taking a data connection, and passive ports from being lost (v0.32.3).
func (c callbacks) GetSettings() (*ftpserver.Settings, error) {
	return &ftpserver.Settings{
		Listener:                        c.gate,
		PublicHost:                      c.cfg.PublicHost,
		PublicIPResolver:                publicIP,
		Banner:                          "file-bucket",
		PassiveTransferPortRange:        newPorts(c.cfg.FirstPort, c.cfg.LastPort),
		PassiveTransferPortMultiplexing: true,
		DisableActiveMode:               true,
		IdleTimeout:                     max(1, int((c.cfg.IdleTimeout+time.Second-1)/time.Second)),
		ConnectionTimeout:               int(connectTime / time.Second),
		DefaultTransferType:             ftpserver.TransferTypeBinary,
		DisableASCIIConversion:          true,
		EnableHASH:                      true,
	}, nil
}

// publicIP is the address that the client reached, in the answer to PASV. That has no room for IPv6: such a client has EPSV, and is
// not to lose a port by asking.
func publicIP(cc ftpserver.ClientContext) (string, error) {
	if a := addrOf(cc.LocalAddr()); a.Is4() {
		return a.String(), nil
	}
	return "0.0.0.0", nil
}

// ClientConnected implements ftpserver.MainDriver.
func (c callbacks) ClientConnected(cc ftpserver.ClientContext) (string, error) {
	if x := sessionOf(cc); x != nil {
		x.cc = cc
	}
	return "file-bucket FTP", nil
}

// ClientDisconnected implements ftpserver.MainDriver. A transfer may still run.
func (c callbacks) ClientDisconnected(cc ftpserver.ClientContext) {
	if x := sessionOf(cc); x != nil {
		x.stop(errGone)
	}
}

// AuthUser implements ftpserver.MainDriver.
func (c callbacks) AuthUser(cc ftpserver.ClientContext, user, pass string) (ftpserver.ClientDriver, error) {
	x := sessionOf(cc)
	if x == nil {
		return nil, errLogin
	}
	begun := time.Now()
	if err := c.mayEnter(x.remote, user, pass); err != nil {
		timer := time.NewTimer(c.cfg.LoginDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-x.ctx.Done():
		}
		// fail2ban reads this line, as those of the other doors: it must stay as it is. The client chose nothing in it but the
		// characters of shownUser.
		remote := x.remote.String()
		c.log.Warn().Str("event", "auth-failed").Str("remote", remote).Str("session", x.id).Err(err).
			Msg("auth failure bucket=? remote=" + remote + " user=" + shownUser(user))
		c.observe(Event{Verb: "PASS", Outcome: Refused, Duration: time.Since(begun)})
		return nil, err
	}
	x.conn.loggedIn()
	c.log.Info().Str("event", "login").Str("remote", x.remote.String()).Str("session", x.id).
		Bool("tls", cc.HasTLSForControl()).Msg("session")
	c.observe(Event{Verb: "PASS", Outcome: OK, Duration: time.Since(begun)})
	return &driver{session: x, cc: cc}, nil
}

// mayEnter compares in constant time. An address that has guessed too often is not told whether it would be right.
func (c callbacks) mayEnter(from netip.Addr, user, pass string) error {
	if c.cfg.anonymous() {
		return nil
	}
	if c.throttle.Blocks(from) > 0 {
		return errThrottled
	}
	if same(user, c.cfg.Username)&same(pass, c.cfg.Password) != 1 {
		c.throttle.Wrong(from)
		return errLogin
	}
	c.throttle.Right(from)
	return nil
}

// same is 1 when two secrets are equal, and takes no longer when they begin alike or are as long.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// shownChars tell users apart who were mixed up, and of a password little.
const shownChars = 2

// shownUser is as much of a name as a log may show: somebody may have typed the password there.
func shownUser(user string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return c
		}
		return '?'
	}, user[:min(len(user), shownChars)])
}

// PostAuthMessage implements ftpserver.MainDriverExtensionPostAuthMessage.
func (c callbacks) PostAuthMessage(_ ftpserver.ClientContext, _ string, err error) string {
	switch {
	case err == nil:
		return "Welcome."
	case errors.Is(err, errThrottled):
		return "Too many wrong logins, try again later."
	default:
		return "Login incorrect."
	}
}

// GetTLSConfig implements ftpserver.MainDriver.
func (c callbacks) GetTLSConfig() (*tls.Config, error) {
	if c.cfg.TLS == nil {
		return nil, errForbidden
	}
	return c.cfg.TLS, nil
}

// WrapPassiveListener implements ftpserver.MainDriverExtensionPassiveWrapper.
func (c callbacks) WrapPassiveListener(l net.Listener) (net.Listener, error) {
	return newLease(c.Server, l, c.cfg.IdleTimeout+time.Minute), nil
}

func (s *Server) observe(e Event) {
	if s.cfg.Observe != nil {
		s.cfg.Observe(e)
	}
}
