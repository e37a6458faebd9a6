package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/daemon"
	"hugbucket/internal/ftp"
)

// serve runs the daemon and returns its address, the lines of its log until it served, and what stops it.
func serve(t *testing.T, path string) (addr string, lines []map[string]any, stop func()) {
	t.Helper()
	logs, stderr := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--config", path}, io.Discard, stderr)
		stderr.Close() //nolint:errcheck // a pipe
	}()
	s := bufio.NewScanner(logs)
	for addr == "" && s.Scan() {
		var fields map[string]any
		if err := json.Unmarshal(s.Bytes(), &fields); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fields)
		if fields["message"] == "serving" {
			addr = fmt.Sprint(fields["address"])
		}
	}
	if addr == "" {
		t.Fatal(<-ended)
	}
	go func() {
		for s.Scan() { // or the daemon would wait for its log to be read
			continue
		}
	}()
	return addr, lines, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// client is a control connection.
type client struct {
	t *testing.T
	*textproto.Conn
}

func login(t *testing.T, addr, user, pass string) client {
	t.Helper()
	conn, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := client{t, conn}
	c.reply(220)
	c.do(331, "USER %s", user)
	c.do(230, "PASS %s", pass)
	return c
}

func (c client) reply(code int) string {
	c.t.Helper()
	_, text, err := c.ReadResponse(code)
	if err != nil {
		c.t.Fatalf("want %d, got %v", code, err)
	}
	return text
}

func (c client) do(code int, format string, args ...any) string {
	c.t.Helper()
	if err := c.PrintfLine(format, args...); err != nil {
		c.t.Fatal(err)
	}
	return c.reply(code)
}

// transfer sends a command that moves content, and returns what came.
func (c client) transfer(content, format string, args ...any) string {
	c.t.Helper()
	var port int
	if _, err := fmt.Sscanf(c.do(229, "EPSV"), "Entering Extended Passive Mode (|||%d|)", &port); err != nil {
		c.t.Fatal(err)
	}
	data, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		c.t.Fatal(err)
	}
	defer data.Close() //nolint:errcheck // see below
	c.do(150, format, args...)
	if content != "" {
		if _, err := io.WriteString(data, content); err != nil {
			c.t.Fatal(err)
		}
		_ = data.Close()
	}
	var got []byte
	if content == "" {
		if got, err = io.ReadAll(data); err != nil {
			c.t.Fatal(err)
		}
	}
	c.reply(226)
	return string(got)
}

