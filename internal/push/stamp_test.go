package push

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"hugbucket/internal/object/objecttest"
)

// stampRig is a door whose buckets stamp, at a time that stands still.
func stampRig(t *testing.T, at time.Time) *rig {
	t.Helper()
	r := newRigOver(t, objecttest.NewStore(t), []Bucket{
		{Name: "db01", Token: nameToken, Stamp: true},
		{Token: bareToken, Stamp: true},
		{Name: "over", Token: overToken, Stamp: true, Overwrite: true},
		{Token: bareOver, Stamp: true, Overwrite: true},
	})
	r.door.now = func() time.Time { return at }
	return r
}

// TestStamp: the time is before the name wherever somebody is told the name.
func TestStamp(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 15, 0, 123_999_999, time.FixedZone("", 3600))
	const name = "20261122T081500.123Z-dump.sql"
	for token, dir := range map[string]string{nameToken: "db01/", bareToken: bareToken + "/"} {
		r := stampRig(t, at)
		hooks := &script{pre: ends(0, ""), post: ends(0, "")}
		r.hooks(hooks)
		req := put("/"+token+"/dump.sql", "content", 7)
		req.Header.Set("Accept", "application/json")
		w := r.do(req)
		var got receipt
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.Name != name {
			t.Errorf("answer %d %q, %v", w.Code, w.Body, err)
		}
		if pre, after := hooks.calls[0], hooks.calls[1]; pre.Args[1] != name || pre.Env[2] != "FB_FILE="+name ||
			!strings.HasSuffix(after.Args[1], "/"+name) || after.Env[2] != "FB_FILE="+name {
			t.Errorf("hooks got %q and %q", pre, after)
		}
		if line := r.lastLine(); line["file"] != name {
			t.Errorf("line %v", line)
		}
		r.wantStored(map[string]string{dir + name: "content"})
		r.hooks(&script{})
		wantAnswer(t, r.push(token, "../dump.sql", "2"), 200, "20261122T081500.124Z-dump.sql 1 sha256:")
		r.wantStored(map[string]string{dir + name: "content", dir + "20261122T081500.124Z-dump.sql": "2"})
		wantAnswer(t, r.push(token, "-rf", "2"), 400, "it begins with a dash") // also where it would not in the end
		wantAnswer(t, r.push(token, strings.Repeat("n", 235), "2"), 400, "longer than 255 bytes with the time")
		wantAnswer(t, r.push(token, strings.Repeat("n", 234), "2"), 200, "20261122T081500.125Z-n") // refused names use up no time
	}
}

// TestStampsAreUnique: files that come at once, under one name, are all kept.
func TestStampsAreUnique(t *testing.T) {
	const clients = 20
	for _, token := range []string{nameToken, bareToken, overToken, bareOver} {
		r := stampRig(t, time.Date(2026, 11, 22, 8, 15, 0, 0, time.UTC))
		r.hooks(&script{pre: ends(hookReplace, "")})
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				if w := r.push(token, "x", fmt.Sprint(i)); w.Code != 200 {
					t.Errorf("answer %d %q", w.Code, w.Body)
				}
			})
		}
		wg.Wait()
		names := regexp.MustCompile(`/20261122T081500\.0[01]\dZ-x$`)
		seen := map[string]bool{}
		for name, content := range r.stored() {
			if !names.MatchString(name) || seen[content] {
				t.Errorf("%s: %q", name, content)
			}
			seen[content] = true
		}
		if len(seen) != clients {
			t.Errorf("%d files of %d", len(seen), clients)
		}
	}
}

// TestStampNeverReplaces: not even when the clock was set back to the very moment, and not when pre-push.sh allows it.
func TestStampNeverReplaces(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 15, 0, 0, time.UTC)
	for _, token := range []string{overToken, bareOver} {
		r := stampRig(t, at)
		r.hooks(&script{pre: ends(hookReplace, "")})
		wantAnswer(t, r.push(token, "x", "first"), 200, "20261122T081500.000Z-x")
		before := r.stored()
		r.door.stamps = stamps{} // as after a restart
		wantAnswer(t, r.push(token, "x", "second"), 405, "file exists")
		r.wantStored(before)
	}
}

// TestStampsOfBuckets: what is pushed into one bucket shifts the times of no other.
func TestStampsOfBuckets(t *testing.T) {
	r := stampRig(t, time.Date(2026, 11, 22, 8, 15, 0, 0, time.UTC))
	for i := range 3 {
		for _, token := range []string{nameToken, bareToken, overToken, bareOver} {
			wantAnswer(t, r.push(token, "x", "content"), 200, fmt.Sprintf("20261122T081500.%03dZ-x 7 ", i))
		}
	}
}

// TestStampsFollowTheClock: they go on in small steps only for as long as that stays near the time.
func TestStampsFollowTheClock(t *testing.T) {
	var s stamps
	start := time.Date(2026, 11, 22, 8, 15, 0, 0, time.UTC)
	for i, row := range []struct{ clock, want time.Duration }{
		{0, 0},
		{0, time.Millisecond},
		{time.Microsecond, 2 * time.Millisecond},
		{time.Second, time.Second},
		{0, time.Second + time.Millisecond},
		{-time.Hour, -time.Hour},
		{-time.Hour, -time.Hour + time.Millisecond},
		{0, 0},
	} {
		if got := s.next("x", start.Add(row.clock)); !got.Equal(start.Add(row.want)) {
			t.Errorf("%d: %v, want %v", i, got, start.Add(row.want))
		}
	}
}
