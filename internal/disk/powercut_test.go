package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"hugbucket/internal/object"
)

// recorder keeps the calls of a run, until the process that makes them dies.
type recorder struct {
	mu   sync.Mutex
	log  []call
	dead bool
}

func (r *recorder) on(c call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return errFault
	}
	c.data = bytes.Clone(c.data)
	r.log = append(r.log, c)
	return nil
}

// now is how many calls there were.
func (r *recorder) now() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.log)
}

func (r *recorder) die(dead bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = dead
}

// cutWriter changes keys of its own, one step after the other, and keeps when each step was begun and acknowledged.
type cutWriter struct {
	rec   *recorder
	d     *Driver
	s     *object.Store
	name  string
	seed  uint64
	steps []cutStep
	err   error
}

// cutStep is acknowledged when there were acked calls. All of state is there then. A bucket is a key without content.
type cutStep struct {
	what         string
	begun, acked int
	state        map[string]string
}

func (w *cutWriter) body(n int) string {
	w.seed++
	return string(randomBytes(n, w.seed))
}

// step does what gives keys new bodies; - deletes one.
func (w *cutWriter) step(what string, changes map[string]string, do func() error) {
	next := cutStep{what: what, begun: w.rec.now(), state: make(map[string]string)}
	if n := len(w.steps); n > 0 {
		next.state = maps.Clone(w.steps[n-1].state)
	}
	maps.Copy(next.state, changes)
	if err := do(); err != nil && w.err == nil {
		w.err = fmt.Errorf("%s of %s: %w", what, w.name, err)
	}
	next.acked = w.rec.now()
	w.steps = append(w.steps, next)
}

const deleted = "-"

func (w *cutWriter) put(ctx context.Context, key, body string, cond object.Condition) {
	key = w.name + "/" + key
	w.step("put "+key, map[string]string{key: body}, func() error {
		_, err := w.s.Put(ctx, "bucket", key, strings.NewReader(body), object.PutOptions{If: cond})
		return err
	})
}

// run does a bit of everything.
func (w *cutWriter) run(ctx context.Context, d *Driver) {
	w.d, w.s = d, object.New(d, object.Config{})
	at := func(key string) string { return w.name + "/" + key }
	big, small := w.body(1_150_000), w.body(70_000)
	w.put(ctx, "small", w.body(3000), object.Condition{})
	w.put(ctx, "big", big, object.Condition{})
	w.put(ctx, "small", small, object.Condition{})
	for i := range 8 { // rows of redo come, and go when enough of them have
		w.put(ctx, fmt.Sprint("tiny", i%3), w.body(2500+i), object.Condition{})
	}
	w.step("copy", map[string]string{at("copy"): big}, func() error {
		_, err := w.s.Copy(ctx, object.CopyOptions{FromBucket: "bucket", FromKey: at("big"), ToBucket: "bucket", ToKey: at("copy")})
		return err
	})
	w.put(ctx, "once", w.body(90_000), object.Condition{IfNoneMatch: []string{"*"}})
	w.d.commit.mu.Lock()
	w.d.commit.walNext = 1 // the log is cut back with the next commit
	w.d.commit.mu.Unlock()
	w.step("several changes", map[string]string{at("one"): small, at("two"): small, at("once"): deleted}, func() error {
		info, err := w.s.Stat(ctx, "bucket", at("small"))
		if err != nil {
			return err
		}
		return w.d.changeAll(ctx, []object.Change{
			{Bucket: "bucket", Key: at("one"), New: &info},
			{Bucket: "bucket", Key: at("two"), New: &info},
			{Bucket: "bucket", Key: at("once")},
		})
	})
	w.multipart(ctx)
	w.d.index.flush(ctx)
	w.step("create bucket", map[string]string{w.name: ""}, func() error { return w.s.CreateBucket(ctx, w.name, "") })
	w.step("delete", map[string]string{at("big"): deleted}, func() error {
		return w.s.Delete(ctx, "bucket", at("big"), object.Condition{})
	})
	w.step("collect", nil, func() error {
		_, err := w.d.Collect(ctx, CollectOptions{Live: 1, Wait: -1, Backups: -1, Recompress: w.name == "first"})
		if errors.Is(err, ErrBusy) { // two processes do
			err = nil
		}
		return err
	})
	w.put(ctx, "more", w.body(100_000), object.Condition{})
	w.step("delete bucket", map[string]string{w.name: deleted}, func() error { return w.s.DeleteBucket(ctx, w.name) })
	w.put(ctx, "large", w.body(1_200_000), object.Condition{})
	w.put(ctx, "last", w.body(4000), object.Condition{})
}