func writeConfig(t *testing.T, ftp string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	text := fmt.Sprintf(`{"storage": {"path": %q}, "ftp": {"host": "127.0.0.1", "port": 0%s}, "metrics": {"port": 0}}`, filepath.Join(dir, "store"), ftp)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file put into one process is there in the next.
func TestAnonymous(t *testing.T) {
	path := writeConfig(t, "")
	addr, lines, stop := serve(t, path)
	c := login(t, addr, "anybody", "anything")
	c.do(257, "MKD /backup")
	c.transfer("content", "STOR /backup/a")
	c.do(221, "QUIT")
	stop()
	warned := false
	for _, fields := range lines {
		warned = warned || fields["level"] == "warn" && strings.Contains(fmt.Sprint(fields["message"]), "everybody may read")
	}
	if !warned {
		t.Error("no warning about a door that is open to everybody")
	}
	addr, _, stop = serve(t, path)
	c = login(t, addr, "anonymous", "")
	if got := c.transfer("", "RETR /backup/a"); got != "content" {
		t.Errorf("got %q", got)
	}
	c.do(221, "QUIT")
	stop()
}

// Buckets of the configuration are there before anything was pushed into them, and whoever removes one has it back at the next start.
func TestBucketsOfTheConfiguration(t *testing.T) {
	path := writeConfig(t, `, "username": "u", "password": "p"}, "home": "/none", "buckets": [
		{"name": "backup", "token": "9c7c64cfac3b922aacd4ba68cb631e82"}, "3547264155b541de5cb6a7eae0431a14"], "log": {"level": "info"`)
	for removed := range 3 {
		addr, lines, stop := serve(t, path)
		for _, fields := range lines {
			if fields["level"] != "info" {
				t.Errorf("logged %v", fields)
			}
		}
		c := login(t, addr, "u", "p")
		if got := c.transfer("", "NLST"); got != "backup\r\n" {
			t.Errorf("got %q", got)
		}
		c.do(250, "CWD /backup")
		c.do(257, "MKD scans")
		c.transfer("content", "STOR scans/a")
		c.do(250, "DELE scans/a")
		c.do(250, "RMD scans")
		if removed == 0 {
			c.do(250, "RMD /backup")
		}
		c.do(221, "QUIT")
		stop()
	}
}

func TestLogin(t *testing.T) {
	addr, lines, stop := serve(t, writeConfig(t, `, "username": "u", "password": "p w"`))
	for _, fields := range lines {
		if fields["level"] != "info" {
			t.Errorf("logged %v", fields)
		}
	}
	login(t, addr, "u", "p w").do(221, "QUIT")
	conn, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := client{t, conn}
	c.reply(220)
	c.do(331, "USER u")
	c.do(530, "PASS p")
	_ = conn.Close()
	stop()
}

func TestCheck(t *testing.T) {
	check := func(path string) error {
		return run(t.Context(), []string{"--check", "--config", path}, io.Discard, io.Discard)
	}
	path := writeConfig(t, `, "username": "u", "password": "p", "passive_ports": "4000-4001", "public_host": "192.0.2.1"`)
	if err := check(path); err != nil {
		t.Error(err)
	}
	cfg, err := daemon.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := ftpConfig(cfg); got.Username != "u" || got.Password != "p" || got.FirstPort != 4000 || got.LastPort != 4001 || got.PublicHost != "192.0.2.1" {
		t.Errorf("got %+v", got)
	}
	refused := func(ftp, want string) {
		t.Helper()
		if err := check(writeConfig(t, ftp)); daemon.Report(io.Discard, name, err) != 78 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", ftp, err)
		}
	}
	refused(`, "username": "u"`, "ftp.username: is set but ftp.password is not")
	refused(`, "password": "p"`, "ftp.password: is set but ftp.username is not")
	// The password may be a credential of systemd's, which others are not handed. The door does not do without.
	t.Setenv("INVOCATION_ID", "x")
	refused(`, "username": "u"`, "ftp: username is set and password is not")
	refused(`, "password": "p"`, "ftp.password: is set but ftp.username is not")
}

// TestAddressAloneIsNoSetting: a change of it is told apart from one that a restart applies.
func TestAddressAloneIsNoSetting(t *testing.T) {
	settings := func(ftp string) any {
		cfg, err := daemon.LoadConfig(writeConfig(t, ftp))
		if err != nil {
			t.Fatal(err)
		}
		cfg.FTP.Port += len(ftp)
		return program().Settings(cfg)[0].Value
	}
	if settings("") != settings(` `) {
		t.Error("another port is another setting")
	}
	if settings("") == settings(`, "passive_ports": "1-2"`) {
		t.Error("other passive ports are no other setting")
	}
}

func TestEvents(t *testing.T) {
	for _, c := range []struct{ verb, outcome, want string }{
		{"STOR", ftp.OK, "ok"},
		{"STOR", ftp.Aborted, "cut"},
		{"RETR", ftp.Refused, "refused"},
		{"RETR", ftp.Failed, "failed"},
		{"PASS", ftp.Refused, "denied"},
	} {
		e := event(ftp.Event{Verb: c.verb, Outcome: c.outcome, BytesIn: 1, BytesOut: 2, Hidden: 3, Duration: 4})
		if e != (daemon.Event{Method: c.verb, Outcome: c.want, Received: 1, Sent: 2, Hidden: 3, Took: 4}) {
			t.Errorf("%s, %s: %+v", c.verb, c.outcome, e)
		}
	}
}
