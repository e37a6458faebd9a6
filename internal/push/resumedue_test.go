package push

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// due is how many notes there are of hooks that are due.
func (r tusRig) due() int {
	r.t.Helper()
	list, err := os.ReadDir(filepath.Join(r.home, dueDir))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(list)
}

// TestHookThatWasCutIsDue: one that something else has ended, or that could not be run, runs again when the client asks; one that has ended
// by itself, or took too long, does not.
func TestHookThatWasCutIsDue(t *testing.T) {
	for token := range places() {
		for name, row := range map[string]struct {
			post func(context.Context, HookCall) (HookResult, error)
			runs int
		}{
			"runner ended":  {fails(errors.New("the runner of hooks ended without an answer")), 2},
			"SIGTERM":       {ends(128+15, ""), 2},
			"SIGKILL":       {ends(128+9, ""), 2},
			"broken pipe":   {ends(128+13, ""), 1},
			"ssh failed":    {ends(255, ""), 1},
			"took too long": {fails(ErrHookTime), 1},
			"is gone":       {fails(ErrNoHook), 1},
			"failed":        {ends(1, ""), 1},
			"went well":     {ends(0, ""), 1},
		} {
			r := newTusRig(t)
			hooks := &script{}
			hooks.post = func(ctx context.Context, call HookCall) (HookResult, error) {
				if len(hooks.calls) == 1 {
					return row.post(ctx, call)
				}
				return HookResult{}, nil
			}
			r.hooks(hooks)
			url := r.begin(token, 8)
			if w := r.patch(url, 0, "contents"); w.Code != 204 {
				t.Fatalf("%d %q", w.Code, w.Body)
			}
			if n := r.due(); n != row.runs-1 {
				t.Errorf("%s: %d are due", name, n)
			}
			r.wantOffset(url, 8, 8)
			r.wantOffset(url, 8, 8)
			if len(hooks.calls) != row.runs || r.due() != 0 {
				t.Errorf("%s: %d calls, and %d are due", name, len(hooks.calls), r.due())
			}
		}
	}
}

// unsure is a driver that says for once that a commit failed, though it has lasted.
type unsure struct {
	object.Driver
	lies bool
}

type unsureSession struct {
	object.Session
	d *unsure
}

func (d *unsure) Begin(ctx context.Context) (object.Session, error) {
	s, err := d.Driver.Begin(ctx)
	return &unsureSession{s, d}, err
}

func (s *unsureSession) Commit(ctx context.Context, changes []object.Change) error {
	err := s.Session.Commit(ctx, changes)
	if err == nil && s.d.lies {
		s.d.lies = false
		return errors.New("the log could not be synced")
	}
	return err
}

// TestHookIsDueAfterAnUnsureCommit: the client hears that it failed, asks, hears that all is stored, and its hook runs.
func TestHookIsDueAfterAnUnsureCommit(t *testing.T) {
	d := &unsure{Driver: objecttest.OpenMemory(t)}
	r := tusRig{newRigOver(t, object.New(d, object.Config{}), buckets())}
	hooks := &script{post: ends(0, "")}
	r.hooks(hooks)
	url := r.begin(nameToken, 8)
	d.lies = true
	wantAnswer(t, r.patch(url, 0, "contents"), 500, "")
	if len(hooks.calls) != 0 {
		t.Errorf("%d calls for what failed", len(hooks.calls))
	}
	r.wantOffset(url, 8, 8)
	r.wantOffset(url, 8, 8)
	if len(hooks.calls) != 1 || r.due() != 0 {
		t.Errorf("%d calls, and %d are due", len(hooks.calls), r.due())
	}
}

// TestNoHookIsDueForWhatIsRefused: an upload that cannot be stored leaves no note.
func TestNoHookIsDueForWhatIsRefused(t *testing.T) {
	for token := range places() {
		r := newTusRig(t)
		r.hooks(&script{post: ends(0, "")})
		wantAnswer(t, r.patch(r.begin(token, 8, "X-Checksum-Sha256", strings.Repeat("00", 32)), 0, "contents"), 422, "digest")
		if n := r.due(); n != 0 {
			t.Errorf("%d are due", n)
		}
	}
}

// TestHookIsNotRunForAnotherFile: what has the name now is not what the hook was due for. It is told neither the SHA-256 of the one nor the
// content of the other.
func TestHookIsNotRunForAnotherFile(t *testing.T) {
	for token, place := range map[string]string{overToken: "over", bareOver: bareOver} {
		for name, row := range map[string]struct {
			change func(r tusRig)
			runs   int
			due    int
		}{
			"the same":    {func(tusRig) {}, 1, 0},
			"sent again":  {func(r tusRig) { wantAnswer(t, r.push(token, "x", "contents"), 200, "") }, 1, 0},
			"replaced":    {func(r tusRig) { wantAnswer(t, r.push(token, "x", "newer"), 200, "") }, 0, 0},
			"of its size": {func(r tusRig) { wantAnswer(t, r.push(token, "x", "CONTENTS"), 200, "") }, 0, 0},
			"removed":     {func(r tusRig) { r.lose(place) }, 0, 0},
			"no file":     {func(r tusRig) { r.lose(place); r.makeDir(place) }, 0, 0},
			"unreadable":  {func(r tusRig) { r.lose(place); r.makeLoop(place) }, 0, 1},
		} {
			if place == "over" && (name == "no file" || name == "unreadable") {
				continue // the object store has nothing of the kind
			}
			r := newTusRig(t)
			url := r.begin(token, 8)
			r.hooks(&script{post: fails(errors.New("the runner of hooks ended"))})
			if w := r.patch(url, 0, "contents"); w.Code != 204 {
				t.Fatalf("%d %q", w.Code, w.Body)
			}
			hooks := &script{}
			r.hooks(hooks)
			row.change(r)
			hooks.post = ends(0, "")
			w := r.ask("HEAD", url, nil)
			failed := w.Header().Get("X-File-Bucket-Hook") == "failed"
			if w.Code != 200 || len(hooks.calls) != row.runs || failed != (row.runs == 0) || r.due() != row.due {
				t.Errorf("%s, %s: %d %v, %d calls, %d are due", token, name, w.Code, w.Header(), len(hooks.calls), r.due())
			}
			if told := strings.Contains(r.logs.String(), "post-push.sh is not run"); told != failed {
				t.Errorf("%s: the log says so: %t", name, told)
			}
			if row.runs > 0 && !strings.Contains(fmt.Sprint(hooks.calls[0].Env), "FB_SIZE=8") {
				t.Errorf("called with %v", hooks.calls)
			}
		}
	}
}

// lose removes the file x.
func (r tusRig) lose(place string) {
	r.t.Helper()
	err := os.Remove(filepath.Join(r.home, place, "x"))
	if place == "over" {
		err = r.store.Delete(r.t.Context(), place, "x", object.Condition{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r tusRig) makeDir(place string) {
	r.t.Helper()
	if err := os.Mkdir(filepath.Join(r.home, place, "x"), 0o700); err != nil {
		r.t.Fatal(err)
	}
}

// makeLoop makes x a link to itself.
func (r tusRig) makeLoop(place string) {
	r.t.Helper()
	if err := os.Symlink("x", filepath.Join(r.home, place, "x")); err != nil {
		r.t.Fatal(err)
	}
}
