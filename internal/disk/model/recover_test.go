package model

// recover lets all be over, in each way that it can be, and returns what is wrong then: the power is cut, and of what is not
// durable each thing may be lost or kept; or all processes die; or, when nothing is under way, they end. Then one process
// comes, sweeps and collects twice.
func (m *model) recover(s *state) uint8 {
	dead := *s
	for p := range uint8(procs) {
		m.kill(&dead, p)
	}
	dead.reader, dead.sess, dead.deletes, dead.stops = reader{}, [2]session{}, 0, 0
	dead.kills, dead.fails, dead.alarms, dead.hub, dead.sweeper, dead.now = 0, 0, 0, hubClient{}, sweeper{}, true
	bad := m.cut(&dead, 1)
	if bad == badNothing && s.quiet() {
		ended := dead
		for p := range s.procs {
			if s.procs[p].lives {
				m.end(s, &ended, uint8(p))
			}
		}
		bad = m.settle(&ended)
	}
	return bad
}

// quiet says whether nothing is under way.
func (s *state) quiet() bool {
	for i := range s.sess {
		if p := s.sess[i].phase; p != idle && p != closed {
			return false
		}
	}
	return s.gc.phase == gcIdle && s.sweeper.phase == sweepIdle
}

// end is how a process ends that is not killed: was is the state in which it still had its memory.
func (m *model) end(was, s *state, p uint8) {
	for f := range s.disk {
		d, w := &s.disk[f], &was.disk[f]
		if d.owner != p {
			continue
		}
		if w.ended || uint8(f) == was.procs[p].pack {
			if w.named {
				d.sealed = d.row
			} else {
				s.unlink(uint8(f))
			}
		}
		if !d.here {
			s.syncDir(uint8(f))
		}
	}
	s.procs[p].row = was.procs[p].litter
}

// cut goes through what a power cut may take of the files from f on.
func (m *model) cut(s *state, f uint8) uint8 {
	for ; f < files; f++ {
		d := &s.disk[f]
		if d.here != d.durable {
			lost, kept := *s, *s
			lost.disk[f].here = d.durable
			kept.disk[f].durable = d.here
			for _, n := range []*state{&lost, &kept} {
				if e := &n.disk[f]; !e.here {
					e.segs = [packSlots]uint8{}
				}
				if bad := m.cut(n, f); bad != badNothing {
					return bad
				}
			}
			return badNothing
		}
		for i, seg := range d.segs {
			if seg == 0 || fate(seg) != unsynced && fate(seg) != spoiled || hash(seg) == 0 {
				continue
			}
			lost, kept := *s, *s
			lost.disk[f].segs[i] = spoiled // no xorb
			kept.disk[f].segs[i] = hash(seg) | synced
			if bad := m.cut(&lost, f); bad != badNothing {
				return bad
			}
			return m.cut(&kept, f)
		}
	}
	return m.settle(s)
}

// settle lets one process sweep and collect twice in peace, and returns what is wrong then.
func (m *model) settle(s *state) uint8 {
	s.gc = collector{}
	if !m.recovered.add(m.recovered.print(s)) {
		return badNothing // and was not wrong then
	}
	after := model{scenario: scenario{rewrites: true, readProc: procNobody}, off: m.off, over: true}
	n := *s
	n.register(procFresh)
	n.gc = collector{proc: procFresh, runs: 2}
	n.sweeper.runs = procs
	after.drain(&n, after.nextSweep)
	after.drain(&n, after.nextGC)
	was := n
	after.end(&was, &n, procFresh)
	for _, f := range n.keys {
		if f != 0 && !n.readable(f) {
			return badKey
		}
	}
	return n.left()
}

// drain takes steps until there are none.
func (m *model) drain(s *state, next func(*state, step)) {
	for more := true; more; {
		more = false
		now := *s
		next(&now, func(_, _ string, n state) {
			if !more {
				more, *s = true, n
			}
		})
	}
}

// left says whether something is left that nothing refers to.
func (s *state) left() uint8 {
	for f := range s.disk {
		d := &s.disk[f]
		live := s.names(uint8(f))
		if (d.here || d.durable || d.row) && live == 0 || d.trash != 0 || d.here && d.pack && d.wasteful(live) {
			return badLeft
		}
	}
	for x := range uint8(hashes) {
		if s.xorbs[x].has && s.live(x) != x || s.files[x].has && !s.keyed(x) {
			return badCatalog
		}
	}
	for p := range s.procs {
		if s.procs[p].row {
			return badCatalog
		}
	}
	return badNothing
}
