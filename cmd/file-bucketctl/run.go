package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

const ftpDoor = "hugbucket-ftpd"

// doorNames are the daemons that there are.
var doorNames = []string{"file-bucketd", "hugbucket-s3d", ftpDoor}

// doorsOf are the daemons that are run for a configuration. One that nobody wrote anything about FTP in may be older than that door, which
// would be open to everybody.
func doorsOf(cfg *config.Config) []string {
	return slices.DeleteFunc(slices.Clone(doorNames), func(name string) bool { return name == ftpDoor && !cfg.Has("ftp") })
}

// startTime is how long a daemon may take until it serves.
const startTime = time.Minute

func runCommand() command {
	return command{
		name:    "run",
		summary: "run the daemons until a signal comes, without systemd",
		details: `
The daemons are looked for beside this program. SIGINT and SIGTERM stop them
once their requests have ended, a second signal stops them at once. When one
of them ends by itself the others are stopped too. The FTP door is for a
configuration that has a section "ftp".

Once they serve, lines to try them are printed, which hold tokens and keys:
where the output is kept, secrets are.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				self, err := os.Executable()
				if err != nil {
					return err
				}
				signals := make(chan os.Signal, 8)
				signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
				defer signal.Stop(signals)
				return runDoors(ctx, e, filepath.Dir(self), *path, signals)
			}
		},
	}
}

// runDoors runs the daemons in a directory until a signal comes or one ends.
func runDoors(ctx context.Context, e env, dir, path string, signals <-chan os.Signal) error {
	cfg, err := daemon.LoadConfig(path)
	if err != nil {
		return err
	}
	// The children are told when the thread that made them ends, so it must not end before this function does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := group{ended: make(chan *door, len(doorNames))}
	defer g.wait.Wait()
	for _, name := range doorsOf(cfg) {
		if err := g.start(ctx, filepath.Join(dir, name), path, e); err != nil {
			g.signal()
			return err
		}
	}
	timeout := time.NewTimer(startTime)
	defer timeout.Stop()
	for _, d := range g.doors {
		select {
		case <-d.ready:
		case <-signals:
			return g.stop(signals)
		case gone := <-g.ended:
			return errors.Join(gone.failure(), g.stop(signals))
		case <-timeout.C:
			return errors.Join(fmt.Errorf("%s does not serve after %v", d.name, startTime), g.stop(signals))
		}
	}
	const file = "hello.txt"
	if _, err := fmt.Fprintf(e.stdout, "\nReady. To try it in another shell:\n\n  echo hello >%s\n\n", file); err != nil {
		return errors.Join(err, g.stop(signals))
	}
	if err := newGuide(cfg, "").print(e.stdout, file); err != nil {
		return errors.Join(err, g.stop(signals))
	}
	if _, err := fmt.Fprintf(e.stdout, "The configuration is %s\nCtrl-C stops the daemons.\n\n", path); err != nil {
		return errors.Join(err, g.stop(signals))
	}
	select {
	case <-signals:
		return g.stop(signals)
	case gone := <-g.ended:
		return errors.Join(gone.failure(), g.stop(signals))
	}
}

// group is the daemons that run.
type group struct {
	doors []*door
	ended chan *door // each once
	wait  sync.WaitGroup
}

// door is one daemon.
type door struct {
	name   string
	cmd    *exec.Cmd
	notify *net.UnixConn
	ready  chan struct{} // closed when it serves
	gone   chan struct{} // closed when it has ended
	err    error         // then
	told   bool          // that it ended by itself
}

// failure is the error of a daemon that should not have ended.
func (d *door) failure() error {
	d.told = true
	if d.err == nil {
		return fmt.Errorf("%s ended", d.name)
	}
	return fmt.Errorf("%s ended: %w", d.name, d.err)
}

func (g *group) start(ctx context.Context, program, config string, e env) error {
	d := &door{name: filepath.Base(program), ready: make(chan struct{}), gone: make(chan struct{})}
	// The daemons say when they serve the way systemd hears it: on an abstract socket, which needs no cleaning up.
	socket := "@" + name + "-" + rand.Text()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	d.notify = notify
	d.cmd = exec.CommandContext(context.WithoutCancel(ctx), program, "--config", config)
	d.cmd.Stdout, d.cmd.Stderr = e.stdout, e.stderr
	d.cmd.Env = append(withoutSystemd(os.Environ()), "NOTIFY_SOCKET="+socket)
	// In a group of their own they hear Ctrl-C from us, once, and not from the terminal too. The death signal may come more
	// than once, as our threads die one by one; the daemons know.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		return errors.Join(err, notify.Close())
	}
	g.doors = append(g.doors, d)
	g.wait.Go(d.listen)
	g.wait.Go(func() {
		d.err = errors.Join(d.cmd.Wait(), notify.Close())
		close(d.gone)
		g.ended <- d
	})
	return nil
}

// listen waits for READY=1, and then reads on so that the daemon never blocks.
func (d *door) listen() {
	buf := make([]byte, 4096)
	for served := false; ; {
		n, err := d.notify.Read(buf)
		if err != nil {
			return // closed
		}
		if !served && strings.HasPrefix(string(buf[:n]), "READY=1") {
			served = true
			close(d.ready)
		}
	}
}

// signal asks every daemon to stop; the second time, at once.
func (g *group) signal() {
	for _, d := range g.doors {
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	}
}

// stop stops every daemon and returns what went wrong. A further signal is
// passed on.
func (g *group) stop(signals <-chan os.Signal) error {
	g.signal()
	var errs []error
	for _, d := range g.doors {
		for waiting := true; waiting; {
			select {
			case <-d.gone:
				waiting = false
			case <-signals:
				g.signal()
			}
		}
		if d.err != nil && !d.told && !terminated(d.err) {
			errs = append(errs, fmt.Errorf("%s: %w", d.name, d.err))
		}
	}
	return errors.Join(errs...)
}

// terminated says whether a daemon died of SIGTERM, as it does when it hears
// it before it listens to signals.
func terminated(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// withoutSystemd removes what a service manager above us told us alone.
func withoutSystemd(environ []string) []string {
	var kept []string
	for _, v := range environ {
		key, _, _ := strings.Cut(v, "=")
		switch key {
		case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			kept = append(kept, v)
		}
	}
	return kept
}
