// Command file-bucketctl is the administrator's tool of file-bucket.
package main

import (
	"context"
	"os"
	"path/filepath"

	"hugbucket/internal/daemon"
)

const name = "file-bucketctl"

func main() {
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == generatorName {
		args = append([]string{"generator"}, args...)
	}
	err := run(context.Background(), args, env{os.Stdout, os.Stderr})
	os.Exit(daemon.Report(os.Stderr, name, err))
}
