package daemon

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// recheck is how often, at most, handshakes look at the certificate's files.
const recheck = time.Second

// certificate is a certificate and key in files that may be replaced while
// the door serves.
type certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               zerolog.Logger

	mu      sync.Mutex // guards the following
	checked time.Time
	stamps  [2]stamp
	pair    *tls.Certificate
	failure string // that was logged last
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
	info     os.FileInfo // for os.SameFile
}

func stampOf(path string) (stamp, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{fi.ModTime(), fi.Size(), fi}, nil
}

func (s stamp) same(o stamp) bool {
	return s.modified.Equal(o.modified) && s.size == o.size && os.SameFile(s.info, o.info)
}

// loadCertificate loads a pair, which must be good.
func loadCertificate(certFile, keyFile string, log zerolog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, now: time.Now, log: log}
	c.checked = c.now()
	if _, err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads the pair if its files changed, and says whether they did. The
// stamps are taken before the reading: a change in between is seen next time.
func (c *certificate) load() (changed bool, err error) {
	var stamps [2]stamp
	for i, path := range []string{c.certFile, c.keyFile} {
		if stamps[i], err = stampOf(path); err != nil {
			return false, fmt.Errorf("load certificate: %w", err)
		}
	}
	if c.pair != nil && stamps[0].same(c.stamps[0]) && stamps[1].same(c.stamps[1]) {
		return false, nil
	}
	c.stamps = stamps // a bad pair is complained about once
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return false, fmt.Errorf("load certificate: %w", err)
	}
	c.pair = &pair
	return true, nil
}

// get is a tls.Config's GetCertificate. A pair that cannot be loaded leaves
// the old one in place.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		switch changed, err := c.load(); {
		case err != nil:
			if c.failure != err.Error() {
				c.log.Error().Err(err).Msg("the new certificate cannot be used, the old one is kept")
			}
			c.failure = err.Error()
		case changed:
			c.failure = ""
			c.log.Info().Msg("certificate replaced")
		}
	}
	return c.pair, nil
}

// config returns the TLS settings of a door.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}
