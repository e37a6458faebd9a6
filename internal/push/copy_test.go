package push

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hugbucket/internal/object"
)

// TestCopiesTakeHalf: copies for post-push.sh take at most half of what is free beyond what the store leaves free, all
// together.
func TestCopiesTakeHalf(t *testing.T) {
	r := newRig(t)
	r.door.copies.free = func(string) (free, all int64, err error) { return 1210, 1000, nil }
	if w := r.push(nameToken, "x", strings.Repeat("x", 300)); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if w := r.push(nameToken, "large", strings.Repeat("x", 601)); w.Code != 200 {
		t.Fatal(w.Body)
	}
	made := func(name string) (*hookCopy, error) {
		t.Helper()
		return r.door.copies.make(t.Context(), r.store, "db01", name)
	}
	if _, err := made("large"); !errors.Is(err, object.ErrNoSpace) {
		t.Errorf("more than half: %v", err)
	}
	a, errA := made("x")
	b, errB := made("x")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if st, err := os.Stat(a.path); err != nil || st.Size() != 300 || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if _, err := made("x"); !errors.Is(err, object.ErrNoSpace) {
		t.Errorf("the third: %v", err)
	}
	b.remove()
	c, err := made("x")
	if err != nil {
		t.Fatal(err)
	}
	c.remove()
	if _, err := made("none"); err == nil {
		t.Error("a copy of nothing")
	}
	if _, err := r.store.Put(t.Context(), "db01", "a/b", strings.NewReader("x"), object.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := made("a/b"); err == nil {
		t.Error("a copy where there is no directory")
	}
	a.remove()
	if left, err := os.ReadDir(r.home); err != nil || len(left) != 0 || r.door.copies.taken != 0 {
		t.Errorf("left: %v, %d bytes, %v", left, r.door.copies.taken, err)
	}

	// Without the hook there is none.
	r.hooks(&script{pre: ends(0, "")})
	r.door.copies.free = func(string) (free, all int64, err error) {
		t.Error("a copy for nobody")
		return 0, 0, nil
	}
	wantAnswer(t, r.push(nameToken, "z", "content"), 200, "z 7 ")

	// The push itself has nothing to do with it.
	r.hooks(&script{post: ends(0, "said")})
	r.door.copies.free = func(string) (free, all int64, err error) { return 5, 0, nil }
	w := r.push(nameToken, "y", "content")
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "y 7 ") || w.Header().Get("X-File-Bucket-Hook") != "failed" {
		t.Errorf("answer %d %q", w.Code, w.Body)
	}
}

// TestSweepCopies: what a process that died left goes at the next start, and what somebody needs or owns stays.
func TestSweepCopies(t *testing.T) {
	r := newRig(t)
	dirs := map[string]bool{ // whether it stays
		copyPrefix + strings.Repeat("a", partialRandom): false,
		copyPrefix + strings.Repeat("b", partialRandom): true, // in use
		copyPrefix + "backup":                           true,
		bareToken:                                       true,
	}
	for dir := range dirs {
		if err := os.MkdirAll(filepath.Join(r.home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.home, dir, "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(filepath.Join(r.home, copyPrefix+strings.Repeat("b", partialRandom)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // a test's
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := New(r.store, Config{Home: r.home, Buckets: buckets()}, r.door.log); err != nil {
		t.Fatal(err)
	}
	for dir, stays := range dirs {
		if _, err := os.Stat(filepath.Join(r.home, dir, "x")); (err == nil) != stays {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
