package push

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

const overQuota = "the bucket's quota has no room for it"

// quotaClock is a time that stands still until a test moves it.
type quotaClock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *quotaClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *quotaClock) set(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = to
}

func (c *quotaClock) forward(d time.Duration) { c.set(c.now().Add(d)) }

// quotaRig is a door whose buckets may hold 100 bytes, at a time that stands still until a test moves it.
func quotaRig(t *testing.T, store *object.Store) (r *rig, clock *quotaClock) {
	t.Helper()
	r = newRigOver(t, store, []Bucket{
		{Name: "db01", Token: nameToken, Quota: 100},
		{Token: bareToken, Quota: 100},
		{Name: "over", Token: overToken, Quota: 100, Overwrite: true},
		{Token: bareOver, Quota: 100, Overwrite: true},
	})
	at := &quotaClock{at: time.Unix(1_700_000_000, 0)}
	r.door.quotas.now, r.door.quotas.least = at.now, 0
	return r, at
}

// total is how many bytes all files have of the bucket or directory of a token.
func (r *rig) total(token string) (n int) {
	r.t.Helper()
	dir := map[string]string{nameToken: "db01", overToken: "over"}[token]
	for name, content := range r.stored() {
		if strings.HasPrefix(name, dir+"/") && dir != "" || strings.HasPrefix(name, token+"/") {
			n += len(content)
		}
	}
	return n
}

func bytesOf(n int) string { return strings.Repeat("c", n) }

// TestQuota: files go into a bucket up to its quota, to the byte, and not beyond.
func TestQuota(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r, _ := quotaRig(t, objecttest.NewStore(t))
		wantAnswer(t, r.push(token, "a", bytesOf(60)), 200, "a 60 ")
		wantAnswer(t, r.push(token, "b", bytesOf(41)), 507, overQuota)
		if line := r.lastLine(); line["event"] != "denied" || line["error"] != errQuota.Error() {
			t.Errorf("line %v", line)
		}
		wantAnswer(t, r.do(put("/"+token+"/b", bytesOf(41), 41)), 507, overQuota)
		wantAnswer(t, r.do(put("/"+token+"/b", bytesOf(41), -1)), 507, overQuota)
		wantAnswer(t, r.push(token, "b", bytesOf(40)), 200, "b 40 ")
		wantAnswer(t, r.push(token, "c", "1"), 507, overQuota)
		if line := r.lastLine(); line["level"] != "warn" || line["event"] != "denied" {
			t.Errorf("logged %v", line)
		}
		wantAnswer(t, r.push(token, "c", ""), 507, overQuota)
		if n := r.total(token); n != 100 {
			t.Errorf("%d bytes are stored", n)
		}
	}
}

// TestQuotaBeforeBody: what has a length is refused before anything of it is read.
func TestQuotaBeforeBody(t *testing.T) {
	for _, token := range []string{nameToken, bareToken, overToken, bareOver} {
		r, _ := quotaRig(t, objecttest.NewStore(t))
		wantAnswer(t, r.push(token, "a", bytesOf(60)), 200, "a 60 ")
		for _, put := range []bool{false, true} {
			body := &counter{Reader: zeros{}}
			req := post("/"+token, nil)
			req.ContentLength = 1 << 20
			if put {
				req = httptest.NewRequest(http.MethodPut, "/"+token+"/b", nil)
				req.ContentLength = 101
				req.Header.Set("Content-Length", "101")
			}
			req.Body = io.NopCloser(body)
			req.Header.Set("Expect", "100-continue")
			wantAnswer(t, r.do(req), 507, overQuota)
			if body.n != 0 {
				t.Errorf("%d bytes were read", body.n)
			}
		}
	}
}

// TestParallelPushesKeepToQuota: what is announced counts from then on, and what is not as it comes, also with what will not be stored.
func TestParallelPushesKeepToQuota(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r, _ := quotaRig(t, objecttest.NewStore(t))
		half, whole := r.heldPut(token, "a", 50, 50), r.heldPut(token, "b", 30, -1)
		wantAnswer(t, r.push(token, "c", bytesOf(21)), 507, overQuota) // 50 are announced, 30 have come
		wantAnswer(t, r.push(token, "d", bytesOf(20)), 200, "d 20 ")
		wantAnswer(t, half(bytesOf(10)), 400, "upload is incomplete") // cut off: its room is free again
		wantAnswer(t, r.push(token, "e", bytesOf(50)), 200, "e 50 ")
		wantAnswer(t, whole("1"), 507, overQuota)
		wantAnswer(t, r.push(token, "f", bytesOf(30)), 200, "f 30 ")
		if n := r.total(token); n != 100 {
			t.Errorf("%d bytes are stored", n)
		}
		for key, u := range r.door.quotas.of {
			if u.reserved != 0 || len(u.targets) != 0 {
				t.Errorf("%s: %d bytes are reserved for %v", key, u.reserved, u.targets)
			}
		}
	}
}

