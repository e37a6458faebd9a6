package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
)

// Program is one daemon: its name and its door.
type Program struct {
	Name    string
	Summary string // what it does, for the help text
	// Socket is the FileDescriptorName= of the door's socket unit.
	Socket string
	// Address is where the door listens when systemd passes no socket.
	Address func(*config.Config) (host string, port int)
	// Reloads is what SIGUSR2 reloads beside the certificate, for the help text. Empty is nothing.
	Reloads string
	// Check is about rules that only the door knows. It may be nil.
	Check func(*config.Config) error
	// Settings is what the door takes from the configuration when it opens and at no other time, beside its address and what
	// every daemon takes. It may be nil.
	Settings func(*config.Config) []Setting
	// Open makes the door.
	Open func(*config.Config, *object.Store, zerolog.Logger) (*Door, error)
}

// Setting is a part of the configuration, for comparison with what it is later.
type Setting struct {
	Name  string
	Value any // for reflect.DeepEqual
}

// Door is what a Program serves.
type Door struct {
	// Handler serves a door that speaks HTTP.
	Handler http.Handler
	// Server makes what serves a door that speaks something else, which has no Handler.
	Server func(Means) (Server, error)
	// Refusals returns how often the door has not done what it was asked to, by reason, since the start. It may be nil.
	Refusals func() map[string]int64
	// Reload applies what may change while the door serves, or returns an error and changes nothing. It may be nil.
	Reload func(*config.Config) error
	// Drain tells what Handler does that it should end soon, when the daemon begins to stop. It must not wait. It may be nil.
	Drain func()
	// Expire drops uploads that were abandoned, and returns how many that were, also beside an error. It is called while the door serves.
	// It may be nil.
	Expire func(ctx context.Context) (int, error)
	// Status says in a few words what an administrator must know all the time. It may be empty.
	Status string
}

// surroundings is what the operating system gives a process, so that tests
// can give something else.
type surroundings struct {
	stdout, stderr io.Writer
	signals        <-chan os.Signal
	listeners      func() (map[string][]net.Listener, error)
	notify         func(state string) error
	service        bool          // systemd started the process
	figures        time.Duration // between two looks at the figures in the status; 0 is never
	openStore      func(context.Context, *config.Config, zerolog.Logger) (*object.Store, error)
}

// Run runs a daemon until ctx ends or a signal comes. Its error is for Report.
func Run(ctx context.Context, p Program, args []string, stdout, stderr io.Writer) error {
	// Before anything else: a SIGUSR2 that nobody waits for kills the process.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGUSR2)
	defer signal.Stop(signals)
	return p.run(ctx, args, surroundings{
		stdout: stdout, stderr: stderr, signals: signals,
		listeners: activation.ListenersWithNames, notify: systemdNotify, openStore: OpenStore,
		service: os.Getenv("INVOCATION_ID") != "", figures: figuresEvery,
	})
}

// MemoryLimit is from how many bytes on the garbage collector works harder. Without it, the heap may grow to twice what is in use.
const MemoryLimit = 160 << 20

// LimitMemory sets MemoryLimit for this process, unless GOMEMLIMIT says something else. It is for all that have a store open.
func LimitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(MemoryLimit)
	}
}

func (p Program) run(ctx context.Context, args []string, env surroundings) error {
	opts, err := p.parse(args, env)
	if err != nil {
		return err
	}
	if opts.version {
		return PrintVersion(env.stdout, p.Name)
	}
	control := newControl(ctx, env.signals)
	defer control.end()
	l, err := until(control.running, func() (loaded, error) { return p.load(opts.config, CheckConfig) })
	if errors.Is(err, errStopped) {
		return nil // as it was asked to
	}
	if err != nil {
		return err
	}
	cfg := l.cfg
	if opts.check {
		for _, w := range l.warnings {
			fmt.Fprintf(env.stderr, "%s: warning: %s\n", p.Name, w) //nolint:errcheck // the result counts
		}
		_, err := fmt.Fprintf(env.stdout, "%s: ok\n", opts.config)
		return err
	}

	log := newLogger(env.stderr, p.Name, cfg.Log.Level)
	LimitMemory()
	for _, w := range l.warnings {
		log.Warn().Msg(w)
	}
	store, err := env.openStore(control.running, cfg, log)
	if err != nil && control.running.Err() != nil {
		log.Info().Err(err).Msg("stopped while opening the store")
		return nil // as it was asked to
	}
	if err != nil {
		return err
	}
	err = p.serve(control, cfg, store, log, env)
	if errors.Is(err, errForced) || errors.Is(err, errNotEnded) {
		return err // requests may still use the store, and it survives the end of the process as it is
	}
	closed := make(chan error, 1)
	go func() { closed <- store.Close() }()
	select {
	case closeErr := <-closed:
		return errors.Join(err, closeErr)
	case <-control.forced.Done():
		return errForced
	}
}

type options struct {
	config         string
	check, version bool
}

