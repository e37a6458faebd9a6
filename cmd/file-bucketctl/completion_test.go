package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// complete asks bash what the last of the words may become.
func complete(t *testing.T, words ...string) string {
	t.Helper()
	script := bashCompletion(commands()) + fmt.Sprintf("COMP_CWORD=%d\nCOMP_WORDS=(", len(words))
	for _, w := range append([]string{name}, words...) {
		script += quote(w) + " "
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-c", script+")\n_file_bucketctl\necho ${COMPREPLY[*]+\"${COMPREPLY[*]}\"}\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", words, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func TestBashCompletesCommandsAndFlags(t *testing.T) {
	for line, want := range map[string]string{
		"re":                  "restore rebuild",
		"t":                   "tls token",
		"token ":              "new list revoke",
		"token re":            "revoke",
		"token revoke --l":    "--last",
		"config ch":           "check",
		"config check --":     "--config --help",
		"get backup/x ":       "", // a file name
		"ls backup --rec":     "--recursive",
		"ls --json --rec":     "--recursive",
		"help tok":            "token",
		"help token n":        "new",
		"help token new --":   "",
		"version ":            "",
		"nothing --":          "",
		"completion ba":       "",
		"backup --for":        "--force",
		"ls backup 'x y' --j": "--json",
	} {
		words := strings.Split(line, " ")
		if got := complete(t, words...); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	all := complete(t, "")
	for _, c := range commands() {
		word, _, _ := strings.Cut(c.name, " ")
		if !strings.Contains(" "+all+" ", " "+word+" ") {
			t.Errorf("%s is not in %q", word, all)
		}
	}
	if !strings.HasSuffix(all, " help version") || strings.HasSuffix(complete(t, "help", ""), "version") {
		t.Errorf("got %q", all)
	}
	expect(t, 0, bashCompletion(commands()), "", "completion", "bash")
	expect(t, 64, "", "file-bucketctl: completion: there is one for bash only\n", "completion", "fish")
}

// TestBashLoadsTheCompletion has an interactive bash do it, as a package's file is loaded.
func TestBashLoadsTheCompletion(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "bash", "--norc", "-c", bashCompletion(commands())+"complete -p file-bucketctl").CombinedOutput()
	if err != nil || string(out) != "complete -o bashdefault -o default -F _file_bucketctl file-bucketctl\n" {
		t.Errorf("%v: %s", err, out)
	}
}
