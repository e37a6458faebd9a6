package daemon

import (
	"strings"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
)

// reloader answers SIGUSR2: the certificate is read again, and the door takes
// what it can take while it serves. It writes the Outcome to a file below the runtime
// directory, if there is one, so that whoever sent the signal can wait for it.
type reloader struct {
	program    Program
	path       string // of the configuration
	door       *Door
	certs      *certificates // nil without TLS
	log        zerolog.Logger
	applied    func(*config.Config) // is told of what the door took; may be nil
	result     string               // file; empty without a runtime directory
	generation int
}

func newReloader(p Program, path string, door *Door, certs *certificates, log zerolog.Logger) *reloader {
	r := &reloader{program: p, path: path, door: door, certs: certs, log: log, result: ReloadFile()}
	r.tell(Outcome{})
	return r
}

// reload loads the configuration anew and hands it to the door. After an error
// nothing has changed. It returns what to add to the status.
func (r *reloader) reload() string {
	r.generation++
	// Who sends the signal while a reload runs cannot know whether that one sees what they wrote.
	r.tell(Outcome{Generation: r.generation, Running: true})
	note, err := r.apply()
	if err == nil {
		r.tell(Outcome{Generation: r.generation, Note: note})
		return ""
	}
	r.tell(Outcome{Generation: r.generation, Failure: oneLine(err)})
	r.log.Error().Err(err).Msg("not reloaded, the old configuration is kept")
	return "; reload refused: " + oneLine(err)
}

// apply returns a note on a configuration that is good.
func (r *reloader) apply() (note string, err error) {
	cfg, warnings, err := r.program.load(r.path)
	if err != nil {
		return "", err
	}
	for _, w := range warnings {
		r.log.Warn().Msg(w)
	}
	var fresh *certificate
	switch {
	case (cfg.TLS.Cert != "") != (r.certs != nil):
		r.log.Warn().Msg("the configuration turns TLS on or off; restart to apply it")
		note = "; restart to apply tls"
	case r.certs != nil:
		if fresh, err = loadCertificate(cfg.TLS, r.log); err != nil {
			return "", err
		}
	}
	if r.door.Reload == nil {
		r.log.Info().Msg("this door has nothing to reload but its certificate; the configuration is good, restart to apply it")
		note = "; restart to apply it"
	} else if err := r.door.Reload(cfg); err != nil {
		return "", err
	} else if r.applied != nil {
		r.applied(cfg)
	}
	if fresh != nil {
		r.certs.adopt(fresh)
	}
	return note, nil
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