func (p Program) parse(args []string, env surroundings) (options, error) {
	var o options
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // Report prints the error
	flags.StringVar(&o.config, "config", config.DefaultPath, "configuration `FILE`")
	flags.BoolVar(&o.check, "check", false, "check the configuration and exit")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usr2 := "reloads the certificate, and checks the configuration, which a restart applies"
		if p.Reloads != "" {
			usr2 = "reloads " + p.Reloads + " and the certificate"
		}
		flags.SetOutput(env.stdout)
		fmt.Fprintf(env.stdout, "%s: %s\n\nUsage: %s [flags]\n\n", p.Name, p.Summary, p.Name) //nolint:errcheck // help
		flags.PrintDefaults()
		fmt.Fprintf(env.stdout, "\nSignals: SIGTERM and SIGINT drain and stop, a second one stops at once;\nSIGUSR2 %s.\n\n%s", usr2, ExitCodes) //nolint:errcheck // help
		return o, err
	case err != nil:
		return o, &UsageError{err}
	case flags.NArg() > 0:
		return o, &UsageError{fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))}
	}
	return o, nil
}

// loaded is a configuration that was checked, and the warnings about it.
type loaded struct {
	cfg      *config.Config
	warnings []string
}

// load loads a configuration with CheckConfig or checkServed, and applies the door's own rules to it.
func (p Program) load(path string, check func(string) (*config.Config, []string, error)) (l loaded, err error) {
	if l.cfg, l.warnings, err = check(path); err != nil {
		return l, err
	}
	if p.Check != nil {
		if err := p.Check(l.cfg); err != nil {
			return l, &ConfigError{fmt.Errorf("%s: %w", path, err)}
		}
	}
	return l, nil
}

var errStopped = errors.New("stopped before all files were read")

// until returns what read does, or errStopped when ctx ends first: a file may
// be one that nobody can read to its end, on a server that is gone for example.
func until[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, errStopped
	}
}

func closeAll(ls []net.Listener) (err error) {
	for _, l := range ls {
		err = errors.Join(err, l.Close())
	}
	return err
}

// serve opens the door and serves until it is told to stop.
func (p Program) serve(c *control, cfg *config.Config, store *object.Store, log zerolog.Logger, env surroundings) error {
	var certs *certificates
	var tlsConfig *tls.Config
	if cfg.TLS.Cert != "" {
		cert, err := loadCertificate(cfg.TLS, log)
		if err != nil {
			return err
		}
		certs = newCertificates(cert)
		tlsConfig = certs.config()
	}
	passed, err := env.listeners()
	if err != nil {
		return fmt.Errorf("take sockets from systemd: %w", err)
	}
	host, port := p.Address(cfg)
	ls, err := listen(context.WithoutCancel(c.running), passed, p.Socket, host, port)
	if err != nil {
		return err
	}
	if len(passed) > 0 {
		if ls, err = confine(c.running, ls, host, log); err != nil {
			return err
		}
	}
	// Not before: a daemon that is started twice must leave alone what the first one has, which a door may tidy up. Clients wait meanwhile.
	door, err := p.Open(cfg, store, log)
	if err != nil {
		return errors.Join(err, closeAll(ls))
	}
	at := place{name: p.Name, ls: ls, activated: len(passed) > 0, host: host, port: port}
	if text := at.mismatch(host, port); text != "" {
		log.Warn().Str("socket", addresses(ls)).Str("configured", net.JoinHostPort(host, strconv.Itoa(port))).
			Msg("the socket is not where the configuration says; to apply it: file-bucketctl apply")
	}

	n := notifier{env.notify, log}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn().Err(err).Msg("no watchdog")
	}
	measures := newMetrics(p.Name, cfg, store, log)
	srv, err := door.server(c.running, measures, tlsConfig, cfg.TrustedProxies, log)
	if err != nil {
		return err
	}
	measures.listen(context.WithoutCancel(c.running), doorState{Address: addresses(ls), TLS: tlsConfig != nil, Note: door.Status})
	reloads := newReloader(p, cfg, door, certs, log)
	reloads.at, reloads.service, reloads.applied = at, env.service, measures.use
	status := &status{at: at, door: door.Status, metrics: measures, srv: srv}
	if env.figures > 0 {
		status.store = cfg.Storage.Path
	}
	failed := srv.serve(ls)
	watching, stopWatching := context.WithCancel(context.WithoutCancel(c.running))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		n.watch(watching, interval)
	}()
	defer func() { stopWatching(); <-watched }()
	measured := make(chan struct{})
	go func() {
		defer close(measured)
		measures.run(watching)
	}()
	defer func() { stopWatching(); <-measured }()
	expired := make(chan struct{})
	go func() {
		defer close(expired)
		expireUploads(watching, door, log)
	}()
	defer func() { stopWatching(); <-expired }()

	figures, stopFigures := env.ticks()
	defer stopFigures()
	n.ready(status.text())
	log.Info().Str("address", addresses(ls)).Bool("tls", tlsConfig != nil).Str("version", version).Msg("serving")
	for {
		select {
		case <-c.reload:
			n.reloading()
			status.reload = reloads.reload(c.running)
			n.ready(status.text())
		case <-figures:
			if text, changed := status.look(); changed {
				n.status(text)
			}
		case err := <-failed:
			return errors.Join(err, srv.drain(c.forced))
		case <-c.running.Done():
			log.Info().Msg("draining")
			n.stopping()
			start := time.Now()
			err := srv.drain(c.forced)
			log.Info().Int64("ms", time.Since(start).Milliseconds()).Msg("drained")
			return err
		}
	}
}
