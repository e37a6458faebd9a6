package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// Outcome is what came of the reload of that number, counted from the start of the process; 0 is the start itself.
type Outcome struct {
	Generation int
	Running    bool   // it has not ended yet
	Failure    string // why nothing has changed, on one line; empty when the reload succeeded
	Note       string // what a reload that succeeded leaves to a restart; begins with "; " when there is something
}

const reloading = "reloading"

// maxOutcome is how many bytes of an Outcome are read.
const maxOutcome = 64 << 10

// What notes say.
const (
	noteSocket  = "; restart the socket to apply the address"
	noteOwn     = "; listening without the socket unit"
	noteRestart = "; restart to apply "
)

// NeedsSocket says whether the socket unit has to be restarted, and the service with it.
func (o Outcome) NeedsSocket() bool { return strings.Contains(o.Note, noteSocket) }

// Own says that systemd started the daemon and passed it no socket. Where the socket unit is active, that one listens no more:
// it was told of another address while it ran, and has to be restarted with the service.
func (o Outcome) Own() bool { return strings.Contains(o.Note, noteOwn) }

// NeedsRestart says whether the service has to be restarted.
func (o Outcome) NeedsRestart() bool { return strings.Contains(o.Note, noteRestart) }

// String is the outcome as it is written: "<generation> ok", with a note behind it, "<generation> <failure>", or
// "<generation> reloading".
func (o Outcome) String() string {
	switch {
	case o.Running:
		return fmt.Sprintf("%d %s", o.Generation, reloading)
	case o.Failure != "":
		return fmt.Sprintf("%d %s", o.Generation, o.Failure)
	default:
		return fmt.Sprintf("%d ok%s", o.Generation, o.Note)
	}
}

// ReloadFile is where this service's daemon writes what came of its last reload, or empty where there is no runtime
// directory. Of several runtime directories the last is the service's own.
func ReloadFile() string {
	list := filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY"))
	if len(list) == 0 {
		return ""
	}
	return filepath.Join(list[len(list)-1], "reload")
}

// ReadReload reads what came of the last reload. The error is fs.ErrNotExist when no daemon has written the file.
func ReadReload(path string) (Outcome, error) {
	// The file is the daemon's, and root reads it: whatever is there instead, it neither waits for it nor reads it all, nor shows
	// what a terminal would take for a command.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Outcome{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return Outcome{}, errors.Join(errors.New(path+" is not the result of a reload"), err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxOutcome))
	if err != nil {
		return Outcome{}, err
	}
	data = bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return '?'
		}
		return r
	}, data)
	number, text, found := strings.Cut(strings.TrimSuffix(string(data), "\n"), " ")
	n, err := strconv.Atoi(number)
	if err != nil || !found {
		return Outcome{}, errors.New(path + " is not the result of a reload")
	}
	o := Outcome{Generation: n}
	if text == reloading {
		o.Running = true
	} else if note, ok := strings.CutPrefix(text, "ok"); ok && (note == "" || strings.HasPrefix(note, ";")) {
		o.Note = note
	} else {
		o.Failure = text
	}
	return o, nil
}

// write replaces the file in one step.
func (o Outcome) write(path string) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(o.String()+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
