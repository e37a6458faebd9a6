package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
)

func TestReload(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", runtime)
	i := start(t, testProgram(hello), anyPort, nil)
	ready := "READY=1\nSTATUS=serving on " + i.address() + "; tested"
	i.state(ready)
	reload := func(text, status, result string) {
		t.Helper()
		writeConfig(t, i.path, text)
		i.signals <- syscall.SIGUSR2
		if got := <-i.states; !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("systemd was told %q", got)
		}
		i.state(ready + status)
		got, err := os.ReadFile(filepath.Join(runtime, "reload"))
		if err != nil || string(got) != result+"\n" {
			t.Errorf("result %q, %v, want %q", got, err, result)
		}
	}
	const left = "; restart to apply log"
	reload(`{"host": "127.0.0.1", "port": 0, "log": {"level": "warn"}}`, left, "1 ok"+left)
	if got := i.line("reloaded"); got["level"] != "warn" {
		t.Errorf("the door got %v", got)
	}
	wrong := i.path + `:2: prot: unknown key (did you mean "port"?)`
	reload("{\n\"prot\": 1}", "; reload refused: "+wrong, "2 "+wrong)
	if got := i.line("not reloaded"); got["error"] != wrong || got["level"] != "error" {
		t.Errorf("logged %v", got)
	}
	refused := i.path + ":1: log.level: refused by the door"
	reload(`{"log": {"level": "error"}}`, "; reload refused: "+refused, "3 "+refused)
	reload(anyPort, "", "4 ok")
	i.stop()
}

func TestNothingToReload(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", runtime)
	p := testProgram(hello)
	p.Open = func(*config.Config, *object.Store, zerolog.Logger) (*Door, error) { return &Door{Handler: hello}, nil }
	i := start(t, p, anyPort, nil)
	i.address()
	<-i.states // ready
	result := func(want string) {
		t.Helper()
		i.signals <- syscall.SIGUSR2
		<-i.states // reloading
		<-i.states // ready again, with the result written
		got, err := os.ReadFile(filepath.Join(runtime, "reload"))
		if err != nil || string(got) != want {
			t.Errorf("result %q, %v, want %q", got, err, want)
		}
	}
	result("1 ok\n")
	// What a restart would stumble over is told now, be it in the file or a rule of the door.
	writeConfig(t, i.path, `{"prot": 1}`)
	result("2 " + i.path + ":1: prot: unknown key (did you mean \"port\"?)\n")
	writeConfig(t, i.path, `{"home": "/refused"}`)
	result("3 " + i.path + ": home: refused by the door\n")
	i.stop()
}

