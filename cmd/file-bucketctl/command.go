package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
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
	args    string // what it takes beside flags, for its help
	summary string // one line
	details string // further lines of its help
	codes   string // its exit codes, when they are not daemon.ExitCodes
	runs    bool   // takes a command of the caller's behind "--"
	// setup registers the command's flags and returns what runs it once they are parsed.
	setup func(flags *flag.FlagSet) func(ctx context.Context, e env, args []string) error
}

// commands lists every subcommand, in the order of the help.
func commands() []command {
	return []command{
		initCommand(), configCheckCommand(), applyCommand(), tlsInitCommand(),
		tokenNewCommand(), tokenListCommand(), tokenRevokeCommand(), runCommand(),
		lsCommand(), getCommand(), putCommand(), rmCommand(), mbCommand(), rbCommand(), shareCommand(),
		statusCommand(), expireCommand(),
		statsCommand(), gcCommand(), checkCommand(), backupCommand(), restoreCommand(), rebuildCommand(),
		completionCommand(),
	}
}

// hiddenCommands are for systemd to run, not for people: no help lists them.
func hiddenCommands() []command {
	return []command{generatorCommand(), reloadWaitCommand(), hookCommand(), watchCommand()}
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
	left, err := parse(flags, rest, c.runs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help(strings.Fields(c.name), e)
	case err != nil:
		return &daemon.UsageError{Err: fmt.Errorf("%s: %w", c.name, err)}
	}
	err = do(ctx, e, left)
	if _, ok := errors.AsType[*daemon.ConfigError](err); ok && errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		err = fmt.Errorf("%w: run it as root, with sudo for example", err)
	}
	return err
}

// parse takes flags from anywhere among the arguments and returns what is left. What follows "--" is left as it is; keep says
// whether the "--" is left before it.
func parse(flags *flag.FlagSet, args []string, keep bool) ([]string, error) {
	var tail []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, tail = args[:i], args[i:]
		if !keep {
			tail = tail[1:]
		}
	}
	var left []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return append(left, tail...), nil
		}
		left = append(left, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func newFlags(c command) *flag.FlagSet {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main reports the error
	return flags
}

// find returns the command that args begin with and what follows.
func find(args []string) (command, []string, error) {
	for _, c := range slices.Concat(commands(), hiddenCommands()) {
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
	codes := daemon.ExitCodes
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
		codes = cmp.Or(c.codes, codes)
		fmt.Fprintf(&b, "%s %s: %s\n", name, c.name, c.summary)
		if c.args != "" {
			fmt.Fprintf(&b, "\nUsage: %s %s [flags] %s\n", name, c.name, c.args)
		}
		if c.details != "" {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(c.details))
		}
		var list strings.Builder
		flags := newFlags(c)
		c.setup(flags)
		flags.SetOutput(&list)
		flags.PrintDefaults()
		if list.Len() > 0 {
			fmt.Fprintf(&b, "\nFlags:\n%s", list.String())
		}
		b.WriteByte('\n')
	}
	b.WriteString(codes)
	_, err := io.WriteString(e.stdout, b.String())
	return err
}

// oneArg returns the one argument of a command.
func oneArg(command, what string, args []string) (string, error) {
	if len(args) == 0 || args[0] == "" {
		return "", &daemon.UsageError{Err: fmt.Errorf("%s: %s is missing", command, what)}
	}
	return args[0], noArgs(args[1:])
}

// noArgs refuses arguments where a command takes none.
func noArgs(args []string) error {
	if len(args) > 0 {
		return &daemon.UsageError{Err: fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}
