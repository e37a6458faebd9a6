package model

import (
	"fmt"
	"strings"
)

// chunks is how many different chunks there are. A set of chunks is a bit mask; it is also the hash of the xorb and of the
// file that hold just these.
const (
	chunks = 2
	hashes = 1 << chunks
)

// Processes. The first two serve writers and readers.
const (
	procA      = iota
	procB              // may be opened late
	procGC             // collects and sweeps
	procDead           // had died before
	procFresh          // comes when all is over
	procs              // how many there are
	procNobody = procs // owns files; it has ended, and its row is gone
)

// Names of files. Each stands for one that the process would make up next, so that states differ by no more than they must.
const (
	noFile    = 0
	oldFile1  = 1 // there from the start
	oldFile2  = 2
	packsA    = 3 // two of them
	packsB    = 5 // two
	ownFiles  = 7 // one for each session
	gcFiles   = 9 // three
	files     = 12
	packSlots = 3 // xorbs that fit a pack
)

// row of a xorb.
type xorbRow struct {
	has, damaged, packed bool
	file, off            uint8
	doomed               uint8
	date                 bool // keep_until, in force until state.now
}

type fileRow struct {
	has    bool
	doomed uint8
	terms  [chunks]uint8 // the xorb in which each chunk is; 0 for chunks that the file does not have. They are the refs, too
}

// What has become of bytes in a file.
const (
	unsynced = iota << chunks // they may be lost in a power cut; after a sync not any more
	synced
	spoiled // a sync has failed: they may be lost, and no sync will tell
	free    // durable, but written over by what comes next (only when a rule is off)
)

// diskFile is a name: the file on disk, and the rows of packs and trash.
type diskFile struct {
	owner   uint8
	pack    bool
	here    bool             // the name is there
	durable bool             // it would be after a power cut
	segs    [packSlots]uint8 // the xorb at each offset, and what has become of its bytes; 0 where the file ends
	row     bool             // of packs
	sealed  bool
	trash   uint8 // epoch + 1; 0 for no row
	named   bool  // in its owner's memory: a row may name it
	ended   bool  // in its owner's memory: to be marked sealed, or removed
	used    bool  // the name was given before
}

type proc struct {
	row    bool // of procs
	told   uint8
	lives  bool // it holds its lock
	born   bool
	noted  uint8 // the epoch in its memory, which pins note
	pack   uint8 // that it appends to
	litter bool
}

// Phases of a session.
const (
	idle    = iota
	begun   // it has a pin
	known   // it was told what is known
	written // its own file is
	flushed // and its bytes are synced
	ready   // to be appended to a pack
	queued  // is appended
	durable // has nothing that is not
	acked   // was answered
	failed
	unsure // was answered that nobody knows
	closed // or its process is dead
)

type session struct {
	phase  uint8
	pin    uint8
	told   uint8 // chunks that it was told are known
	whole  bool  // it was told that its file is
	terms  [chunks]uint8
	staged uint8 // xorb that it brings
	file   uint8 // where that lies
	off    uint8
	stored bool // a row names it there
}

// Phases of the reader.
const (
	readIdle = iota
	readPinned
	readOpen   // it has the terms
	readPlaced // and a place
	readDone
)

type reader struct {
	phase, pin uint8
	terms      [chunks]uint8
	file, off  uint8
}

// Phases of collection, in their order.
const (
	gcIdle = iota
	gcDoomFiles
	gcRewrite // xorbs
	gcDoomXorbs
	gcBump
	gcDeleteFiles
	gcDeleteXorbs
	gcPacks // are rewritten
	gcBumpAgain
	gcUnlink
)

type collector struct {
	proc  uint8
	runs  uint8 // to come
	phase uint8
	at    uint8 // how far it is in the phase
	sub   uint8 // what of the present thing is done
	src   uint8 // file or xorb that is rewritten
	dst   uint8 // file that is written
	moves uint8 // xorbs that were copied, as a set; or the new xorb
	refs  uint8 // files that refer to the xorb that is rewritten, as a set
	from  uint8 // file that it was copied from
	off   uint8
}

type sweeper struct {
	runs, phase, target, file uint8
}

// hubClient is told outside the store of a xorb, and refers to it later.
type hubClient struct {
	phase uint8 // 0, 1 asked, 2 told, 3 registered or refused
}

// state is everything. It is compared and hashed as it is.
type state struct {
	epoch   uint8
	now     bool // dates are past
	keys    [3]uint8
	xorbs   [hashes]xorbRow
	files   [hashes]fileRow
	disk    [files]diskFile
	procs   [procs]proc
	sess    [2]session
	reader  reader
	gc      collector
	sweeper sweeper
	hub     hubClient
	deletes uint8 // keys that are to be deleted, as a set
	kills   uint8 // that may still happen
	fails   uint8 // calls that may still fail
	alarms  uint8 // xorbs that may still be taken for damaged, as a set
	stops   uint8 // of collection that may still happen
	bad     uint8 // what is wrong, an index of wrongs
}

// What can be wrong with a state.
const (
	badNothing = iota
	badKey
	badRead
	badKnown
	badDate
	badDoomed
	badLeft
	badCatalog
)

