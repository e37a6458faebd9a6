package object

import (
	"context"
	"iter"
	"time"

	"hugbucket/internal/xet"
)

// Driver keeps a store: names and content. All methods of a driver are safe for concurrent use; those of a Content, a
// Session and a Xorb are not. A method whose ctx has ended when it is called returns the cause of that.
type Driver interface {
	Catalog
	Contents
	Uploads
	// Close gives back what the driver holds. Sessions and Contents must be closed before.
	Close() error
}

// Catalog answers questions about names, and makes and deletes buckets. Names that Catalog is asked for were validated by
// the Store. A missing bucket is ErrNoBucket, a missing key fs.ErrNotExist.
type Catalog interface {
	// Buckets returns up to limit buckets in byte order of their names, from the first name >= start on, and whether
	// there are more.
	Buckets(ctx context.Context, start string, limit int) (page []Bucket, more bool, err error)
	// Bucket returns one bucket.
	Bucket(ctx context.Context, name string) (Bucket, error)
	// Arrived returns when a commit last made a key of the bucket name something, but for markers, amendments and what was renamed within
	// the bucket, by the wall clock of the machine that the
	// driver runs on; the zero time when none ever did. It may be up to ArrivedWithin early, so that not every commit has to
	// write it down. It is durable with the commit, and what Info.ModTime says plays no part.
	Arrived(ctx context.Context, bucket string) (time.Time, error)
	// CreateBucket returns ErrBucketExists when the name is taken.
	CreateBucket(ctx context.Context, b Bucket) error
	// DeleteBucket returns ErrBucketNotEmpty, decided in the same step as the deletion. Uploads that are open do not keep a
	// bucket; they are deleted with it. When it fails, some of them may be gone.
	DeleteBucket(ctx context.Context, name string) error
	// Stat returns what a key names.
	Stat(ctx context.Context, bucket, key string) (Info, error)
	// List returns up to limit objects whose keys begin with prefix, in byte order, from the first key >= start on, and
	// whether there are more. Its cost grows with limit, not with the bucket. start need not be valid UTF-8. Info.Parts are
	// nil, for there may be MaxParts of them for each object.
	List(ctx context.Context, bucket string, q Page) (page []Info, more bool, err error)
}

// ArrivedWithin is how far Catalog.Arrived may be behind.
const ArrivedWithin = time.Minute

// Page is a question to Catalog.List.
type Page struct {
	Prefix string
	Start  string // inclusive
	Limit  int    // 1 to 1000
}

// Contents reads content by name and by hash, and begins sessions that write.
type Contents interface {
	// Open returns what a key names and its content, both of one moment. The content stays readable until it is closed,
	// also when the key is overwritten or deleted meanwhile.
	Open(ctx context.Context, bucket, key string) (Info, Content, error)
	// OpenFile is Open by file hash; fs.ErrNotExist when no such file is stored. The zero hash is the empty file and is
	// always there.
	OpenFile(ctx context.Context, file xet.Hash) (Content, error)
	// Begin starts a session. It costs no I/O.
	Begin(ctx context.Context) (Session, error)
}

// Content is an open file. It must be closed.
type Content interface {
	// Size is the length in bytes.
	Size() int64
	// Terms are where the file's chunks lie, in order. The caller must not change them.
	Terms() []xet.Term
	// Chunks yields the file's chunks in order, from the one that holds off; none from Size on. It ends after the first
	// error.
	Chunks(ctx context.Context, off int64) iter.Seq2[xet.Chunk, error]
	// Block returns bytes of the file from off on: at least one, and up to the end of a chunk; want says how many the
	// caller is going to ask for in all, so that the driver can read ahead so far and no further. Every byte returned was
	// verified against its chunk's hash; ErrCorrupt when that fails. io.EOF at Size and behind it. The slice is valid
	// until the next call.
	Block(ctx context.Context, off, want int64) ([]byte, error)
	// Close lets go of the content.
	Close() error
}

