package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hugbucket/internal/daemon"
)

// beReloaded is a process that says of reloads what the test wants: the lines of FB_TEST_OUTCOMES, one after the other, each
// after a SIGUSR2 when it begins with "!".
func beReloaded() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR2)
	path := filepath.Join(os.Getenv("RUNTIME_DIRECTORY"), "reload")
	for i, line := range strings.Split(os.Getenv("FB_TEST_OUTCOMES"), "\n") {
		text, waits := strings.CutPrefix(line, "!")
		if waits {
			<-signals
		}
		if text == "exit" {
			os.Exit(0) //nolint:forbidigo // as a daemon that died
		}
		if err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600); err != nil {
			panic(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			panic(err)
		}
		if i == 0 {
			fmt.Println("ready") //nolint:forbidigo // to the test
		}
	}
	<-signals // forever: there is one signal only, but for the test of it
}

func TestReloadWait(t *testing.T) {
	for _, c := range []struct {
		outcomes       string
		code           int
		stdout, stderr string
	}{
		{"0 ok\n!1 reloading\n1 ok", 0, "reloaded\n", ""},
		{"7 /etc/x:3: prot: unknown key\n!8 ok; restart to apply tls", 0, "reloaded; restart to apply tls\n", ""},
		{"0 ok\n!1 /etc/x:3: prot: unknown key", 1, "", "file-bucketctl: not reloaded, the old configuration is kept: /etc/x:3: prot: unknown key\n"},
		{"0 ok\n!exit", 1, "", "file-bucketctl: the process ended before it reloaded\n"},
		{"what", 1, "", "file-bucketctl: the process does not say what comes of a reload: DIR/reload is not the result of a reload\n"},
	} {
		dir := t.TempDir()
		t.Setenv("RUNTIME_DIRECTORY", "/elsewhere:"+dir)
		cmd, lines := spawnReloaded(t, dir, c.outcomes)
		lines.Scan()
		expect(t, c.code, c.stdout, strings.ReplaceAll(c.stderr, "DIR", dir), "reload-wait", fmt.Sprint(cmd.Process.Pid))
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		before, now daemon.Outcome
		want        bool
	}{
		{daemon.Outcome{Generation: 2}, daemon.Outcome{Generation: 2}, false},
		{daemon.Outcome{Generation: 2}, daemon.Outcome{Generation: 3, Running: true}, false},
		{daemon.Outcome{Generation: 2}, daemon.Outcome{Generation: 3}, true},
		{daemon.Outcome{Generation: 2, Running: true}, daemon.Outcome{Generation: 2}, false},
		{daemon.Outcome{Generation: 2, Running: true}, daemon.Outcome{Generation: 3, Failure: "no"}, true},
	} {
		if got := answers(c.before, c.now); got != c.want {
			t.Errorf("%v after %v: %t", c.now, c.before, got)
		}
	}
}

func TestReloadWaitRefuses(t *testing.T) {
	expect(t, 64, "", "file-bucketctl: RUNTIME_DIRECTORY is not set\n", "reload-wait", "7")
	expect(t, 64, "", "file-bucketctl: reload-wait takes one process id\n", "reload-wait")
	for _, pid := range []string{"0", "1", "--", "x"} {
		if code, _, stderr := ctl(t, "reload-wait", pid); code != 64 {
			t.Errorf("%s: %d %s", pid, code, stderr)
		}
	}
	dir := t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", dir)
	// The process lives: had it been sent the signal, it would have died of it.
	if code, _, stderr := ctl(t, "reload-wait", fmt.Sprint(os.Getpid())); code != 1 || !strings.Contains(stderr, "no such file") {
		t.Errorf("%d %s", code, stderr)
	}
}

// spawnReloaded starts the test binary as beReloaded, which the kernel and the test's end both stop.
func spawnReloaded(t *testing.T, dir, outcomes string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FB_TEST_CTL=reloaded", "RUNTIME_DIRECTORY="+dir, "FB_TEST_OUTCOMES="+outcomes)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A process that ended stays until it is waited for, and would look alive.
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = cmd.Wait() // killed, or ended as it was told
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-gone
	})
	return cmd, bufio.NewScanner(out)
}
