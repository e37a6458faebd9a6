package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"hugbucket/internal/object"
)

const (
	soakWriters = 4  // of a child
	soakKeys    = 8  // of a writer, and a bucket
	soakChecks  = 10 // how often everything is verified
)

// soakChild has writers at work until its input ends. What their names stand for is told first.
func soakChild(dir, seed string) error {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	writers := make([]mixWriter, soakWriters)
	in := bufio.NewScanner(os.Stdin)
	for i := 0; in.Scan() && in.Text() != "go"; i++ {
		name, value, _ := strings.Cut(in.Text(), " ")
		w := &writers[i/(soakKeys+1)]
		if w.state == nil {
			w.out, w.rng, w.state = os.Stdout, rand.New(rand.NewPCG(n, uint64(i))), make(map[string]string)
		}
		w.names = append(w.names, name)
		w.state[name] = value
	}
	if _, err := fmt.Fprintln(os.Stdout, "opening"); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	d, err := Open(ctx, dir, Options{packSize: 2 << 20})
	if err != nil {
		return err
	}
	s := object.New(d, object.Config{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	g, until := errgroup.WithContext(ctx)
	for i := range writers {
		writers[i].s = s
		g.Go(func() error {
			for until.Err() == nil {
				if err := writers[i].step(context.WithoutCancel(ctx)); err != nil {
					return errors.Join(err, writers[i].end())
				}
			}
			return writers[i].end()
		})
	}
	return errors.Join(g.Wait(), s.Close())
}

// collectChild collects again and again until its input ends. It says what it did.
func collectChild(dir, seed string) error {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(n, 0))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	d, err := Open(ctx, dir, Options{packSize: 2 << 20})
	if err != nil {
		return err
	}
	for ctx.Err() == nil && err == nil {
		var got Collected
		got, err = d.Collect(ctx, CollectOptions{
			Backups: -1, Live: []float64{0.5, 1}[rng.IntN(2)], Wait: []time.Duration{-1, 100 * time.Millisecond}[rng.IntN(2)], Recompress: rng.IntN(8) == 0,
		})
		if err == nil {
			_, err = fmt.Fprintln(os.Stdout, got.Files, got.Xorbs, got.Packs)
		}
	}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// soakPart is what is known of the names of one child.
type soakPart struct {
	names   []string          // in the order of writers
	state   map[string]string // acknowledged, or found after a kill
	pending map[string]string // announced and not acknowledged

	ops, acked int
}

func newSoakPart(part int) *soakPart {
	p := &soakPart{state: make(map[string]string), pending: make(map[string]string)}
	for w := range soakWriters {
		for k := range soakKeys {
			p.names = append(p.names, fmt.Sprintf("part-%d/%d/%d", part, w, k))
		}
		p.names = append(p.names, fmt.Sprintf("%s%d-%d", inBucket, part, w))
	}
	for _, name := range p.names {
		p.state[name] = nothing
	}
	return p
}

// heard takes note of a line of the child.
func (p *soakPart) heard(line string) {
	name, value, begins := strings.Cut(line[2:], " ")
	if begins {
		p.ops++
		p.pending[name] = value
		return
	}
	p.acked++
	p.state[name] = p.pending[name]
	delete(p.pending, name)
}

// verify compares the store with what is known, and settles what was pending. It returns how many names are wrong.
func (p *soakPart) verify(t *testing.T, s *object.Store) (lost int) {
	t.Helper()
	for _, name := range p.names {
		values := []string{p.state[name]}
		if value, ok := p.pending[name]; ok {
			values = append(values, value)
		}
		value, err := mixHolds(t.Context(), s, name, values...)
		if err != nil {
			lost++
			t.Errorf("after a kill: %v", err)
		}
		p.state[name] = value
	}
	clear(p.pending)
	return lost
}

// keys are those that are there, in byte order.
func (p *soakPart) keys() (keys []string) {
	for name, value := range p.state {
		if value != nothing && value != aBucket {
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	return keys
}

// soak is a store and two children, of which one or both are at work.
type soak struct {
	t     *testing.T
	dir   string
	rng   *rand.Rand
	parts [2]*soakPart

	kills, checked, lost int

	collecting                    bool
	files, xorbs, packs, collects int // that were collected
}

// TestSoak kills processes at random moments while they do a bit of everything to a store that outlives them all. What was
// acknowledged is there and whole, what was under way has happened or has not, and what they leave is swept.
func TestSoak(t *testing.T) {
	soakFor(t, size(t, "DISK_SOAK_KILLS", 4), false)
}

// TestSoakCollecting is TestSoak with one more process that collects all the time, and is killed, too. When the writers have
// stopped, collections leave nothing that nothing refers to.
func TestSoakCollecting(t *testing.T) {
	bare(t, soakFor(t, size(t, "DISK_SOAK_KILLS", 4), true))
}

// soakFor returns where the store lies that has outlived it.
func soakFor(t *testing.T, kills int, collecting bool) string {
	t.Helper()
	k := &soak{
		t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(rand.Uint64(), 0)),
		parts: [2]*soakPart{newSoakPart(0), newSoakPart(1)}, collecting: collecting,
	}
	d, err := Open(t.Context(), k.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := newStore(t, d).Close(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		a, b := k.parts[0], k.parts[1]
		t.Logf("%d operations, %d kills, %d acknowledged, %d lost, %d MiB stored",
			a.ops+b.ops, k.kills, a.acked+b.acked, k.lost, diskUse(t, k.dir)>>20)
		if collecting {
			t.Logf("%d collections: %d files, %d xorbs, %d packs or files of xorbs", k.collects, k.files, k.xorbs, k.packs)
		}
	}()
	for round := 0; k.kills < kills; round++ {
		if collecting {
			k.besideCollection(func() { k.round(round%3 == 1) })
		} else {
			k.round(round%3 == 1)
		}
		k.reopen(k.kills >= min(k.checked+kills/soakChecks, kills), k.parts[:]...)
	}
	return k.dir
}

// besideCollection runs a round while another process collects, which is killed before or behind it, or ends.
func (k *soak) besideCollection(round func()) {
	t := k.t
	t.Helper()
	c := startChild(t, "collect", k.dir, fmt.Sprint(k.rng.Uint64()))
	heard := func(line string) {
		var files, xorbs, packs int
		if _, err := fmt.Sscan(line, &files, &xorbs, &packs); err != nil {
			return // it was killed in the middle of it
		}
		k.collects++
		k.files, k.xorbs, k.packs = k.files+files, k.xorbs+xorbs, k.packs+packs
	}
	heard(c.hear())
	if k.rng.IntN(3) > 0 {
		round()
	}
	switch k.rng.IntN(3) {
	case 0:
		spin(20 * time.Millisecond)
		c.kill(heard)
		k.kills++
	default:
		if err := c.end(heard); err != nil {
			t.Fatal(err)
		}
	}
}

// round kills a process, and before it another one beside it when there are two.
func (k *soak) round(two bool) {
	part := k.rng.IntN(2)
	c := k.start(part)
	if two {
		k.kill(k.start(1-part), k.parts[1-part])
		k.reopen(false, k.parts[1-part])
		if k.rng.IntN(2) == 0 {
			k.hear(c, k.parts[part])
			if err := c.end(k.parts[part].heard); err != nil {
				k.t.Fatal(err)
			}
			return
		}
	}
	k.kill(c, k.parts[part])
}

func (k *soak) start(part int) *child {
	k.t.Helper()
	c := startChild(k.t, "soak", k.dir, fmt.Sprint(k.rng.Uint64()))
	var text strings.Builder
	for _, name := range k.parts[part].names {
		fmt.Fprintln(&text, name, k.parts[part].state[name])
	}
	c.tell(text.String() + "go\n")
	c.hear() // it is about to open the store
	return c
}

// hear listens to a random number of lines.
func (k *soak) hear(c *child, p *soakPart) {
	k.t.Helper()
	for range k.rng.IntN(80) {
		p.heard(c.hear())
	}
}

// kill kills a child at a random moment: after some lines and then some time. Every sixth is killed while it opens the
// store, or soon after.
func (k *soak) kill(c *child, p *soakPart) {
	k.t.Helper()
	most := 3 * time.Millisecond
	if k.rng.IntN(6) == 0 {
		most = 40 * time.Millisecond
	} else {
		k.hear(c, p)
	}
	spin(most)
	c.kill(p.heard)
	k.kills++
}

// spin passes a random time. It does not sleep, because a sleep ends when the scheduler likes.
func spin(most time.Duration) {
	wait := rand.N(most)
	for start := time.Now(); time.Since(start) < wait; {
	}
}

// reopen opens the store, which may be in use, and compares what it holds of parts that are at rest. When all are, it sweeps.
func (k *soak) reopen(check bool, parts ...*soakPart) {
	t := k.t
	t.Helper()
	d, err := Open(t.Context(), k.dir, Options{})
	if err != nil {
		t.Fatalf("after %d kills: %v", k.kills, err)
	}
	s := object.New(d, object.Config{})
	for _, p := range parts {
		k.lost += p.verify(t, s)
	}
	if len(parts) == len(k.parts) {
		k.tidy(d, s)
	}
	if check {
		k.checked = k.kills
		checkClean(t, d)
	}
	if err := s.Close(); err != nil {
		t.Errorf("after %d kills: %v", k.kills, err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// tidy sweeps. Nothing is left then but this process, and no key is there that nobody made.
func (k *soak) tidy(d *Driver, s *object.Store) {
	t := k.t
	t.Helper()
	if err := d.sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
	for dir, want := range map[string]int{"tmp": 0, "procs": 1} {
		left, err := filepath.Glob(filepath.Join(k.dir, dir, "*"))
		if err != nil || len(left) != want {
			t.Errorf("left in %s: %v %v", dir, left, err)
		}
	}
	l, err := s.List(t.Context(), "bucket", object.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, info := range l.Objects {
		keys = append(keys, info.Key)
	}
	if want := slices.Concat(k.parts[0].keys(), k.parts[1].keys()); !slices.Equal(keys, want) {
		t.Errorf("the keys are %q, want %q", keys, want)
	}
}

// TestKillOpening kills processes while they make a store, or soon after: it is whole for the next one.
func TestKillOpening(t *testing.T) {
	for range 10 / stride {
		dir := t.TempDir()
		c := startChild(t, "store", dir)
		c.hear() // it is about to open the store
		spin(150 * time.Millisecond)
		c.kill(func(string) {})
		d := openTest(t, dir) // checks on cleanup
		put(t, newStore(t, d), "k", []byte("content"))
		if err := d.sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "procs")); err != nil || len(left) != 1 {
			t.Errorf("in procs: %v %v, want this process alone", left, err)
		}
	}
}
