package daemon

import (
	"context"
	"reflect"
	"strings"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
)

// reloader answers SIGUSR2: the certificate is read again, and the door takes
// what it can take while it serves. It writes the Outcome to a file below the runtime
// directory, if there is one, so that whoever sent the signal can wait for it.
type reloader struct {
	program    Program
	started    *config.Config // that of the start
	at         place
	service    bool // systemd started the process
	door       *Door
	certs      *certificates // nil without TLS
	log        zerolog.Logger
	applied    func(*config.Config) // is told of what the door took; may be nil
	result     string               // file; empty without a runtime directory
	generation int
}

func newReloader(p Program, cfg *config.Config, door *Door, certs *certificates, log zerolog.Logger) *reloader {
	r := &reloader{program: p, started: cfg, door: door, certs: certs, log: log, result: ReloadFile()}
	r.tell(Outcome{})
	return r
}

// reload loads the configuration anew and hands it to the door. After an error
// nothing has changed, nor when ctx ends before all was read. It returns what to add to the status.
func (r *reloader) reload(ctx context.Context) string {
	r.generation++
	// Who sends the signal while a reload runs cannot know whether that one sees what they wrote.
	r.tell(Outcome{Generation: r.generation, Running: true})
	note, err := r.apply(ctx)
	if err == nil {
		r.tell(Outcome{Generation: r.generation, Note: note})
		return note
	}
	r.tell(Outcome{Generation: r.generation, Failure: oneLine(err)})
	r.log.Error().Err(err).Msg("not reloaded, the old configuration is kept")
	return "; reload refused: " + oneLine(err)
}

// apply returns a note on what a configuration that is good asks for and a restart alone brings.
func (r *reloader) apply(ctx context.Context) (note string, err error) {
	// The loop that this is in is the one that shuts the daemon down.
	fresh, err := until(ctx, r.read)
	if err != nil {
		return "", err
	}
	cfg := fresh.cfg
	for _, w := range fresh.warnings {
		r.log.Warn().Msg(w)
	}
	if r.door.Reload != nil {
		if err := r.door.Reload(cfg); err != nil {
			return "", err
		}
		if r.applied != nil {
			r.applied(cfg)
		}
	}
	if fresh.cert != nil {
		r.certs.adopt(fresh.cert)
	}
	return r.left(cfg), nil
}

// reloaded is what files hold that are read anew.
type reloaded struct {
	loaded

	cert *certificate // nil without TLS
}

func (r *reloader) read() (fresh reloaded, err error) {
	if fresh.loaded, err = r.program.load(r.started.File(), checkServed); err != nil {
		return fresh, err
	}
	if fresh.cfg.TLS.Cert != "" && r.certs != nil {
		fresh.cert, err = loadCertificate(fresh.cfg.TLS, r.log)
	}
	return fresh, err
}

// left is the note on what a reload leaves to do.
func (r *reloader) left(cfg *config.Config) string {
	var names []string
	before := r.program.settings(r.started)
	for i, now := range r.program.settings(cfg) {
		if !reflect.DeepEqual(now.Value, before[i].Value) {
			names = append(names, now.Name)
		}
	}
	note := ""
	host, port := r.program.Address(cfg)
	switch {
	case r.at.mismatch(host, port) != "":
		note = noteSocket
		r.log.Warn().Msg("the socket is not where the configuration says; to apply it: file-bucketctl apply")
	case !r.at.activated && (host != r.at.host || port != r.at.port):
		names = append(names, "the address")
	}
	if r.service && !r.at.activated {
		note += noteOwn
	}
	if len(names) > 0 {
		list := strings.Join(names, ", ")
		note += noteRestart + list
		what := "a restart"
		if r.service {
			// By itself, a restart gives the service no right to write anywhere else.
			what = "file-bucketctl apply"
			note += ", with " + what
		}
		r.log.Warn().Msg("a reload does not apply what has changed in " + list + "; " + what + " does")
	}
	return note
}

// settings are what the program takes from a configuration when it starts, always in the same order.
func (p Program) settings(cfg *config.Config) []Setting {
	list := []Setting{
		{"storage", cfg.Storage},
		{"tls", cfg.TLS.Cert != ""}, // the files themselves are reloaded
		{"metrics", cfg.Metrics},
		{"trusted_proxies", cfg.TrustedProxies},
		{"log", cfg.Log},
	}
	if p.Settings != nil {
		list = append(list, p.Settings(cfg)...)
	}
	return list
}

// tell is a courtesy: when it fails, the reload itself still counts.
func (r *reloader) tell(o Outcome) {
	if r.result == "" {
		return
	}
	if err := o.write(r.result); err != nil {
		r.log.Warn().Err(err).Msg("the result of the reload was not written")
	}
}

// oneLine joins the lines of an error.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