// TestWhatAReloadLeaves: the outcome names what a restart alone applies, and how the socket gets where it should be.
func TestWhatAReloadLeaves(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	activated := fmt.Sprintf(`{"host": "127.0.0.1", "port": %d}`, l.Addr().(*net.TCPAddr).Port) //nolint:errcheck,forcetypeassert // it is TCP
	for _, c := range []struct {
		before, after, note string
		socket, restart     bool
		service             bool
	}{
		{anyPort, anyPort, "", false, false, false},
		{anyPort, `{"host": "127.0.0.1", "port": 0, "buckets": ["another-token"], "s3": {"region": "x"}}`, "", false, false, false},
		{anyPort, `{"host": "127.0.0.1", "port": 0, "home": "/b", "storage": {"path": "/c"}}`, "; restart to apply storage, home", false, true, false},
		{anyPort, `{"host": "127.0.0.2", "port": 0}`, "; restart to apply the address", false, true, false},
		{activated, activated, "", false, false, true},
		{anyPort, anyPort, "; listening without the socket unit", false, false, true},
		{anyPort, `{"host": "127.0.0.1", "port": 0, "home": "/b"}`, "; listening without the socket unit; restart to apply home, with file-bucketctl apply", false, true, true},
		{activated, anyPort, "; restart the socket to apply the address", true, false, false},
		{activated, `{"home": "/b"}`, "; restart the socket to apply the address; restart to apply home", true, true, false},
	} {
		runtime := t.TempDir()
		t.Setenv("RUNTIME_DIRECTORY", runtime)
		p := testProgram(hello)
		p.Settings = func(cfg *config.Config) []Setting { return []Setting{{"home", cfg.Home}} }
		i := start(t, p, c.before, func(env *surroundings) {
			env.service = c.service
			if c.before != activated {
				return
			}
			env.listeners = func() (map[string][]net.Listener, error) {
				f, err := l.(*net.TCPListener).File() //nolint:errcheck,forcetypeassert // it is TCP
				if err != nil {
					return nil, err
				}
				defer f.Close() //nolint:errcheck // the listener has another
				passed, err := net.FileListener(f)
				return map[string][]net.Listener{"test": {passed}}, err
			}
		})
		i.address()
		<-i.states // ready
		writeConfig(t, i.path, c.after)
		i.signals <- syscall.SIGUSR2
		<-i.states // reloading
		if got := <-i.states; !strings.HasSuffix(got, "; tested"+c.note) {
			t.Errorf("%s: systemd was told %q", c.after, got)
		}
		got, err := ReadReload(filepath.Join(runtime, "reload"))
		if want := (Outcome{Generation: 1, Note: c.note}); err != nil || got != want || got.NeedsSocket() != c.socket || got.Own() != strings.HasPrefix(c.note, noteOwn) || got.NeedsRestart() != c.restart {
			t.Errorf("%s: %+v, %v, want %+v", c.after, got, err, want)
		}
		i.stop()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestReloadLooksAtNoStore: another store may be where only the next process can write, and with its own gone a daemon still takes
// tokens away.
func TestReloadLooksAtNoStore(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", runtime)
	i := start(t, testProgram(hello), anyPort, nil)
	i.address()
	<-i.states // ready
	// A file can be no store. Here it stands for a directory that the sandbox lets no process of before write to.
	text := fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "storage": {"path": %q}}`, i.path)
	writeConfig(t, i.path, text)
	if _, _, err := CheckConfig(i.path); err == nil {
		t.Error("the store is not refused by a check")
	}
	i.signals <- syscall.SIGUSR2
	<-i.states // reloading
	<-i.states // ready again
	got, err := ReadReload(filepath.Join(runtime, "reload"))
	if want := (Outcome{Generation: 1, Note: "; restart to apply storage"}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	i.stop()
}

// TestStopWhileReloadHangs: a daemon whose files nobody can read to their end still hears that it is to stop.
func TestStopWhileReloadHangs(t *testing.T) {
	loading, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	var serves atomic.Bool
	p := testProgram(hello)
	p.Check = func(*config.Config) error {
		if serves.Load() {
			close(loading)
			<-release
		}
		return nil
	}
	i := start(t, p, anyPort, nil)
	i.address()
	<-i.states // ready
	serves.Store(true)
	i.signals <- syscall.SIGUSR2
	<-loading
	i.stop()
	if got := i.line("drained"); got["level"] != "info" {
		t.Errorf("logged %v", got)
	}
}

// TestReloadWhereThereIsNoFile: nothing is waited for where a FIFO is in the place of a file, and the next reload works.
func TestReloadWhereThereIsNoFile(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", runtime)
	i := start(t, testProgram(hello), anyPort, nil)
	i.address()
	<-i.states // ready
	reload := func(want string) {
		t.Helper()
		i.signals <- syscall.SIGUSR2
		<-i.states // reloading
		<-i.states // ready again
		if got, err := ReadReload(filepath.Join(runtime, "reload")); err != nil || got.Failure != want {
			t.Errorf("%+v, %v, want %q", got, err, want)
		}
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := errors.Join(os.Remove(i.path), syscall.Mkfifo(fifo, 0o600), os.Symlink(fifo, i.path)); err != nil {
		t.Fatal(err)
	}
	reload("read configuration: " + i.path + " is a pipe into which nobody writes")
	if err := os.Remove(i.path); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, i.path, anyPort)
	reload("")
	i.stop()
}
