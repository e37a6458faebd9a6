package model

import (
	"hash/maphash"
	"slices"
)

// step tells of a state that can come next, and who does what.
type step func(who, what string, next state)

// table is a set of states. It keeps 64 bits of each: that two states of 10^7 share them has a chance of 1 in 300,000, with
// a seed that differs from run to run.
type table struct {
	seed  maphash.Seed
	n     int
	slots []uint64 // open addressing
}

func newTable() *table {
	return &table{seed: maphash.MakeSeed(), slots: make([]uint64, 1<<12)}
}

func (t *table) print(s *state) uint64 { return max(maphash.Comparable(t.seed, *s), 1) }

// add returns false for a print that was there.
func (t *table) add(print uint64) bool {
	if t.n*2 >= len(t.slots) {
		old := t.slots
		t.slots = make([]uint64, 2*len(old))
		for _, p := range old {
			if p != 0 {
				t.slots[t.slot(p)] = p
			}
		}
	}
	i := t.slot(print)
	if t.slots[i] != 0 {
		return false
	}
	t.slots[i] = print
	t.n++
	return true
}

// slot returns where a print is, or where it belongs.
func (t *table) slot(print uint64) int {
	mask := uint64(len(t.slots) - 1)
	i := print & mask
	for t.slots[i] != 0 && t.slots[i] != print {
		i = (i + 1) & mask
	}
	return int(i)
}

// finding is what an exploration has come to.
type finding struct {
	states, steps int
	recovered     int            // states after power cut or end that were looked at
	nearest       bool           // only: it stopped at its limit
	bad           uint8          // index of wrongs
	trace         []line         // shortest way to it, if something is wrong
	taken         map[string]int // how often each step was taken
}

type line struct {
	who, what string
	s         state
}

// explore goes through all states that can be reached, nearest first, until something is wrong or there are limit states.
func (m *model) explore(limit int) (f finding) {
	m.recovered = newTable()
	f.taken = make(map[string]int)
	t := newTable()
	var prints []uint64 // of all states, in the order of their finding
	var parents []int32 // of the same
	s := m.start()
	t.add(t.print(&s))
	prints, parents = append(prints, t.print(&s)), append(parents, -1)
	at := int32(0) // index of the state that is looked at
	for front := []state{s}; len(front) > 0; {
		var next []state
		for i := range front {
			s := &front[i]
			f.states++
			var later bool
			if f.bad, later = m.wrong(s); f.bad != badNothing {
				f.trace = m.trace(t, prints, parents, at)
				if later {
					f.trace = append(f.trace, line{"", "then all is over, and one process sweeps and collects twice", *s})
				}
				return f
			}
			m.next(s, func(who, what string, n state) {
				f.steps++
				f.taken[what]++
				if print := t.print(&n); t.add(print) {
					prints, parents = append(prints, print), append(parents, at)
					next = append(next, n)
				}
			})
			at++
		}
		if len(prints) > limit {
			f.nearest = true
			break
		}
		front = next
	}
	f.recovered = m.recovered.n
	return f
}

// wrong returns what is wrong with a state, or will be when all is over, if it is looked for.
func (m *model) wrong(s *state) (bad uint8, later bool) {
	bad = s.wrong()
	if bad == badNothing && s.hubBroken(m) {
		bad = badDate
	}
	if bad == badNothing || m.want != 0 && bad != m.want {
		bad, later = m.recover(s), true
	}
	if m.want != 0 && bad != m.want {
		return badNothing, false
	}
	return bad, later
}

// trace returns how a state was reached.
func (m *model) trace(t *table, prints []uint64, parents []int32, at int32) []line {
	var way []int32
	for ; at >= 0; at = parents[at] {
		way = append(way, at)
	}
	slices.Reverse(way)
	lines := []line{{"", "start", m.start()}}
	for _, at := range way[1:] {
		var l line
		s := lines[len(lines)-1].s
		m.next(&s, func(who, what string, n state) {
			if t.print(&n) == prints[at] {
				l = line{who, what, n}
			}
		})
		lines = append(lines, l)
	}
	return lines
}
