package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFirstLine is how many bytes the kernel reads of a script to find its interpreter.
const maxFirstLine = 256

// startable returns why the kernel cannot start a hook that may be run: of a script that ends its lines as Windows does, or whose
// interpreter is missing, it says that there is no such file, though the script is there. With an option in its first line, such a script
// would even begin, and end with the code of a shell that does not know the option. The error is fs.ErrPermission when this user may not
// find out, and never fs.ErrNotExist.
func startable(path string) error {
	line, err := firstLine(path)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(line, []byte("\x7fELF")) {
		return nil
	}
	rest, ok := bytes.CutPrefix(line, []byte("#!"))
	words := bytes.Fields(rest)
	switch {
	case !ok || len(words) == 0:
		return fmt.Errorf("%s: is not run: it does not begin with #! and an interpreter, such as #!/bin/sh", path)
	case bytes.HasSuffix(line, []byte("\r")):
		return fmt.Errorf(`%s: is not run: its lines end in CR LF, as on Windows; sed -i 's/\r$//' helps`, path)
	}
	name := string(words[0])
	fi, err := os.Stat(filepath.Join("/", name)) // hooks begin in the root
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("look for the interpreter of %s: %w", path, err)
	case err != nil:
		return fmt.Errorf("%s: is not run: there is no interpreter %q", path, name)
	case !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0:
		return fmt.Errorf("%s: is not run: its interpreter %q is no program", path, name)
	}
	return nil
}

// firstLine is that of a file without its line feed, or as much of it as the kernel reads.
func firstLine(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read hook: %w", err)
	}
	defer f.Close() //nolint:errcheck // was only read
	head, err := io.ReadAll(io.LimitReader(f, maxFirstLine))
	if err != nil {
		return nil, fmt.Errorf("read hook: %w", err)
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return line, nil
}
