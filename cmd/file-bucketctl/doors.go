package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hugbucket/internal/config"
)

// doorState is what scripts get of a door.
type doorState struct {
	Name    string `json:"name"` // of the daemon
	Address string `json:"address"`
	// State is "serving", "off" when the service manager was told not to run it, or "down".
	State string `json:"state"`
	Error string `json:"error,omitempty"` // why it is down
	Note  string `json:"note,omitempty"`  // what should not stay so
}

// probeTime is how long a door has to answer.
const probeTime = 5 * time.Second

// prober asks doors whether they serve.
type prober struct {
	dial, dialHTTP dialer
	enabled        func(ctx context.Context, daemon string) bool // whether it is meant to run
	stopped        func(ctx context.Context, daemon string) bool // whether it is known not to run, and meant to
	running        func(ctx context.Context, daemon string) bool // whether it is known to run
	failed         func(ctx context.Context) []string            // what is wrong with the services that timers start, in words
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

func newProber(cfg *config.Config) prober {
	p := prober{dial: new(net.Dialer).DialContext}
	p.dialHTTP = p.dial
	s := newSystemd()
	p.enabled = func(ctx context.Context, daemon string) bool {
		if !s.runs() {
			return askedFor(cfg, daemon)
		}
		return s.enabled(ctx, daemon)
	}
	p.stopped = func(ctx context.Context, daemon string) bool { return s.stopped(ctx, cfg.File(), daemon) }
	p.running = func(ctx context.Context, daemon string) bool { return s.running(ctx, cfg.File(), daemon) }
	p.failed = func(ctx context.Context) []string { return s.failedChores(ctx, cfg.File()) }
	if cfg.TLS.Cert != "" {
		// Nothing is told to the door, and it is asked under an address that no certificate is for.
		p.dialHTTP = (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext //nolint:gosec // see above
	}
	return p
}

// askedFor says whether a configuration, where no service manager tells, has a daemon run: one whose section nobody wrote may or may not.
func askedFor(cfg *config.Config, daemon string) bool {
	return slices.ContainsFunc(units(), func(u unit) bool {
		return u.name == daemon && (u.section == "" || cfg.Has(strings.TrimSuffix(u.section, ".")))
	})
}

// doors asks all doors of a configuration.
func (p prober) doors(ctx context.Context, cfg *config.Config) []doorState {
	var list []doorState
	for _, u := range units() {
		host, port := u.address(cfg)
		d := p.door(ctx, u, net.JoinHostPort(host, strconv.Itoa(port)))
		if d.State == "serving" && p.stopped(ctx, u.name) {
			d.State, d.Error = "down", "another program answers there, and "+u.name+".service does not run"
		}
		switch {
		case d.State == "off":
		case u.section == "s3." && cfg.S3.AccessKey == "" && len(cfg.S3.Keys) == 0:
			d.Note = "open to everybody: set s3.access_key and s3.secret_key"
		case u.ftp && cfg.FTP.Username == "":
			d.Note = "open to everybody: set ftp.username and ftp.password"
		}
		list = append(list, d)
	}
	return list
}

// door asks one door whether it serves.
func (p prober) door(ctx context.Context, u unit, listen string) doorState {
	d := doorState{Name: u.name, Address: listen, State: "serving"}
	dial, ask := p.dialHTTP, askHTTP
	if u.ftp {
		dial, ask = p.dial, askFTP // which is encrypted later, if at all
	}
	err := p.ask(ctx, dial, loopback(listen), ask)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && !p.enabled(ctx, u.name):
		d.State = "off"
	case err != nil:
		d.State, d.Error = "down", err.Error()
		if errors.Is(err, syscall.ECONNREFUSED) && p.running(ctx, u.name) {
			d.Error += "; the daemon runs, so the configuration has changed: " + name + " apply applies it"
		}
	}
	return d
}

// ask connects and asks. That the port takes connections is not enough: the service manager holds it for a daemon that is dead.
func (p prober) ask(ctx context.Context, dial dialer, address string, ask func(io.ReadWriter) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was sent that matters
	if until, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(until); err != nil {
			return err
		}
	}
	if err := ask(conn); err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}

// askHTTP sends a request without a Host. Any server answers that by itself (RFC 9112 §3.2), so it is in no log, and nobody takes it for
// somebody who wants to get in.
func askHTTP(conn io.ReadWriter) error {
	if _, err := io.WriteString(conn, "HEAD / HTTP/1.1\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// askFTP waits for the greeting, which may also say that there are too many sessions, and takes its leave. Who does not log in is in no
// log either.
func askFTP(conn io.ReadWriter) error {
	r := textproto.NewReader(bufio.NewReader(io.LimitReader(conn, 64<<10)))
	if _, _, err := r.ReadResponse(0); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "QUIT\r\n"); err == nil {
		_, _, _ = r.ReadResponse(0) // so that it is not cut off while it says goodbye
	}
	return nil
}

// loopback is where somebody on this machine finds what listens on an address. "localhost" is not looked up: a machine without
// it in /etc/hosts would ask the network. What listens on all addresses of IPv6 takes IPv4 too.
func loopback(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip, err := netip.ParseAddr(host); host == "" || host == "localhost" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
