package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"hugbucket/internal/object"
)

const (
	// historyName is the file beside what a store keeps.
	historyName = "history.csv"
	// historyHead is its first line, and each line after it a sample, oldest first. A line that is none is left out.
	historyHead = "# file-bucket history 1: Unix time, objects, logical, used, stored, free (bytes)\n"

	historyKeep = 366 * 24 // samples: a year of them
)

// errHistory is what a file is that another version wrote.
var errHistory = errors.New(historyName + " is not of this version, and left as it is")

// sample is what a store held at a time.
type sample struct {
	object.Totals

	Time time.Time
	Free int64 // bytes; -1 when it was not known
}

// line is the sample as it is kept.
func (s *sample) line() string {
	return fmt.Sprintf("%d,%d,%d,%d,%d,%d\n", s.Time.Unix(), s.Objects, s.Logical, s.Used, s.Stored, s.Free)
}

func parseSample(line string) (s sample, ok bool) {
	fields := strings.Split(line, ",")
	if len(fields) != 6 {
		return sample{}, false
	}
	var at int64
	for i, to := range []*int64{&at, &s.Objects, &s.Logical, &s.Used, &s.Stored, &s.Free} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return sample{}, false
		}
		*to = n
	}
	s.Time = time.Unix(at, 0)
	return s, true
}

// readHistory returns the samples of a file. No file is no samples.
func readHistory(path string) ([]sample, error) {
	text, err := ReadBeside(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rest, ok := strings.CutPrefix(string(text), historyHead)
	if !ok && len(text) > 0 {
		return nil, errHistory
	}
	var out []sample
	for line := range strings.Lines(rest) {
		if s, ok := parseSample(strings.TrimSuffix(line, "\n")); ok {
			out = append(out, s)
		}
	}
	return out, nil
}

// writeHistory replaces a file in one step, with the newest of the samples.
func writeHistory(path string, list []sample) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(historyHead)
	for _, s := range list[max(0, len(list)-historyKeep):] {
		text.WriteString(s.line())
	}
	_, err = f.WriteString(text.String())
	if err == nil {
		err = f.Sync() // or a power cut could leave the new name with nothing in it
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
