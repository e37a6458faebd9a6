package daemon

import (
	"fmt"
	"io"
	"runtime"
)

// version is set by the linker: -X hugbucket/internal/daemon.version=1.2.3.
var version = "devel"

// PrintVersion writes the line that --version answers with.
func PrintVersion(w io.Writer, name string) error {
	_, err := fmt.Fprintf(w, "%s %s (%s %s/%s)\n", name, version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
