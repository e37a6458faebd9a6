package daemon

import (
	"os"
	"path/filepath"
	"strings"
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
	reload(`{"log": {"level": "warn"}}`, "", "1 ok")
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
	result("1 ok; restart to apply it\n")
	i.line("nothing to reload")
	// What a restart would stumble over is told now, be it in the file or a rule of the door.
	writeConfig(t, i.path, `{"prot": 1}`)
	result("2 " + i.path + ":1: prot: unknown key (did you mean \"port\"?)\n")
	writeConfig(t, i.path, `{"home": "/refused"}`)
	result("3 " + i.path + ": home: refused by the door\n")
	i.stop()
}
