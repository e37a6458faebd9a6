package model

import "math/rand/v2"

// walk takes so many steps at random, again and again from the start until nothing can follow, or something is wrong.
func (m *model) walk(steps int) (f finding) {
	m.recovered = newTable()
	f.taken = make(map[string]int)
	rnd := rand.New(rand.NewPCG(uint64(steps), 1)) //nolint:gosec // to find the same way again
	var way, next []line
	for f.steps < steps {
		if len(next) == 0 {
			way = append(way[:0], line{"", "start", m.start()})
		}
		at := &way[len(way)-1].s
		f.states++
		if f.bad, _ = m.wrong(at); f.bad != badNothing {
			f.trace = way
			return f
		}
		next = next[:0]
		m.next(at, func(who, what string, n state) { next = append(next, line{who, what, n}) })
		if len(next) > 0 {
			f.steps++
			l := next[rnd.IntN(len(next))]
			f.taken[l.what]++
			way = append(way, l)
		}
	}
	f.recovered = m.recovered.n
	return f
}
