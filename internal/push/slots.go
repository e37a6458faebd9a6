package push

import "sync"

const (
	// tokenUploads and allUploads are how many uploads run at once: for one entry of the bucket list, and for the door. An
	// upload holds some 3 MiB however slowly it comes in.
	tokenUploads = 32
	allUploads   = 100
	// retryBusy is what a client that was one too many is told to wait, in seconds.
	retryBusy = 5
)

// slots counts the uploads that run.
type slots struct {
	each, all int // limits

	mu sync.Mutex     // guards the following
	n  int            // all that run
	of map[string]int // those of one entry; it has no entry for none
}

func newSlots(each, all int) *slots {
	return &slots{each: each, all: all, of: make(map[string]int)}
}

// enter counts an upload to an entry until leave is called, or returns errTokenBusy or errBusy.
func (s *slots) enter(entry string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.of[entry] >= s.each:
		return nil, errTokenBusy
	case s.n >= s.all:
		return nil, errBusy
	}
	s.n++
	s.of[entry]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.n--
		if s.of[entry]--; s.of[entry] == 0 {
			delete(s.of, entry)
		}
	}, nil
}
