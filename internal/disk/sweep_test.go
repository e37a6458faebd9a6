package disk

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"hugbucket/internal/object"
)

// failCommit fails the nth COMMIT.
type failCommit struct {
	fsys
	n *atomic.Int64
}

func (f failCommit) reach(step string) error {
	if step == "commit" && f.n.Add(-1) == 0 {
		return errFault
	}
	return nil
}

// TestForgetCutShort sweeps after a process that lives but whose lock file somebody has removed, and fails while doing so: what
// the process commits after that is there, or it commits nothing.
func TestForgetCutShort(t *testing.T) {
	for n := int64(1); n <= 3; n++ {
		t.Run(fmt.Sprint("transaction ", n), func(t *testing.T) {
			dir := t.TempDir()
			a := opened(t, dir, Options{idle: true})
			sa := newStore(t, a)
			s, err := newStaging(t.Context(), a, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.more.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, x := range s.Session.(*session).staged { //nolint:errcheck,forcetypeassert // a driver's own
				if err := x.wait(); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(a.procLock(a.proc.id)); err != nil {
				t.Fatal(err)
			}
			fail := failCommit{osFS(dir), new(atomic.Int64)}
			b := opened(t, dir, Options{idle: true, fs: fail})
			fail.n.Store(n)
			t.Log("sweep:", b.sweep(t.Context()))
			if err := s.Commit(t.Context(), []object.Change{{Bucket: "bucket", Key: "staged", New: &s.info}}); err != nil {
				t.Log("commit:", err)
			} else if got, err := readAll(t.Context(), sa, "staged"); err != nil || !bytes.Equal(got, s.body) {
				t.Errorf("an acknowledged object reads as %d bytes, %v", len(got), err)
			}
			_ = s.Close()
			_ = a.Close()
			_ = b.Close()
		})
	}
}
