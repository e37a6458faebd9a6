// Command hugbucket-ftpd is the FTP door.
package main

import (
	"context"
	"io"
	"os"

	"hugbucket/internal/daemon"
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	os.Exit(daemon.Report(os.Stderr, name, err))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return daemon.Run(ctx, program(), args, stdout, stderr)
}
