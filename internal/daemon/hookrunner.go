package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"hugbucket/internal/config"
)

// callTime is how long whoever connects may take to say what it wants.
const callTime = 10 * time.Second

// HookRunner serves those who call hooks: Hooks.Run is the other side.
type HookRunner struct {
	Config string    // path of the configuration: the caller does not say where the hooks are
	Stderr io.Writer // of the hooks
	Owners []int     // who may own hooks, by their ids
}

// Serve answers the one call of a connection. The end of the connection ends the hook too.
func (r HookRunner) Serve(ctx context.Context, conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(callTime)); err != nil {
		return fmt.Errorf("hear what is to be run: %w", err)
	}
	var call wireCall
	if err := json.NewDecoder(io.LimitReader(conn, maxCall)).Decode(&call); err != nil {
		return fmt.Errorf("hear what is to be run: %w", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("hear what is to be run: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		_, _ = io.Copy(io.Discard, conn) // until the caller is gone, or the deadline below
	}()
	got, err := r.run(ctx, HookCall{call.Name, toStrings(call.Args), toStrings(call.Env)})
	gone := ctx.Err() != nil
	_ = conn.SetReadDeadline(time.Unix(1, 0)) // ends the watch, which an error would have ended
	<-watched
	if gone {
		return errors.New("the caller did not wait for the end of the hook")
	}
	result := wireResult{Code: got.Code, Output: got.Output, Stderr: got.Stderr}
	switch {
	case errors.Is(err, ErrNoHook):
		result.Failure = failNoHook
	case errors.Is(err, ErrHookTime):
		result.Failure = failTime
	case err != nil:
		result.Failure = err.Error()
	}
	if err := json.NewEncoder(conn).Encode(result); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

func (r HookRunner) run(ctx context.Context, call HookCall) (HookResult, error) {
	if err := call.check(); err != nil {
		return HookResult{}, err
	}
	// A fault in the configuration must not keep the alarm from being raised, and no secret is needed here. Other hooks are not
	// looked for elsewhere: none is there, it would say of one that forbids.
	cfg, err := config.Peek(r.Config)
	if err != nil && call.Name == "alert.sh" {
		cfg, err = config.Default(), nil
	}
	if err != nil {
		return HookResult{}, fmt.Errorf("read configuration: %w", err)
	}
	prefix := ""
	if bucket := call.bucket(); bucket != "" {
		prefix = fmt.Sprintf("%s %s: ", call.Name, bucket)
		if file := call.value("FB_FILE"); file != "" {
			prefix = fmt.Sprintf("%s %s %q: ", call.Name, bucket, file)
		}
	}
	return script{prefix: prefix, dir: cfg.Hooks.Dir, timeout: time.Duration(cfg.Hooks.Timeout), owners: r.Owners, stderr: r.Stderr}.run(ctx, call)
}
