package push

import (
	"net/http"
	"time"
)

// throttledError is an errToken from an address that has brought too many of them.
type throttledError struct{ wait time.Duration }

func (e *throttledError) Error() string { return errToken.Error() + ", one of too many from there" }

func (e *throttledError) Unwrap() error { return errToken }

// wrongToken counts a token that does not exist, and returns the error. Every token is looked up before, and a right one is let in
// from everywhere: a machine with an old token must not stop the backups of all others behind the same router.
func (s *Server) wrongToken(r *http.Request) error {
	from := addrOf(r)
	wait := s.guesses.Blocks(from)
	s.guesses.Wrong(from)
	if wait > 0 {
		return &throttledError{wait}
	}
	return errToken
}
