package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/rs/zerolog"
)

// messageIDs let `journalctl MESSAGE_ID=…` find the events that matter, by
// the value of the field "event".
var messageIDs = map[string]string{
	"stored":      "a6d25ae3cefb4a7a8f02539f6495785b",
	"denied":      "93f50dfcf699442380cc0cb3a8b9f2ad",
	"auth-failed": "002b3b88fbc04b04a607ef6b98104631",
	"overdue":     "7c4f9d2be1a84c53a6d05b8f3e91c27d",
}

// journalWriter turns zerolog's JSON into journal records. The message holds
// the fields too: journalctl shows nothing else by default.
type journalWriter struct {
	name     string
	send     func(message string, priority journal.Priority, vars map[string]string) error
	fallback io.Writer // for what the journal does not take
}

// journalOf returns a writer to the journal if that is where stderr goes.
func journalOf(stderr io.Writer, name string) (zerolog.LevelWriter, bool) {
	f, ok := stderr.(*os.File)
	if !ok || f.Fd() != 2 {
		return nil, false
	}
	if is, err := journal.StderrIsJournalStream(); err != nil || !is {
		return nil, false
	}
	return &journalWriter{name, journal.Send, stderr}, true
}

func (w *journalWriter) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel implements zerolog.LevelWriter.
func (w *journalWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	fields := make(map[string]any)
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if err := dec.Decode(&fields); err != nil {
		return w.fallback.Write(line)
	}
	var message strings.Builder
	fmt.Fprint(&message, fields[zerolog.MessageFieldName])
	vars := map[string]string{"SYSLOG_IDENTIFIER": w.name}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case zerolog.MessageFieldName, zerolog.LevelFieldName, zerolog.TimestampFieldName:
			continue
		}
		value := fmt.Sprint(fields[key])
		vars["FB_"+strings.Map(journalName, key)] = value
		if key == "event" && messageIDs[value] != "" {
			vars["MESSAGE_ID"] = messageIDs[value]
		}
		if value == "" || strings.ContainsAny(value, " \"=\n") {
			value = fmt.Sprintf("%q", value)
		}
		message.WriteString(" " + key + "=" + value)
	}
	if err := w.send(message.String(), priority(level), vars); err != nil {
		return w.fallback.Write(line)
	}
	return len(line), nil
}

// journalName makes a rune of a field's name fit for the journal.
func journalName(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z':
		return r - 'a' + 'A'
	case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return r
	}
	return '_'
}

func priority(level zerolog.Level) journal.Priority {
	switch level {
	case zerolog.TraceLevel, zerolog.DebugLevel:
		return journal.PriDebug
	case zerolog.WarnLevel:
		return journal.PriWarning
	case zerolog.ErrorLevel:
		return journal.PriErr
	case zerolog.FatalLevel, zerolog.PanicLevel:
		return journal.PriCrit // emerg would be broadcast to every terminal
	default:
		return journal.PriInfo
	}
}
