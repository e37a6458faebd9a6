package model

// nextCommit is what the committer of a process does next. Appending and committing run beside each other: one session may
// be appended while another, that was appended before, is committed.
func (m *model) nextCommit(s *state, p uint8, emit step) {
	if !s.procs[p].lives || !s.procs[p].row {
		return
	}
	who := procNames[p]
	var waiting, group uint8
	for i := range s.sess {
		if m.writers[i].proc != p || m.writers[i].file == 0 {
			continue
		}
		switch s.sess[i].phase {
		case queued:
			waiting |= bit(i)
		case durable:
			group |= bit(i)
		}
	}
	if waiting != 0 {
		n := *s
		for i := range n.sess {
			if has(waiting, uint8(i)) {
				n.sess[i].phase = durable
				n.syncFile(n.sess[i].file)
			}
		}
		emit(who, "syncs the pack", n)
		m.failSync(s, p, waiting, emit)
	}
	joins := group
	if m.off == lateBringsNothing && group != 0 {
		joins |= waiting
	}
	for some := uint8(1); some <= joins; some++ {
		if some&^joins == 0 {
			m.commit(s, p, some, emit)
		}
	}
}

// failSync lets the sync of a pack fail.
func (m *model) failSync(s *state, p, waiting uint8, emit step) {
	if s.fails == 0 {
		return
	}
	n := *s
	n.fails--
	for i := range n.sess {
		if e := &n.sess[i]; has(waiting, uint8(i)) {
			segs := &n.disk[e.file].segs
			segs[e.off] = hash(segs[e.off]) | spoiled
			if m.off != sealAfterSync {
				e.phase = failed
			}
		}
	}
	if m.off != sealAfterSync {
		n.endPack(p)
	}
	emit(procNames[p], "fails to sync the pack", n)
}

// commit makes a transaction of a group. It may fail, and when it does it may have lasted.
func (m *model) commit(s *state, p, group uint8, emit step) {
	who, what := procNames[p], [...]string{"", "commits session 0", "commits session 1", "commits both sessions"}[group]
	n := *s
	for i := range n.sess {
		if has(group, uint8(i)) {
			m.request(&n, i)
		}
	}
	m.tell(&n, p)
	lasted := n
	emit(who, what, n)
	if s.fails == 0 {
		return
	}
	// What the sessions know of it is the same, whether it has lasted or not.
	lasted.fails--
	m.doubt(&lasted, p, group)
	emit(who, what+", is told it failed, but it has lasted", lasted)
	lost := *s
	lost.fails--
	m.doubt(&lost, p, group)
	emit(who, what+", is told it failed, and it has not lasted", lost)
}

// doubt is what a process does after a COMMIT that may have lasted.
func (m *model) doubt(s *state, p, group uint8) {
	for i := range s.sess {
		e := &s.sess[i]
		if !has(group, uint8(i)) {
			continue
		}
		e.phase, e.stored = unsure, false
		if d := &s.disk[e.file]; e.file != noFile && d.pack {
			d.named = d.named || m.off != noHandUnlink
			s.procs[p].litter = true
			if m.off == sealAfterCommit {
				d.segs[e.off] = hash(d.segs[e.off]) | free
			}
		}
	}
	if m.off != sealAfterCommit {
		s.endPack(p)
	}
}

// request writes the rows of one session, or lets it fail alone.
func (m *model) request(s *state, i int) {
	w, e := &m.writers[i], &s.sess[i]
	f := &s.files[w.file]
	if d := &s.disk[e.file]; e.file != noFile && d.pack {
		d.row, d.named = true, true // also for a request that fails: its group does not
	}
	if e.whole && !f.has || !e.whole && !m.allThere(s, e) {
		e.phase = failed
		return
	}
	e.phase = acked
	mends := false
	for x := range s.xorbs {
		mends = mends || !e.whole && refers(f, uint8(x)) && s.xorbs[x].damaged
	}
	if !f.has || mends {
		*f = fileRow{has: true, terms: e.terms}
		if e.staged != 0 {
			m.putXorb(s, e)
		}
	}
	m.undoom(s, w.file)
	s.keys[w.key] = w.file
}

// allThere says whether each xorb that a session refers to has a row or is brought by it.
func (m *model) allThere(s *state, e *session) bool {
	for c, x := range e.terms {
		if x == 0 || x == e.staged && !has(e.told, uint8(c)) {
			continue
		}
		if !s.xorbs[x].has && m.off != rowOrStaged || s.xorbs[x].damaged {
			return false
		}
	}
	return true
}

// putXorb makes the row of what a session brings. A row that exists wins, unless it is known to be damaged.
func (m *model) putXorb(s *state, e *session) {
	x := &s.xorbs[e.staged]
	if x.has && !x.damaged && m.off != existingWins {
		return
	}
	if x.damaged {
		m.trashMoved(s, x.file)
	}
	*x = xorbRow{has: true, file: e.file, off: e.off, doomed: x.doomed, date: x.date}
	e.stored = true
}

// undoom takes back that a file and its xorbs may go.
func (m *model) undoom(s *state, f uint8) {
	if m.off == undoom {
		return
	}
	s.files[f].doomed = 0
	for _, x := range s.files[f].terms {
		s.xorbs[x].doomed = 0
	}
}

// trashMoved lets go of the own file that a xorb leaves for another place, when all who may have read its old place are past.
// In a pack, the bytes stay until the pack is rewritten.
func (m *model) trashMoved(s *state, file uint8) {
	if d := &s.disk[file]; !d.pack {
		d.trash = s.epoch + 2
		if m.off == movedTrashWaits {
			d.trash = 1
		}
	}
}
