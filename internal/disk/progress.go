package disk

// Step says how far a long piece of work is.
type Step struct {
	Name        string // what is being done, in a few words
	Done, Total int64  // Total is 0 while it is not known
	Bytes       bool   // they are bytes, else things
}

// Progress is told each step of a long piece of work, often, by one goroutine at a time. Nil tells nobody.
type Progress func(Step)

func (p Progress) tell(s Step) {
	if p != nil {
		p(s)
	}
}
