package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// systemd is the service manager of this machine.
type systemd struct {
	systemctl string // program
	booted    string // a directory that is there when systemd runs
	runtime   string // directory of the services' runtime directories
	config    string // what the units are started with
	root      string // what is above /proc, /run/credentials and /etc/credstore
}

func newSystemd() systemd {
	return systemd{systemctl: "systemctl", booted: "/run/systemd/system", runtime: "/run", config: config.DefaultPath, root: "/"}
}

func (s systemd) runs() bool {
	fi, err := os.Lstat(s.booted)
	return err == nil && fi.IsDir()
}

// output runs systemctl and returns what it says on stdout.
func (s systemd) output(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.systemctl, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("systemctl %s: %w", strings.Join(args, " "), err)
		if text := strings.TrimSpace(stderr.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	return strings.TrimSpace(string(out)), err
}

func (s systemd) call(ctx context.Context, args ...string) error {
	_, err := s.output(ctx, args...)
	return err
}

// property returns one of a unit's properties. A unit that does not exist is "inactive", and has no others.
func (s systemd) property(ctx context.Context, unit, name string) (string, error) {
	return s.output(ctx, "show", "--property="+name, "--value", unit)
}

// unitState says what a door's units do.
type unitState struct {
	socket   bool // the socket unit listens, or was told to and cannot
	service  bool // the service runs
	starting bool // the service is about to run, and what it has read of the configuration, nobody knows
}

func (s systemd) state(ctx context.Context, door string) (st unitState, err error) {
	socket, err := s.property(ctx, door+".socket", "ActiveState")
	if err != nil {
		return st, err
	}
	service, err := s.property(ctx, door+".service", "ActiveState")
	st.socket = socket == "active" || socket == "activating" || socket == "failed" && s.enabled(ctx, door)
	st.service = service == "active" || service == "reloading"
	st.starting = service == "activating"
	return st, err
}

// reloadTries is how often a reload is asked for until there is one.
const reloadTries = 5

// reload reloads the service of a door and returns what came of it. An error says why nothing has changed.
func (s systemd) reload(ctx context.Context, door string) (daemon.Outcome, error) {
	path := filepath.Join(s.runtime, door, "reload")
	for range reloadTries {
		before, _ := daemon.ReadReload(path) // before it is there, the daemon starts
		err := s.call(ctx, "reload", door+".service")
		o, readErr := daemon.ReadReload(path)
		done := readErr == nil && answers(before, o)
		switch {
		case done && o.Failure != "":
			return o, errors.New("not reloaded, the old configuration is kept: " + o.Failure)
		case err != nil:
			return o, err
		case readErr != nil || done:
			return o, readErr
		}
		// systemd takes a start that it waited for as a reload. What was read for that is older than what is to be reloaded, maybe.
	}
	return daemon.Outcome{}, fmt.Errorf("systemctl reload %s.service succeeds, and the daemon says of no reload that it ended", door)
}

// enabled says whether a daemon is meant to run: one of its units is enabled, or there is nobody to ask.
func (s systemd) enabled(ctx context.Context, door string) bool {
	if !s.runs() {
		return true
	}
	_, no := errors.AsType[*exec.ExitError](s.call(ctx, "is-enabled", "--quiet", door+".socket", door+".service"))
	return !no // of these alone it is known
}

// stopped says whether a daemon is meant to run with a configuration, and surely does not.
func (s systemd) stopped(ctx context.Context, path, door string) bool {
	if !s.runs() || !sameFile(path, s.config) || !s.enabled(ctx, door) {
		return false
	}
	service, err := s.property(ctx, door+".service", "ActiveState")
	return err == nil && (service == "inactive" || service == "failed")
}

// running says whether a daemon surely runs, with a configuration.
func (s systemd) running(ctx context.Context, path, door string) bool {
	if !s.runs() || !sameFile(path, s.config) {
		return false
	}
	st, err := s.state(ctx, door)
	return err == nil && st.service
}

// chores are the services that timers start, by what file-bucketctl calls what they do.
func chores() []string { return []string{"check", "gc", "expire", "watch"} }

// failedChores says, in words, which of the chores of a configuration have failed when they last ended.
func (s systemd) failedChores(ctx context.Context, path string) (wrong []string) {
	if !s.runs() || !sameFile(path, s.config) {
		return nil
	}
	for _, chore := range chores() {
		unit := "file-bucket-" + chore + ".service"
		switch state, err := s.property(ctx, unit, "ActiveState"); {
		case err != nil:
			return append(wrong, "nobody knows whether "+unit+" has failed: "+err.Error())
		case state == "failed":
			wrong = append(wrong, unit+" has failed; journalctl -u "+unit+" says why, and systemctl start "+unit+" tries it again")
		}
	}
	return wrong
}

// reloadPushDoor has the push door take the list of buckets of a configuration that has changed, when it is the one of the
// service. It returns what became of it, in words.
func (s systemd) reloadPushDoor(ctx context.Context, path string) (done bool, note string, err error) {
	door := doorNames[0]
	later := door + " takes it when it starts; when it runs already, send it SIGUSR2"
	if !s.runs() || !sameFile(path, s.config) {
		return false, later, nil
	}
	st, err := s.state(ctx, door)
	if err != nil {
		return false, "", err
	}
	if !st.service && !st.starting {
		return false, later, nil
	}
	if _, err := s.reload(ctx, door); err != nil {
		return false, "", fmt.Errorf("%s is changed, but %s did not take it: %w\njournalctl -u %s says more", path, door, err, door)
	}
	return true, door + " has taken it", nil
}

func sameFile(a, b string) bool {
	at, errA := os.Stat(a)
	bt, errB := os.Stat(b)
	return errors.Join(errA, errB) == nil && os.SameFile(at, bt)
}
