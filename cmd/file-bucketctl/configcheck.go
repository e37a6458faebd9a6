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
		details: "Every error names the file, the line and the key. Nothing is started and nothing is changed.",
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			return func(_ context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				if _, err := daemon.LoadConfig(*path); err != nil {
					return err
				}
				_, err := fmt.Fprintf(e.stdout, "%s: ok\n", *path)
				return err
			}
		},
	}
}

// configFlag is the flag that most commands have.
func configFlag(flags *flag.FlagSet) *string {
	return flags.String("config", config.DefaultPath, "configuration `FILE`")
}
