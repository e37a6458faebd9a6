// Package model explores the protocol by which collection works beside running writers and readers: the rules of package
// disk's documentation, without its code. It does not show that the code keeps to them; it shows that keeping to them is
// enough, within its bounds, and that each of them is needed.
//
// # What there is
//
// Two chunks, a and b, and so three xorbs and three files, named by the set of their chunks. The catalog's rows: keys, files with
// terms, xorbs with place, doomed, date and damage, packs, trash, procs, the epoch. Files on disk: whether the name is there
// and would be after a power cut, what bytes they hold and whether those are durable. Processes: the lock, the epoch they have
// noted, the pack they append to. Two sessions, each begin, known, write or append, sync, commit, close, in one process or in
// two; sessions in one process share groups, syncs and failures, and one is appended while another is committed. A reader that
// opens a key and reads it later, chunk by chunk. One that collects: it dooms, rewrites xorbs and packs, compresses anew,
// begins epochs, deletes, trashes, unlinks. One that sweeps. A client outside that is told of a xorb with a date, and comes
// back. Somebody who deletes keys. Processes are killed, calls fail, collection is interrupted, COMMITs fail and have lasted.
//
// A step is one transaction, or one call to the file system, or what a process does in its own memory where an other could
// tell the difference. SQLite is one durable step. At each state of each scenario three things can end all: a power cut, with
// each unsynced name and each unsynced xorb lost or kept; the death of all processes; or, if nothing is under way, their
// end. Then one process comes, sweeps, and collects twice.
//
// # What must hold
//
// In each state: a key has all its bytes, and none that a power cut could take. Who reads what it opened finds it. What a
// session was told is known has its row until the session's commit is over. What was told outside is there until its date. No
// xorb is doomed that an undoomed file refers to; a commit that finds a file undoomed may rely on that.
// After the end, sweep and two runs of collection: all keys have their bytes, and there is no file, no part of a pack, no
// chunk of a xorb and no row that nothing refers to.
//
// # What is covered, and what is not
//
// Each scenario (scenarios_test.go) is explored to its last state, all interleavings of: one to two writers, up to one reader,
// two runs of collection (one in some, plus one by its heir) and, where the scenario says so, one kill, one failure, one
// interruption, one false alarm of damage, one or two sweeps. A scenario in which everything happens at once is only walked
// at random. DISK_MODEL=n adds one to all these numbers and stops at n million states in each scenario.
//
// A cached place is not modelled: all that it can do is to be stale, which costs a reader its one more look at the row; the
// reader here has none to lose, and one look must do. Hints of the index are: a session may be told of any row that has its
// chunk, or of none. Damage is a false alarm: what could not be read can be read again, so that the model sees where bytes
// go that are still good. A file is made under its last name: tmp and rename are one more name that no row ever names.
//
// Not modelled: uploads in parts, versions, several commits of one session, more than one file a session, full disks, torn
// writes within a xorb, restored backups, lock files that are removed under a living process, the index.
package model

import (
	"os"
	"strconv"
	"testing"
)

// bound returns at how many states an exploration stops, and how many steps are walked at random; and whether scenarios are
// to be made larger.
func bound(t *testing.T) (states, steps int, larger bool) {
	t.Helper()
	if text := os.Getenv("DISK_MODEL"); text != "" {
		millions, err := strconv.Atoi(text)
		if err != nil || millions <= 0 {
			t.Fatalf("DISK_MODEL=%s: how many million states to look at in each scenario?", text)
		}
		return millions * 1e6, millions * 1e6, true
	}
	if stride > 1 {
		return 70e3 / stride, 70e3 / stride, false
	}
	return 5e6, 2e5, false
}

// With all rules on, nothing goes wrong in any scenario.
func TestModel(t *testing.T) {
	states, steps, larger := bound(t)
	taken := make(map[string]int)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			if larger {
				sc = sc.larger()
			}
			m := model{scenario: sc}
			var f finding
			if sc.walked {
				f = m.walk(steps)
				t.Logf("walked %d steps; %d recoveries", f.steps, f.recovered)
			} else {
				f = m.explore(states)
				all := map[bool]string{false: "all", true: "the nearest"}[f.nearest]
				t.Logf("%s %d states, %d steps; %d recoveries", all, f.states, f.steps, f.recovered)
			}
			if f.nearest && stride == 1 && !larger {
				t.Errorf("there are more than %d states", states)
			}
			if f.bad != badNothing {
				logTrace(t, f.trace)
				t.Error(wrongs[f.bad])
			}
			for what, n := range f.taken {
				taken[what] += n
			}
		})
	}
	for _, what := range mustHappen {
		if taken[what] == 0 && stride == 1 {
			t.Errorf("it never happens that somebody or something %s", what)
		}
	}
}

// Without any one of the rules, something goes wrong; -v shows the shortest way to it.
func TestModelNeedsEachRule(t *testing.T) {
	for i, n := range needs {
		if i%stride != 0 {
			continue
		}
		t.Run(n.name, func(t *testing.T) {
			for _, sc := range scenarios {
				if sc.name != n.scenario {
					continue
				}
				m := model{scenario: sc, off: n.rule, want: n.bad}
				f := m.explore(5e6)
				t.Logf("%s, after %d states: %s", sc.name, f.states, wrongs[f.bad])
				logTrace(t, f.trace)
				if f.bad != n.bad {
					t.Errorf("nothing comes of it; expected was: %s", wrongs[n.bad])
				}
				return
			}
			t.Errorf("there is no scenario %q", n.scenario)
		})
	}
}

// Each rule that can be off has a test that needs it.
func TestModelKnowsEachRule(t *testing.T) {
	seen := make(map[rule]bool)
	for _, n := range needs {
		seen[n.rule] = true
	}
	for r := noRule + 1; r < rules; r++ {
		if !seen[r] {
			t.Errorf("nothing shows that rule %d is needed", r)
		}
	}
}

func logTrace(t *testing.T, trace []line) {
	t.Helper()
	shown := ""
	for _, l := range trace {
		now := l.s.String()
		if t.Logf("%-10s %s", l.who, l.what); now != shown {
			t.Logf("             %s", now)
		}
		shown = now
	}
}
