package push

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errState is the error of a state that is damaged.
var errState = errors.New("the state of an upload is damaged")

// plainState is the content of a state.
type plainState struct {
	plan

	Offset int64  `json:"offset"`           // bytes that are durable; the file may have more
	Steps  int64  `json:"steps"`            // how often the client went on so far
	State  []byte `json:"state"`            // of the SHA-256 of all bytes to Offset
	Naming bool   `json:"naming,omitempty"` // the mark: the file is about to get its own name, or has it
}

// readState reads the state of the upload of that name, and when it was written.
func readState(root *os.Root, name string) (s plainState, when time.Time, err error) {
	f, err := root.OpenFile(name+stateSuffix, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return s, when, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return s, when, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxState))
	if err == nil && (json.Unmarshal(text, &s) != nil || s.Version != planVersion || s.Offset < 0 || s.Offset > s.Length) {
		err = errState
	}
	return s, info.ModTime(), err
}

// keep makes the state durable.
func (u *plainUpload) keep() error {
	root, name := u.part.root, u.name+stateSuffix
	f, err := root.OpenFile(name+newSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(marshal(u.plainState))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = root.Rename(name+newSuffix, name)
	}
	if err == nil {
		err = u.syncUploads()
	}
	u.when = time.Now()
	return err
}

// mark makes durable whether the file is about to get its own name.
func (u *plainUpload) mark(naming bool) error {
	u.Naming = naming
	return u.keep()
}

// states calls f with the name of each state of a directory, with uploadPrefix and without its suffix. A directory that does not exist has
// none.
func states(dir string, f func(root *os.Root, name string) error) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return sansPath(err)
	}
	defer func() { _ = root.Close() }() // it holds nothing that could be lost
	return plainError(eachName(root, uploadDir, func(name string) error {
		id, ok := strings.CutSuffix(name, stateSuffix)
		if !ok || !oursName(id, "") {
			return nil
		}
		return f(root, uploadPrefix+id)
	}))
}
