package daemon

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

func notifySignals(c chan<- os.Signal) {
	signal.Notify(c, syscall.SIGTERM, os.Interrupt, syscall.SIGUSR2)
}

func osSurroundings(signals <-chan os.Signal) surroundings {
	return surroundings{
		stdout: os.Stdout, stderr: os.Stderr, signals: signals,
		listeners: activation.ListenersWithNames, notify: systemdNotify,
		openStore: func(context.Context, *config.Config, zerolog.Logger) (*object.Store, error) {
			return object.New(objecttest.NewMemory(), object.Config{}), nil
		},
	}
}

// slowHandler takes its time over /slow: until the client sends its body.
func slowHandler(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	_, _ = fmt.Fprint(w, os.Getpid())
}

// child is the test binary as a daemon with a passed socket.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func spawn(t *testing.T, path, name string, socket *os.File) *child {
	t.Helper()
	// LISTEN_PID must be the pid of the process that reads it: the shell's, which becomes the daemon.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "FB_TEST_DAEMON="+path, "LISTEN_FDS=1", "LISTEN_FDNAMES="+name)
	cmd.ExtraFiles = []*os.File{socket}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // of a child that ended well it fails
	return &child{cmd, bufio.NewScanner(stderr)}
}

func (c *child) line(t *testing.T, part string) string {
	t.Helper()
	for c.lines.Scan() {
		if strings.Contains(c.lines.Text(), part) {
			return c.lines.Text()
		}
	}
	t.Fatalf("no line with %q", part)
	return ""
}

func (c *child) wait(t *testing.T) {
	t.Helper()
	for c.lines.Scan() {
		continue // drained, so that the child does not block
	}
	if err := c.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func passedSocket(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // f keeps the socket open
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) //nolint:errcheck // a test's
	return f, l.Addr().String()
}

// Across restarts of a socket-activated daemon no request is refused, reset or
// left without an answer.
func TestRestartUnderLoad(t *testing.T) {
	socket, addr := passedSocket(t)
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, fmt.Sprintf(`{"host": "127.0.0.1", "port": %s}`, addr[strings.LastIndex(addr, ":")+1:]))
	c := spawn(t, path, "test", socket)
	c.line(t, `"serving"`)

	var answered, failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 3 {
		transport := &http.Transport{DisableKeepAlives: true}
		client := &http.Client{Transport: transport}
		clients.Go(func() {
			for ctx.Err() == nil {
				resp, err := client.Get("http://" + addr + "/")
				if err != nil {
					failed.Add(1)
					t.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				if resp.Body.Close() != nil || err != nil || resp.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Error(resp.Status, err)
				}
				answered.Add(1)
			}
		})
	}
	const restarts = 5
	for range restarts {
		before := answered.Load()
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		c.wait(t)
		c = spawn(t, path, "test", socket)
		c.line(t, `"serving"`)
		for answered.Load() < before+20 && failed.Load() == 0 {
			get(t, "http://"+addr+"/")
		}
	}
	stop()
	clients.Wait()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.wait(t)
	t.Logf("%d requests answered, %d failed, over %d restarts", answered.Load(), failed.Load(), restarts)
}

func TestActivatedElsewhere(t *testing.T) {
	socket, addr := passedSocket(t)
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, `{"host": "127.0.0.1", "port": 1}`)
	c := spawn(t, path, "test", socket)
	line := c.line(t, `"warn"`)
	for _, part := range []string{addr, "127.0.0.1:1", "file-bucketctl apply"} {
		if !strings.Contains(line, part) {
			t.Errorf("no %q in %s", part, line)
		}
	}
	c.line(t, `"serving"`)
	if got := get(t, "http://"+addr+"/"); got != fmt.Sprint(c.cmd.Process.Pid) {
		t.Errorf("pid %s answered, want %d", got, c.cmd.Process.Pid)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.wait(t)
}

func TestActivatedWithAnotherName(t *testing.T) {
	socket, _ := passedSocket(t)
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, anyPort)
	c := spawn(t, path, "http", socket)
	c.line(t, "systemd passed sockets named http, but none named test")
	if err := c.cmd.Wait(); err == nil || c.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v", err)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		addr, host string
		port       int
		want       bool
	}{
		{"0.0.0.0:1234", "0.0.0.0", 1234, true},
		{"[::]:1234", "0.0.0.0", 1234, false}, // which is not to serve IPv6
		{"0.0.0.0:1234", "", 1234, false},
		{"0.0.0.0:1234", "::", 1234, false},
		{"[::]:1234", "", 1234, true},
		{"[::]:1234", "::", 1234, true},
		{"[::]:1234", "0.0.0.0", 1235, false},
		{"[::]:1234", "192.0.2.1", 1234, false},
		{"192.0.2.1:1234", "192.0.2.1", 1234, true},
		{"192.0.2.1:1234", "storage.example", 1234, false},
		{"127.0.0.1:1234", "localhost", 1234, true},
		{"[::]:1234", "localhost", 1234, false},
		{"192.0.2.1:1234", "0.0.0.0", 1234, false},
	} {
		addr, err := net.ResolveTCPAddr("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := matches(addr, c.host, c.port); got != c.want {
			t.Errorf("%s, %s, %d: %v", c.addr, c.host, c.port, got)
		}
	}
	if matches(&net.UnixAddr{Name: "/run/x"}, "", 1) {
		t.Error("a unix socket matches")
	}
}
