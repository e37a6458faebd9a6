package daemon

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hugbucket/internal/config"
)

// figuresEvery is how often the figures of the status are looked at. They are told when they have changed.
const figuresEvery = 10 * time.Second

// ticks says when to look at the figures.
func (s surroundings) ticks() (<-chan time.Time, func()) {
	if s.figures <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(s.figures)
	return t.C, t.Stop
}

// status is what systemctl status shows of a daemon: where it listens, what an administrator must know, and live figures.
type status struct {
	at      place
	door    string // says the door, see Door
	metrics *metrics
	srv     serving
	store   string // a directory; empty when its free space is of no interest
	reload  string // what the last reload leaves to do; begins with "; " when there is something

	told string
}

// look returns the text, and whether it is another than the last one.
func (s *status) look() (text string, changed bool) {
	before := s.told
	text = s.text()
	return text, text != before
}

func (s *status) text() string {
	var b strings.Builder
	b.WriteString("serving on " + addresses(s.at.ls))
	if s.door != "" {
		b.WriteString("; " + s.door)
	}
	b.WriteString(s.metrics.note() + s.at.mismatch(s.at.host, s.at.port))
	if begun, running, what := s.srv.counts(); begun > 0 {
		fmt.Fprintf(&b, "; %d %s since the start, %d running", begun, what, running)
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(s.store, &fs) == nil {
		b.WriteString("; " + config.Size(fs.Bavail*uint64(fs.Bsize)).String() + " free")
	}
	b.WriteString(s.reload)
	s.told = b.String()
	return s.told
}

// place is where a door listens, and where it was told to when it opened.
type place struct {
	name      string
	ls        []net.Listener
	activated bool // systemd opened the sockets
	host      string
	port      int
}

// mismatch says, behind "; ", that the socket of systemd is not where a configuration wants it. Otherwise it is empty.
func (p place) mismatch(host string, port int) string {
	if !p.activated {
		return ""
	}
	for _, l := range p.ls {
		if matches(l.Addr(), host, port) {
			return ""
		}
	}
	return "; the configuration says " + net.JoinHostPort(host, strconv.Itoa(port))
}
