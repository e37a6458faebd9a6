package objecttest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"

	"hugbucket/internal/object"
)

// tagged gives content that tells its own length and seed, so that a mixture of two is not taken for either.
func tagged(seed uint64, n int) []byte {
	return append(fmt.Appendf(nil, "%d %d\n", seed, n), random(seed, n)...)
}

// whole says what is wrong with content that tagged should have made.
func whole(data []byte) error {
	var seed uint64
	var n int
	if _, err := fmt.Sscanf(string(data[:min(len(data), 50)]), "%d %d\n", &seed, &n); err != nil {
		return err
	}
	if !bytes.Equal(data, tagged(seed, n)) {
		return fmt.Errorf("%d bytes are not those of seed %d, size %d", len(data), seed, n)
	}
	return nil
}

// worker is one of many clients at the same time.
type worker struct {
	*env
	id   int
	r    *rand.Rand
	mine map[string][]byte // what must be under its own keys
}

// testConcurrent has clients write, read, copy, list and delete at the same time, under keys of their own and under
// common ones.
func testConcurrent(e *env) {
	e.bucket("bucket")
	const workers, steps = 8, 40
	var wg sync.WaitGroup
	all := make([]*worker, workers)
	for i := range all {
		w := &worker{e, i, rand.New(rand.NewPCG(uint64(i), 50)), make(map[string][]byte)}
		all[i] = w
		wg.Go(func() {
			for range steps {
				if err := w.step(); err != nil {
					w.Errorf("worker %d: %v", w.id, err)
					return
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for _, w := range all {
		for key, data := range w.mine {
			e.holds("bucket", key, data)
			n++
		}
	}
	for i := range commonKeys {
		if err := e.readWhole(fmt.Sprintf("common/%d", i)); err == nil {
			n++
		} else if !errors.Is(err, fs.ErrNotExist) {
			e.Error(err)
		}
	}
	if got := e.count("bucket"); got != n {
		e.Errorf("%d keys are listed, want %d", got, n)
	}
}

const commonKeys = 5

func (w *worker) step() error {
	ctx := w.Context()
	own := fmt.Sprintf("own/%d/%d", w.id, w.r.IntN(6))
	common := fmt.Sprintf("common/%d", w.r.IntN(commonKeys))
	size := w.r.IntN(3000)
	if w.r.IntN(4) == 0 {
		size = w.r.IntN(600_000)
	}
	data := tagged(w.r.Uint64N(50), size)
	switch w.r.IntN(8) {
	case 0, 1:
		_, err := w.store.Put(ctx, "bucket", own, bytes.NewReader(data), object.PutOptions{})
		if err == nil {
			w.mine[own] = data
		}
		return err
	case 2:
		_, err := w.store.Put(ctx, "bucket", common, bytes.NewReader(data), object.PutOptions{})
		return err
	case 3:
		if err := w.readWhole(common); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	case 4:
		delete(w.mine, own)
		return w.store.Delete(ctx, "bucket", own, object.Condition{})
	case 5:
		_, err := w.store.DeleteMany(ctx, "bucket", []string{common, "missing"})
		return err
	case 6:
		to := own + "/copy"
		_, err := w.store.Copy(ctx, object.CopyOptions{FromBucket: "bucket", FromKey: own, ToBucket: "bucket", ToKey: to})
		if w.mine[own] == nil && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			w.mine[to] = w.mine[own]
		}
		return err
	default:
		l, err := w.store.List(ctx, "bucket", object.ListOptions{Prefix: fmt.Sprintf("own/%d/", w.id)})
		if err == nil && len(l.Objects) != len(w.mine) {
			err = fmt.Errorf("%d own keys are listed, want %d", len(l.Objects), len(w.mine))
		}
		return err
	}
}

// readWhole reads a key that others may be writing.
func (e *env) readWhole(key string) error {
	f, err := e.store.Open(e.Context(), "bucket", key)
	if err != nil {
		return err
	}
	data, err := readAll(f)
	if err == nil {
		err = whole(data)
	}
	if err == nil && int64(len(data)) != f.Info().Size {
		err = fmt.Errorf("%d bytes of an object of %d", len(data), f.Info().Size)
	}
	return errors.Join(err, f.Close())
}
