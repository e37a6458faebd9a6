package push

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"sync"

	"hugbucket/internal/object"
)

// refusals counts pushes that were not stored, by reason.
type refusals struct {
	mu sync.Mutex // guards the following
	of map[string]int64
}

func (f *refusals) add(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = make(map[string]int64)
	}
	f.of[reason]++
}

// Refusals returns how many pushes were not stored since the start, by reason: one of a few words, which do not change.
func (s *Server) Refusals() map[string]int64 {
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	return maps.Clone(s.refused.of)
}

// reasonOf is why a push was not stored, in a word: "request" when what the client asked for cannot be, "internal" for our own faults.
func reasonOf(err error) string {
	if _, ok := errors.AsType[*throttledError](err); ok {
		return "throttled"
	}
	if _, ok := errors.AsType[*refusedError](err); ok {
		return "hook"
	}
	for _, row := range []struct {
		err    error
		reason string
	}{
		{errToken, "token"},
		{errQuota, "quota"},
		{object.ErrNoSpace, "space"},
		{errTooLarge, "size"},
		{errLong, "size"},
		{object.ErrTooLarge, "size"},
		{errTokenBusy, "busy"},
		{errBusy, "busy"},
		{errLocked, "busy"},
		{errManyUploads, "busy"},
		{errHook, "hook"},
		{errIdle, "slow"},
		{errSlow, "slow"},
		{errCut, "cut"},
		{errTakenOver, "cut"},
		{errEnding, "cut"},
		{context.Canceled, "cut"},
		{errBucket, "bucket"},
		{object.ErrNoBucket, "bucket"},
		{object.ErrDigest, "digest"},
		{errPieceSum, "digest"},
		{fs.ErrExist, "exists"},
		{object.ErrPrecondition, "exists"},
	} {
		if errors.Is(err, row.err) {
			return row.reason
		}
	}
	if status, _ := answerTo(err); status < http.StatusInternalServerError {
		return "request"
	}
	return "internal"
}
