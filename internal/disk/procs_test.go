package disk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"hugbucket/internal/object"
)

const (
	procs       = 3
	procWriters = 16 // of a process
)

// timedDriver counts commits that succeed and notes how long the slowest took.
type timedDriver struct {
	object.Driver

	mu      sync.Mutex
	commits int
	slowest time.Duration
}

type timedSession struct {
	object.Session
	d *timedDriver
}

func (d *timedDriver) Begin(ctx context.Context) (object.Session, error) {
	s, err := d.Driver.Begin(ctx)
	return timedSession{s, d}, err
}

func (s timedSession) Commit(ctx context.Context, changes []object.Change) error {
	start := time.Now()
	err := s.Session.Commit(ctx, changes)
	took := time.Since(start)
	if err == nil {
		s.d.mu.Lock()
		defer s.d.mu.Unlock()
		s.d.commits++
		s.d.slowest = max(s.d.slowest, took)
	}
	return err
}

// writeChild has writers put and delete, from the word go until its input ends. Half of the keys are written by all of
// them, the others by one each. It says what is done, and at last how often and how fast.
func writeChild(dir, id string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	disk, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	// Transactions take turns by the lock file: none needs the patience of SQLite, which is unfair.
	if _, err := disk.commit.conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	d := &timedDriver{Driver: disk}
	s := object.New(d, object.Config{})
	in := bufio.NewReader(os.Stdin)
	_, err = fmt.Fprintln(os.Stdout, "ready")
	if err == nil {
		_, err = in.ReadString('\n')
	}
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	g, until := errgroup.WithContext(ctx)
	for w := range procWriters {
		writer := fmt.Sprint(id, ".", w)
		g.Go(func() error {
			rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
			for until.Err() == nil {
				key := fmt.Sprint("all/", rng.IntN(20))
				if rng.IntN(2) == 0 {
					key = fmt.Sprint(writer, "/", rng.IntN(20))
				}
				value, err := nothing, error(nil)
				if rng.IntN(8) == 0 {
					err = s.Delete(context.WithoutCancel(ctx), "bucket", key, object.Condition{})
				} else {
					if value = fmt.Sprintf("%d.%d.0", rng.IntN(5000), rng.IntN(60_000)); rng.IntN(20) == 0 {
						value = mixValue(rng)
					}
					_, err = s.Put(context.WithoutCancel(ctx), "bucket", key, bytes.NewReader(mixBody(value)), object.PutOptions{})
				}
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(os.Stdout, writer, key, value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := errors.Join(g.Wait(), s.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, "commits", d.commits, int64(d.slowest))
	return err
}

// procRun is what three processes have said.
type procRun struct {
	mu   sync.Mutex
	left int                          // operations until they are asked to end
	last map[string]map[string]string // what each writer left under a key, by key and writer

	commits [procs]int
	slowest [procs]time.Duration
}

// heard takes note of a line and says whether it was the last operation that is wanted.
func (r *procRun) heard(child int, line string) bool {
	f := strings.Fields(line)
	r.mu.Lock()
	defer r.mu.Unlock()
	if f[0] == "commits" {
		n, _ := strconv.Atoi(f[1])
		ns, _ := strconv.ParseInt(f[2], 10, 64)
		r.commits[child], r.slowest[child] = n, time.Duration(ns)
		return false
	}
	writer, key, value := f[0], f[1], f[2]
	if r.last[key] == nil {
		r.last[key] = make(map[string]string)
	}
	r.last[key][writer] = value
	r.left--
	return r.left == 0
}

// TestProcesses has three processes write to one store, in part to the same keys and the same content. Nobody meets an
// error or is left without a turn, and what each key has at last is the last word of one of its writers.
func TestProcesses(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := newStore(t, d).Close(); err != nil {
		t.Fatal(err)
	}
	ops := size(t, "DISK_PROCS_OPS", 1400/stride)
	r := &procRun{left: ops, last: make(map[string]map[string]string)}
	var children [procs]*child
	for i := range children {
		children[i] = startChild(t, "write", dir, fmt.Sprint(i))
	}
	for _, c := range children {
		c.hear()
	}
	for _, c := range children {
		c.tell("go\n")
	}
	start := time.Now()
	enough := make(chan struct{})
	var g errgroup.Group
	for i, c := range children {
		g.Go(func() error {
			heard := func(line string) {
				if r.heard(i, line) {
					close(enough)
				}
			}
			for c.out.Scan() {
				heard(c.out.Text())
				select {
				case <-enough:
					return c.end(heard)
				default:
				}
			}
			return fmt.Errorf("a child ended by itself: %w: %s", c.cmd.Wait(), &c.errs)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	for i, n := range r.commits {
		t.Logf("process %d: %d commits, the slowest took %v", i, n, r.slowest[i].Round(time.Millisecond))
		if n == 0 {
			t.Errorf("process %d never had a turn", i)
		}
	}
	most, least := slices.Max(r.commits[:]), slices.Min(r.commits[:])
	t.Logf("%.0f operations a second; the shares are within %.2f of each other, the slowest commit took %v",
		float64(ops)/took.Seconds(), float64(most)/float64(max(least, 1)), slices.Max(r.slowest[:]).Round(time.Millisecond))

	s := newStore(t, openTest(t, dir))
	for key, last := range r.last {
		var values []string
		for _, value := range last {
			values = append(values, value)
		}
		if _, err := mixHolds(t.Context(), s, key, values...); err != nil {
			t.Error(err)
		}
	}
}

// storeChild puts what it is told by lines of key and value. It says so at once, and again when the index is written,
// together with how long that took.
func storeChild(dir string) error {
	if _, err := fmt.Fprintln(os.Stdout, "opening"); err != nil {
		return err
	}
	ctx := context.Background()
	d, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	w := &mixWriter{s: object.New(d, object.Config{})}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		key, value, _ := strings.Cut(in.Text(), " ")
		if err := w.put(ctx, key, value, object.Condition{}); err != nil {
			return err
		}
		start := time.Now()
		if _, err := fmt.Fprintln(os.Stdout, "stored"); err != nil {
			return err
		}
		d.index.mu.Lock()
		for len(d.index.pending)+len(d.index.writing) > 0 {
			d.index.room.Wait()
		}
		d.index.mu.Unlock()
		if _, err := fmt.Fprintln(os.Stdout, time.Since(start).Round(time.Millisecond)); err != nil {
			return err
		}
	}
	return w.s.Close()
}

// TestContentOfOthers stores what another process has just stored: the same file takes no room from the moment that it is
// acknowledged, and the same chunks take little once they are in the index.
func TestContentOfOthers(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, openTest(t, dir))
	other := startChild(t, "store", dir)
	other.hear() // it is about to open the store
	for _, value := range []string{"5000.1.0", "300000.2.0", "900000.3.0", "2000000.4.0"} {
		other.tell("theirs " + value + "\n")
		other.hear()
		body := mixBody(value)
		before := diskUse(t, dir)
		put(t, s, "same", body)
		if grown := diskUse(t, dir) - before; grown != 0 {
			t.Errorf("%s: the same file took %d bytes", value, grown)
		}
		t.Logf("%s: the index was written after %s", value, other.hear())
		before = diskUse(t, dir)
		put(t, s, "shifted", append([]byte("x"), body...))
		if grown := diskUse(t, dir) - before; grown > 200_000 {
			t.Errorf("%s: the same chunks took %d bytes", value, grown)
		}
		for _, key := range []string{"theirs", "same"} {
			if !bytes.Equal(get(t, s, key), body) {
				t.Errorf("%s: %s differs", value, key)
			}
		}
	}
	if err := other.end(func(string) {}); err != nil {
		t.Error(err)
	}
}

// gate is content that does not come before the gate is open.
type gate struct {
	io.Reader
	waits func() // called when it is first read
	open  <-chan struct{}
}

func (g *gate) Read(p []byte) (int, error) {
	g.waits()
	<-g.open
	return g.Reader.Read(p)
}

// createChild has so many writers create one key, when it is told to. All of them have seen by then that there is no such
// key. It says what each of them got.
func createChild(dir, writers string) error {
	n, err := strconv.Atoi(writers)
	if err != nil {
		return err
	}
	ctx := context.Background()
	d, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	s := object.New(d, object.Config{})
	open := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(n)
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			value := fmt.Sprintf("%d.%d.0", 1000+i, os.Getpid()%60_000)
			body := &gate{bytes.NewReader(mixBody(value)), sync.OnceFunc(waiting.Done), open}
			_, err := s.Put(ctx, "bucket", "key", body, object.PutOptions{If: object.Condition{IfNoneMatch: []string{"*"}}})
			got := "won"
			if errors.Is(err, object.ErrPrecondition) {
				got, err = "lost", nil
			}
			if err == nil {
				_, err = fmt.Fprintln(os.Stdout, got, value)
			}
			return err
		})
	}
	waiting.Wait()
	if _, err := fmt.Fprintln(os.Stdout, "ready"); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	close(open)
	return errors.Join(g.Wait(), s.Close())
}

// TestOneCreates has 200 writers in three processes create one key at once: one of them does.
func TestOneCreates(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, openTest(t, dir))
	var children []*child
	for _, n := range []int{66, 67, 67} {
		children = append(children, startChild(t, "create", dir, fmt.Sprint(n)))
	}
	for _, c := range children {
		c.hear()
	}
	for _, c := range children {
		c.tell("go\n")
	}
	var won []string
	lost := 0
	for _, c := range children {
		err := c.end(func(line string) {
			if value, ok := strings.CutPrefix(line, "won "); ok {
				won = append(won, value)
			} else {
				lost++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(won) != 1 || lost != 199 {
		t.Fatalf("%q won and %d lost", won, lost)
	}
	if !bytes.Equal(get(t, s, "key"), mixBody(won[0])) {
		t.Error("the key has what another writer brought")
	}
}
