package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// generatorName is what systemd calls this program by: a link in the directory of its generators.
const generatorName = "file-bucket-generator"

// dropInName is what the generator's files are called.
const dropInName = "50-config.conf"

func generatorCommand() command {
	return command{
		name:    "generator",
		args:    "DIR",
		summary: "write drop-ins for the units, from the configuration; systemd runs it",
		details: `
The sockets get the addresses that the configuration has, and the services the
right to write where it says. A configuration that cannot be read leaves the
units as the package has them; the doors answer at configured addresses only.
It never fails: the boot of the machine would go on without
what other generators make.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			return func(_ context.Context, e env, args []string) error {
				if len(args) != 1 && len(args) != 3 {
					return &daemon.UsageError{Err: errors.New("one directory, or three as systemd gives them")}
				}
				if err := generate(*path, args[0]); err != nil {
					complain(e, err)
				}
				return nil
			}
		},
	}
}

// generate writes drop-ins into a directory of systemd's. What one unit cannot have does not keep others from what they
// can.
func generate(path, dir string) error {
	cfg, err := config.Peek(path)
	if _, there := os.Lstat(path); errors.Is(there, fs.ErrNotExist) {
		return nil // nothing is configured yet
	}
	if err != nil {
		return err
	}
	header := fmt.Sprintf("# Made by %s from %q.\n", generatorName, path)
	write := func(unit, text string) error {
		if text == "" {
			return nil
		}
		sub := filepath.Join(dir, unit+".d")
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(sub, dropInName), []byte(header+text), 0o644)
	}
	var errs []error
	for _, u := range units() {
		text, err := socketDropIn(u.address(cfg))
		if err != nil {
			err = fmt.Errorf("%s.socket stays as it is: %w", u.name, err)
		}
		errs = append(errs, err, write(u.name+".socket", text))
	}
	text, err := pathsDropIn([]string{cfg.Home, cfg.Storage.Path})
	errs = append(errs, err)
	for _, name := range storeServices() {
		errs = append(errs, write(name+".service", text))
	}
	return errors.Join(errs...)
}

// complain writes to the log of the kernel, for want of a better one: the journal may not run yet.
func complain(e env, problem error) {
	fmt.Fprintf(e.stderr, "%s: %s\n", generatorName, problem) //nolint:errcheck // there is nobody left to tell
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	fmt.Fprintf(f, "<4>%s: %.800q\n", generatorName, problem.Error()) //nolint:errcheck // as above
	_ = f.Close()                                                     // as above
}
