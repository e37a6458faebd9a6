package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/throttle"
)

// HookSocket is where systemd listens for those who want a hook to be run. Each connection starts a process of its own, which
// is not in the sandbox of the one that asks: `file-bucketctl hook`.
const HookSocket = "/run/file-bucket/hook.sock"

// HookNames are the hooks that there are.
func HookNames() []string { return []string{"pre-push.sh", "post-push.sh", "alert.sh"} }

const (
	hookCalls  = 5                // of each hook at once, by one process; systemd takes 16 of all
	hookShare  = 3                // of these, for one bucket
	hookAnswer = 30 * time.Second // how much longer than a hook its answer may take
	maxCall    = 1 << 20          // bytes of a call and of its answer on the wire
)

var (
	// ErrNoHook says that there is no such hook. It is an fs.ErrNotExist.
	ErrNoHook = fmt.Errorf("there is no such hook: %w", fs.ErrNotExist)
	// ErrHookTime says that a hook was killed because it took longer than hooks.timeout.
	ErrHookTime = errors.New("the hook took too long and was killed")
)

// HookCall is one call of a hook.
type HookCall struct {
	Name string   // one of HookNames
	Args []string // without the name; no NUL in them
	Env  []string // "FB_…=…" and nothing else, beside PATH and LANG
}

// value is that of a variable of the environment; empty when it is not there.
func (c HookCall) value(name string) string {
	for _, v := range c.Env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// HookResult is how a hook ended.
type HookResult struct {
	Code   int    // its exit code; 128 and the signal's number when a signal ended it
	Output []byte // what it wrote to stdout, at most 64 KiB of it
	Stderr string // the first line that it wrote to stderr, at most 1 KiB of it; without the token
}

// Hooks runs the scripts that an administrator put in place. It is safe for concurrent use; the exported fields are for before.
type Hooks struct {
	Socket string              // HookSocket, or another that a HookRunner serves
	As     *syscall.Credential // whose rights hooks get as children, who may also own them; nil is this process's

	dir     string
	timeout time.Duration
	log     zerolog.Logger
	slots   map[string]chan struct{} // for each hook: none waits for the end of another
	shares  *throttle.Shares[string] // of these, for each hook and bucket
	service bool                     // this process is that of a service of systemd's, maybe in a sandbox
}

// NewHooks returns the hooks of a configuration. What hooks write to stderr goes to the log.
func NewHooks(cfg *config.Config, log zerolog.Logger) *Hooks {
	slots := make(map[string]chan struct{})
	for _, name := range HookNames() {
		slots[name] = make(chan struct{}, hookCalls)
	}
	return &Hooks{
		Socket: HookSocket, dir: cfg.Hooks.Dir, timeout: time.Duration(cfg.Hooks.Timeout), log: log,
		slots: slots, shares: throttle.NewShares[string](hookShare), service: os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()),
	}
}

// Has says whether a hook is there. In a directory that this process cannot see, it may be: the runner may see it.
func (h *Hooks) Has(name string) bool {
	if _, err := os.Lstat(filepath.Join(h.dir, name)); !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if _, err := os.Stat(h.dir); err == nil {
		return false
	}
	_, err := os.Lstat(h.Socket)
	return err == nil
}

