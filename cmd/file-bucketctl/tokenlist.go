package main

import (
	"context"
	"encoding/json"
	"flag"

	"hugbucket/internal/daemon"
)

func tokenListCommand() command {
	return command{
		name:    "token list",
		summary: "print each bucket's token in lines that are ready to paste",
		details: `
The output holds secrets: it is what to send to whoever may push, or read back.
Without --host the lines use the address that the doors listen on, or this
machine's address in the LAN when they listen on all.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			host := flags.String("host", "", "`NAME` of this machine in the lines")
			file := flags.String("file", "backup.tar", "`NAME` of the file in the lines")
			asJSON := flags.Bool("json", false, "print JSON, for scripts")
			return func(_ context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				cfg, err := daemon.LoadConfigInShell(*path)
				if err != nil {
					return err
				}
				g := newGuide(cfg, *host)
				if !*asJSON {
					return g.print(e.stdout, *file)
				}
				enc := json.NewEncoder(e.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(g)
			}
		},
	}
}
