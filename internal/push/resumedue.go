package push

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// dueDir is the directory in home of what is due. No token can have such a name.
const dueDir = ".due"

// due is the note of a resumable upload for which post-push.sh has not ended yet. It is made before the file gets its name: should the
// process die between the two, its client hears from the next one that the file is stored, and that one has the hook run. The note is
// locked (flock) by who sees to it. The nil due is none.
type due struct{ f *os.File }

// dueNote is the content of a due: what the log says of one that nobody came for. It has no token, which may be nowhere else on the disk.
type dueNote struct {
	Bucket string `json:"bucket"`
	File   string `json:"file"`
}

func (s *Server) duePath(b Bucket, id string) string {
	sum := sha256.Sum256([]byte(b.key() + "/" + id))
	return filepath.Join(s.home, dueDir, hex.EncodeToString(sum[:16]))
}

// noteDue notes, durably, that post-push.sh is due for an upload, if there is such a hook. It is nil where that fails, for a file is to be
// stored all the same: then nobody but this process knows of it.
func (s *Server) noteDue(b Bucket, id, file string) *due {
	if s.home == "" || !s.hooks.Has(postHook) {
		return nil
	}
	d, err := makeDue(s.duePath(b, id), dueNote{b.label(), file})
	return s.noted(d, err, dueNote{b.label(), file})
}

// findDue returns what is due for an upload, unless somebody sees to it.
func (s *Server) findDue(b Bucket, id, file string) *due {
	if s.home == "" {
		return nil
	}
	d, err := openDue(s.duePath(b, id), 0)
	return s.noted(d, err, dueNote{b.label(), file})
}

func (s *Server) noted(d *due, err error, n dueNote) *due {
	if err != nil {
		s.log.Warn().Err(sansPath(err)).Str("bucket", n.Bucket).Str("file", n.File).Msg("whether post-push.sh is due could not be noted or found out")
	}
	return d
}

func makeDue(path string, n dueNote) (*due, error) {
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	d, err := openDue(path, os.O_CREATE)
	if d == nil {
		return nil, err
	}
	_, err = d.f.WriteAt(marshal(n), 0)
	if err == nil {
		err = d.f.Sync()
	}
	if err == nil {
		err = syncAt(filepath.Dir(path))
	}
	if err != nil {
		d.done()
		return nil, err
	}
	return d, nil
}

// openDue locks a due; nil when there is none, or when somebody sees to it.
func openDue(path string, flags int) (*due, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // see due
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && !isAt(f, path) {
		err = unix.EWOULDBLOCK // its hook has ended just now
	}
	if err != nil {
		_ = f.Close() // only locked
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = nil
		}
		return nil, err
	}
	return &due{f}, nil
}

// isAt says whether a path is still that of an open file.
func isAt(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(open, there)
}

// done removes the note.
func (d *due) done() {
	if d != nil {
		_ = os.Remove(d.f.Name()) // else the hook is run once more
		d.leave()
	}
}

// leave keeps the note for the next request.
func (d *due) leave() {
	if d != nil {
		_ = unlocked(d.f)
	}
}

// forgetDues removes what is due since before a time: no client of theirs has come back, and none can any more.
func forgetDues(home string, before time.Time, log zerolog.Logger) error {
	dir := filepath.Join(home, dueDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		info, failed := e.Info()
		if failed != nil || !info.ModTime().Before(before) {
			continue
		}
		d, failed := openDue(filepath.Join(dir, e.Name()), 0)
		if err = errors.Join(err, failed); d == nil {
			continue
		}
		var n dueNote
		text, _ := io.ReadAll(io.LimitReader(d.f, maxState))
		_ = json.Unmarshal(text, &n) // what a crash left of it
		log.Error().Str("bucket", n.Bucket).Str("file", n.File).Msg("post-push.sh was not run to its end for an upload that had all come, and its client has not come back")
		d.done()
	}
	if err != nil {
		return fmt.Errorf("look for hooks that are due: %w", err)
	}
	return nil
}