var wrongs = [...]string{
	"nothing", "a key lacks bytes, or would after a power cut",
	"a reader cannot read what it holds open", "what a session was told is known is gone",
	"what was told outside is gone before its date",
	"a xorb is doomed that an undoomed file refers to", "something is left that nothing refers to",
	"a row is left that nothing refers to",
}

func hash(seg uint8) uint8  { return seg & (hashes - 1) }
func fate(seg uint8) uint8  { return seg &^ (hashes - 1) }
func has(set, n uint8) bool { return set>>n&1 != 0 }
func bit(n int) uint8       { return 1 << n }
func refers(f *fileRow, x uint8) bool {
	for _, t := range f.terms {
		if f.has && t == x {
			return true
		}
	}
	return false
}

// refs returns the files that refer to a xorb, as a set.
func (s *state) refs(x uint8) (set uint8) {
	for f := range s.files {
		if refers(&s.files[f], x) {
			set |= bit(f)
		}
	}
	return set
}

// keyed says whether a key names a file.
func (s *state) keyed(f uint8) bool {
	for _, k := range s.keys {
		if k == f {
			return true
		}
	}
	return false
}

// names returns the xorbs whose rows name a file, as a set.
func (s *state) names(file uint8) (set uint8) {
	for x := range s.xorbs {
		if s.xorbs[x].has && s.xorbs[x].file == file {
			set |= bit(x)
		}
	}
	return set
}

// holds says whether the bytes of a xorb are at a place.
func (s *state) holds(file, off, x uint8) bool {
	d := &s.disk[file]
	return d.here && hash(d.segs[off]) == x
}

// safe says whether a xorb has a row, and bytes there which no power cut takes.
func (s *state) safe(x uint8) bool {
	r := &s.xorbs[x]
	if !r.has || !s.holds(r.file, r.off, x) {
		return false
	}
	d := &s.disk[r.file]
	return d.durable && (fate(d.segs[r.off]) == synced || fate(d.segs[r.off]) == free)
}

// readable says whether a key's file and all its chunks are there whatever a power cut takes.
func (s *state) readable(f uint8) bool {
	row := &s.files[f]
	if !row.has {
		return false
	}
	for c, x := range row.terms {
		if has(f, uint8(c)) && (!has(x, uint8(c)) || !s.safe(x)) {
			return false
		}
	}
	return true
}

// wrong returns what is wrong with a state in itself.
func (s *state) wrong() uint8 {
	if s.bad != 0 {
		return s.bad
	}
	for _, f := range s.keys {
		if f != 0 && !s.readable(f) {
			return badKey
		}
	}
	for i := range s.sess {
		e := &s.sess[i]
		if e.phase < known || e.phase > durable {
			continue
		}
		for c, x := range e.terms {
			if has(e.told, uint8(c)) && !e.whole && !s.xorbs[x].has {
				return badKnown
			}
		}
		if e.whole && !s.readable(e.told) {
			return badKnown
		}
	}
	for x := range s.xorbs {
		if s.xorbs[x].doomed != 0 && s.needed(uint8(x)) {
			return badDoomed
		}
	}
	return badNothing
}

func set(h uint8) string {
	return [...]string{"{}", "{a}", "{b}", "{ab}"}[hash(h)]
}

func fileName(f uint8) string {
	return [...]string{"none", "old1", "old2", "packA1", "packA2", "packB1", "packB2", "own0", "own1", "gc1", "gc2", "gc3"}[f]
}

// String shows what matters of a state in a line.
func (s *state) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d keys", s.epoch)
	for _, k := range s.keys {
		fmt.Fprintf(&b, " %s", set(k))
	}
	for f, r := range s.files {
		if r.has {
			fmt.Fprintf(&b, " | file %s doomed %d terms %s %s", set(uint8(f)), r.doomed, set(r.terms[0]), set(r.terms[1]))
		}
	}
	for x, r := range s.xorbs {
		if r.has {
			fmt.Fprintf(&b, " | xorb %s doomed %d at %s+%d", set(uint8(x)), r.doomed, fileName(r.file), r.off)
			if r.date {
				b.WriteString(" dated")
			}
		}
	}
	for f, d := range s.disk {
		if !d.here && !d.durable && d.trash == 0 && !d.row {
			continue
		}
		fmt.Fprintf(&b, " | %s", fileName(uint8(f)))
		for _, seg := range d.segs {
			if seg != 0 {
				fmt.Fprintf(&b, "%s%c", set(seg), "~.!_"[seg>>chunks])
			}
		}
		for _, flag := range []struct {
			on   bool
			text string
		}{{!d.here, "gone"}, {!d.durable, "unsynced"}, {d.row, "row"}, {d.sealed, "sealed"}} {
			if flag.on {
				fmt.Fprintf(&b, " %s", flag.text)
			}
		}
		if d.trash != 0 {
			fmt.Fprintf(&b, " trash %d", d.trash-1)
		}
	}
	for p, r := range s.procs {
		if r.row {
			fmt.Fprintf(&b, " | %c told %d", "ABGDF"[p], r.told)
		}
	}
	return b.String()
}
