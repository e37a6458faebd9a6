package model

// pinned is the oldest epoch that a process may tell: the oldest pin of its sessions and readers, or what it has noted.
func (m *model) pinned(s *state, p uint8) uint8 {
	oldest := s.procs[p].noted
	if m.off == oldestPin {
		return oldest
	}
	for i := range s.sess {
		if m.writers[i].proc == p && s.sess[i].pin != 0 {
			oldest = min(oldest, s.sess[i].pin)
		}
	}
	if m.readProc == p && s.reader.pin != 0 {
		oldest = min(oldest, s.reader.pin)
	}
	return oldest
}

// tell brings procs.epoch up to date in the transaction under way.
func (m *model) tell(s *state, p uint8) {
	s.procs[p].noted = max(s.procs[p].noted, s.epoch)
	s.procs[p].told = m.pinned(s, p)
}

// past says whether every process that the catalog knows is past an epoch.
func (s *state) past(epoch uint8) bool {
	for _, p := range s.procs {
		if p.row && p.told < epoch {
			return false
		}
	}
	return true
}

// register makes a process known to the catalog.
func (s *state) register(p uint8) {
	s.procs[p] = proc{row: true, told: s.epoch, lives: true, born: true, noted: s.epoch}
}

// nextProcess is what a process does besides its sessions.
func (m *model) nextProcess(s *state, p uint8, emit step) {
	who := procNames[p]
	if m.opens && p == procB && !s.procs[p].born {
		n := *s
		n.register(p)
		emit(who, "opens the store", n)
	}
	if !s.procs[p].lives {
		return
	}
	n := *s
	m.tell(&n, p)
	if n.procs[p] != s.procs[p] {
		emit(who, "tells its epoch", n)
	}
	if s.kills > 0 && m.mortal&bit(int(p)) != 0 {
		n := *s
		n.kills--
		m.kill(&n, p)
		emit(who, "is killed", n)
	}
	m.nextPack(s, p, emit)
}

// kill ends a process with all that it has in memory.
func (m *model) kill(s *state, p uint8) {
	s.procs[p] = proc{row: s.procs[p].row, told: s.procs[p].told, born: true}
	for i := range s.sess {
		if m.writers[i].proc == p {
			s.sess[i] = session{phase: closed}
		}
	}
	if m.readProc == p {
		s.reader = reader{phase: readDone}
	}
	if s.gc.proc == p {
		s.gc = collector{proc: p}
		s.sweeper = sweeper{}
	}
	for f := range s.disk {
		if d := &s.disk[f]; d.owner == p {
			d.named, d.ended = false, false
		}
	}
}

// newFile makes a file with a name that was never used, out of those from first on; 0 when the model has no more names.
func (m *model) newFile(s *state, p, first, n uint8) uint8 {
	at := uint8(0)
	for f := first; f < first+n && at == 0; f++ {
		if !s.disk[f].used {
			at = f
		}
	}
	if m.over { // there are names enough then, and nobody else
		for f := range s.disk {
			if d := &s.disk[f]; f != noFile && !d.here && !d.durable && !d.row && d.trash == 0 {
				at = uint8(f)
			}
		}
	}
	if m.off == newNames { // O_EXCL still holds
		for f := uint8(1); f < files; f++ {
			if d := &s.disk[f]; d.used && !d.here && d.owner == p {
				at = f
				break
			}
		}
	}
	if at != 0 {
		d := &s.disk[at]
		// What the catalog knows under this name stays.
		*d = diskFile{owner: p, here: true, used: true, durable: d.durable, row: d.row, sealed: d.sealed, trash: d.trash}
	}
	return at
}

// unlink removes a name. A power cut can take that back until the directory is synced.
func (s *state) unlink(f uint8) {
	d := &s.disk[f]
	d.here = false
	d.named, d.ended, d.pack = false, false, false
	if !d.durable {
		d.segs = [packSlots]uint8{}
	}
}

// syncDir makes making and unlinking of a name durable.
func (s *state) syncDir(f uint8) {
	d := &s.disk[f]
	d.durable = d.here
	if !d.here {
		d.segs = [packSlots]uint8{}
	}
}

// syncFile makes a file's bytes durable, but for those that a failed sync has spoiled.
func (s *state) syncFile(f uint8) {
	for i, seg := range s.disk[f].segs {
		if seg != 0 && fate(seg) == unsynced {
			s.disk[f].segs[i] = hash(seg) | synced
		}
	}
}

// nextPack makes the pack that sessions are waiting for, and does away with one that was ended.
func (m *model) nextPack(s *state, p uint8, emit step) {
	who := procNames[p]
	waiting, pack := false, s.procs[p].pack
	for i := range s.sess {
		waiting = waiting || m.writers[i].proc == p && s.sess[i].phase == ready
	}
	switch {
	case waiting && pack == noFile:
		n := *s
		first := uint8(packsA)
		if p == procB {
			first = packsB
		}
		if f := m.newFile(&n, p, first, 2); f != 0 {
			n.procs[p].pack = f
			n.disk[f].pack = true
			emit(who, "makes a pack", n)
		}
	case waiting && !s.disk[pack].durable && m.off != syncName:
		n := *s
		n.syncDir(pack)
		emit(who, "syncs the directory of its pack", n)
	}
	if m.rotates && pack != noFile && s.disk[pack].segs[0] != 0 {
		n := *s
		n.endPack(p)
		emit(who, "ends its pack, which is full", n)
	}
	for f := range s.disk {
		d := &s.disk[f]
		if !d.ended || d.owner != p || m.off != sealWhenQuiet && m.inFlight(s, uint8(f)) {
			continue
		}
		n := *s
		what := "marks its pack sealed"
		if d.named {
			n.disk[f].sealed, n.disk[f].ended = true, false
			m.tell(&n, p)
		} else {
			what = "unlinks its pack, which no row can name"
			n.unlink(uint8(f))
		}
		emit(who, what, n)
	}
}

// endPack begins another pack with the next append.
func (s *state) endPack(p uint8) {
	if pack := s.procs[p].pack; pack != noFile {
		s.disk[pack].ended = true
		s.procs[p].pack = noFile
	}
}

// inFlight says whether a session may still commit what it has put in a pack.
func (m *model) inFlight(s *state, f uint8) bool {
	for i := range s.sess {
		if e := &s.sess[i]; e.file == f && (e.phase == queued || e.phase == durable) {
			return true
		}
	}
	return false
}
