package daemon

import (
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// NewLogger returns the logger of a command that a timer runs: it logs as daemons do.
func NewLogger(stderr io.Writer, name, level string) zerolog.Logger {
	return newLogger(stderr, name, level)
}

// newLogger returns the logger of a process: journal fields when stderr is
// the journal, lines for people on a terminal, JSON otherwise.
func newLogger(stderr io.Writer, name, level string) zerolog.Logger {
	lvl, err := zerolog.ParseLevel(level)
	if err != nil {
		lvl = zerolog.InfoLevel // config checks the level
	}
	if w, ok := journalOf(stderr, name); ok {
		return zerolog.New(w).Level(lvl) // the journal knows the time
	}
	if f, ok := stderr.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		stderr = zerolog.ConsoleWriter{Out: stderr, TimeFormat: time.DateTime, NoColor: os.Getenv("NO_COLOR") != ""}
	}
	// Other than the journal, a file or a terminal does not know which daemon wrote a line.
	return zerolog.New(stderr).Level(lvl).With().Timestamp().Str("daemon", name).Logger()
}
