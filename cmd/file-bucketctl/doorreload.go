package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"hugbucket/internal/config"
)

// manager is the service manager of this machine.
type manager struct {
	booted string // a directory that is there when it runs
	config string // what the units are started with
}

func newManager() manager { return manager{booted: "/run/systemd/system", config: config.DefaultPath} }

// reloadPushDoor has the push door take the list of buckets of a configuration that has changed, when the service manager runs
// it with that. It returns what became of it, in words.
func (m manager) reloadPushDoor(ctx context.Context, path string) (done bool, note string, err error) {
	unit := doorNames[0] + ".service"
	later := doorNames[0] + " takes it when it starts; when it runs already, send it SIGUSR2"
	if _, err := os.Stat(m.booted); err != nil || !sameFile(path, m.config) {
		return false, later, nil //nolint:nilerr // there is no systemd
	}
	if _, err := systemctl(ctx, "is-active", "--quiet", unit); err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); exited {
			return false, later, nil
		}
		return false, "", err
	}
	if said, err := systemctl(ctx, "reload", unit); err != nil {
		return false, "", fmt.Errorf("%s is changed, but %s did not take it: %w\n%s\njournalctl -u %s says more", path, doorNames[0], err, said, doorNames[0])
	}
	return true, doorNames[0] + " has taken it", nil
}

func systemctl(ctx context.Context, args ...string) (said string, err error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "systemctl", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return strings.TrimSpace(out.String()), err
}

func sameFile(a, b string) bool {
	at, errA := os.Stat(a)
	bt, errB := os.Stat(b)
	return errors.Join(errA, errB) == nil && os.SameFile(at, bt)
}
