package disk

import (
	"cmp"
	"context"
	"errors"
	"sync"
)

// fillingIndex is the name of the step in which Rebuild fills the index, chunk by chunk.
const fillingIndex = "filling index.db"

// fillIndex fills index.db for the catalog that has just been put in its place, as a process does that finds one that is new.
// Others may have the store open meanwhile; whatever ends it, they do the rest.
func (s successor) fillIndex(ctx context.Context, opts RebuildOptions) (err error) {
	if err := s.fs.reach("fill the index"); err != nil {
		return err
	}
	var telling sync.Mutex // Warn is called by several goroutines, Report is not
	d, err := open(ctx, s.dir, Options{Existing: true, Quiet: true, fs: s.fs, Warn: func(text string) {
		telling.Lock()
		defer telling.Unlock()
		opts.Report(Problem{What: text})
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	step := Step{Name: fillingIndex}
	err = d.reads.db.QueryRowContext(brief(ctx), `SELECT ifnull(sum(chunks), 0) FROM xorbs WHERE doomed = 0`).Scan(&step.Total)
	if err != nil {
		return sqlError(err)
	}
	opts.Progress.tell(step)
	err = d.index.fill(ctx, func(chunks int) {
		step.Done += int64(chunks)
		opts.Progress.tell(step)
	})
	if err := cmp.Or(live(ctx), err); err != nil {
		return err
	}
	if left, err := d.index.next(ctx); left == nil || err != nil {
		return err
	}
	return errors.New("another process is at it")
}
