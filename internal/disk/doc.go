// Package disk keeps an object store on a local file system. Any number of processes may use one store at the same time.
//
// # Layout
//
//	catalog.db                names, files, uploads, places of xorbs, processes, and the bytes of packs that were not synced yet
//	                          (SQLite, WAL, synchronous=FULL)
//	index.db                  chunk → xorb and index, never a place (SQLite, WAL, NORMAL); derived, may be deleted
//	xorbs/ab/cdef….<id>.<n>   xorbs over 1 MiB, one a file; the name is the hash, the process and a number
//	packs/<id>.<n>            smaller xorbs back to back, each complete with its footer
//	tmp/<id>.<n>              xorbs in the making
//	procs/<id>                locked by the process that has this id, for as long as it lives
//	commit.lock, index.lock   locked around transactions, so that processes take turns fairly
//	lastproc                  the highest <id> ever given, should catalog.db be an older one some day
//	reindex.lock              locked by the process that fills the index
//	catalog.db.<n>.old        what Rebuild has replaced, with its log; index.db.<n>.old likewise
//	gc.lock                   locked by the process that collects; shared by those that need everything to stay where it is
//
// # Words
//
// A place is file, offset and length of a xorb; only its row says where it lies. A pin is the epoch that a session or an
// open content noted before its first look at the catalog: nothing that was stored then is deleted before the pin is
// gone. To doom a row is to stamp it with the epoch in which it may go; doomed rows are not referred to by anything new,
// or are undoomed in the same transaction.
//
// # Order
//
// Bytes before rows before keys: a commit appends, syncs, and then makes one transaction of all rows and keys; the
// client is answered after that. Deletion runs the other way. Few bytes are not synced: the transaction has a copy of them, which
// is written to the pack again should a power cut have taken them from there, before anybody reads (redo.go). A crash leaves bytes
// that no row names, never a row without its bytes. Names of files are never used twice. Directories that files were removed from
// are synced before the row of their process goes: nobody would sweep what a power cut brings back.
//
// # Collection
//
// Collect dooms what nothing names, begins an epoch, and deletes what was doomed once all processes are past it. What is named
// again meanwhile is undoomed by the commit that names it. Places change for two reasons, and each change is one
// transaction that makes the new bytes durable or comes after that: a pack or a xorb of which little lives is stored anew, and so is what
// is compressed better. The old file is put into the trash by the transaction that takes its last row, and removed an epoch
// later, because places are remembered.
//
// # Backup and restore
//
// A backup is the catalog of one moment; xorbs and packs are copied after it, while gc is held off. What it names is durable in
// packs then: from a backup nothing is replayed, because the packs beside it may be others of the same names. Rebuild makes a catalog of
// that: it looks for places in the content itself, so that it finds what was moved, and keeps and lists what came after the
// backup. A backup that is put in the place of catalog.db by hand is a store, too, as it was then: no log of another catalog is
// played into it, nobody sweeps what came after it, no name is used again, and packs that were there stay as they are until
// orphans are asked to go.
//
// # Rot
//
// Each chunk is compared with its hash, each page of the databases with its checksum, each row that says what a key or a file
// is with one more: what has changed on disk is an error, never an answer. There is one exception: damage in the last transaction of
// catalog.db-wal, the log of what is newest, or in the 8 KiB before it, that is there when all processes have died looks as if a power
// cut had torn it.
package disk