// heldPut starts a PUT of which so many bytes have come. end sends the rest and returns the answer.
func (r *rig) heldPut(token, name string, come, length int) (end func(rest string) *httptest.ResponseRecorder) {
	r.t.Helper()
	pr, pw := io.Pipe()
	req := put("/"+token+"/"+name, "", length)
	req.Body = pr
	if length >= 0 {
		come = length / 2
	}
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		r.door.ServeHTTP(w, req)
		_ = pr.Close() // so that the rest goes somewhere
	}()
	if _, err := io.WriteString(pw, bytesOf(come)); err != nil {
		r.t.Fatal(err)
	}
	_, _ = pw.Write(nil) // returns when somebody reads on, so that what came was counted
	return func(rest string) *httptest.ResponseRecorder {
		_, _ = io.WriteString(pw, rest) // what comes of it is in the answer
		_ = pw.Close()
		<-done
		return w
	}
}

// TestOverwritingTakesTheDifference: a file that replaces another needs room for what it is longer.
func TestOverwritingTakesTheDifference(t *testing.T) {
	for _, token := range []string{overToken, bareOver} {
		r, _ := quotaRig(t, objecttest.NewStore(t))
		wantAnswer(t, r.push(token, "a", bytesOf(60)), 200, "a 60 ")
		wantAnswer(t, r.push(token, "b", bytesOf(30)), 200, "b 30 ")
		wantAnswer(t, r.push(token, "a", bytesOf(71)), 507, overQuota)
		wantAnswer(t, r.push(token, "a", bytesOf(70)), 200, "a 70 ")
		wantAnswer(t, r.push(token, "c", "1"), 507, overQuota)
		wantAnswer(t, r.do(put("/"+token+"/a", bytesOf(71), -1)), 507, overQuota)
		wantAnswer(t, r.do(put("/"+token+"/a", bytesOf(70), -1)), 200, "a 70 ")
		wantAnswer(t, r.push(token, "a", bytesOf(10)), 200, "a 10 ")
		wantAnswer(t, r.push(token, "c", bytesOf(60)), 200, "c 60 ")
		wantAnswer(t, r.push(token, "c", bytesOf(61)), 507, overQuota)
	}
}

// TestRoomOfAFileIsTakenOnce: of two that replace the same file, one has its room; and when another replaces it first, what it then
// takes more is not given to a third.
func TestRoomOfAFileIsTakenOnce(t *testing.T) {
	for _, token := range []string{overToken, bareOver} {
		r, _ := quotaRig(t, objecttest.NewStore(t))
		wantAnswer(t, r.push(token, "a", bytesOf(90)), 200, "a 90 ")
		first := r.heldPut(token, "a", 0, 90)
		wantAnswer(t, r.push(token, "a", bytesOf(11)), 507, overQuota)
		wantAnswer(t, r.push(token, "a", bytesOf(10)), 200, "a 10 ")
		wantAnswer(t, r.push(token, "b", bytesOf(11)), 507, overQuota)
		wantAnswer(t, first(bytesOf(45)), 200, "a 90 ")
		wantAnswer(t, r.push(token, "b", bytesOf(10)), 200, "b 10 ")
		if n := r.total(token); n != 100 {
			t.Errorf("%d bytes are stored", n)
		}
	}
}

// TestHookGivesRoom: who may overwrite because pre-push.sh says so needs room for the difference, too.
func TestHookGivesRoom(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r, _ := quotaRig(t, objecttest.NewStore(t))
		r.hooks(&script{pre: ends(2, "")})
		wantAnswer(t, r.push(token, "a", bytesOf(100)), 200, "a 100 ")
		wantAnswer(t, r.push(token, "a", bytesOf(99)), 200, "a 99 ")
		wantAnswer(t, r.push(token, "b", bytesOf(2)), 507, overQuota)
	}
}

