// Command file-bucketctl is the administrator's tool of file-bucket.
package main

import (
	"context"
	"os"

	"hugbucket/internal/daemon"
)

const name = "file-bucketctl"

func main() {
	err := run(context.Background(), os.Args[1:], env{os.Stdout, os.Stderr})
	os.Exit(daemon.Report(os.Stderr, name, err))
}
