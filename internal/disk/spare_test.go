package disk

import (
	"bytes"
	"sync/atomic"
	"testing"
)

// spareFS has something happen once a commit has looked at what is stored, and before it writes anything.
type spareFS struct {
	fsys
	between *atomic.Pointer[func()]
}

func (f *spareFS) free() (free, size int64, err error) {
	if between := f.between.Swap(nil); between != nil {
		(*between)()
	}
	return f.fsys.free()
}

// TestSpare stores content that is stored already and that the index does not know, while the catalog changes under it:
// whatever happens, a row names bytes.
func TestSpare(t *testing.T) {
	for name, tt := range map[string]struct{ before, between, after string }{
		"nothing happens": {},
		"damage is found": {
			between: `INSERT INTO damaged SELECT id FROM xorbs`,
			after:   `DELETE FROM damaged`, // there is none
		},
		"doomed rows go": {
			before:  `DELETE FROM keys; UPDATE files SET doomed = 1; UPDATE xorbs SET doomed = 1`,
			between: `DELETE FROM refs; DELETE FROM files; DELETE FROM xorbs`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var between atomic.Pointer[func()]
			d := openWith(t, dir, Options{fs: &spareFS{osFS(dir), &between}}) // checks on cleanup
			s := newStore(t, d)
			body := randomBytes(200_000, 1)
			put(t, s, "first", body)
			d.index.flush(t.Context())
			if _, err := d.index.db.Load().write.ExecContext(t.Context(), `DELETE FROM chunks`); err != nil {
				t.Fatal(err)
			}
			write(t, d, tt.before)
			change := func() { write(t, d, tt.between) }
			between.Store(&change)
			d.commit.lookedAt.Store(nil) // there may be others
			put(t, s, "second", body)
			write(t, d, tt.after)
			if !bytes.Equal(get(t, s, "second"), body) {
				t.Error("content differs")
			}
		})
	}
}
