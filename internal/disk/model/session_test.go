package model

// writer is the program of a session: it stores a file under a key, and closes.
type writer struct {
	proc uint8
	key  uint8
	file uint8
	own  bool // its xorb gets a file of its own, else it goes into a pack
	copy bool // it refers to the file by its hash, when that is stored
	quit bool // it may give up before it commits
}

// nextSession is what a writer does next.
func (m *model) nextSession(s *state, i int, emit step) {
	w, e := &m.writers[i], &s.sess[i]
	if w.file == 0 || !s.procs[w.proc].lives {
		return
	}
	who := sessionNames[i]
	n := *s
	ne := &n.sess[i]
	switch e.phase {
	case idle:
		ne.phase = begun
		if m.off != pinSession {
			ne.pin = n.procs[w.proc].noted
		}
		emit(who, "begins", n)
	case begun:
		m.ask(s, i, emit)
	case known:
		m.stage(s, i, emit)
	case written:
		n.syncFile(e.file)
		ne.phase = flushed
		if m.off == syncName {
			ne.phase = durable
		}
		emit(who, "syncs its file", n)
	case flushed:
		n.syncDir(e.file)
		ne.phase = durable
		emit(who, "syncs the directory of its file", n)
	case ready:
		m.appendBody(s, i, emit)
	case acked, failed, unsure:
		m.close(&n, i)
		emit(who, "closes", n)
	}
	if w.quit && (e.phase == known || e.phase == written || e.phase == flushed || e.phase == ready) {
		n := *s
		m.close(&n, i)
		emit(who, "gives up", n)
	}
}

// ask answers a session which of its chunks are known: any that are, or none, since what leads to them are hints.
func (m *model) ask(s *state, i int, emit step) {
	w := &m.writers[i]
	if f := &s.files[w.file]; w.copy && f.has && (f.doomed == 0 || m.off == knownUndoomed) {
		n := *s
		e := &n.sess[i]
		e.whole, e.told = true, w.file
		m.told(&n, i)
		emit(sessionNames[i], "is told that its file is known", n)
	}
	var from func(n state, c uint8)
	from = func(n state, c uint8) {
		if c == chunks {
			e := &n.sess[i]
			e.staged = w.file &^ e.told
			what := [...]string{
				"is told that nothing is known", "is told that a is known", "is told that b is known",
				"is told that a and b are known",
			}[e.told]
			for c := range e.terms {
				if has(e.staged, uint8(c)) {
					e.terms[c] = e.staged
				}
			}
			m.told(&n, i)
			emit(sessionNames[i], what, n)
			return
		}
		from(n, c+1)
		if !has(w.file, c) {
			return
		}
		for x := uint8(1); x < hashes; x++ {
			r := &s.xorbs[x]
			if has(x, c) && r.has && !r.damaged && (r.doomed == 0 || m.off == knownUndoomed) {
				known := n
				known.sess[i].terms[c] = x
				known.sess[i].told |= bit(int(c))
				from(known, c+1)
			}
		}
	}
	from(*s, 0)
}

// told sets a session's phase after it was told what is known. What it has in memory alone is no step of its own.
func (m *model) told(s *state, i int) {
	w, e := &m.writers[i], &s.sess[i]
	switch {
	case m.off == pinSession && e.pin == 0, e.staged != 0 && w.own:
		e.phase = known
	case e.staged == 0:
		e.phase = durable
	default:
		e.phase = ready
	}
}

// stage writes a xorb's own file.
func (m *model) stage(s *state, i int, emit step) {
	w := &m.writers[i]
	n := *s
	e := &n.sess[i]
	if m.off == pinSession && e.pin == 0 {
		e.pin = n.procs[w.proc].noted
		m.told(&n, i)
		emit(sessionNames[i], "takes its pin", n)
		return
	}
	if e.file = m.newFile(&n, w.proc, uint8(ownFiles+i), 1); e.file == noFile {
		return
	}
	n.disk[e.file].segs[0] = e.staged | unsynced
	e.phase = written
	if m.off == syncBytes {
		e.phase = flushed
	}
	emit(sessionNames[i], "writes a xorb into its own file", n)
}

// appendBody appends a session's xorb to the pack of its process.
func (m *model) appendBody(s *state, i int, emit step) {
	n := *s
	e := &n.sess[i]
	pack := n.procs[m.writers[i].proc].pack
	if pack == noFile || !n.disk[pack].durable && m.off != syncName {
		return
	}
	segs := &n.disk[pack].segs
	for off, seg := range segs {
		if seg == 0 || fate(seg) == free {
			segs[off] = e.staged | unsynced
			e.phase, e.file, e.off = queued, pack, uint8(off)
			if m.off == syncBytes {
				e.phase = durable
			}
			emit(sessionNames[i], "appends to the pack", n)
			return
		}
	}
}

// close gives back what a session has.
func (m *model) close(s *state, i int) {
	e := &s.sess[i]
	if m.writers[i].own && e.file != noFile && !e.stored {
		if e.phase == unsure && m.off != noHandUnlink {
			s.procs[m.writers[i].proc].litter = true
		} else {
			s.unlink(e.file)
		}
	}
	*e = session{phase: closed}
}
