// Command hugbucket-client is aws-sdk-go-v2, with its defaults, as a client of debian/tests/s3-clients: it takes the verbs of the
// matrix there, with the endpoint in S3_URL and the credentials in the environment, and checks what programs do with "extras".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type program struct {
	*s3.Client
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "version" {
		return version()
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	p := program{s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(os.Getenv("S3_URL"))
		o.UsePathStyle = true
	})}
	verbs := map[string]struct {
		args int
		run  func(context.Context, []string) error
	}{
		"make_bucket": {1, p.makeBucket}, "up": {2, p.up}, "down": {2, p.down}, "ls": {1, p.ls}, "link": {2, p.link},
		"remove": {2, p.remove}, "drop": {1, p.drop}, "extras": {1, p.extras},
	}
	if len(args) == 0 {
		return errors.New("no verb")
	}
	verb, ok := verbs[args[0]]
	if !ok || len(args)-1 != verb.args {
		return fmt.Errorf("no verb %q with %d arguments", args[0], len(args)-1)
	}
	return verb.run(ctx, args[1:])
}

func version() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("no build information")
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/aws/aws-sdk-go-v2/service/s3" {
			fmt.Println("s3/" + m.Version)
			return nil
		}
	}
	return errors.New("the version of the library is not known")
}
