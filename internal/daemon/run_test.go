package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestMain lets the test binary be a daemon; see activation_test.go.
func TestMain(m *testing.M) {
	if path := os.Getenv("FB_TEST_DAEMON"); path != "" {
		p := testProgram(http.HandlerFunc(slowHandler))
		signals := make(chan os.Signal, 8)
		notifySignals(signals)
		env := osSurroundings(signals)
		os.Exit(Report(os.Stderr, p.Name, p.run(context.Background(), []string{"--config", path}, env))) //nolint:forbidigo // this is a main
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is a main
}

// testProgram serves h on 127.0.0.1:0. Its door takes the log level from a
// reload, and refuses one of "error".
func testProgram(h http.Handler) Program {
	return Program{
		Name: "testd", Summary: "serve a test", Socket: "test",
		Address: func(cfg *config.Config) (string, int) { return cfg.Host, cfg.Port },
		Check: func(cfg *config.Config) error {
			if cfg.Home == "/refused" {
				return errors.New("home: refused by the door")
			}
			return nil
		},
		Open: func(_ *config.Config, _ *object.Store, log zerolog.Logger) (*Door, error) {
			return &Door{Handler: h, Status: "tested", Reload: func(cfg *config.Config) error {
				if cfg.Log.Level == "error" {
					return cfg.Problem("log.level", "refused by the door")
				}
				log.Info().Str("level", cfg.Log.Level).Msg("reloaded")
				return nil
			}}, nil
		},
	}
}

// instance is a daemon that runs in this process.
type instance struct {
	t       *testing.T
	path    string // of the configuration
	signals chan os.Signal
	states  chan string // what systemd was told
	lines   chan map[string]any
	ended   chan error
	store   *driver
}

// driver notes that it was closed.
type driver struct {
	*objecttest.Memory
	closed atomic.Bool
}

func (d *driver) Close() error {
	d.closed.Store(true)
	return d.Memory.Close()
}

func writeConfig(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs a program and waits until it serves, if it is to.
func start(t *testing.T, p Program, text string, change func(*surroundings)) *instance {
	t.Helper()
	i := &instance{
		t: t, path: filepath.Join(t.TempDir(), "config.json"), signals: make(chan os.Signal, 8),
		states: make(chan string, 64), lines: make(chan map[string]any, 256), ended: make(chan error, 1),
		store: &driver{Memory: objecttest.NewMemory()},
	}
	writeConfig(t, i.path, text)
	logs, stderr := io.Pipe()
	go func() {
		defer close(i.lines)
		for s := bufio.NewScanner(logs); s.Scan(); {
			fields := map[string]any{"text": s.Text()}
			_ = json.Unmarshal(s.Bytes(), &fields) // what is no JSON is text
			i.lines <- fields
		}
	}()
	env := surroundings{
		stdout: io.Discard, stderr: stderr, signals: i.signals,
		listeners: func() (map[string][]net.Listener, error) { return nil, nil },
		notify:    func(state string) error { i.states <- state; return nil },
		openStore: func(context.Context, *config.Config, zerolog.Logger) (*object.Store, error) {
			return object.New(i.store, object.Config{}), nil
		},
	}
	if change != nil {
		change(&env)
	}
	go func() {
		err := p.run(t.Context(), []string{"--config", i.path}, env)
		stderr.Close() //nolint:errcheck // a pipe
		i.ended <- err
	}()
	return i
}

// line waits for a log line with a message.
func (i *instance) line(message string) map[string]any {
	i.t.Helper()
	for fields := range i.lines {
		if got, ok := fields["message"].(string); ok && strings.Contains(got, message) {
			return fields
		}
	}
	i.t.Fatalf("no line %q; ended with %v", message, <-i.ended)
	return nil
}

// address waits until the daemon serves.
func (i *instance) address() string {
	i.t.Helper()
	return fmt.Sprint(i.line("serving")["address"])
}

func (i *instance) state(want string) {
	i.t.Helper()
	if got := <-i.states; got != want {
		i.t.Fatalf("systemd was told %q, want %q", got, want)
	}
}

func (i *instance) stop() {
	i.t.Helper()
	i.signals <- syscall.SIGTERM
	i.endsWith(nil)
}

func (i *instance) endsWith(want error) {
	i.t.Helper()
	if err := <-i.ended; !errors.Is(err, want) {
		i.t.Fatalf("ended with %v, want %v", err, want)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })

const anyPort = `{"host": "127.0.0.1", "port": 0}`

func TestRun(t *testing.T) {
	i := start(t, testProgram(hello), anyPort, nil)
	addr := i.address()
	i.state("READY=1\nSTATUS=serving on " + addr + "; tested")
	if got := get(t, "http://"+addr+"/"); got != "hello" {
		t.Errorf("got %q", got)
	}
	i.stop()
	i.state("STOPPING=1\nSTATUS=draining")
	if !i.store.closed.Load() {
		t.Error("the store was not closed")
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the listener was not closed")
	}
}

// What drops uploads ends before the store is closed.
func TestExpireEndsBeforeStore(t *testing.T) {
	p := testProgram(hello)
	open := p.Open
	begun, ended := make(chan struct{}), make(chan struct{})
	var store *driver
	p.Open = func(cfg *config.Config, s *object.Store, log zerolog.Logger) (*Door, error) {
		door, err := open(cfg, s, log)
		door.Expire = func(ctx context.Context) (int, error) {
			close(begun)
			<-ctx.Done()
			if store.closed.Load() {
				t.Error("the store was closed before")
			}
			close(ended)
			return 0, nil
		}
		return door, err
	}
	i := start(t, p, anyPort, nil)
	store = i.store
	i.address()
	<-begun
	i.stop()
	<-ended
}

func TestRunEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan string, 8)
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, anyPort)
	ended := make(chan error, 1)
	go func() {
		ended <- testProgram(hello).run(ctx, []string{"-config=" + path}, surroundings{
			stdout: io.Discard, stderr: io.Discard,
			listeners: func() (map[string][]net.Listener, error) { return nil, nil },
			notify:    func(state string) error { ready <- state; return errors.New("no systemd") },
			openStore: func(context.Context, *config.Config, zerolog.Logger) (*object.Store, error) {
				return object.New(objecttest.NewMemory(), object.Config{}), nil
			},
		})
	}()
	<-ready
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestStopWhileOpening(t *testing.T) {
	opening := make(chan struct{})
	i := start(t, testProgram(hello), anyPort, func(e *surroundings) {
		e.openStore = func(ctx context.Context, _ *config.Config, _ zerolog.Logger) (*object.Store, error) {
			close(opening)
			<-ctx.Done()
			return nil, errors.New("interrupted")
		}
	})
	<-opening
	i.stop()
}

