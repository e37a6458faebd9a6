package object

import "sync/atomic"

// Intake is how much content has come into a Store since New and was committed, in bytes: objects that were put, and parts of
// uploads. Copies and completions bring none.
type Intake struct {
	Bytes int64
	New   int64 // of Bytes, what was stored; the rest was there already
}

// Intake tells what has come so far.
func (s *Store) Intake() Intake {
	// In this order New is never ahead of Bytes.
	fresh := s.intake.fresh.Load()
	return Intake{Bytes: s.intake.bytes.Load(), New: fresh}
}

// counters are an Intake that grows.
type counters struct{ bytes, fresh atomic.Int64 }

// add counts what a commit has made durable.
func (c *counters) add(got ingested) {
	c.bytes.Add(got.came)
	c.fresh.Add(got.fresh)
}
