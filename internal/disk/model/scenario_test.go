package model

// model is a scenario, and which of the rules is off.
type model struct {
	scenario
	off       rule
	want      uint8  // what to look for that is wrong; 0 for anything
	over      bool   // all who could get in the way are gone
	recovered *table // states after power cut or end that were looked at
}

// scenario says who does what. What it says nothing of does not happen.
type scenario struct {
	name         string
	walked       bool // at random, because it has too many states
	init         func(s *state)
	writers      [2]writer
	readProc     uint8 // procNobody for none
	readKey      uint8
	hubXorb      uint8 // what the client outside is told of
	mortal       uint8 // processes that may be killed, as a set
	opens        bool  // process B is opened at any time
	heir         bool  // process B collects after process G was killed
	rotates      bool  // packs may be full at any time
	rewrites     bool  // xorbs that hold dead chunks are rewritten
	recompresses bool
	viaB         bool // keys are deleted by process B
}

var (
	procNames    = [...]string{"process A", "process B", "process G", "process D", "process F"}
	sessionNames = [...]string{"session 0", "session 1"}
)

// start is the state in which a scenario begins.
func (m *model) start() state {
	s := state{epoch: 1}
	for _, p := range []uint8{procA, procB, procGC} {
		if p != procB || !m.opens {
			s.register(p)
		}
	}
	s.gc.proc = procGC
	m.init(&s)
	return s
}

// next tells of all states that can follow.
func (m *model) next(s *state, emit step) {
	for i := range s.sess {
		m.nextSession(s, i, emit)
	}
	for p := range uint8(procGC + 1) {
		m.nextProcess(s, p, emit)
		m.nextCommit(s, p, emit)
	}
	m.nextReader(s, emit)
	m.nextGC(s, emit)
	m.nextSweep(s, emit)
	m.nextHub(s, emit)
	m.nextTime(s, emit)
	m.nextDelete(s, emit)
	m.nextAlarm(s, emit)
}

// nextDelete lets a client delete a key.
func (m *model) nextDelete(s *state, emit step) {
	by := uint8(procA)
	if m.viaB {
		by = procB
	}
	for k := range s.keys {
		if has(s.deletes, uint8(k)) && s.procs[by].lives {
			n := *s
			n.deletes &^= bit(k)
			n.keys[k] = 0
			m.tell(&n, by)
			emit("client", "deletes key "+string(rune('0'+k)), n)
		}
	}
}

// nextAlarm lets a process find a xorb that it cannot read, though it could be read at an other time.
func (m *model) nextAlarm(s *state, emit step) {
	for x := range s.xorbs {
		if has(s.alarms, uint8(x)) && s.xorbs[x].has {
			n := *s
			n.alarms &^= bit(x)
			n.xorbs[x].damaged = true
			emit("somebody", "takes xorb "+set(uint8(x))+" for damaged", n)
		}
	}
}

// larger makes a scenario's bounds larger by one.
func (sc scenario) larger() scenario {
	init := sc.init
	sc.init = func(s *state) {
		init(s)
		for _, n := range []*uint8{&s.gc.runs, &s.sweeper.runs, &s.kills, &s.fails, &s.stops} {
			if *n > 0 {
				*n++
			}
		}
	}
	sc.writers[0].quit, sc.writers[1].quit = true, true
	sc.heir = has(sc.mortal, procGC)
	return sc
}

// Chunks, and xorbs and files of them.
const (
	a  = 1
	b  = 2
	ab = 3
)

// old puts a xorb into a file of its own that was there before.
func (s *state) old(file, owner, x uint8) {
	s.disk[file] = diskFile{owner: owner, here: true, durable: true, used: true}
	s.disk[file].segs[0] = x | synced
	s.xorbs[x] = xorbRow{has: true, file: file}
}

// oldPack puts xorbs into a pack that was there before.
func (s *state) oldPack(file, owner uint8, sealed bool, xorbs ...uint8) {
	s.disk[file] = diskFile{owner: owner, pack: true, here: true, durable: true, used: true, row: true, sealed: sealed}
	for i, x := range xorbs {
		s.disk[file].segs[i] = x | synced
		s.xorbs[x] = xorbRow{has: true, file: file, off: uint8(i)}
	}
}

// oldFile makes a file whose chunks are in the xorbs, and a key of it.
func (s *state) oldFile(key, f uint8, terms [chunks]uint8) {
	s.files[f] = fileRow{has: true, terms: terms}
	s.keys[key] = f
}
