package disk

// format is the version of the layout and of both databases. A store of a newer one is refused.
//
//	1  before the first release
//	2  xorbs say how many chunks and bytes they hold
//	3  uploads have indexes, and keys say of which parts their objects are, and what doors note of them
//	4  buckets say when something last came into them
//	5  bytes in packs that are not durable yet are in redo
const format = 5

// catalogSchema. Ids are never reused (AUTOINCREMENT), so that a stale hint cannot hit something new.
//
// procs.epoch is 0 when the process must not commit any more. doomed is 0, or the epoch in which the row may go. keep_until is
// 0, or Unix seconds before which the row must not be doomed, because somebody outside was told of it. damaged are xorbs that
// could not be read: their chunks do not count as known, and the same content coming again takes their place. chunks and raw
// are the number of a xorb's chunks and the sum of their bytes, not compressed; packed is 1 when it was compressed as well as
// can be. packs.sealed is 0 while the pack grows, 1 when it does not any more, and 2 when bytes that no row names may be
// somebody's all the same, because the catalog is an older one than the pack. trash.epoch is the one that all processes must
// have come to before the file may go. redo is explained in redo.go. buckets.arrived is when something last came into the bucket,
// as arrival.go has it, in ms since 1970; 0 is never. uploads.done is 1 when it was completed: it has no parts then, and is kept to
// answer again until it expires. A part that comes again gets a new id. info and terms are drawn in row.go and rowupload.go.
const catalogSchema = `
CREATE TABLE meta (
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	epoch  INTEGER NOT NULL
);
INSERT INTO meta VALUES (1, 1);
CREATE TABLE procs (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	epoch  INTEGER NOT NULL
);
CREATE TABLE buckets (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	name       TEXT NOT NULL UNIQUE,
	owner      TEXT NOT NULL,
	created    INTEGER NOT NULL,
	versioning INTEGER NOT NULL DEFAULT 0,
	arrived    INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE xorbs (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	hash       BLOB NOT NULL UNIQUE,
	file       TEXT NOT NULL,
	off        INTEGER NOT NULL,
	len        INTEGER NOT NULL,
	chunks     INTEGER NOT NULL,
	raw        INTEGER NOT NULL,
	packed     INTEGER NOT NULL DEFAULT 0,
	doomed     INTEGER NOT NULL DEFAULT 0,
	keep_until INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX xorbs_file ON xorbs (file);
CREATE INDEX xorbs_doomed ON xorbs (id) WHERE doomed <> 0;
CREATE TABLE files (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	hash       BLOB NOT NULL UNIQUE,
	size       INTEGER NOT NULL,
	terms      BLOB NOT NULL,
	doomed     INTEGER NOT NULL DEFAULT 0,
	keep_until INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX files_doomed ON files (id) WHERE doomed <> 0;
CREATE TABLE refs (
	xorb INTEGER NOT NULL,
	file INTEGER NOT NULL,
	PRIMARY KEY (xorb, file)
) WITHOUT ROWID;
CREATE INDEX refs_file ON refs (file);
CREATE TABLE damaged (
	xorb INTEGER PRIMARY KEY
);
CREATE TABLE packs (
	file   TEXT PRIMARY KEY,
	proc   INTEGER NOT NULL,
	sealed INTEGER NOT NULL,
	size   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE redo (
	id    INTEGER PRIMARY KEY AUTOINCREMENT,
	file  TEXT NOT NULL,
	off   INTEGER NOT NULL,
	sum   INTEGER NOT NULL,
	bytes BLOB NOT NULL
);
CREATE TABLE trash (
	file  TEXT PRIMARY KEY,
	epoch INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE keys (
	bucket  INTEGER NOT NULL,
	key     BLOB NOT NULL,
	version INTEGER NOT NULL,
	file    INTEGER NOT NULL,
	info    BLOB NOT NULL,
	PRIMARY KEY (bucket, key, version)
) WITHOUT ROWID;
CREATE INDEX keys_file ON keys (file);
CREATE TABLE uploads (
	id      TEXT PRIMARY KEY,
	bucket  INTEGER NOT NULL,
	key     BLOB NOT NULL,
	created INTEGER NOT NULL,
	done    INTEGER NOT NULL DEFAULT 0,
	info    BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_bucket ON uploads (bucket, done, key, created, id);
CREATE INDEX uploads_created ON uploads (created);
CREATE TABLE parts (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	upload TEXT NOT NULL,
	number INTEGER NOT NULL,
	file   INTEGER NOT NULL,
	info   BLOB NOT NULL,
	UNIQUE (upload, number)
);
CREATE INDEX parts_file ON parts (file);
`

// indexSchema: h is the first 64 bits of a chunk hash, loc the xorb's id × 8192 plus the chunk's index in it. Two chunks
// that share h share the row: a hint leads to one of them, and the full hash decides.
//
// todo is explained in reindex.go.
const indexSchema = `
CREATE TABLE chunks (
	h   INTEGER PRIMARY KEY,
	loc INTEGER NOT NULL
);
CREATE TABLE todo (
	id    INTEGER PRIMARY KEY AUTOINCREMENT,
	proc  INTEGER NOT NULL,
	done  INTEGER NOT NULL,
	until INTEGER
);
`
