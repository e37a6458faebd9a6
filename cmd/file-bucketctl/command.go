package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"hugbucket/internal/daemon"
)

// env is where a command writes.
type env struct {
	stdout, stderr io.Writer
}

// command is one subcommand. Each has a file of its own.
type command struct {
	name    string // one or two words
	summary string // one line
	details string // further lines of its help
	// setup registers the command's flags and returns what runs it once they are parsed.
	setup func(flags *flag.FlagSet) func(ctx context.Context, e env, args []string) error
}

// commands lists every subcommand, in the order of the help.
func commands() []command {
	return []command{initCommand(), configCheckCommand(), tokenListCommand(), runCommand()}
}

// run runs the subcommand that args begin with.
func run(ctx context.Context, args []string, e env) error {
	if len(args) == 0 {
		return &daemon.UsageError{Err: errors.New("no command; see --help")}
	}
	switch args[0] {
	case "--version", "-version", "version":
		return daemon.PrintVersion(e.stdout, name)
	case "--help", "-help", "-h":
		return help(nil, e)
	case "help":
		return help(args[1:], e)
	}
	c, rest, err := find(args)
	if err != nil {
		return err
	}
	flags := newFlags(c)
	do := c.setup(flags)
	switch err := flags.Parse(rest); {
	case errors.Is(err, flag.ErrHelp):
		return help(strings.Fields(c.name), e)
	case err != nil:
		return &daemon.UsageError{Err: fmt.Errorf("%s: %w", c.name, err)}
	}
	return do(ctx, e, flags.Args())
}

func newFlags(c command) *flag.FlagSet {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main reports the error
	return flags
}

// find returns the command that args begin with and what follows.
func find(args []string) (command, []string, error) {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c, args[len(words):], nil
		}
	}
	var below []string // what begins with the word
	for _, c := range commands() {
		if strings.HasPrefix(c.name, args[0]+" ") {
			below = append(below, fmt.Sprintf("%q", c.name))
		}
	}
	if len(below) > 0 {
		return command{}, nil, &daemon.UsageError{Err: fmt.Errorf("%q is not a whole command; there is %s", strings.Join(args[:min(len(args), 2)], " "), strings.Join(below, " and "))}
	}
	return command{}, nil, &daemon.UsageError{Err: fmt.Errorf("unknown command %q; see --help", args[0])}
}

// help writes the help of one command, or of all.
func help(args []string, e env) error {
	var b strings.Builder
	if len(args) == 0 {
		fmt.Fprintf(&b, "%s: the administrator's tool of file-bucket\n\nUsage: %s COMMAND [flags]\n\nCommands:\n", name, name)
		for _, c := range commands() {
			fmt.Fprintf(&b, "  %-14s %s\n", c.name, c.summary)
		}
		fmt.Fprintf(&b, "  %-14s %s\n  %-14s %s\n\n", "help COMMAND", "explain a command and its flags", "version", "print the version")
	} else {
		c, _, err := find(args)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s: %s\n", name, c.name, c.summary)
		if c.details != "" {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(c.details))
		}
		fmt.Fprint(&b, "\nFlags:\n")
		flags := newFlags(c)
		c.setup(flags)
		flags.SetOutput(&b)
		flags.PrintDefaults()
		b.WriteByte('\n')
	}
	b.WriteString(daemon.ExitCodes)
	_, err := io.WriteString(e.stdout, b.String())
	return err
}

// noArgs refuses arguments where a command takes none.
func noArgs(args []string) error {
	if len(args) > 0 {
		return &daemon.UsageError{Err: fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}
