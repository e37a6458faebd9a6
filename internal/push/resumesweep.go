package push

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// sweepUploads removes files of uploads that nobody can go on with, for they have no state. Nobody works on them unless they are locked.
func sweepUploads(root *os.Root) (removed int, err error) {
	err = eachName(root, uploadDir, func(name string) error {
		id := strings.TrimSuffix(strings.TrimSuffix(name, newSuffix), stateSuffix)
		if !oursName(id, "") {
			return nil // somebody's file
		}
		if _, err := root.Lstat(uploadPrefix + id + stateSuffix); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		gone, err := sweepUpload(root, uploadPrefix+id, uploadPrefix+name)
		if gone {
			removed++
		}
		return err
	})
	return removed, err
}

// sweepUpload removes name, one of the files of an upload, unless that has a state or is locked. Who begins one makes its state while it
// holds the lock, so only who has that knows that there is none.
func sweepUpload(root *os.Root, upload, name string) (bool, error) {
	f, err := root.OpenFile(upload, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err == nil {
		defer func() { _ = unlocked(f) }() // only read
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			return false, nil
		}
	}
	if _, err := root.Lstat(upload + stateSuffix); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	err = root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// expire drops the uploads of a directory to which nothing has happened since a time. It returns how many were not done. One that cannot
// be looked at keeps no other.
func (p plainPlace) expire(before time.Time) (dropped int, err error) {
	var failed error
	err = states(p.dir, func(_ *os.Root, name string) error {
		gone, err := p.expireOne(name, before)
		if gone {
			dropped++
		}
		failed = errors.Join(failed, sansPath(err))
		return nil
	})
	return dropped, errors.Join(err, failed)
}

// expireOne returns whether it has dropped an upload that was not done.
func (p plainPlace) expireOne(name string, before time.Time) (gone bool, err error) {
	u, err := p.upload(name)
	if err != nil {
		return false, err
	}
	defer u.close()
	// The lock is for the old ones, and those that a process has named and died: a client that comes back while it is held would hear
	// that somebody else works on its upload.
	if s, when, err := readState(u.part.root, name); err == nil && !s.Naming && !when.Before(before) {
		return false, nil
	}
	err = u.load()
	switch {
	case errors.Is(err, errLocked), errors.Is(err, object.ErrNoUpload):
		return false, nil // somebody works on it, or it ended just now
	case err != nil && !errors.Is(err, errState):
		return false, err
	case !u.when.Before(before):
		return false, nil
	}
	return u.part.file != nil, u.remove()
}

// maxDone is how many uploads of a directory are remembered that are done: who begins another looks at all of them. Of a named bucket,
// they are up to twice as many.
const maxDone = 100

// forgetDone removes the states of uploads that are done, but for those of the newest.
func (p plainPlace) forgetDone() error {
	type state struct {
		name string
		when time.Time
	}
	var done []state
	err := states(p.dir, func(root *os.Root, name string) error {
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		name += stateSuffix
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was dropped just now
		}
		if err == nil {
			done = append(done, state{name, info.ModTime()})
		}
		return err
	})
	if err != nil || len(done) <= maxDone {
		return err
	}
	slices.SortFunc(done, func(a, b state) int { return b.when.Compare(a.when) })
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return sansPath(err)
	}
	defer func() { _ = root.Close() }() // it holds nothing that could be lost
	for _, old := range done[maxDone:] {
		if err := root.Remove(old.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return sansPath(err)
		}
	}
	return nil
}

// Expire drops uploads to which nothing has happened for Config.UploadExpiry, and returns how many that were, also beside an error.
// Those of the object store may be another door's.
func (s *Server) Expire(ctx context.Context) (int, error) {
	if s.expiry == 0 {
		return 0, nil
	}
	n, err := s.objects.ExpireUploads(ctx, s.expiry)
	if s.home != "" {
		err = errors.Join(err, forgetDues(s.home, s.now().Add(-s.expiry), s.log))
	}
	before := s.now().Add(-s.expiry)
	for _, b := range s.bare() {
		gone, failed := s.plain(b).expire(before)
		n, err = n+gone, errors.Join(err, failed)
	}
	return n, err
}

// bare are the bare tokens that there are directories of, also those that were taken out of the list since.
func (s *Server) bare() (out []Bucket) {
	if s.home == "" {
		return nil
	}
	entries, _ := os.ReadDir(s.home) // what is wrong with it shows when it is used
	for _, e := range entries {
		if validToken(e.Name()) || oldToken(e.Name()) {
			out = append(out, Bucket{Token: e.Name()})
		}
	}
	return out
}
