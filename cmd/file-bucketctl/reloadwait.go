package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"hugbucket/internal/daemon"
)

// reloadTime is how long a reload may take.
const reloadTime = time.Minute

func reloadWaitCommand() command {
	return command{
		name:    "reload-wait",
		args:    "PID",
		summary: "reload a daemon and wait for the outcome; systemd runs it",
		details: `
Sends SIGUSR2 to the process and waits until it has written what came of it to
the file "reload" in $RUNTIME_DIRECTORY. A configuration that the daemon refuses
is printed to stderr, and is exit code 1.`,
		setup: func(*flag.FlagSet) func(context.Context, env, []string) error {
			return func(ctx context.Context, e env, args []string) error {
				if len(args) != 1 {
					return &daemon.UsageError{Err: errors.New("reload-wait takes one process id")}
				}
				pid, err := strconv.Atoi(args[0])
				if err != nil || pid < 2 {
					return &daemon.UsageError{Err: fmt.Errorf("%q is not a process id", args[0])}
				}
				path := daemon.ReloadFile()
				if path == "" {
					return &daemon.UsageError{Err: errors.New("RUNTIME_DIRECTORY is not set")}
				}
				ctx, stop := context.WithTimeout(ctx, reloadTime)
				defer stop()
				note, err := reloadAndWait(ctx, pid, path)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(e.stdout, "reloaded%s\n", note)
				return err
			}
		},
	}
}

// reloadAndWait sends SIGUSR2 and waits for the first reload that began after that to end. It returns the daemon's note.
func reloadAndWait(ctx context.Context, pid int, path string) (note string, err error) {
	before, err := daemon.ReadReload(path)
	if err != nil {
		return "", fmt.Errorf("the process does not say what comes of a reload: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		return "", fmt.Errorf("signal process %d: %w", pid, err)
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return "", fmt.Errorf("wait for the reload: %w", ctx.Err())
		}
		gone := errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
		now, err := daemon.ReadReload(path)
		switch {
		case err == nil && answers(before, now):
			if now.Failure != "" {
				return "", errors.New("not reloaded, the old configuration is kept: " + now.Failure)
			}
			return now.Note, nil
		case gone:
			return "", errors.New("the process ended before it reloaded")
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", err
		}
	}
}

// answers says whether an outcome is that of a reload which began after another was seen. The one that ran then may have read
// the file before it was changed.
func answers(before, now daemon.Outcome) bool {
	return now.Generation > before.Generation && !now.Running
}
