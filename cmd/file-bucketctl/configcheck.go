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
every user of the machine may read and hooks that cannot be run, go to stderr
and change nothing about the exit code. Nothing is started and nothing is changed.

Of the configuration of systemd's services, the home and the store have to be
there, unless they are below /var/lib/file-bucket. Whether the services' user
can write there, root alone finds out.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				return checkConfig(ctx, e, *path, newSystemd())
			}
		},
	}
}

func checkConfig(ctx context.Context, e env, path string, s systemd) error {
	cfg, warnings, err := daemon.CheckConfig(path)
	if err != nil {
		return err
	}
	services := s.runs() && sameFile(path, s.config)
	if services {
		closed, err := s.closedHooks(ctx, cfg)
		if err != nil {
			return err
		}
		warnings = append(warnings, closed...)
	}
	for _, w := range warnings {
		if _, err := fmt.Fprintf(e.stderr, "%s: warning: %s\n", name, w); err != nil {
			return err
		}
	}
	if services {
		if err := s.checkDirs(ctx, cfg); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(e.stdout, "%s: ok\n", path)
	return err
}

// configFlag is the flag that most commands have.
func configFlag(flags *flag.FlagSet) *string {
	return flags.String("config", config.DefaultPath, "configuration `FILE`")
}
