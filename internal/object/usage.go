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