// record runs processes on a new store: one that dies, one that sweeps after it, and two at once, with several writers.
func record(t *testing.T) ([]call, []*cutWriter) {
	t.Helper()
	ctx, dir, p, rec := t.Context(), ramDir(t), newTap(t), &recorder{}
	p.on = rec.on
	opts := p.options(dir)
	opts.idle = false
	begin := func() *Driver {
		d, err := Open(ctx, dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var all []*cutWriter
	writer := func(name string) *cutWriter {
		w := &cutWriter{rec: rec, name: name, seed: uint64(len(all)) * 1000}
		all = append(all, w)
		return w
	}

	d := begin()
	first := writer("first")
	first.step("create bucket", map[string]string{"bucket": ""}, func() error { return object.New(d, object.Config{}).CreateBucket(ctx, "bucket", "") })
	first.run(ctx, d)
	if _, err := newStaging(ctx, d, 500); err != nil {
		t.Fatal(err)
	}
	rec.die(true)
	abandon(t, d)
	rec.die(false)

	d = begin()
	writer("second").run(ctx, d)
	given, err := newStaging(ctx, d, 600)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(given.Close(), d.sweep(ctx), d.Close()); err != nil {
		t.Fatal(err)
	}

	d = begin()
	other := begin()
	var wg sync.WaitGroup
	for name, d := range map[string]*Driver{"third": d, "fourth": d, "fifth": other} {
		w := writer(name)
		wg.Go(func() { w.run(ctx, d) })
	}
	wg.Wait()
	if err := errors.Join(d.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		if w.err != nil {
			t.Fatal(w.err)
		}
	}
	return rec.log, all
}

// TestPowerCut records a run, and makes of its calls what a power cut may leave at many moments of it. Each time the store opens
// and is clean, each writer's keys are as they were after its last step that was acknowledged, or after the one that was under
// way, and the store can be written to.
func TestPowerCut(t *testing.T) {
	cuts := 35 / stride
	if s := os.Getenv("DISK_POWER_CUTS"); s != "" {
		var err error
		if cuts, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	log, writers := record(t)
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that fails shall fail again
	var at []int
	for i, c := range log {
		if strings.HasPrefix(c.do, "sync") {
			at = append(at, i, i+1)
		}
	}
	points := make([]int, cuts)
	for i := range points {
		if points[i] = at[rng.IntN(len(at))]; i%3 == 0 {
			points[i] = rng.IntN(len(log) + 1)
		}
	}
	slices.Sort(points)

	p, done, second := newPlatter(), 0, newTap(t)
	var wg sync.WaitGroup
	turns := make(chan bool, runtime.GOMAXPROCS(0))
	for i, point := range points {
		for ; done < point; done++ {
			p.apply(t, log[done])
		}
		how := []string{"drop", "mix", "mix", "mix", "drop", "mix", "mix", "keep"}[i%8]
		turns <- true
		left := p.cut(how, rng)
		if i%4 == 0 {
			how += " and again"
			left = cutAgain(t, left, second, rng)
		}
		dir := ramDir(t)
		if err := left.write(dir, rng.Int64N(5)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer func() { <-turns }()
			if err := afterCut(t.Context(), dir, point, writers); err != nil {
				t.Errorf("%s at call %d of %d, after %v: %v", how, point, len(log), log[max(0, point-20):point], err)
			}
			_ = os.RemoveAll(dir) // sooner than ramDir does
		})
	}
	wg.Wait()
	t.Logf("%d cuts in a run of %d calls, %d of them syncs", cuts, len(log), len(at)/2)
}

// cutAgain opens what a power cut has left, and cuts that short, too.
func cutAgain(t *testing.T, left *platter, p *tap, rng *rand.Rand) *platter {
	t.Helper()
	dir, rec := ramDir(t), &recorder{}
	if err := left.write(dir, 0); err != nil {
		t.Fatal(err)
	}
	p.on = rec.on
	d, err := reopen(t.Context(), dir, p.options(dir))
	if err == nil {
		err = d.Close()
	}
	if err != nil {
		t.Errorf("before the second cut: %v", err)
	}
	for _, c := range rec.log[:rng.IntN(len(rec.log)+1)] {
		left.apply(t, c)
	}
	return left.cut("mix", rng)
}

// afterCut looks at what a power cut has left.
func afterCut(ctx context.Context, dir string, point int, writers []*cutWriter) error {
	d, err := reopen(ctx, dir, Options{})
	if err != nil {
		return err
	}
	s := object.New(d, object.Config{})
	errs := []error{unused(dir, d.proc.id)}
	for _, w := range writers {
		errs = append(errs, w.verify(ctx, s, point))
	}
	_, err = d.Collect(ctx, allGarbage)
	errs = append(errs, err)
	for _, w := range writers {
		errs = append(errs, w.verify(ctx, s, point))
	}
	// Go on, so that names that were lost would come again.
	if err := s.CreateBucket(ctx, "bucket", ""); err != nil && !errors.Is(err, fs.ErrExist) {
		errs = append(errs, err)
	}
	bodies := make(map[string][]byte)
	for i, key := range []string{"first/small", "third/large", "new", "new large"} {
		bodies[key] = randomBytes(2000+i%2*1_100_000, uint64(7000+i))
		_, err := s.Put(ctx, "bucket", key, bytes.NewReader(bodies[key]), object.PutOptions{})
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, d.Close())...); err != nil {
		return err
	}
	if d, err = reopen(ctx, dir, Options{}); err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	s = object.New(d, object.Config{})
	for key, body := range bodies {
		got, err := readAll(ctx, s, key)
		if err == nil && !bytes.Equal(got, body) {
			err = errors.New("it differs")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s that was put after the cut: %w", key, err))
		}
	}
	return errors.Join(append(errs, d.Close())...)
}

// reopen opens a store, sweeps it, writes what its index lacks, and checks it.
func reopen(ctx context.Context, dir string, opts Options) (*Driver, error) {
	var errs []error
	opts.idle = true
	opts.Warn = func(text string) { errs = append(errs, errors.New(text)) } // a power cut damages nothing, the index neither
	d, err := Open(ctx, dir, opts)
	if err != nil {
		return nil, err
	}
	errs = append(errs, d.sweep(ctx), d.index.reindex(ctx))
	_, err = d.Check(ctx, CheckOptions{}, func(p Problem) {
		if !isPiece(p) {
			errs = append(errs, errors.New(p.String()))
		}
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// unused returns an error when a file bears the id of a process that has just begun.
func unused(dir string, id int64) error {
	for _, sub := range contentDirs() {
		names, err := osFS(dir).list(sub)
		if err != nil {
			return err
		}
		for _, name := range names {
			if madeBy(name, id) {
				return fmt.Errorf("process %d is new, but there is %s", id, filepath.Join(sub, name))
			}
		}
	}
	return nil
}

// verify compares a writer's keys with what they may be after a cut.
func (w *cutWriter) verify(ctx context.Context, s *object.Store, point int) error {
	may := []map[string]string{{}}
	for _, step := range w.steps {
		if step.acked <= point {
			may = may[:0]
		}
		if step.begun <= point {
			may = append(may, step.state)
		}
	}
	var wrong []error
	for _, state := range may {
		err := w.compare(ctx, s, state)
		if err == nil {
			return nil
		}
		wrong = append(wrong, err)
	}
	return fmt.Errorf("%s: %w", w.name, errors.Join(wrong...))
}

func (w *cutWriter) compare(ctx context.Context, s *object.Store, state map[string]string) error {
	for key := range w.steps[len(w.steps)-1].state {
		want, ok := state[key]
		ok = ok && want != deleted
		var got []byte
		var err error
		switch {
		case strings.HasPrefix(key, partPrefix):
			got, err = readPartKey(ctx, s, key)
		case strings.Contains(key, "/"):
			got, err = readAll(ctx, s, key)
		default:
			_, err = s.Bucket(ctx, key)
		}
		switch {
		case ok && err == nil && string(got) == want, !ok && errors.Is(err, fs.ErrNotExist):
		case !ok && err == nil:
			return fmt.Errorf("%s is there, with %d bytes", key, len(got))
		case err == nil:
			return fmt.Errorf("%s has %d bytes, which are not the %d that were put", key, len(got), len(want))
		default:
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}
