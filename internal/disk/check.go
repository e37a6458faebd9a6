package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// CheckOptions say how Check goes about it. The zero value reads everything as fast as it can.
type CheckOptions struct {
	// Quick compares rows and places only: no content is read, nor what xorbs say of themselves.
	Quick bool
	// Rate bounds how much content is read, in bytes a second; 0 does not.
	Rate     int64
	Progress Progress
}

// Checked is what Check has looked at, and how much of it was not as it should be.
type Checked struct {
	Keys, Files, Xorbs int64 // looked at
	Bytes              int64 // of content that were read
	Damaged            int64 // keys that cannot be read, or not for long
	Orphans            int64 // files, and pieces of packs, that no row names
	OrphanBytes        int64
}

// Problem is something that Check found wrong.
type Problem struct {
	What string   // in words
	Keys []string // the objects that it hurts, as bucket/key
	// Orphan says that it takes room and hurts nobody: a file, or bytes of a pack, that no row names.
	Orphan bool
	Size   int64    // of an orphan, in bytes
	File   string   // of which the orphan is a piece, relative to the store; empty when it is something else
	Xorb   xet.Hash // what the orphan is when it is a whole xorb, else zero; always zero in a quick check
}

func (p Problem) String() string {
	if len(p.Keys) == 0 {
		return p.What
	}
	return fmt.Sprintf("%s (hurts %q)", p.What, p.Keys)
}

// checkConns is how many connections Check reads the catalog with.
const checkConns = 3

// checker carries what Check knows so far. What was once read from the catalog or from a file is never used to call something
// damaged: it is read again before that, by way of files and pages that nobody else has open.
type checker struct {
	d  *Driver
	db *sql.DB // of catalog.db, read-only
	// byHash finds the row of a xorb, refsOf the refs of a file; they are of db, and closed with it.
	byHash, refsOf *sql.Stmt
	hints          *sql.DB // of index.db, read-only; nil when it cannot be read, or is not to be
	files          *fileCache
	opts           CheckOptions
	limit          *limiter
	keep           int // bounds the bytes of chunks; chunkListBytes but in tests
	steps          []func(context.Context) error

	mu     sync.Mutex // guards what follows, and the calls of report and Progress
	report func(Problem)
	done   Checked
	step   Step
	told   int64           // Done of the step when it was last told
	whole  idSet           // rows of xorbs that are whole
	bad    map[int64]error // rows of xorbs that are not; they were reported
	seen   seenXorbs
	chunks chunkLists
	blind  bool // rows of xorbs cannot be read: nobody can tell what no row names

	sound     idSet           // rows of files that are whole
	hurt      map[int64]error // rows of files that are not, and why
	wrong     int64           // rows of index.db that lead to other chunks
	wrongWhat string          // the first of them
	turns     int             // how often the index was read
	names     map[int64]bucketName
	dead      idSet       // processes
	reader    *xorbReader // of xorbOf
}

// Check reads and verifies everything that is stored: each page of the databases, each key's file, each file's xorbs, each
// chunk's content, that each xorb lies where its row says and has its place for itself, and that no file on disk and no piece
// of a pack is without a row. It reports each thing that is damaged, each key that cannot be read for it, and each orphan, and
// goes on behind pages of the catalog that cannot be read. Report is called by one goroutine at a time, and must not call the
// driver.
//
// It changes nothing. Others may read and write meanwhile; what belongs to a process that lives is no orphan. Collection has
// to wait: ErrBusy says that it is at work. An error says that it could not check.
func (d *Driver) Check(ctx context.Context, opts CheckOptions, report func(Problem)) (Checked, error) {
	c := d.newChecker(opts, report)
	if err := c.run(ctx); err != nil {
		return c.done, fmt.Errorf("check store %s: %w", d.dir, err)
	}
	return c.done, nil
}

