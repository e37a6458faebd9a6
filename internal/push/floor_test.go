package push

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// roomy is a driver that says what room it has.
type roomy struct {
	object.Driver
	full bool
}

var _ object.Usage = (*roomy)(nil)

func (d *roomy) Totals(context.Context, func()) (object.Totals, error) { return object.Totals{}, nil }

func (d *roomy) Space() (free, size int64, err error) { return 0, 0, nil }

func (d *roomy) Room(n int64) error {
	if d.full || n > 1000 {
		return object.ErrNoSpace
	}
	return nil
}

// early pushes with a length, and sees that nothing of it is read.
func (r *rig) early(token string, size int) *httptest.ResponseRecorder {
	r.t.Helper()
	body := &counter{Reader: zeros{}}
	req := put("/"+token+"/x", "", size)
	req.Body = io.NopCloser(body)
	req.Header.Set("Expect", "100-continue")
	w := r.do(req)
	if body.n != 0 {
		r.t.Errorf("%d bytes were read", body.n)
	}
	return w
}

// TestFloorBeforeBody: a plain file that cannot fit above the floor is refused before it comes. One of a named bucket only when there
// is no room at all: it may be stored already, all but for little.
func TestFloorBeforeBody(t *testing.T) {
	d := &roomy{Driver: objecttest.OpenMemory(t)}
	r := newRigOver(t, object.New(d, object.Config{}), buckets())
	r.door.floor.least = 500
	r.door.floor.free = func(string) (free, all int64, err error) { return 600, 1 << 40, nil }
	wantAnswer(t, r.early(bareToken, 101), 507, "no space left\n")
	if line := r.lastLine(); !strings.Contains(fmt.Sprint(line["error"]), "are kept free") {
		t.Errorf("line %v", line)
	}
	wantAnswer(t, r.push(bareToken, "x", bytesOf(100)), 200, "x 100 ")
	wantAnswer(t, r.do(put("/"+nameToken+"/x", bytesOf(2000), 2000)), 200, "x 2000 ")
	d.full = true
	wantAnswer(t, r.early(nameToken, 1), 507, "no space left\n")
	wantAnswer(t, r.early(nameToken, -1), 507, "no space left\n")
}

// TestFloorByDefault: without a word in the configuration 1 % is kept free, at most 2 GiB.
func TestFloorByDefault(t *testing.T) {
	for all, least := range map[int64]int64{100 << 20: 1 << 20, 1 << 40: 2 << 30} {
		free := int64(0)
		f := floor{free: func(string) (int64, int64, error) { return free, all, nil }, nodes: nodesOf}
		if free = least; f.room("/", 0) != nil || f.room("/", 1) == nil {
			t.Errorf("of %d, it is not %d that are kept free", all, least)
		}
	}
}

// TestFloorOfInodes: files without content take inodes, and the last of them are not for pushes.
func TestFloorOfInodes(t *testing.T) {
	for _, row := range []struct {
		free, all uint64
		status    int
	}{
		{7, 600, 200},
		{6, 600, 200},
		{5, 600, 507},
		{0, 600, 507},
		{0, 50, 507},
		{0, 0, 200},                 // as btrfs has it
		{1<<64 - 1, 1 << 20, 200},   // as cephfs has it
		{1<<64 - 2, 1<<64 - 1, 200}, // any number will do
	} {
		r := newRig(t)
		r.door.floor.nodes = func(string) (uint64, uint64, error) { return row.free, row.all, nil }
		for _, w := range []*httptest.ResponseRecorder{
			r.push(bareToken, "x", ""), r.do(put("/"+bareToken+"/y", "", 0)), r.do(put("/"+bareToken+"/z", "content", -1)),
		} {
			if w.Code != row.status {
				t.Errorf("%d of %d: %d %q, want %d", row.free, row.all, w.Code, w.Body, row.status)
			}
		}
		wantAnswer(t, r.push(nameToken, "x", ""), 200, "")
		if row.status == 507 && !strings.Contains(r.logs.String(), "inodes free, 1 % are kept free") {
			t.Errorf("logged %s", r.logs)
		}
	}
}

// TestFloorOfMissingDirectory: the directory of a token is there only after the first push.
func TestFloorOfMissingDirectory(t *testing.T) {
	f := floor{least: 1 << 60, free: freeOf, nodes: nodesOf}
	if err := f.room(t.TempDir()+"/a/b", 0); err == nil {
		t.Error("there is room for 2^60 bytes")
	}
}

// TestFloorInMidBody: what others write meanwhile is seen, and nothing is left of what came.
func TestFloorInMidBody(t *testing.T) {
	r := newRig(t)
	looks := 0
	r.door.floor.free = func(string) (free, all int64, err error) {
		looks++
		if looks > 4 { // by the head of the request, by that of the file, after 8 and after 16 MiB
			return 0, 1 << 40, nil
		}
		return 1 << 40, 1 << 40, nil
	}
	const size = 30 << 20
	wantAnswer(t, r.do(put("/"+bareToken+"/x", bytesOf(size), -1)), 507, "no space left\n")
	if came := r.lastLine()["bytes"]; came != float64(3*floorStep) {
		t.Errorf("%v bytes came", came)
	}
	r.wantNothing()
}