// A signal stops a daemon that has not come to read its configuration yet.
func TestStopWhileLoading(t *testing.T) {
	loading, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	p := testProgram(hello)
	p.Check = func(*config.Config) error {
		close(loading)
		<-release
		return nil
	}
	i := start(t, p, anyPort, nil)
	<-loading
	i.stop()
}

func TestRunErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // a test's
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		text   string
		open   func(*config.Config, *object.Store, zerolog.Logger) (*Door, error)
		change func(*surroundings)
		want   string
		code   int
	}{
		"config":       {text: `{"prot": 1}`, want: "unknown key", code: 78},
		"bucket name":  {text: `{"buckets": [{"name": "X", "token": "token-one"}]}`, want: `config.json:1: buckets[0].name: "X" is no bucket name`, code: 78},
		"grant":        {text: `{"s3": {"keys": [{"access_key": "a", "secret_key": "b", "buckets": ["ok1", "X"]}]}}`, want: `s3.keys[0].buckets[1]: "X" is no bucket name`, code: 78},
		"prefix":       {text: `{"s3": {"keys": [{"access_key": "a", "secret_key": "b", "prefix": "` + strings.Repeat("x", 1025) + `"}]}}`, want: "config.json:1: s3.keys[0].prefix: must be at most 1024 bytes", code: 78},
		"door's rule":  {text: `{"home": "/refused"}`, want: "home: refused by the door", code: 78},
		"port taken":   {text: fmt.Sprintf(`{"host": "127.0.0.1", "port": %s}`, port), want: "address already in use", code: 1},
		"certificate":  {text: `{"tls": {"cert": "/none/c", "key": "/none/k"}}`, want: "config.json:1: tls.cert: load certificate: open /none/c", code: 78},
		"store":        {text: anyPort, change: func(e *surroundings) { e.openStore = noStore(boom) }, want: "boom", code: 1},
		"door":         {text: anyPort, open: noDoor(boom), want: "boom", code: 1},
		"sockets":      {text: anyPort, change: func(e *surroundings) { e.listeners = noListeners(boom) }, want: "boom", code: 1},
		"wrong socket": {text: anyPort, change: func(e *surroundings) { e.listeners = otherListener(t) }, want: "sockets named other, but none named test", code: 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := testProgram(hello)
			if c.open != nil {
				p.Open = c.open
			}
			err := <-start(t, p, c.text, c.change).ended
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if code := Report(io.Discard, "testd", err); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
		})
	}
}

