package push

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
	"hugbucket/internal/throttle"
)

// TestRefusalsByReason: who looks at metrics can tell a full disk from a full bucket, and a wrong token from too many uploads.
func TestRefusalsByReason(t *testing.T) {
	d := &faulty{Driver: objecttest.OpenMemory(t)}
	r := newRigOver(t, object.New(d, object.Config{}), append(buckets(), Bucket{Name: "full", Token: "token-of-full-bucket", Quota: 10}))
	want := map[string]int64{}
	refused := func(reason string, push func()) {
		t.Helper()
		push()
		want[reason]++
		if got := r.door.Refusals(); !maps.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", reason, got, want)
		}
	}
	wantAnswer(t, r.push(nameToken, "x", "content"), 200, "x")
	if got := r.door.Refusals(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	for range throttle.MaxStrikes {
		refused("token", func() { r.push(badToken, "x", "content") })
	}
	refused("throttled", func() { r.push(badToken, "x", "content") })
	refused("exists", func() { r.push(nameToken, "x", "content") })
	refused("size", func() { r.push(tinyToken, "x", bytesOf(101)) })
	refused("quota", func() { r.push("token-of-full-bucket", "x", bytesOf(11)) })
	refused("request", func() { r.push(nameToken, "-x", "content") })
	refused("request", func() { r.push(nameToken, "", "content") })
	refused("cut", func() { r.do(put("/"+nameToken+"/cut", "cont", 7)) })
	refused("digest", func() {
		req := put("/"+nameToken+"/y", "content", 7)
		req.Header.Set("X-Checksum-Sha256", fmt.Sprintf("%064d", 0))
		r.do(req)
	})
	r.hooks(&script{pre: ends(1, "")})
	refused("hook", func() { r.push(nameToken, "y", "content") })
	r.hooks(&script{pre: ends(3, "")})
	refused("hook", func() { r.push(nameToken, "y", "content") })
	r.hooks(&script{})
	d.begin = func() error { return object.ErrNoSpace }
	refused("space", func() { r.push(nameToken, "y", "content") })
	d.begin = func() error { return errors.New("cause") }
	refused("internal", func() { r.push(nameToken, "y", "content") })
	r.door.slots = newSlots(0, 0)
	refused("busy", func() { r.push(nameToken, "y", "content") })
}
