package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxBeside bounds the files beside what a store keeps, in bytes. The largest is a year of samples, which take less than one MiB.
const maxBeside = 16 << 20

// ReadBeside reads a file that lies beside what a store keeps. Root reads it too, and whom the store belongs to may have been
// broken into: what is not a file, or is a link, or is larger than any that we make, is an error, and nothing to wait for.
func ReadBeside(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a link, which is not followed; remove it", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	switch st, err := f.Stat(); {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file; remove it", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBeside+1))
	if err == nil && len(text) > maxBeside {
		return nil, fmt.Errorf("%s has more than %d bytes; remove it", path, maxBeside)
	}
	return text, err
}
