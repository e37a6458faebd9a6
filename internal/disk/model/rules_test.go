package model

// rule is one that the model can do without, to show that it is needed. The zero rule is none.
type rule int

const (
	noRule rule = iota
	rowOrStaged
	undoom
	existingWins
	lateBringsNothing
	sealAfterSync
	sealAfterCommit
	sealWhenQuiet
	noHandUnlink
	syncBytes
	syncName
	newNames
	pinSession
	pinReader
	oldestPin
	knownUndoomed
	doomNext
	deleteWaits
	deleteUnreferred
	deleteChecksInTx
	rowsBeforeUnlink
	packTrashWaits
	movedTrashWaits
	moveStillThere
	onlySealed
	lockBeforeRows
	sweepNamed
	sweepUntrashed
	sweepDead
	forgetLast
	dateInTx
	dateKeeps
	sameFiles
	rewriteUndated
	rewriteUndooms
	rewriteMends
	secondEpoch
	syncRemovals

	rules // how many there are
)
