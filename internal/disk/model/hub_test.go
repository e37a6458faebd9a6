package model

// nextHub is a client outside, which is told of a xorb and names it in a file later, with no pin in between.
func (m *model) nextHub(s *state, emit step) {
	const who = "hub client"
	if m.hubXorb == 0 || !s.procs[procA].lives {
		return
	}
	x := &s.xorbs[m.hubXorb]
	n := *s
	switch s.hub.phase {
	case 0:
		if !x.has || x.doomed != 0 {
			return
		}
		if m.off == dateInTx {
			n.hub.phase = 1
			emit(who, "asks for a xorb, which is there", n)
			return
		}
		n.hub.phase = 2
		n.xorbs[m.hubXorb].date = true
		emit(who, "is told of a xorb, which has a date now", n)
	case 1:
		n.hub.phase = 2
		n.xorbs[m.hubXorb].date = x.has
		emit(who, "is told of the xorb, which has a date now", n)
	case 2:
		n.hub.phase = 3
		f := m.hubXorb // has all chunks of the xorb
		if row := &n.files[f]; row.has || x.has || m.off == rowOrStaged {
			if !row.has {
				*row = fileRow{has: true}
				for c := range row.terms {
					if has(f, uint8(c)) {
						row.terms[c] = m.hubXorb
					}
				}
			}
			m.undoom(&n, f)
			n.keys[2] = f
		}
		m.tell(&n, procA)
		emit(who, "registers a file", n)
	}
}

// hubBroken says whether something is gone before its date that a client outside was told of.
func (s *state) hubBroken(m *model) bool {
	return s.hub.phase == 2 && !s.now && !s.safe(m.hubXorb)
}

// nextTime lets all dates pass.
func (m *model) nextTime(s *state, emit step) {
	if m.hubXorb == 0 || s.now {
		return
	}
	n := *s
	n.now = true
	emit("time", "passes all dates", n)
}

// held says whether a date keeps a xorb.
func (s *state) held(x uint8) bool { return s.xorbs[x].date && !s.now }
