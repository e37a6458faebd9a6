package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/rs/zerolog"
)

func TestJournalWriter(t *testing.T) {
	var message string
	var prio journal.Priority
	var vars map[string]string
	var fail error
	var fallback bytes.Buffer
	w := &journalWriter{"testd", func(m string, p journal.Priority, v map[string]string) error {
		message, prio, vars = m, p, v
		return fail
	}, &fallback}
	log := zerolog.New(w)

	log.Info().Str("event", "stored").Str("bucket", "db").Str("file", `a "b".tar`).Int64("bytes", 1<<60).Str("x-y", "").Msg("push stored")
	if want := `push stored bucket=db bytes=1152921504606846976 event=stored file="a \"b\".tar" x-y=""`; message != want {
		t.Errorf("message %s, want %s", message, want)
	}
	wantVars := map[string]string{
		"SYSLOG_IDENTIFIER": "testd", "MESSAGE_ID": messageIDs["stored"], "FB_EVENT": "stored", "FB_BUCKET": "db",
		"FB_FILE": `a "b".tar`, "FB_BYTES": "1152921504606846976", "FB_X_Y": "",
	}
	if !maps.Equal(vars, wantVars) {
		t.Errorf("fields %v, want %v", vars, wantVars)
	}
	for level, want := range map[zerolog.Level]journal.Priority{
		zerolog.TraceLevel: journal.PriDebug, zerolog.DebugLevel: journal.PriDebug, zerolog.InfoLevel: journal.PriInfo,
		zerolog.WarnLevel: journal.PriWarning, zerolog.ErrorLevel: journal.PriErr, zerolog.NoLevel: journal.PriInfo,
		zerolog.FatalLevel: journal.PriCrit, zerolog.PanicLevel: journal.PriCrit,
	} {
		log.WithLevel(level).Msg("m")
		if prio != want {
			t.Errorf("%v: priority %v, want %v", level, prio, want)
		}
	}

	fail = errors.New("no journal")
	log.Info().Msg("kept")
	if got := fallback.String(); !strings.Contains(got, `"message":"kept"`) {
		t.Errorf("fallback got %q", got)
	}
	fallback.Reset()
	if _, err := w.Write([]byte("no JSON")); err != nil || fallback.String() != "no JSON" {
		t.Errorf("fallback got %q, %v", &fallback, err)
	}
	if _, ok := journalOf(&fallback, "testd"); ok {
		t.Error("a buffer is not the journal")
	}
}

func TestLoggerLevel(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, "testd", "warn")
	log.Info().Msg("no")
	log.Warn().Msg("yes")
	var fields map[string]string
	if err := json.Unmarshal(out.Bytes(), &fields); err != nil || fields["message"] != "yes" || fields["time"] == "" {
		t.Errorf("logged %s, %v", &out, err)
	}
}