// TestDoorOpensAfterTheSocket: a daemon that is started a second time does nothing to what the first one has.
func TestDoorOpensAfterTheSocket(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // a test's
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	p := testProgram(hello)
	p.Open = func(*config.Config, *object.Store, zerolog.Logger) (*Door, error) {
		t.Error("the door was opened")
		return &Door{Handler: hello}, nil
	}
	err = <-start(t, p, fmt.Sprintf(`{"host": "127.0.0.1", "port": %s}`, port), nil).ended
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
}

func noStore(err error) func(context.Context, *config.Config, zerolog.Logger) (*object.Store, error) {
	return func(context.Context, *config.Config, zerolog.Logger) (*object.Store, error) { return nil, err }
}

func noDoor(err error) func(*config.Config, *object.Store, zerolog.Logger) (*Door, error) {
	return func(*config.Config, *object.Store, zerolog.Logger) (*Door, error) { return nil, err }
}

func noListeners(err error) func() (map[string][]net.Listener, error) {
	return func() (map[string][]net.Listener, error) { return nil, err }
}

func otherListener(t *testing.T) func() (map[string][]net.Listener, error) {
	t.Helper()
	return func() (map[string][]net.Listener, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		return map[string][]net.Listener{"other": {l}}, err
	}
}

func TestFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, path, "{}")
	bad := filepath.Join(t.TempDir(), "bad.json")
	writeConfig(t, bad, "{")
	for name, c := range map[string]struct {
		args      []string
		code      int
		out, fail string
	}{
		"version":  {[]string{"--version"}, 0, "testd devel (go", ""},
		"check":    {[]string{"--check", "--config", path}, 0, path + ": ok\n", ""},
		"bad":      {[]string{"--check", "--config", bad}, 78, "", "testd: " + bad + ":1: unexpected end of JSON input\n"},
		"missing":  {[]string{"--check", "--config", path + "x"}, 78, "", "testd: read configuration: open"},
		"help":     {[]string{"--help"}, 0, ExitCodes, ""},
		"signals":  {[]string{"--help"}, 0, "SIGUSR2 reloads the certificate, and checks the configuration, which a restart applies.", ""},
		"flag":     {[]string{"--prot"}, 64, "", "testd: flag provided but not defined: -prot\n"},
		"argument": {[]string{"now"}, 64, "", "testd: unexpected argument \"now\"; see --help\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := Run(t.Context(), testProgram(hello), c.args, &stdout, &stderr)
			if code := Report(&stderr, "testd", err); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(stdout.String(), c.out) || !strings.HasPrefix(stderr.String(), c.fail) {
				t.Errorf("got %q and %q, want %q and %q", &stdout, &stderr, c.out, c.fail)
			}
		})
	}
	if Report(io.Discard, "", flag.ErrHelp) != 0 || Report(io.Discard, "", errForced) != 1 {
		t.Error("exit codes")
	}
	own := func(err error) int {
		return Report(io.Discard, "", fmt.Errorf("work: %w", &CodeError{Code: 3, Err: err}))
	}
	if own(errForced) != 3 || own(&UsageError{errForced}) != 64 || own(&ConfigError{errForced}) != 78 {
		t.Error("exit codes of a command's own")
	}
}
