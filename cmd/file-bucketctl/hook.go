package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"

	"hugbucket/internal/daemon"
)

func hookCommand() command {
	return command{
		name:    "hook",
		summary: "run a hook for the process at the other end of stdin; systemd runs it",
		details: `
Standard input is the accepted connection of file-bucket-hook.socket. Only the
hooks in hooks.dir are run, and only when they belong to root and nobody else
may write to them.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				conn, err := net.FileConn(os.Stdin)
				if err != nil {
					return errors.Join(errors.New("stdin is not a connection"), err)
				}
				defer conn.Close() //nolint:errcheck // the answer was sent, or could not be
				return daemon.HookRunner{Config: *path, Stderr: e.stderr, Owners: []int{0}}.Serve(ctx, conn)
			}
		},
	}
}