// Session stages content and commits names. What Known said yes to stays stored until the session is closed. Closing
// without Commit leaves nothing behind that anybody sees. After an error of any method all of them but Close return one.
// After a Commit that succeeded a session may go on, and commit again.
type Session interface {
	// Known fills places[i] for chunks[i]: where that chunk is stored, or the zero Place. It answers for what is
	// committed and for what this session has staged in closed xorbs. A driver prefers the place that continues the run
	// of the chunk before, so that terms grow long. len(places) == len(chunks).
	Known(ctx context.Context, chunks []xet.Hash, places []Place) error
	// NewXorb begins a xorb. At most one is open at a time.
	NewXorb(ctx context.Context) (Xorb, error)
	// PutFile stages a file: its hash, size and terms, which refer to xorbs that are known or staged and closed, else it is
	// an InvalidError, or an ErrTooLarge; see CheckFile. A file that is stored already is taken as it is stored.
	PutFile(ctx context.Context, f xet.Reconstruction) error
	// Commit makes the changes and all that they refer to durable and visible in one step, or returns an error and
	// changes nothing. Each Change.If is evaluated in that step, against the state left by the changes before it; the
	// error of the first that fails is returned as a *ChangeError.
	Commit(ctx context.Context, changes []Change) error
	// Rename renames as Store.Rename has it, which has looked at the names, and returns how many keys that were. It is one step, in
	// which it is also found out whether it can be done; in it no keys are more in memory than a page of them. leave is as in
	// Change, in the bucket renamed from. What is
	// staged plays no part. Errors: ErrNoBucket, fs.ErrNotExist, ErrTaken, ErrTooMany, InvalidError.
	Rename(ctx context.Context, opts RenameOptions, leave *Info) (int, error)
	// CommitPart stores a part of an upload, or replaces the one of that number, and makes it and all that it refers to durable
	// in one step. Its file is staged in the session or stored already and of its Size, else it is an InvalidError. ErrNoUpload
	// unless the upload is open.
	CommitPart(ctx context.Context, upload string, p Part) error
	// Close ends the session. It is safe to call after a commit, and twice.
	Close() error
}

// Xorb is a xorb in the making, bounded as xet.XorbWriter is.
type Xorb interface {
	// Fits says whether a chunk of raw uncompressed bytes still has room.
	Fits(raw int) bool
	// Add appends a chunk, encoded as a record by xet.AppendRecord. The driver keeps no reference to record.
	Add(ctx context.Context, c xet.Chunk, record []byte) error
	// Close stages the xorb and returns its hash.
	Close(ctx context.Context) (xet.Hash, error)
}

// Place is where a chunk is stored: the xorb's hash and the chunk's index in it. The zero Xorb means not stored.
type Place struct {
	Xorb  xet.Hash
	Index uint32
}

// Change is one change of names in a commit.
type Change struct {
	Bucket, Key string
	// New is what the key names from now on; its Bucket and Key are those of the change, and its file is staged in the
	// session or stored already and of its Size, else it is an InvalidError. Nil deletes the key; a missing key is deleted
	// with success.
	New *Info
	// If must hold of what the key names before the change.
	If Condition
	// Amends, when it is not nil, is what the key must name, in all that Info.Same compares, or else it is an ErrPrecondition; New
	// says something else of the same content. That is no arrival.
	Amends *Info
	// Leave, when it is not nil, goes with a deletion: when no key that begins with Leave.Key is left by it, Leave.Key names this
	// from then on. It is a marker, of a directory of the same bucket that Key lies in.
	Leave *Info
	// Complete, when it is not nil, makes New what an upload of this key is completed to. It is looked at before If.
	Complete *Completion
}

// ChangeError says which change of a commit failed. Unwrap gives the cause.
type ChangeError struct {
	Index int
	Err   error
}

func (e *ChangeError) Error() string { return e.Err.Error() }

func (e *ChangeError) Unwrap() error { return e.Err }
