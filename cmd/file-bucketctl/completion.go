package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"hugbucket/internal/daemon"
)

func completionCommand() command {
	return command{
		name:    "completion",
		args:    "SHELL",
		summary: "print what a shell needs to complete command lines",
		details: `
SHELL is bash. The package has it installed; to try it:
source <(file-bucketctl completion bash)`,
		setup: func(*flag.FlagSet) func(context.Context, env, []string) error {
			return func(_ context.Context, e env, args []string) error {
				shell, err := oneArg("completion", "SHELL", args)
				if err != nil {
					return err
				}
				if shell != "bash" {
					return &daemon.UsageError{Err: errors.New("completion: there is one for bash only")}
				}
				_, err = io.WriteString(e.stdout, bashCompletion(commands()))
				return err
			}
		},
	}
}

// bashCompletion is a script that completes commands and flags; what follows them bash completes as file names.
func bashCompletion(list []command) string {
	var first []string
	second := make(map[string][]string) // by the first word
	var flags strings.Builder
	for _, c := range list {
		word, rest, two := strings.Cut(c.name, " ")
		if !slices.Contains(first, word) {
			first = append(first, word)
		}
		if two {
			second[word] = append(second[word], rest)
		}
		var names []string
		set := newFlags(c)
		c.setup(set)
		set.VisitAll(func(f *flag.Flag) { names = append(names, "--"+f.Name) })
		fmt.Fprintf(&flags, "\t%q) words=%q ;;\n", c.name, strings.Join(append(names, "--help"), " "))
	}
	var subs strings.Builder
	for _, word := range first {
		if rest := second[word]; rest != nil {
			fmt.Fprintf(&subs, "\t%s) words=%q ;;\n", word, strings.Join(rest, " "))
		}
	}
	return fmt.Sprintf(bashTemplate, strings.Join(first, " "), subs.String(), flags.String())
}

const bashTemplate = `# bash completion of file-bucketctl, made by: file-bucketctl completion bash

_file_bucketctl() {
	local at=1 commands=%q cur=${COMP_WORDS[COMP_CWORD]} name words=
	COMPREPLY=()
	if [[ ${COMP_WORDS[1]} == help ]]; then
		at=2
	fi
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$commands help version" -- "$cur")
		return
	fi
	if ((COMP_CWORD == at)); then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
		return
	fi
	name=${COMP_WORDS[at]}
	case $name in
%s	esac
	if [[ -n $words ]]; then
		if ((COMP_CWORD == at + 1)); then
			mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
			return
		fi
		name+=" ${COMP_WORDS[at + 1]}"
		words=
	fi
	if ((at == 2)) || [[ $cur != -* ]]; then
		return
	fi
	case $name in
%s	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o bashdefault -o default -F _file_bucketctl file-bucketctl
`