// Run runs a hook and waits for it: by the socket that systemd listens on, or as a child where there is no such socket and this is no
// service. It returns ErrNoHook when there is none, ErrHookTime when it took too long, and another error when it cannot be run. The end
// of ctx kills it. A result, whatever its code, is no error.
func (h *Hooks) Run(ctx context.Context, call HookCall) (HookResult, error) {
	if err := call.check(); err != nil {
		return HookResult{}, err
	}
	if !h.Has(call.Name) {
		return HookResult{}, ErrNoHook // nothing is asked in vain
	}
	leave, err := h.shares.Take(ctx, call.Name+" "+cmp.Or(call.value("FB_BUCKET"), call.value("FB_TOKEN")))
	if err != nil {
		return HookResult{}, ctx.Err()
	}
	defer leave()
	select {
	case h.slots[call.Name] <- struct{}{}:
		defer func() { <-h.slots[call.Name] }()
	case <-ctx.Done():
		return HookResult{}, ctx.Err()
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", h.Socket)
	if errors.Is(err, fs.ErrNotExist) && !h.service {
		s := script{dir: h.dir, timeout: h.timeout, owners: hookOwners(h.Socket), as: h.As, stderr: hookLog{h.log, call}}
		if h.As != nil {
			s.owners = append(s.owners, int(h.As.Uid))
		}
		return s.run(ctx, call)
	}
	if err != nil {
		// To run it here would put it into a sandbox that its author does not know of.
		return HookResult{}, fmt.Errorf("reach the runner of hooks: %w; to start it: systemctl start file-bucket-hook.socket", err)
	}
	return askRunner(ctx, conn, call, h.timeout+hookAnswer)
}

// check refuses calls that no door makes.
func (c HookCall) check() error {
	if !slices.Contains(HookNames(), c.Name) {
		return fmt.Errorf("%q is no hook", c.Name)
	}
	for _, v := range c.Env {
		if !strings.HasPrefix(v, "FB_") || !strings.Contains(v, "=") {
			return fmt.Errorf("%q is nothing that a hook's environment has", v)
		}
	}
	return nil
}

// What goes over the socket: each side sends one of these as JSON. Strings are bytes, because names of files need not be
// UTF-8.
type (
	wireCall struct {
		Name string   `json:"name"`
		Args [][]byte `json:"args"`
		Env  [][]byte `json:"env"`
	}
	wireResult struct {
		Code    int    `json:"code"`
		Output  []byte `json:"output,omitempty"`
		Stderr  string `json:"stderr,omitempty"`
		Failure string `json:"failure,omitempty"` // failNoHook, failTime, or why the hook could not be run
	}
)

const (
	failNoHook = "no hook"
	failTime   = "time"
)

// askRunner has a hook run at the other end of a connection, which it closes.
func askRunner(ctx context.Context, conn net.Conn, call HookCall, within time.Duration) (_ HookResult, err error) {
	ctx, stop := context.WithTimeoutCause(ctx, within, errors.New("the runner of hooks does not answer"))
	defer stop()
	// The runner takes the end of the connection for a reason to kill the hook.
	closing := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		closing()
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		_ = conn.Close() // all that matters was read
	}()
	if err := json.NewEncoder(conn).Encode(wireCall{call.Name, toBytes(call.Args), toBytes(call.Env)}); err != nil {
		return HookResult{}, fmt.Errorf("call the runner of hooks: %w", err)
	}
	var got wireResult
	err = json.NewDecoder(io.LimitReader(conn, maxCall)).Decode(&got)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return HookResult{}, errors.New("the runner of hooks ended without an answer; journalctl -u 'file-bucket-hook@*' tells more")
	case err != nil:
		return HookResult{}, fmt.Errorf("hear from the runner of hooks: %w", err)
	case got.Failure == failNoHook:
		return HookResult{}, ErrNoHook
	case got.Failure == failTime:
		return HookResult{}, ErrHookTime
	case got.Failure != "":
		return HookResult{}, errors.New(got.Failure)
	}
	return HookResult{got.Code, got.Output, got.Stderr}, nil
}

func toBytes(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

func toStrings(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}

// hookLog makes lines of the log of those that a hook writes to stderr.
type hookLog struct {
	log  zerolog.Logger
	call HookCall
}

func (l hookLog) Write(p []byte) (int, error) {
	e := l.log.Warn().Str("hook", l.call.Name)
	if bucket := l.call.bucket(); bucket != "" {
		e.Str("bucket", bucket)
	}
	if file := l.call.value("FB_FILE"); file != "" {
		e.Str("file", file)
	}
	e.Str("stderr", strings.ToValidUTF8(strings.TrimSuffix(string(p), "\n"), "?")).Msg("hook wrote to stderr")
	return len(p), nil
}
