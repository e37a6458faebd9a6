package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestOutcomeIsReadAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reload")
	if _, err := ReadReload(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, o := range []Outcome{
		{},
		{Generation: 12, Running: true},
		{Generation: 3, Note: "; restart to apply it"},
		{Generation: 4, Failure: "/etc/file-bucket/config.json:3: prot: unknown key"},
	} {
		if err := o.write(path); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadReload(path); err != nil || got != o {
			t.Errorf("got %+v, %v, want %+v", got, err, o)
		}
	}
	for _, text := range []string{"", "ok", "x ok\n", "7"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadReload(path); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestReloadFile(t *testing.T) {
	for env, want := range map[string]string{
		"": "", "/run/file-bucketd": "/run/file-bucketd/reload", "/run/file-bucket:/run/file-bucketd": "/run/file-bucketd/reload",
	} {
		t.Setenv("RUNTIME_DIRECTORY", env)
		if got := ReloadFile(); got != want {
			t.Errorf("%q: %q", env, got)
		}
	}
}
