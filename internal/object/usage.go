package object

import (
	"context"
	"errors"
)

// Totals is what a store holds and what that takes, in bytes where nothing else is said.
type Totals struct {
	Objects int64 // how many
	Logical int64 // what the objects are long, each counted
	Used    int64 // of the xorbs that objects and parts of uploads refer to, not compressed
	Stored  int64 // of all xorbs, as they are kept
}

// Usage is what a driver may tell about the room that its store takes. It need not implement it.
type Usage interface {
	// Totals counts all objects and xorbs, in slices, after each of which it calls rest, if that is not nil.
	Totals(ctx context.Context, rest func()) (Totals, error)
	// Space is how much may still be written where content is kept, and how much there is in all.
	Space() (free, size int64, err error)
	// Room returns ErrNoSpace unless n more bytes can be written there.
	Room(n int64) error
}

// Reserve is implemented by drivers that keep some room free.
type Reserve interface {
	// Free is how many bytes may still be written where content is kept, and how many of these are not for content.
	Free() (free, floor int64, err error)
}

// Totals counts what the store holds. It may take minutes; after each slice of the work it calls rest, unless that is nil: who is
// in no hurry may wait there, for nothing is held. Beside writers each figure is of some moment meanwhile.
// Errors: errors.ErrUnsupported, when the driver cannot tell.
func (s *Store) Totals(ctx context.Context, rest func()) (Totals, error) {
	u, ok := s.driver.(Usage)
	if !ok {
		return Totals{}, wrap("count", "", "", errors.ErrUnsupported)
	}
	t, err := u.Totals(ctx, rest)
	return t, wrap("count", "", "", err)
}

// Space is how many bytes may still be written where content is kept, and how many there are in all.
// Errors: errors.ErrUnsupported, when the driver cannot tell.
func (s *Store) Space() (free, size int64, err error) {
	u, ok := s.driver.(Usage)
	if !ok {
		return 0, 0, wrap("measure", "", "", errors.ErrUnsupported)
	}
	free, size, err = u.Space()
	return free, size, wrap("measure", "", "", err)
}

// Room returns ErrNoSpace unless n more bytes can be written where content is kept, less what the driver keeps free. What content
// takes, when some of it is stored already, is known only when it has come.
// Errors: errors.ErrUnsupported, when the driver cannot tell.
func (s *Store) Room(n int64) error {
	u, ok := s.driver.(Usage)
	if !ok {
		return wrap("measure", "", "", errors.ErrUnsupported)
	}
	return wrap("measure", "", "", u.Room(n))
}

// Free is how many bytes of content may still be written until Room says that there is none; 0 at least.
// Errors: errors.ErrUnsupported, when the driver cannot tell.
func (s *Store) Free() (int64, error) {
	r, ok := s.driver.(Reserve)
	if !ok {
		return 0, wrap("measure", "", "", errors.ErrUnsupported)
	}
	free, floor, err := r.Free()
	return max(0, free-floor), wrap("measure", "", "", err)
}
