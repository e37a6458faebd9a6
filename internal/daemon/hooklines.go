package daemon

import (
	"bytes"
	"cmp"
	"io"
	"regexp"
	"strings"
)

// maxStderrLine is about how many bytes a line of a hook's stderr may have before it is cut in two.
const maxStderrLine = 4 << 10

// hookLines passes on what a hook writes to stderr, a line with each Write, so that those of hooks that run at once do not mix. The token
// of the push is not in them: they are for the journal.
type hookLines struct {
	to     io.Writer
	prefix string // of each line
	token  string // may be empty
	shell  *regexp.Regexp
	rest   []byte // of a line that has not ended

	first, complaint string // the first line that is not empty, and the first that shell matches; at most maxHookLine bytes
}

func (l *hookLines) Write(p []byte) (int, error) {
	for _, b := range bytes.SplitAfter(p, []byte("\n")) {
		l.rest = append(l.rest, b...)
		if bytes.HasSuffix(l.rest, []byte("\n")) {
			l.flush()
		}
	}
	if l.rest = l.quiet(l.rest); len(l.rest) > maxStderrLine+len(l.token) {
		keep := append([]byte(nil), l.rest[len(l.rest)-len(l.token):]...) // it may end with the beginning of the token
		l.rest = l.rest[:len(l.rest)-len(l.token)]
		l.flush()
		l.rest = keep
	}
	return len(p), nil
}

func (l *hookLines) quiet(b []byte) []byte {
	if l.token == "" {
		return b
	}
	return bytes.ReplaceAll(b, []byte(l.token), []byte(TokenLabel(l.token)))
}

// flush passes on what there is of a line.
func (l *hookLines) flush() {
	if len(l.rest) == 0 {
		return
	}
	line := bytes.TrimSuffix(l.quiet(l.rest), []byte("\n"))
	said := strings.TrimSpace(strings.ToValidUTF8(string(line[:min(len(line), maxHookLine)]), "?"))
	l.first = cmp.Or(l.first, said)
	if l.shell.Match(line) {
		l.complaint = cmp.Or(l.complaint, said)
	}
	_, _ = l.to.Write(append(append([]byte(l.prefix), line...), '\n')) // nobody waits for it
	l.rest = nil
}

// bucket is the bucket of a call as the log calls it; empty when it is of none.
func (c HookCall) bucket() string {
	if b := c.value("FB_BUCKET"); b != "" {
		return b
	}
	if token := c.value("FB_TOKEN"); token != "" {
		return TokenLabel(token)
	}
	return ""
}
