package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The hooks of a push. What they are given and what their exit codes mean is file-bucket's contract.
const (
	preHook  = "pre-push.sh"
	postHook = "post-push.sh"
)

// The exit codes of pre-push.sh. Every other is a failure.
const (
	hookStore   = 0
	hookRefuse  = 1
	hookReplace = 2
)

var (
	// ErrNoHook is what Hooks.Run returns for a hook that is not there.
	ErrNoHook = errors.New("there is no such hook")
	// ErrHookTime is what Hooks.Run returns for a hook that was killed because it took too long.
	ErrHookTime = errors.New("the hook took too long and was killed")

	// errHookCut is a hook that did not come to its end, through no fault of its own, or did not run.
	errHookCut = errors.New("it has not come to its end")
)

// hookTerm and hookKill are the codes of a hook that was ended by a signal from outside, as at a reboot. Others above 128 are a script's
// own, such as 255 of ssh and 141 of a broken pipe.
const (
	hookTerm = 128 + int(unix.SIGTERM)
	hookKill = 128 + int(unix.SIGKILL)
)

// Hooks runs the scripts of an administrator. It is safe for concurrent use.
type Hooks interface {
	// Has says whether a hook is there; true in doubt.
	Has(name string) bool
	// Run runs a hook and waits for it. It returns ErrNoHook, ErrHookTime, or another error when the hook could not be run or was killed. The
	// end of ctx kills it. A result, whatever its code, is no error.
	Run(ctx context.Context, call HookCall) (HookResult, error)
}

// HookCall is one call of a hook.
type HookCall struct {
	Name string
	Args []string // without the name
	Env  []string // "FB_…=…"
}

// HookResult is how a hook ended.
type HookResult struct {
	Code   int
	Output []byte // the beginning of what it wrote to stdout
	Stderr string // the first line that it wrote to stderr
}

// noHooks is a door without any.
type noHooks struct{}

func (noHooks) Has(string) bool { return false }

func (noHooks) Run(context.Context, HookCall) (HookResult, error) { return HookResult{}, ErrNoHook }

// pushed is what hooks are told of a push.
type pushed struct {
	token  string
	bucket string // empty for a bare token
	name   string
	size   int64  // in bytes; -1 is unknown
	sha256 string // hex; empty before the file is stored
	from   string // IP:PORT
}

func (p pushed) env() []string {
	env := []string{
		"FB_BUCKET=" + p.bucket, "FB_TOKEN=" + p.token, "FB_FILE=" + p.name, "FB_SIZE=" + strconv.FormatInt(p.size, 10), "FB_REMOTE=" + p.from,
	}
	if p.sha256 != "" {
		env = append(env, "FB_SHA256="+p.sha256)
	}
	return env
}

// failure is what went wrong with a hook, for the log: an error, or a result that means nothing. The token is not in it.
func (p pushed) failure(hook string, got HookResult, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", hook, &quietError{p.sansToken(err.Error()), err})
	}
	if got.Stderr != "" {
		return fmt.Errorf("%s: exit code %d: %q, and on stderr %q", hook, got.Code, p.quiet(got.Output), p.quiet([]byte(got.Stderr)))
	}
	return fmt.Errorf("%s: exit code %d: %q", hook, got.Code, p.quiet(got.Output))
}

// quietError is an error in other words.
type quietError struct {
	text string
	err  error
}

func (e *quietError) Error() string { return e.text }

func (e *quietError) Unwrap() error { return e.err }

// quiet makes what a hook said fit for a log line.
func (p pushed) quiet(said []byte) string {
	return shorten(strings.TrimSpace(p.sansToken(string(said))))
}

func (p pushed) sansToken(s string) string {
	return strings.ReplaceAll(s, p.token, shown(p.token)+"…")
}

// refusedError is a push that pre-push.sh did not want.
type refusedError struct {
	said []byte // for the client
	log  string // the same for the log
}

func (e *refusedError) Error() string { return fmt.Sprintf("%s refused it: %q", preHook, e.log) }

// prePush asks pre-push.sh whether the file may be stored, and returns whether it may then replace another. Errors:
// refusedError, errHook, and ctx's.
func (s *Server) prePush(ctx context.Context, p pushed) (replace bool, err error) {
	got, err := s.hooks.Run(ctx, HookCall{Name: preHook, Args: []string{p.token, p.name, strconv.FormatInt(p.size, 10), p.from}, Env: p.env()})
	switch {
	case errors.Is(err, ErrNoHook):
		return false, nil
	case err == nil && got.Code == hookStore:
		return false, nil
	case err == nil && got.Code == hookReplace:
		return true, nil
	case err == nil && got.Code == hookRefuse:
		return false, &refusedError{said: got.Output, log: p.quiet(got.Output)}
	case ctx.Err() != nil:
		return false, ctx.Err() // not the hook's fault
	}
	err = p.failure(preHook, got, err)
	if !s.allowFailed {
		return false, fmt.Errorf("%w: %w", errHook, err)
	}
	s.log.Error().Err(err).Str("bucket", p.bucket).Str("file", p.name).Msg("a hook failed; the push is let through, as hooks.failure says")
	return false, nil
}

// postPush has post-push.sh run for a file that is stored, until ctx ends, which outlasts the client, and adds to the receipt what
// came of it. Nothing that goes wrong here makes the file any less stored. It returns false when the hook is still due: it was ended
// from outside, as by a reboot, or could not be run.
func (s *Server) postPush(ctx context.Context, b Bucket, p pushed, got *receipt) (ended bool) {
	if !s.hooks.Has(postHook) {
		return true
	}
	said, err := s.runPost(ctx, b, p)
	if errors.Is(err, ErrNoHook) {
		return true
	}
	if err != nil {
		got.HookFailed = true
		s.log.Error().Err(err).Str("bucket", b.label()).Str("file", p.name).Msg("a hook failed; the file is stored")
		return !errors.Is(err, errHookCut)
	}
	got.Hook = string(said)
	return true
}

func (s *Server) runPost(ctx context.Context, b Bucket, p pushed) (said []byte, err error) {
	path := filepath.Join(s.dir(b), p.name)
	if b.Name != "" {
		c, err := s.copies.make(ctx, s.objects, b.Name, p.name)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: make a copy for it: %w", errHookCut, postHook, err)
		}
		defer c.remove()
		path = c.path
	}
	got, err := s.hooks.Run(ctx, HookCall{Name: postHook, Args: []string{p.token, path, p.from}, Env: p.env()})
	switch {
	case errors.Is(err, ErrNoHook):
		return nil, err
	case err == nil && got.Code == 0:
		return got.Output, nil
	case err != nil && !errors.Is(err, ErrHookTime), got.Code == hookTerm, got.Code == hookKill:
		return nil, fmt.Errorf("%w: %w", errHookCut, p.failure(postHook, got, err))
	}
	return nil, p.failure(postHook, got, err)
}

// peerOf is the client's address and port, or what stands in their place when it is something else.
func peerOf(r *http.Request) string {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()).String()
	}
	return r.RemoteAddr
}
