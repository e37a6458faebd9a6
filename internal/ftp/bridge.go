package ftp

import (
	"context"
	"log/slog"

	"github.com/rs/zerolog"
)

// bridge writes what ftpserverlib logs to the door's log, a level or two lower: it warns of what any client may do, and what becomes
// of operations is logged by them.
type bridge struct {
	log   zerolog.Logger
	group string // stands before the names of attributes
}

var _ slog.Handler = bridge{}

func levelOf(l slog.Level) zerolog.Level {
	switch {
	case l >= slog.LevelError:
		return zerolog.InfoLevel
	case l >= slog.LevelWarn:
		return zerolog.DebugLevel
	default:
		return zerolog.TraceLevel
	}
}

// Enabled implements slog.Handler.
func (b bridge) Enabled(_ context.Context, l slog.Level) bool {
	return levelOf(l) >= max(b.log.GetLevel(), zerolog.GlobalLevel())
}

// Handle implements slog.Handler.
func (b bridge) Handle(_ context.Context, r slog.Record) error {
	var fields []any
	r.Attrs(func(a slog.Attr) bool {
		fields = append(fields, b.group+a.Key, a.Value.String())
		return true
	})
	b.log.WithLevel(levelOf(r.Level)).Fields(fields).Msg("ftpserverlib: " + r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (b bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := b.log.With()
	for _, a := range attrs {
		with = with.Str(b.group+a.Key, a.Value.String())
	}
	b.log = with.Logger()
	return b
}

// WithGroup implements slog.Handler.
func (b bridge) WithGroup(name string) slog.Handler {
	b.group += name + "."
	return b
}
