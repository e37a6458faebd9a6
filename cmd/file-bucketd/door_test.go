package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/daemon"
)

// TestDoorTellsRefusals: what the door refuses gets to the metrics.
func TestDoorTellsRefusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	writeConfig(t, path, dir, `"buckets": [{"name": "db01", "token": "token-one"}]`)
	cfg, err := daemon.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	store, err := daemon.OpenStore(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // a test's
	door, err := open(cfg, store, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	door.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/no-such-token", nil))
	if got := door.Refusals(); len(got) != 1 || got["token"] != 1 {
		t.Errorf("%v", got)
	}
}
