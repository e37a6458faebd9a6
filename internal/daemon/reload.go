package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
)

// reloader answers SIGUSR2: the certificate is read again, and the door takes
// what it can take while it serves. It counts the reloads in a file below the runtime
// directory, if there is one, so that whoever sent the signal can wait for the
// result: "<generation> ok", with a note behind it when the door takes nothing
// without a restart, or "<generation> <error>", replaced atomically.
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
	r := &reloader{program: p, path: path, door: door, certs: certs, log: log}
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		r.result = filepath.Join(dir, "reload")
	}
	r.write("ok")
	return r
}

// reload loads the configuration anew and hands it to the door. After an error
// nothing has changed. It returns what to add to the status.
func (r *reloader) reload() string {
	r.generation++
	note, err := r.apply()
	if err == nil {
		r.write("ok" + note)
	} else {
		r.write(oneLine(err))
		r.log.Error().Err(err).Msg("not reloaded, the old configuration is kept")
		return "; reload refused: " + oneLine(err)
	}
	return ""
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

// write is a courtesy: when it fails, the reload itself still counts.
func (r *reloader) write(text string) {
	if r.result == "" {
		return
	}
	tmp := r.result + ".new"
	err := os.WriteFile(tmp, fmt.Appendf(nil, "%d %s\n", r.generation, text), 0o600)
	if err == nil {
		err = os.Rename(tmp, r.result)
	}
	if err != nil {
		r.log.Warn().Err(err).Msg("the result of the reload was not written")
	}
}

// oneLine joins the lines of an error.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
