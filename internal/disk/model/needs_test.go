package model

// needs says for each rule, in which scenario something goes wrong without it. That a row may be deleted only when its epoch has
// come follows from the rule that all processes are past it: the one that collects is among them, and none is ahead of the
// catalog.
var needs = []struct {
	rule     rule
	name     string
	scenario string
	bad      uint8
}{
	{rowOrStaged, "a commit requires that every xorb has a row or is staged", "hub", badKey},
	{undoom, "a commit takes back that what it refers to is doomed", "copy", badRead},
	{existingWins, "a row that exists wins over a staged twin", "twins", badLeft},
	{lateBringsNothing, "who joins after the sync brings no bytes", "group", badKey},
	{sealAfterSync, "a pack is ended after a failed sync", "group", badKey},
	{sealAfterCommit, "a pack is ended after a failed COMMIT", "group", badKey},
	{sealWhenQuiet, "a pack is sealed only with no commit in flight in it", "group", badKey},
	{noHandUnlink, "nothing staged is unlinked by hand when the COMMIT may have lasted", "twins", badKey},
	{syncBytes, "bytes are synced before a row names them", "twins", badKey},
	{syncBytes, "copies are synced before a row names them", "rewrite", badKey},
	{syncName, "the directory is synced before a row names a new file", "twins", badKey},
	{syncName, "the directory is synced before a row names a new pack", "group", badKey},
	{syncName, "the directory is synced before a row names a copy", "recompress", badKey},
	{newNames, "names are never used again", "names", badKey},
	{pinSession, "a session takes its pin before it reads the catalog", "dedup", badKnown},
	{pinReader, "a reader takes its pin before it reads the catalog", "dedup", badRead},
	{oldestPin, "a process tells the oldest epoch that is pinned", "dedup", badKnown},
	{knownUndoomed, "what is known is not doomed", "dedup", badKnown},
	{doomNext, "what is doomed may go in the next epoch", "dedup", badKnown},
	{deleteWaits, "what is doomed is deleted when every process is past that", "dedup", badKnown},
	{deleteUnreferred, "what is referred to, by doomed files too, is not deleted", "copy", badKey},
	{deleteChecksInTx, "what may be deleted is checked in the transaction that deletes it", "copy", badKey},
	{rowsBeforeUnlink, "rows are deleted before files are unlinked", "copy", badKey},
	{packTrashWaits, "a pack is unlinked when every process is past the epoch of its end", "pack", badRead},
	{movedTrashWaits, "a file is unlinked when every process is past the epoch in which its xorb moved", "recompress", badRead},
	{moveStillThere, "rows are moved only when they are still there", "mend", badLeft},
	{onlySealed, "only packs are rewritten that nobody appends to", "open pack", badKey},
	{lockBeforeRows, "the owner is proved dead before rows are looked at", "sweep", badKey},
	{sweepNamed, "what a row names is not swept", "sweep", badKey},
	{sweepUntrashed, "what is in the trash is not swept", "sweep", badRead},
	{sweepDead, "only what the dead have left is swept", "twins", badKey},
	{forgetLast, "a dead process is forgotten when its files are swept", "twins", badLeft},
	{dateInTx, "a date is written in the transaction that finds the xorb not doomed", "hub", badDate},
	{dateKeeps, "what a date holds is not doomed", "hub", badDate},
	{sameFiles, "a xorb is rewritten only for the files that it was copied for", "rewrite", badKey},
	{rewriteUndated, "a xorb is not rewritten while a date holds it", "hub", badDate},
	{rewriteUndooms, "files are moved to a xorb that is not doomed", "mend rewritten", badRead},
	{rewriteMends, "the copy takes the place of a xorb that could not be read", "mend rewritten", badKey},
	{secondEpoch, "a run begins another epoch for what it has put into the trash itself", "rewrite", badLeft},
	{syncRemovals, "what was unlinked is durable before it is forgotten", "twins", badLeft},
}