func (d *Driver) newChecker(opts CheckOptions, report func(Problem)) *checker {
	c := &checker{
		d: d, opts: opts, report: report, files: newFileCache(d.fs), keep: chunkListBytes,
		bad: make(map[int64]error), hurt: make(map[int64]error),
	}
	c.steps = []func(context.Context) error{
		c.databases, c.checkRedo, c.checkXorbs, c.checkPlaces, c.checkFiles, c.checkUploads, c.checkParts, c.checkKeys, c.checkKept,
	}
	if opts.Rate > 0 {
		c.limit = &limiter{rate: opts.Rate}
	}
	return c
}

func (c *checker) run(ctx context.Context) (err error) {
	release, err := c.d.holdStill(false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release(), c.files.close()) }()
	if c.db, err = c.d.catalogDB().openReadOnly(checkConns, catalogCacheKiB); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.db.Close()) }()
	err = prepare(ctx, c.db, map[**sql.Stmt]string{
		&c.byHash: `SELECT id, ` + xorbColumns + ` FROM xorbs WHERE hash = ?`,
		&c.refsOf: `SELECT xorb, EXISTS (SELECT 1 FROM refs p INDEXED BY sqlite_autoindex_refs_1 WHERE p.xorb = r.xorb AND p.file = r.file)
			FROM refs r INDEXED BY refs_file WHERE file = ?`,
	})
	if err != nil {
		return err
	}
	if !c.opts.Quick && c.d.hasIndex() {
		if c.hints, err = c.d.indexFile().openReadOnly(1, indexCacheKiB); err != nil {
			return err
		}
		defer func(db *sql.DB) { err = errors.Join(err, db.Close()) }(c.hints)
		made := true
		// What is wrong with it is for databases to say.
		_ = c.hints.QueryRowContext(brief(ctx), `SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'chunks'`).Scan(&made)
		if !made { // somebody is at it
			c.hints = nil
		}
	}
	for _, step := range c.steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// problem reports something.
func (c *checker) problem(p Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problemLocked(p)
}

func (c *checker) problemLocked(p Problem) {
	c.done.Damaged += int64(len(p.Keys))
	if p.Orphan {
		c.done.Orphans++
		c.done.OrphanBytes += p.Size
	}
	c.report(p)
}

// fatal says whether an error is none of what is checked: nothing can be said then.
func fatal(err error) bool { return err != nil && !errors.Is(err, object.ErrCorrupt) }

// corrupt is an object.ErrCorrupt.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{object.ErrCorrupt}, args...)...)
}

// begin begins a step.
func (c *checker) begin(s Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step, c.told = s, 0
	c.opts.Progress.tell(s)
}

// tellEvery is how many bytes are read between two words about it.
const tellEvery = 1 << 20

// moved says that the step is one thing further.
func (c *checker) moved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveLocked(c.step.Done+1, checkPage)
}

// move says how far the step is, once that has changed by so much.
func (c *checker) move(to, atLeast int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveLocked(to, atLeast)
}

func (c *checker) moveLocked(to, atLeast int64) {
	c.step.Done = to
	if c.step.Total > 0 { // others may store more meanwhile
		c.step.Done = min(to, c.step.Total)
	}
	if c.step.Done-c.told >= atLeast {
		c.told = c.step.Done
		c.opts.Progress.tell(c.step)
	}
}

// count returns how many rows a table has, and the sum of a column. Rows that cannot be read are left out, and those behind
// them.
func (c *checker) count(ctx context.Context, table, column string) (n, sum int64, err error) {
	for last := int64(0); ; {
		if err := live(ctx); err != nil {
			return 0, 0, err
		}
		var rows, to int64
		var part float64
		err := sqlError(c.db.QueryRowContext(brief(ctx), `SELECT count(*), total(`+column+`), ifnull(max(id), 0) FROM
			(SELECT id, `+column+` FROM `+table+` WHERE id > ? ORDER BY id LIMIT ?)`, last, checkPage).Scan(&rows, &part, &to))
		if errors.Is(err, object.ErrCorrupt) || err == nil && rows == 0 {
			return n, sum, nil
		}
		if err != nil {
			return 0, 0, err
		}
		n, sum, last = n+rows, sum+int64(part), to
	}
}
