package model

// nextGC is what collection does next: one transaction or one call. It goes through its phases in order, and in each through
// what is to be done as it stands then; what is not due yet is left to the run after.
func (m *model) nextGC(s *state, emit step) {
	g := &s.gc
	if !s.procs[g.proc].lives {
		m.takeOver(s, emit)
		return
	}
	if s.stops > 0 && g.phase != gcIdle {
		n := *s
		n.stops--
		n.procs[g.proc].litter = n.procs[g.proc].litter || g.dst != noFile
		n.gc = collector{proc: g.proc, runs: g.runs}
		emit("gc", "is interrupted", n)
	}
	switch g.phase {
	case gcIdle:
		if g.runs > 0 {
			n := *s
			n.gc.runs--
			n.gc.phase = gcDoomFiles
			m.doomFiles(&n, emit)
		}
	case gcDoomFiles:
		m.doomFiles(s, emit)
	case gcRewrite:
		m.rewriteXorbs(s, emit)
	case gcDoomXorbs:
		m.doomXorbs(s, emit)
	case gcBump:
		m.bump(s, emit)
	case gcDeleteFiles:
		m.deleteFiles(s, emit)
	case gcDeleteXorbs:
		m.deleteXorbs(s, emit)
	case gcPacks:
		m.rewritePacks(s, emit)
	case gcBumpAgain:
		for _, d := range s.disk {
			if d.trash > s.epoch+1 && m.off != secondEpoch {
				m.bump(s, emit)
				return
			}
		}
		m.phaseOver(s, emit)
	case gcUnlink:
		m.unlinkTrash(s, emit)
	}
}

// takeOver lets another process collect, and sweep, when the one that did is dead.
func (m *model) takeOver(s *state, emit step) {
	if m.heir && s.gc.proc == procGC && s.procs[procB].lives {
		n := *s
		n.gc, n.sweeper = collector{proc: procB, runs: 1}, sweeper{runs: 1}
		emit(procNames[procB], "begins to collect", n)
	}
}

// phaseOver goes on with the next phase that has something to do.
func (m *model) phaseOver(s *state, emit step) {
	n := *s
	n.gc = collector{proc: s.gc.proc, runs: s.gc.runs, phase: s.gc.phase + 1}
	if n.gc.phase > gcUnlink {
		n.gc.phase = gcIdle
		emit("gc", "ends its run", n)
		return
	}
	emit("gc", "goes on", n)
}

// doom is the epoch in which what is doomed now may go.
func (m *model) doom(s *state) uint8 {
	if m.off == doomNext {
		return s.epoch
	}
	return s.epoch + 1
}

// doomFiles dooms files that no key names.
func (m *model) doomFiles(s *state, emit step) {
	for f := s.gc.at; f < hashes; f++ {
		if row := &s.files[f]; !row.has || row.doomed != 0 || s.keyed(f) {
			continue
		}
		n := *s
		n.files[f].doomed = m.doom(s)
		n.gc.at = f + 1
		emit("gc", "dooms file "+set(f), n)
		return
	}
	m.phaseOver(s, emit)
}

// doomXorbs dooms xorbs that no undoomed file refers to, and no date holds.
func (m *model) doomXorbs(s *state, emit step) {
	for x := s.gc.at; x < hashes; x++ {
		if row := &s.xorbs[x]; !row.has || row.doomed != 0 || s.held(x) && m.off != dateKeeps || s.needed(x) {
			continue
		}
		n := *s
		n.xorbs[x].doomed = m.doom(s)
		n.gc.at = x + 1
		emit("gc", "dooms xorb "+set(x), n)
		return
	}
	m.phaseOver(s, emit)
}

// needed says whether an undoomed file refers to a xorb.
func (s *state) needed(x uint8) bool {
	for f := range s.files {
		if s.files[f].doomed == 0 && refers(&s.files[f], x) {
			return true
		}
	}
	return false
}

func (m *model) bump(s *state, emit step) {
	n := *s
	n.epoch++
	m.tell(&n, s.gc.proc)
	n.gc = collector{proc: s.gc.proc, runs: s.gc.runs, phase: s.gc.phase + 1}
	emit("gc", "begins the next epoch", n)
}

