package daemon

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
)

// recheck is how often, at most, handshakes look at the certificate's files.
const recheck = time.Second

// certificates shows the certificate of a door, which a reload may take from
// other files.
type certificates struct {
	current atomic.Pointer[certificate]
}

func newCertificates(first *certificate) *certificates {
	c := &certificates{}
	c.current.Store(first)
	return c
}

// adopt takes a pair that was loaded, and looks at its files from now on. It
// waits for nobody: a handshake may hang with the files of the one before.
func (c *certificates) adopt(fresh *certificate) {
	old := c.current.Swap(fresh)
	if !slices.EqualFunc(fresh.pair.Load().Certificate, old.pair.Load().Certificate, bytes.Equal) {
		fresh.log.Info().Msg("certificate replaced")
	}
}

// get is a tls.Config's GetCertificate.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load().get(hello)
}

// config returns the TLS settings of a door.
func (c *certificates) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

// certificate is a certificate and key in files that may be replaced while
// the door serves. Connections that are open stay as they are.
type certificate struct {
	now func() time.Time
	log zerolog.Logger

	pair atomic.Pointer[tls.Certificate] // written under mu

	mu      sync.Mutex // guards the following; a file system that hangs may keep it locked
	files   config.TLS
	checked time.Time
	stamps  [2]stamp // of the pair as it was read; zero when it has to be read again
	failure string   // that was logged last
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
	return o.info != nil && s.modified.Equal(o.modified) && s.size == o.size && os.SameFile(s.info, o.info)
}

// loadCertificate loads a pair, which must be good.
func loadCertificate(files config.TLS, log zerolog.Logger) (*certificate, error) {
	c := &certificate{files: files, now: time.Now, log: log}
	c.checked = c.now()
	if _, err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads the pair if its files changed, and says whether another is in
// them. The stamps are taken before the reading: a change in between is seen
// next time.
func (c *certificate) load() (changed bool, err error) {
	var stamps [2]stamp
	for i, path := range []string{c.files.Cert, c.files.Key} {
		if stamps[i], err = stampOf(path); err != nil {
			return false, fmt.Errorf("load certificate: %w", err)
		}
	}
	if stamps[0].same(c.stamps[0]) && stamps[1].same(c.stamps[1]) {
		return false, nil
	}
	c.stamps = [2]stamp{} // a bad pair is read again until it is good
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return false, fmt.Errorf("load certificate: %w", err)
	}
	// Who writes again within the resolution of the file system's clock leaves the same stamp.
	now := c.now()
	if now.Sub(stamps[0].modified).Abs() >= recheck && now.Sub(stamps[1].modified).Abs() >= recheck {
		c.stamps = stamps
	}
	// The key fits the certificate, so the certificates tell the pairs apart.
	old := c.pair.Swap(&pair)
	changed = old == nil || !slices.EqualFunc(pair.Certificate, old.Certificate, bytes.Equal)
	return changed, nil
}

// get is certificates.get. A pair that cannot be loaded leaves
// the old one in place. While one handshake looks at the files, the others take
// the pair that is there.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		c.look()
	}
	return c.pair.Load(), nil
}

// look takes a new pair, if there is one, unless the files were looked at just
// now.
func (c *certificate) look() {
	if now := c.now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		switch changed, err := c.load(); {
		case err != nil:
			if c.failure != err.Error() { // it is told once
				c.log.Error().Err(err).Msg("the new certificate cannot be used, the old one is kept")
			}
			c.failure = err.Error()
		case changed:
			c.failure = ""
			c.log.Info().Msg("certificate replaced")
		default:
			c.failure = ""
		}
	}
}