// TestQuotaSeesOthers: what others delete makes room within seconds, and what they store takes it within minutes.
func TestQuotaSeesOthers(t *testing.T) {
	for _, token := range []string{nameToken, bareToken} {
		r, clock := quotaRig(t, objecttest.NewStore(t))
		wantAnswer(t, r.push(token, "a", bytesOf(100)), 200, "a 100 ")
		wantAnswer(t, r.push(token, "b", "1"), 507, overQuota)
		r.remove(token, "a")
		wantAnswer(t, r.push(token, "b", "1"), 507, overQuota)
		clock.forward(countFresh + 1)
		wantAnswer(t, r.push(token, "b", "1"), 200, "b 1 ")
		r.place(token, "c", bytesOf(99))
		clock.forward(countStale)
		wantAnswer(t, r.push(token, "d", bytesOf(10)), 200, "d 10 ")
		clock.forward(2)
		wantAnswer(t, r.push(token, "e", "1"), 507, overQuota)
	}
}

// remove deletes a file behind the door's back.
func (r *rig) remove(token, name string) {
	r.t.Helper()
	err := os.Remove(filepath.Join(r.home, token, name))
	if token == nameToken {
		err = r.store.Delete(r.t.Context(), "db01", name, object.Condition{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// place stores a file behind the door's back.
func (r *rig) place(token, name, content string) {
	r.t.Helper()
	var err error
	if token == nameToken {
		_, err = r.store.Put(r.t.Context(), "db01", name, strings.NewReader(content), object.PutOptions{})
	} else {
		err = os.WriteFile(filepath.Join(r.home, token, name), []byte(content), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestQuotaOfMany: a bucket of more files than are listed at once is counted whole, and of a directory what is ours is not.
func TestQuotaOfMany(t *testing.T) {
	r, _ := quotaRig(t, objecttest.NewStore(t))
	r.push(nameToken, "n", "")
	r.push(bareToken, "n", "")
	const quota = 2001 + 1001*fileCost // with what 2,001 files take beside their content
	if err := r.door.SetBuckets([]Bucket{{Name: "db01", Token: nameToken, Quota: quota}, {Token: bareToken, Quota: quota}}); err != nil {
		t.Fatal(err)
	}
	r.door.quotas = newQuotas(time.Now)
	for i := range 2000 {
		r.place(nameToken, fmt.Sprint("f", i), "1")
		r.place(bareToken, fmt.Sprint("f", i), "1")
	}
	r.place(bareToken, partialPrefix+strings.Repeat("a", partialRandom), bytesOf(10))
	for _, token := range []string{nameToken, bareToken} {
		wantAnswer(t, r.push(token, "b", bytesOf(2)), 507, overQuota)
		wantAnswer(t, r.push(token, "b", bytesOf(1)), 200, "b 1 ")
	}
}

// TestQuotaOfEmptyFiles: files without content fill a bucket, too.
func TestQuotaOfEmptyFiles(t *testing.T) {
	r, _ := quotaRig(t, objecttest.NewStore(t))
	r.door.quotas = newQuotas(time.Now)
	push := func(token, name string) int { return r.push(token, name, "").Code }
	byTus := func(token, name string) int {
		req := httptest.NewRequest(http.MethodPost, "/"+token, nil)
		req.Header.Set(headVersion, tusVersion)
		req.Header.Set(headLength, "0")
		req.Header.Set(headMetadata, "filename "+base64.StdEncoding.EncodeToString([]byte(name)))
		return r.do(req).Code
	}
	for token, store := range map[string]func(token, name string) int{nameToken: push, overToken: byTus} {
		stored := 0
		for stored < 3*freeFiles && store(token, fmt.Sprint("f", stored))/100 == 2 {
			stored++
		}
		// One more for each 4 KiB of the quota, and those of which a count every so many files knows nothing.
		if stored < freeFiles || stored > 2*freeFiles+1 {
			t.Errorf("%d empty files fit", stored)
		}
	}
	r.push(bareToken, "n", "")
	r.door.quotas = newQuotas(time.Now)
	for i := range freeFiles {
		r.place(bareToken, fmt.Sprint("f", i), "")
	}
	wantAnswer(t, r.push(bareToken, "last", ""), 507, overQuota)
}

// TestQuotaFollowsReload: a new list of buckets has new quotas for what comes then, and forgets nothing that runs.
func TestQuotaFollowsReload(t *testing.T) {
	r, _ := quotaRig(t, objecttest.NewStore(t))
	end := r.heldPut(nameToken, "a", 0, 90)
	if err := r.door.SetBuckets([]Bucket{{Name: "db01", Token: nameToken, Quota: 95}}); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r.push(nameToken, "b", bytesOf(6)), 507, overQuota)
	wantAnswer(t, r.push(nameToken, "b", bytesOf(5)), 200, "b 5 ")
	wantAnswer(t, end(bytesOf(45)), 200, "a 90 ")
}