// due says whether a row that is doomed may be deleted as far as epochs go.
func (m *model) due(s *state, doomed uint8) bool {
	return doomed != 0 && (m.off == deleteWaits || doomed <= s.epoch && s.past(doomed))
}

func (m *model) deleteFiles(s *state, emit step) {
	may := func(f uint8) bool {
		return s.files[f].has && m.due(s, s.files[f].doomed) && (m.off == deleteUnreferred || !s.keyed(f))
	}
	m.deleteEach(s, may, emit, func(n *state, f uint8) string {
		n.files[f] = fileRow{}
		return "deletes file " + set(f)
	})
}

func (m *model) deleteXorbs(s *state, emit step) {
	may := func(x uint8) bool {
		return s.xorbs[x].has && m.due(s, s.xorbs[x].doomed) && (m.off == deleteUnreferred || s.refs(x) == 0)
	}
	if m.off == rowsBeforeUnlink {
		m.unlinkFirst(s, may, emit)
		return
	}
	m.deleteEach(s, may, emit, func(n *state, x uint8) string {
		file := n.xorbs[x].file
		n.xorbs[x] = xorbRow{}
		if !n.disk[file].pack {
			n.disk[file].trash = 1
		} else if m.mayRewrite(n, file) {
			m.trashIfEmpty(n, file)
		}
		return "deletes xorb " + set(x)
	})
}

// deleteEach deletes rows, each of them if it may go as the deleting transaction sees it.
func (m *model) deleteEach(s *state, may func(uint8) bool, emit step, del func(n *state, i uint8) string) {
	n := *s
	if m.off == deleteChecksInTx && s.gc.sub == 0 {
		n.gc.sub = 1
		for i := range uint8(hashes) {
			if may(i) {
				n.gc.moves |= bit(int(i))
			}
		}
		emit("gc", "looks for what may be deleted", n)
		return
	}
	for i := s.gc.at; i < hashes; i++ {
		n.gc.at = i + 1
		if m.off == deleteChecksInTx && has(s.gc.moves, i) || m.off != deleteChecksInTx && may(i) {
			emit("gc", del(&n, i), n)
			return
		}
	}
	m.phaseOver(s, emit)
}

// unlinkFirst is how xorbs would be deleted in the wrong order.
func (m *model) unlinkFirst(s *state, may func(uint8) bool, emit step) {
	n := *s
	if x := s.gc.src; s.gc.sub == 1 {
		n.gc.sub, n.gc.src = 0, 0
		if may(x) {
			n.xorbs[x] = xorbRow{}
		}
		emit("gc", "deletes the row if it still may", n)
		return
	}
	for x := s.gc.at; x < hashes; x++ {
		if may(x) && !s.disk[s.xorbs[x].file].pack {
			n.gc.at, n.gc.sub, n.gc.src = x+1, 1, x
			n.unlink(s.xorbs[x].file)
			n.syncDir(s.xorbs[x].file)
			emit("gc", "unlinks the file of xorb "+set(x), n)
			return
		}
	}
	m.phaseOver(s, emit)
}

// trashIfEmpty gives up a pack that no row names any more.
func (m *model) trashIfEmpty(s *state, file uint8) {
	if s.names(file) != 0 {
		return
	}
	d := &s.disk[file]
	d.row, d.sealed = false, false
	d.trash = s.epoch + 2
	if m.off == packTrashWaits {
		d.trash = 1
	}
}

// unlinkTrash unlinks files of which all processes are past the epoch that trash names, and then forgets them.
func (m *model) unlinkTrash(s *state, emit step) {
	n := *s
	f := s.gc.at
	switch s.gc.sub {
	case 0:
		for f < files && (s.disk[f].trash == 0 || !s.past(s.disk[f].trash-1)) {
			f++
		}
		if f == files {
			m.phaseOver(s, emit)
			return
		}
		n.gc.at, n.gc.sub = f, 1
		n.unlink(f)
		emit("gc", "unlinks "+fileName(f), n)
	case 1:
		n.gc.sub = 2
		if m.off != syncRemovals {
			n.syncDir(f)
		}
		emit("gc", "syncs its directory", n)
	case 2:
		n.disk[f].trash = 0
		n.gc.at, n.gc.sub = f+1, 0
		emit("gc", "forgets it", n)
	}
}
