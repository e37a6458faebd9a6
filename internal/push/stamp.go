package push

import (
	"sync"
	"time"

	"hugbucket/internal/object"
)

const (
	// stampLayout is what comes before a name. It has the same width always, so that names sort by time.
	stampLayout = "20060102T150405.000Z-"
	// stampsAhead is how far stamps may run ahead of the clock when more than one is needed in a millisecond. When the clock
	// was set back further than that they follow it.
	stampsAhead = time.Minute
)

// stamps gives out the times in the names of files, each of them once in a bucket. The zero value is ready for use.
type stamps struct {
	mu   sync.Mutex // guards last
	last map[string]time.Time
}

// next returns the time for a file of the bucket that has this key.
func (s *stamps) next(bucket string, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = now.UTC().Truncate(time.Millisecond)
	last := s.last[bucket]
	if ahead := last.Sub(now); ahead >= 0 && ahead < stampsAhead {
		now = last.Add(time.Millisecond)
	}
	if s.last == nil {
		s.last = make(map[string]time.Time)
	}
	s.last[bucket] = now
	return now
}

// stamped returns a name with a time before it, or an InvalidError when that is too long; then no time is used up.
func (s *stamps) stamped(bucket, name string, now time.Time) (string, error) {
	if len(stampLayout)+len(name) > maxName {
		return "", &object.InvalidError{Field: "file name", Rule: "it is longer than 255 bytes with the time before it"}
	}
	return s.next(bucket, now).Format(stampLayout) + name, nil
}
