package daemon

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
)

// ExitCodes is the part of every help text that explains what Report returns.
const ExitCodes = `Exit codes:
  0   success; for a daemon, a stop that was asked for
  1   failure
` + UsageCodes

// UsageCodes is the part of ExitCodes that also holds for commands that have codes of their own.
const UsageCodes = `  64  wrong usage
  78  the configuration is missing or not valid
`

// errForced is returned when a second signal cut the drain short.
var errForced = errors.New("stopped at once by a second signal")

// UsageError says that the command line is wrong.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// ConfigError says that the configuration cannot be used. The file need not be
// there at all; what is wrong inside it is a config.Error.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }

func (e *ConfigError) Unwrap() error { return e.Err }

// CodeError gives a command an exit code of its own, which its help explains. Wrong usage and a configuration that is not valid
// keep theirs, also within one.
type CodeError struct {
	Code int
	Err  error
}

func (e *CodeError) Error() string { return e.Err.Error() }

func (e *CodeError) Unwrap() error { return e.Err }

// Report tells the user about the error that a main ended with, and returns
// the exit code. It is the only place that chooses one.
func Report(stderr io.Writer, name string, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if w, ok := journalOf(stderr, name); ok {
		log := zerolog.New(w)
		log.Error().Err(err).Msg("stopped")
	} else {
		fmt.Fprintf(stderr, "%s: %s\n", name, err) //nolint:errcheck // there is nobody left to tell
	}
	if _, ok := errors.AsType[*UsageError](err); ok {
		return 64
	}
	if _, ok := errors.AsType[*ConfigError](err); ok {
		return 78
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return 78
	}
	if own, ok := errors.AsType[*CodeError](err); ok {
		return own.Code
	}
	return 1
}
