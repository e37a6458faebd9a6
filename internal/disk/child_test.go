package disk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"hugbucket/internal/object"
)

// childEnv tells the test binary to be another process of a store. Its arguments are a role, the store, and what the role
// wants to know.
const childEnv = "DISK_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := beChild(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // the child process has no test framework around it
		}
		os.Exit(0) //nolint:forbidigo // as above
	}
	os.Exit(m.Run()) //nolint:forbidigo // what TestMain is for
}

func beChild(role, dir string, args []string) error {
	switch role {
	case "soak":
		return soakChild(dir, args[0])
	case "collect":
		return collectChild(dir, args[0])
	case "collectonce":
		return collectOnceChild(dir, args)
	case "write":
		return writeChild(dir, args[0])
	case "store":
		return storeChild(dir)
	case "memory":
		return memoryChild(dir, args[0])
	case "stream":
		return streamChild(dir, args[0])
	case "create":
		return createChild(dir, args[0])
	}
	return fmt.Errorf("there is no role %q", role)
}

// child is such a process. It is spoken to by lines; the end of its input asks it to end.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	errs bytes.Buffer
}

func startChild(t *testing.T, role, dir string, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], append([]string{role, dir}, args...)...)}
	c.cmd.Env = append(os.Environ(), childEnv+"=1")
	c.cmd.Stderr = &c.errs
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	t.Cleanup(func() { // for a test that failed before it waited
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
	})
	return c
}

// newChildStore is what a child does that begins a store of its own.
func newChildStore(ctx context.Context, dir string) (*object.Store, error) {
	d, err := Open(ctx, dir, Options{})
	if err != nil {
		return nil, err
	}
	s := object.New(d, object.Config{})
	return s, s.CreateBucket(ctx, "bucket", "")
}

func (c *child) tell(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, text); err != nil {
		c.t.Errorf("tell a child: %v", err)
	}
}

// hear returns the next line of a child that must not end before it.
func (c *child) hear() string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatalf("a child ended by itself: %v: %s", c.cmd.Wait(), &c.errs)
	}
	return c.out.Text()
}

// kill kills the child and passes on what it had still said.
func (c *child) kill(heard func(line string)) {
	c.t.Helper()
	kerr := c.cmd.Process.Kill()
	for c.out.Scan() {
		heard(c.out.Text())
	}
	err := c.cmd.Wait()
	var exit *exec.ExitError
	if kerr == nil && errors.As(err, &exit) {
		if st, ok := exit.Sys().(syscall.WaitStatus); ok && st.Signal() == syscall.SIGKILL {
			return
		}
	}
	c.t.Fatalf("a child ended before it was killed: %v, %v: %s", kerr, err, &c.errs)
}

// end asks the child to end, passes on what it still says, and returns how it ended. It may run beside the test.
func (c *child) end(heard func(line string)) error {
	if err := c.in.Close(); err != nil {
		return err
	}
	for c.out.Scan() {
		heard(c.out.Text())
	}
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("a child failed: %w: %s", err, &c.errs)
	}
	return nil
}

// size is how much a test does: n, unless the environment says otherwise.
func size(t *testing.T, env string, n int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("%s=%s is not a size", env, text)
	}
	return n
}
