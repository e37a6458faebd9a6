package model

// Phases of a sweep.
const (
	sweepIdle     = iota
	sweepLocked   // the owner is dead
	sweepUnnamed  // and no row names the file
	sweepUnlocked // no row names the file (only when the rule is off)
)

// nextSweep is what the sweep after a dead process does next.
func (m *model) nextSweep(s *state, emit step) {
	w := &s.sweeper
	if !s.procs[s.gc.proc].lives {
		return
	}
	const who = "sweep"
	n := *s
	nw := &n.sweeper
	switch w.phase {
	case sweepIdle:
		for p := range uint8(procs) {
			if w.runs == 0 || !s.procs[p].row || p == s.gc.proc {
				continue
			}
			n := *s
			n.sweeper = sweeper{runs: w.runs - 1, phase: sweepLocked, target: p}
			found := false
			if m.off == lockBeforeRows {
				for f := range s.disk {
					if d := &s.disk[f]; d.here && d.owner == p && !m.named(s, uint8(f)) {
						n.sweeper.phase, n.sweeper.file, found = sweepUnlocked, uint8(f), true
						emit(who, "finds that no row names "+fileName(uint8(f)), n)
					}
				}
			}
			if !found && !s.procs[p].lives || m.off == sweepDead {
				emit(who, "locks the dead "+procNames[p], n)
			}
		}
	case sweepUnlocked:
		nw.phase = sweepUnnamed
		what := "locks its owner, which is dead"
		if s.procs[w.target].lives {
			*nw = sweeper{runs: w.runs}
			what = "finds its owner alive"
		}
		emit(who, what, n)
	case sweepLocked:
		if m.off == forgetLast && s.procs[w.target].row {
			m.forget(&n, w.target)
			emit(who, "forgets "+procNames[w.target]+" first", n)
			return
		}
		for f := w.file + 1; f < files; f++ {
			d := &s.disk[f]
			if !d.here || d.owner != w.target || m.named(s, f) {
				continue
			}
			nw.phase, nw.file = sweepUnnamed, f
			emit(who, "finds that no row names "+fileName(f), n)
			return
		}
		m.forget(&n, w.target)
		*nw = sweeper{runs: w.runs}
		emit(who, "forgets "+procNames[w.target], n)
	case sweepUnnamed:
		n.unlink(w.file)
		nw.phase = sweepLocked
		emit(who, "unlinks it", n)
	}
}

// named says whether a row names a file.
func (m *model) named(s *state, f uint8) bool {
	d := &s.disk[f]
	return (d.row || s.names(f) != 0) && m.off != sweepNamed || d.trash != 0 && m.off != sweepUntrashed
}

// forget takes a process out of the catalog. What it has removed is durable before.
func (m *model) forget(s *state, p uint8) {
	for f := range s.disk {
		d := &s.disk[f]
		if d.owner != p {
			continue
		}
		if m.off != syncRemovals && !d.here {
			s.syncDir(uint8(f))
		}
		d.sealed = d.sealed || d.row
	}
	s.procs[p].row = false
}
