package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func writeLocalConfig(t *testing.T) (path, url string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "config.json")
	port := freePort(t)
	code, _, fail := ctl(t, "init", "--config", path, "--var", dir, "--host", "127.0.0.1",
		"--port", fmt.Sprint(port), "--s3-port", fmt.Sprint(freePort(t)), "--ftp-port", fmt.Sprint(freePort(t)))
	if code != 0 {
		t.Fatal(fail)
	}
	return path, fmt.Sprintf("http://127.0.0.1:%d/", port)
}

// fakeDoors makes a directory of daemons that are this test binary.
func fakeDoors(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range doorNames {
		script := fmt.Sprintf("#!/bin/sh\nFB_TEST_DOOR=%s exec %s \"$@\"\n", name, quote(os.Args[0]))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// doorsRun is a runDoors in the background.
type doorsRun struct {
	ready   chan struct{} // closed when the lines are printed
	signals chan os.Signal
	ended   chan error
}

func startDoors(t *testing.T, path string) *doorsRun {
	t.Helper()
	r := &doorsRun{ready: make(chan struct{}), signals: make(chan os.Signal, 8), ended: make(chan error, 1)}
	dir := fakeDoors(t)
	out := &watcher{want: "Ctrl-C stops", seen: r.ready}
	go func() { r.ended <- runDoors(t.Context(), env{out, io.Discard}, dir, path, r.signals) }()
	return r
}

// watcher closes a channel when it was written a text.
type watcher struct {
	want string
	seen chan struct{}
	text bytes.Buffer
}

func (w *watcher) Write(p []byte) (int, error) {
	before := strings.Contains(w.text.String(), w.want)
	w.text.Write(p)
	if !before && strings.Contains(w.text.String(), w.want) {
		close(w.seen)
	}
	return len(p), nil
}

func TestRunStops(t *testing.T) {
	path, _ := writeLocalConfig(t)
	r := startDoors(t, path)
	select {
	case <-r.ready:
	case err := <-r.ended:
		t.Fatal(err)
	}
	r.signals <- os.Interrupt
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func TestRunDoorDies(t *testing.T) {
	path, url := writeLocalConfig(t)
	r := startDoors(t, path)
	select {
	case <-r.ready:
	case err := <-r.ended:
		t.Fatal(err)
	}
	if resp, err := http.Get(url); err == nil {
		resp.Body.Close() //nolint:errcheck // a test's
		t.Error("it did not die")
	}
	if err := <-r.ended; err == nil || err.Error() != "file-bucketd ended: exit status 7" {
		t.Errorf("got %v", err)
	}
}

func TestRunDoorDoesNotStart(t *testing.T) {
	path, _ := writeLocalConfig(t)
	t.Setenv("FB_TEST_REFUSE", "hugbucket-s3d")
	if err := <-startDoors(t, path).ended; err == nil || err.Error() != "hugbucket-s3d ended: exit status 1" {
		t.Errorf("got %v", err)
	}
}

func TestRunWithoutDaemons(t *testing.T) {
	path, _ := writeLocalConfig(t)
	err := runDoors(t.Context(), env{io.Discard, io.Discard}, t.TempDir(), path, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := runDoors(t.Context(), env{io.Discard, io.Discard}, t.TempDir(), path+"x", nil); err == nil {
		t.Error("ran without a configuration")
	}
}
