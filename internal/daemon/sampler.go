package daemon

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
)

// sampleEvery is how often a sample is taken.
const sampleEvery = time.Hour

// sampler counts once an hour what is in a store, and keeps that in a file.
type sampler struct {
	path  string
	store *object.Store
	log   zerolog.Logger
	last  atomic.Pointer[sample] // nil until there is one
}

func newSampler(path string, store *object.Store, log zerolog.Logger) *sampler {
	return &sampler{path: path, store: store, log: log}
}

// run takes samples until ctx ends. The first is due an hour after the last one in the file.
func (s *sampler) run(ctx context.Context) {
	known, err := readHistory(s.path)
	if err != nil {
		s.log.Warn().Err(err).Msg("the history of the store was not read")
	}
	due := time.Now()
	if len(known) > 0 {
		last := known[len(known)-1]
		s.last.Store(&last)
		// A clock that was ahead must not end the history.
		if next := last.Time.Add(sampleEvery); next.Before(due.Add(sampleEvery)) {
			due = next
		}
	}
	for {
		wait(ctx, time.Until(due))
		if ctx.Err() != nil {
			return
		}
		err := s.take(ctx)
		if errors.Is(err, errors.ErrUnsupported) {
			return
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn().Err(err).Msg("no sample of what is stored")
		}
		due = time.Now().Add(sampleEvery)
	}
}

// take takes a sample. It works for half of the time at most, for nobody waits for it.
func (s *sampler) take(ctx context.Context) error {
	start := time.Now()
	totals, err := s.store.Totals(ctx, func() {
		wait(ctx, time.Since(start))
		start = time.Now()
	})
	if err != nil {
		return err
	}
	got := sample{Totals: totals, Time: time.Now(), Free: -1}
	if free, _, err := s.store.Space(); err == nil {
		got.Free = free
	}
	s.last.Store(&got)
	known, err := readHistory(s.path)
	if err != nil {
		return err
	}
	return writeHistory(s.path, append(known, got))
}
