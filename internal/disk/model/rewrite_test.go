package model

// mayRewrite says whether nobody appends to a pack any more.
func (m *model) mayRewrite(s *state, file uint8) bool {
	d := &s.disk[file]
	return d.row && (d.sealed || m.off == onlySealed || d.owner == procNobody || !s.procs[d.owner].lives)
}

// nextCopy makes what collection has copied durable.
func (m *model) nextCopy(s *state, emit step) {
	n := *s
	n.gc.sub++
	if s.gc.sub == 1 {
		if m.off != syncBytes {
			n.syncFile(s.gc.dst)
		}
		emit("gc", "syncs its copy", n)
		return
	}
	if m.off != syncName {
		n.syncDir(s.gc.dst)
	}
	emit("gc", "syncs the directory of its copy", n)
}

// rewritePacks copies what is alive in packs that hold something dead, and gives them up.
func (m *model) rewritePacks(s *state, emit step) {
	g := &s.gc
	n := *s
	switch g.sub {
	case 0:
		for f := g.at; f < files; f++ {
			d := &s.disk[f]
			live := s.names(f)
			if !m.mayRewrite(s, f) || !d.wasteful(live) {
				continue
			}
			n.gc.at = f + 1
			if live == 0 {
				m.trashIfEmpty(&n, f)
				emit("gc", "trashes an empty pack", n)
				return
			}
			dst := m.newFile(&n, g.proc, gcFiles, files-gcFiles)
			if dst == noFile {
				break // out of names
			}
			n.disk[dst].pack = true
			at := 0
			for x := range s.xorbs {
				if has(live, uint8(x)) {
					n.disk[dst].segs[at] = uint8(x) | unsynced
					at++
				}
			}
			n.gc.sub, n.gc.src, n.gc.dst, n.gc.moves = 1, f, dst, live
			emit("gc", "copies what lives in "+fileName(f), n)
			return
		}
		m.phaseOver(s, emit)
	case 1, 2:
		m.nextCopy(s, emit)
	case 3:
		at := uint8(0)
		for x := range n.xorbs {
			if !has(g.moves, uint8(x)) {
				continue
			}
			if row := &n.xorbs[x]; row.has && (row.file == g.src || m.off == moveStillThere) {
				row.file, row.off = g.dst, at
			}
			at++
		}
		n.disk[g.dst].row, n.disk[g.dst].sealed = true, true
		m.trashIfEmpty(&n, g.src)
		n.gc = collector{proc: g.proc, runs: g.runs, phase: g.phase, at: g.at}
		emit("gc", "moves the rows that are still there", n)
	}
}

// wasteful says whether a pack holds something that is not alive.
func (d *diskFile) wasteful(live uint8) bool {
	n := 0
	for _, seg := range d.segs {
		if seg != 0 {
			n++
		}
	}
	for ; live != 0; live &= live - 1 {
		n--
	}
	return n > 0 || d.segs[0] == 0
}

// live returns the chunks of a xorb that files refer to, doomed ones too.
func (s *state) live(x uint8) (set uint8) {
	for f := range s.files {
		for c, t := range s.files[f].terms {
			if s.files[f].has && t == x {
				set |= bit(c)
			}
		}
	}
	return set
}

// rewriteXorbs copies the chunks that are alive in xorbs that hold dead ones, and xorbs that are to be compressed better.
func (m *model) rewriteXorbs(s *state, emit step) {
	g := &s.gc
	switch g.sub {
	case 0:
		for x := g.at; x < hashes; x++ {
			row := &s.xorbs[x]
			live := s.live(x)
			if !row.has || row.doomed != 0 || live == 0 {
				continue
			}
			as := x
			switch {
			case m.rewrites && live != x && (!s.held(x) || m.off == rewriteUndated):
				as = live
			case m.recompresses && !row.packed:
			default:
				continue
			}
			n := *s
			dst := m.newFile(&n, g.proc, gcFiles, files-gcFiles)
			if dst == noFile {
				break // out of names
			}
			n.disk[dst].segs[0] = as | unsynced
			n.gc = collector{
				proc: g.proc, runs: g.runs, phase: g.phase, at: x + 1, sub: 1, src: x, dst: dst, moves: as, refs: s.refs(x),
				from: row.file, off: row.off,
			}
			emit("gc", "copies xorb "+set(x)+" as "+set(as), n)
			return
		}
		m.phaseOver(s, emit)
	case 1, 2:
		m.nextCopy(s, emit)
	case 3:
		n := *s
		n.gc = collector{proc: g.proc, runs: g.runs, phase: g.phase, at: g.at}
		row := &s.xorbs[g.src]
		there := row.has && (row.file == g.from && row.off == g.off || m.off == moveStillThere)
		what := "leaves it, and unlinks its copy"
		switch {
		case g.moves == g.src && there:
			m.trashMoved(&n, g.from)
			to := &n.xorbs[g.src]
			to.file, to.off, to.packed = g.dst, 0, true
			what = "moves the xorb"
		case g.moves != g.src && there && m.mayReplace(s):
			what = "moves the files to the new xorb"
			m.replace(&n, g)
		}
		if n.names(g.dst) == 0 {
			n.unlink(g.dst)
		}
		emit("gc", what, n)
	}
}

// mayReplace says whether files may be moved from a xorb to the copy of some of its chunks.
func (m *model) mayReplace(s *state) bool {
	g := &s.gc
	return (s.refs(g.src) == g.refs || m.off == sameFiles) && (!s.held(g.src) || m.off == rewriteUndated)
}

// replace moves all files from a xorb to the copy of some of its chunks, and dooms the xorb.
func (m *model) replace(s *state, g *collector) {
	to := &s.xorbs[g.moves]
	switch {
	case !to.has:
		*to = xorbRow{has: true, file: g.dst}
	case to.damaged && m.off != rewriteMends:
		m.trashMoved(s, to.file)
		to.file, to.off, to.damaged = g.dst, 0, false
	case to.damaged:
		s.bad = badKey // what was whole is taken from a xorb that is not
	}
	if m.off != rewriteUndooms {
		to.doomed = 0
	}
	for f := range s.files {
		for c, t := range s.files[f].terms {
			if t == g.src {
				s.files[f].terms[c] = g.moves
			}
		}
	}
	s.xorbs[g.src].doomed = m.doom(s)
}
