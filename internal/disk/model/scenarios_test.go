package model

// scenarios are explored with all rules on.
var scenarios = []scenario{
	{
		// A xorb in use by a key that is deleted, while two processes store parts of it and one has it open.
		name: "dedup", readProc: procB, readKey: 0,
		writers: [2]writer{{proc: procA, key: 1, file: a, own: true}, {proc: procB, key: 2, file: ab}},
		init: func(s *state) {
			s.old(oldFile1, procNobody, ab)
			s.oldFile(0, ab, [2]uint8{ab, ab})
			s.deletes, s.gc.runs = bit(0), 2
		},
	},
	{
		// A file that is copied, or stored again whole, and deleted and doomed meanwhile.
		name: "copy", readProc: procB, readKey: 1,
		writers: [2]writer{{proc: procA, key: 1, file: ab, copy: true}},
		init: func(s *state) {
			s.old(oldFile1, procNobody, ab)
			s.oldFile(0, ab, [2]uint8{ab, ab})
			s.deletes, s.gc.runs = bit(0)|bit(1), 2
		},
	},
	{
		// Two sessions of one process share its pack; a sync or a COMMIT fails, and may have lasted; packs are full at any time.
		name: "group", readProc: procNobody, rotates: true,
		writers: [2]writer{{proc: procA, key: 1, file: a}, {proc: procA, key: 2, file: b}},
		init: func(s *state) {
			s.oldPack(oldFile1, procDead, false, ab)
			s.disk[oldFile1].owner = procNobody
			s.fails, s.kills, s.gc.runs = 1, 1, 1
		},
		mortal: bit(procA),
	},
	{
		// Two processes store the same in files of their own, a COMMIT fails, processes are killed and swept.
		name: "twins", readProc: procNobody,
		writers: [2]writer{{proc: procA, key: 1, file: a, own: true, quit: true}, {proc: procB, key: 2, file: ab, own: true, quit: true}},
		init: func(s *state) {
			s.old(oldFile1, procNobody, b)
			s.oldFile(0, b, [2]uint8{0, b})
			s.fails, s.kills, s.gc.runs, s.sweeper.runs = 1, 1, 1, 1
		},
		mortal: bit(procA) | bit(procB) | bit(procGC),
	},
	{
		// A sealed pack is half dead and rewritten, under a reader and a writer of what is in it.
		name: "pack", heir: true, readProc: procB, readKey: 0,
		writers: [2]writer{{proc: procA, key: 2, file: b}},
		init: func(s *state) {
			s.oldPack(oldFile1, procNobody, true, a, b)
			s.oldFile(0, a, [2]uint8{a, 0})
			s.oldFile(1, b, [2]uint8{0, b})
			s.deletes, s.kills, s.gc.runs = bit(1), 1, 1
		},
		mortal: bit(procGC),
	},
	{
		// The pack that a process appends to is half dead.
		name: "open pack", readProc: procB, readKey: 2,
		writers: [2]writer{{proc: procA, key: 2, file: b}},
		init: func(s *state) {
			s.oldPack(packsA, procA, false, a, ab)
			s.disk[packsA].named = true
			s.procs[procA].pack = packsA
			s.oldFile(0, a, [2]uint8{a, 0})
			s.oldFile(1, ab, [2]uint8{ab, ab})
			s.deletes, s.gc.runs = bit(0), 2
		},
		rotates: true,
	},
	{
		// What a dead process has left is swept and rewritten, under a reader.
		name: "sweep", readProc: procB, readKey: 0,
		writers: [2]writer{{proc: procA, key: 2, file: ab, own: true}},
		init: func(s *state) {
			s.procs[procDead] = proc{row: true, told: 1, born: true}
			s.oldPack(oldFile1, procDead, false, a, b)
			s.oldFile(0, a, [2]uint8{a, 0})
			s.xorbs[b] = xorbRow{}
			s.disk[oldFile2] = diskFile{owner: procDead, here: true, used: true}
			s.disk[oldFile2].segs[0] = ab
			s.kills, s.gc.runs, s.sweeper.runs = 1, 1, 2
		},
		mortal: bit(procA),
	},
	{
		// A xorb in a pack becomes half dead and is rewritten, while that half is stored again.
		name: "rewrite", readProc: procB, readKey: 0, rewrites: true,
		writers: [2]writer{{proc: procA, key: 2, file: b}},
		init: func(s *state) {
			s.oldPack(oldFile1, procNobody, true, ab)
			s.oldFile(0, a, [2]uint8{ab, 0})
			s.oldFile(1, b, [2]uint8{0, ab})
			s.deletes, s.gc.runs = bit(0)|bit(1), 2
		},
	},
	{
		// A xorb is half dead and rewritten, while others store the half that lives.
		name: "rewrite twin", readProc: procNobody, rewrites: true,
		writers: [2]writer{{proc: procA, key: 1, file: a, own: true}, {proc: procB, key: 2, file: b}},
		init: func(s *state) {
			s.old(oldFile1, procNobody, ab)
			s.oldFile(0, a, [2]uint8{ab, 0})
			s.gc.runs = 2
		},
	},
	{
		// Xorbs are compressed better, under a reader.
		name: "recompress", heir: true, readProc: procB, readKey: 0, recompresses: true,
		writers: [2]writer{{proc: procA, key: 1, file: ab, own: true}},
		init: func(s *state) {
			s.old(oldFile1, procNobody, ab)
			s.oldFile(0, a, [2]uint8{ab, 0})
			s.deletes, s.kills, s.gc.runs = bit(0), 1, 1
		},
		mortal: bit(procGC),
	},
	{
		// A client outside is told of a xorb, and names it in a file before its date or after it.
		name: "hub", readProc: procNobody, rewrites: true, hubXorb: ab,
		writers: [2]writer{{proc: procB, key: 1, file: b, own: true}},
		init: func(s *state) {
			s.old(oldFile1, procNobody, ab)
			s.oldFile(0, a, [2]uint8{ab, 0})
			s.deletes, s.gc.runs = bit(0), 2
		},
	},
	{
		// A xorb that could not be read once is stored again, while it is moved.
		name: "mend", readProc: procB, readKey: 0,
		writers: [2]writer{{proc: procA, key: 1, file: a, own: true}},
		init: func(s *state) {
			s.oldPack(oldFile1, procNobody, true, a, b)
			s.xorbs[a].damaged = true
			s.oldFile(0, a, [2]uint8{a, 0})
			s.gc.runs = 2
		},
	},
	{
		// The same, while it is compressed better.
		name: "mend recompressed", readProc: procB, readKey: 0, recompresses: true,
		writers: [2]writer{{proc: procA, key: 1, file: a, own: true}},
		init: func(s *state) {
			s.old(oldFile1, procNobody, a)
			s.oldFile(0, a, [2]uint8{a, 0})
			s.alarms, s.gc.runs = bit(a), 2
		},
	},
	{
		// Files are moved to a xorb that is there and doomed, and then away from it, because it could not be read once.
		name: "mend rewritten", readProc: procB, readKey: 0, rewrites: true,
		writers: [2]writer{{proc: procA, key: 0, file: a}, {proc: procB, key: 2, file: ab}},
		init: func(s *state) {
			s.old(oldFile1, procNobody, ab)
			s.old(oldFile2, procNobody, a)
			s.xorbs[a].doomed = 1
			s.oldFile(0, a, [2]uint8{ab, 0})
			s.alarms, s.gc.runs = bit(a), 1
		},
	},
	{
		// Collection is interrupted, and begins again; a process is opened.
		name: "names", readProc: procNobody, opens: true,
		writers: [2]writer{{proc: procA, key: 1, file: b, own: true}, {proc: procB, key: 2, file: ab, own: true}},
		init: func(s *state) {
			s.old(oldFile1, procA, a)
			s.xorbs[a].doomed = 1
			s.stops, s.gc.runs = 1, 2
		},
	},
	{
		// All of it at once.
		name: "everything", walked: true, readProc: procB, readKey: 0, rewrites: true, recompresses: true, hubXorb: ab,
		writers: [2]writer{{proc: procA, key: 1, file: a, own: true, copy: true}, {proc: procB, key: 0, file: ab}},
		init: func(s *state) {
			s.procs[procDead] = proc{row: true, told: 1, born: true}
			s.oldPack(oldFile1, procDead, false, ab, b)
			s.oldFile(0, a, [2]uint8{ab, 0})
			s.oldFile(1, ab, [2]uint8{ab, b})
			s.deletes, s.alarms, s.kills, s.fails, s.stops = bit(0)|bit(1), bit(a)|bit(ab), 1, 1, 1
			s.gc.runs, s.sweeper.runs = 2, 1
		},
		mortal: bit(procA) | bit(procB) | bit(procGC), rotates: true, heir: true,
	},
}
