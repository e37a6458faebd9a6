package main

import (
	"context"
	"flag"
	"fmt"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

func configCheckCommand() command {
	return command{
		name:    "config check",
		summary: "check a configuration file",
		details: `
Every error names the file, the line and the key. Warnings, about secrets that
every user of the machine may read, go to stderr and change nothing about the
exit code. Nothing is started and nothing is changed.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			return func(_ context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				_, warnings, err := daemon.CheckConfig(*path)
				if err != nil {
					return err
				}
				for _, w := range warnings {
					if _, err := fmt.Fprintf(e.stderr, "%s: warning: %s\n", name, w); err != nil {
						return err
					}
				}
				_, err = fmt.Fprintf(e.stdout, "%s: ok\n", *path)
				return err
			}
		},
	}
}

// configFlag is the flag that most commands have.
func configFlag(flags *flag.FlagSet) *string {
	return flags.String("config", config.DefaultPath, "configuration `FILE`")
}
