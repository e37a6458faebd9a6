package model

// nextReader is what the reader does next. It opens a key, and reads its chunks later, one by one: the place from the row,
// then the bytes. A place that was cached may be stale, which costs the reader its one more look at the row; so this reader
// has none, and a place that has gone since it read the row is an error.
func (m *model) nextReader(s *state, emit step) {
	r := &s.reader
	if m.readProc == procNobody || !s.procs[m.readProc].lives {
		return
	}
	const who = "reader"
	n := *s
	nr := &n.reader
	switch r.phase {
	case readIdle:
		nr.phase = readPinned
		if m.off != pinReader {
			nr.pin = n.procs[m.readProc].noted
		}
		emit(who, "takes its pin", n)
	case readPinned:
		f := n.keys[m.readKey]
		nr.phase, nr.terms = readOpen, n.files[f].terms
		if f == 0 {
			n.reader = reader{phase: readDone}
		}
		emit(who, "opens the key", n)
	case readOpen:
		if m.off == pinReader && r.pin == 0 {
			nr.pin = n.procs[m.readProc].noted
			emit(who, "takes its pin", n)
			return
		}
		x := &n.xorbs[r.term()]
		if !x.has {
			n.bad = badRead
		}
		nr.phase, nr.file, nr.off = readPlaced, x.file, x.off
		emit(who, "reads the row of a xorb", n)
	case readPlaced:
		x := r.term()
		if !n.holds(r.file, r.off, x) {
			n.bad = badRead
		}
		for c, t := range r.terms {
			if t == x {
				nr.terms[c] = 0
			}
		}
		nr.phase, nr.file, nr.off = readOpen, 0, 0
		if nr.term() == 0 {
			n.reader = reader{phase: readDone}
		}
		emit(who, "reads bytes of a xorb", n)
	}
}

// term is the xorb to be read next; 0 when all was read.
func (r *reader) term() uint8 {
	for _, t := range r.terms {
		if t != 0 {
			return t
		}
	}
	return 0
}
