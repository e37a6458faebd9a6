package xet

import "errors"

// The kinds of errors of this package. Each tells the caller what to do: data
// with ErrFormat or ErrHash is damaged or forged and stays so, data with
// ErrTooLarge must be split, and data with ErrVersion is for a newer program.
var (
	// ErrFormat says that data breaks a rule of its format.
	ErrFormat = errors.New("bad format")
	// ErrHash says that data is well formed but is not what its hash names.
	ErrHash = errors.New("hash mismatch")
	// ErrTooLarge says that data is beyond a limit of the format.
	ErrTooLarge = errors.New("too large")
	// ErrVersion says that data has a format version unknown here.
	ErrVersion = errors.New("unknown version")
)
