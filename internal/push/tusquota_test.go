package push

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// tusQuotaRig is a door whose buckets may hold 100 bytes, at a time that stands still until a test moves it.
func tusQuotaRig(t *testing.T) (r tusRig, clock *quotaClock) {
	t.Helper()
	plain, clock := quotaRig(t, objecttest.NewStore(t))
	return tusRig{plain}, clock
}

// offered tries to begin an upload.
func (r tusRig) offered(token, name string, length int) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.ask("POST", "/"+token, nil, "Upload-Length", strconv.Itoa(length), "Upload-Metadata", metaOf(name))
}

// TestUploadsTakeRoomOfAFileOnce: of the uploads that are going to replace a file one has its room, the others take all that they
// announce; also when the bucket was counted anew, and where pre-push.sh lets them replace it.
func TestUploadsTakeRoomOfAFileOnce(t *testing.T) {
	for token, hook := range map[string]bool{overToken: false, bareOver: false, nameToken: true, bareToken: true} {
		r, clock := tusQuotaRig(t)
		if hook {
			r.hooks(&script{pre: ends(hookReplace, "")})
		}
		wantAnswer(t, r.push(token, "a", bytesOf(90)), 200, "a 90 ")
		first := r.offered(token, "a", 90)
		wantAnswer(t, first, 201, "")
		wantAnswer(t, r.offered(token, "a", 11), 507, overQuota)
		clock.forward(countStale + 1)
		wantAnswer(t, r.offered(token, "a", 90), 507, overQuota)
		wantAnswer(t, r.push(token, "b", bytesOf(11)), 507, overQuota)
		second := r.offered(token, "a", 6)
		wantAnswer(t, second, 201, "")
		wantAnswer(t, r.push(token, "b", bytesOf(4)), 200, "b 4 ")
		clock.forward(countStale + 1)
		wantAnswer(t, r.push(token, "c", "1"), 507, overQuota)
		for _, up := range []struct {
			w *httptest.ResponseRecorder
			n int
		}{{second, 6}, {first, 90}} {
			if w := r.patch(up.w.Header().Get("Location"), 0, bytesOf(up.n)); w.Code != 204 {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		}
		wantAnswer(t, r.push(token, "c", bytesOf(7)), 507, overQuota)
		wantAnswer(t, r.push(token, "c", bytesOf(6)), 200, "c 6 ")
	}
}

// TestUploadOutlivesTheFileItReplaces: when the file becomes smaller that an upload is going to replace, the upload takes that much
// more.
func TestUploadOutlivesTheFileItReplaces(t *testing.T) {
	for _, token := range []string{overToken, bareOver} {
		r, _ := tusQuotaRig(t)
		wantAnswer(t, r.push(token, "a", bytesOf(90)), 200, "a 90 ")
		w := r.offered(token, "a", 90)
		wantAnswer(t, w, 201, "")
		wantAnswer(t, r.push(token, "a", "1"), 200, "a 1 ")
		wantAnswer(t, r.push(token, "b", bytesOf(11)), 507, overQuota)
		wantAnswer(t, r.push(token, "b", bytesOf(10)), 200, "b 10 ")
		if w := r.patch(w.Header().Get("Location"), 0, bytesOf(90)); w.Code != 204 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		dir := map[string]string{overToken: "over/", bareOver: bareOver + "/"}[token]
		r.wantFiles(map[string]string{dir + "a": bytesOf(90), dir + "b": bytesOf(10)})
	}
}

// waysToDrop make a bucket drop bytes of a resumable upload, as clients can, and return how many.
func waysToDrop() map[string]func(r tusRig, token string, n int) int {
	return map[string]func(r tusRig, token string, n int) int{
		"terminated": func(r tusRig, token string, n int) int {
			url := r.begin(token, n)
			r.patch(url, 0, bytesOf(n-1))
			wantAnswer(r.t, r.ask("DELETE", url, nil), 204, "")
			return n - 1
		},
		"digest": func(r tusRig, token string, n int) int {
			url := r.begin(token, n, "X-Checksum-Sha256", strings.Repeat("00", 32))
			wantAnswer(r.t, r.patch(url, 0, bytesOf(n)), 422, "")
			return n
		},
		"name taken": func(r tusRig, token string, n int) int {
			url := r.begin(token, n)
			r.place(token, "x", "")
			wantAnswer(r.t, r.patch(url, 0, bytesOf(n)), 405, "")
			r.remove(token, "x")
			return n
		},
		"creation": func(r tusRig, token string, n int) int {
			w := r.ask("POST", "/"+token, strings.NewReader(bytesOf(n)), "Upload-Length", strconv.Itoa(n), "Upload-Metadata", metaOf("x"),
				"X-Checksum-Sha256", strings.Repeat("00", 32))
			wantAnswer(r.t, w, 422, "")
			return n
		},
		"small pieces": func(r tusRig, token string, n int) int {
			url := r.begin(token, n)
			for i := range n {
				r.patch(url, i, "c")
			}
			r.remove(token, "x")
			return n * (n - 1) / 2 // all before is in the chunk that is cut anew
		},
	}
}

// TestDroppedUploadsCount: what a named bucket drops is forgiven up to its quota within a week,
// and then counts.
func TestDroppedUploadsCount(t *testing.T) {
	for way, drop := range waysToDrop() {
		t.Run(way, func(t *testing.T) {
			r, clock := tusQuotaRig(t)
			clock.set(clock.now().Truncate(24 * time.Hour))
			dropped := 0
			for i := 0; dropped <= 100 && i < 20; i++ {
				clock.forward(countFresh + 1)
				dropped += drop(r, nameToken, 12)
			}
			clock.forward(countFresh + 1)
			left := 200 - dropped
			wantAnswer(t, r.push(nameToken, "a", bytesOf(left+1)), 507, overQuota)
			wantAnswer(t, r.offered(nameToken, "a", left+1), 507, overQuota)
			wantAnswer(t, r.push(nameToken, "a", bytesOf(left)), 200, "a ")
			clock.forward(7*24*time.Hour - time.Hour)
			wantAnswer(t, r.push(nameToken, "b", "1"), 507, overQuota)
			clock.forward(24*time.Hour + time.Hour)
			wantAnswer(t, r.push(nameToken, "b", bytesOf(100-left)), 200, "b ")
		})
	}
}

// TestAClockThatWasAhead does not keep what is dropped any longer: it goes, a day at a time, as long after as ever.
func TestAClockThatWasAhead(t *testing.T) {
	r, clock := tusQuotaRig(t)
	start := clock.now()
	clock.set(start.Add(400 * day))
	wantAnswer(t, r.push(nameToken, "a", "1"), 200, "") // it only looks
	clock.set(start)
	r.door.quotas.dropped(Bucket{Name: "db01", Quota: 100}, 150)
	clock.set(start.Add(day))
	r.door.quotas.dropped(Bucket{Name: "db01", Quota: 100}, 30)
	for _, row := range []struct {
		after time.Duration
		want  int64
	}{{day, 80}, {8*day - 1, 80}, {8 * day, 0}, {-400 * day, 0}} {
		got, until := r.door.quotas.usage("db01").drops.excess(start.Add(row.after), 100)
		if got != row.want || got > 0 && !until.Equal(start.Add(8*day)) {
			t.Errorf("%v after: %d until %v after", row.after, got, until.Sub(start))
		}
	}
}

// TestRefusedForWhatWasDropped: the client and the log are told so, and when that has gone.
func TestRefusedForWhatWasDropped(t *testing.T) {
	r, clock := tusQuotaRig(t)
	r.door.quotas.dropped(Bucket{Name: "over", Quota: 100}, 199)
	until := clock.now().Add(8 * day)
	want := "resumable uploads that were dropped take 99 bytes of it until " + until.UTC().Format(time.RFC3339)
	wantAnswer(t, r.push(overToken, "a", "1"), 200, "")
	for _, w := range []*httptest.ResponseRecorder{r.push(overToken, "b", "1"), r.offered(overToken, "b", 1)} {
		wantAnswer(t, w, 507, overQuota+": 100 bytes in all, and "+want+"\n")
		if line := fmt.Sprint(r.lastLine()["error"]); !strings.HasSuffix(line, want) {
			t.Errorf("log: %s", line)
		}
	}
	clock.set(until)
	wantAnswer(t, r.push(overToken, "b", "1"), 200, "")
	wantAnswer(t, r.push(overToken, "c", bytesOf(99)), 507, overQuota+": 100 bytes in all\n")
}

// TestNightlyDropsOfASmallBucket: a client whose line breaks each night begins anew each time, and the bucket takes other files, too.
func TestNightlyDropsOfASmallBucket(t *testing.T) {
	r, clock := tusQuotaRig(t)
	r.door.quotas.least = leastForgiven
	for night := range 10 {
		w := r.offered(overToken, "dump", 90)
		wantAnswer(t, w, 201, "")
		if w := r.patch(w.Header().Get("Location"), 0, bytesOf(80)); w.Code != 204 {
			t.Errorf("night %d: %d %q", night, w.Code, w.Body)
		}
		wantAnswer(t, r.push(overToken, "other", bytesOf(10)), 200, "")
		clock.forward(day)
		wantAnswer(t, r.ask("DELETE", w.Header().Get("Location"), nil), 204, "")
	}
	r.door.quotas.dropped(Bucket{Name: "over", Quota: 100}, leastForgiven)
	wantAnswer(t, r.offered(overToken, "dump", 90), 507, "that were dropped")
}

// TestDroppedPlainUploadsLeaveNothing: what is dropped of plain files is gone at once, and counts for nothing.
func TestDroppedPlainUploadsLeaveNothing(t *testing.T) {
	for way, drop := range waysToDrop() {
		if way == "small pieces" {
			continue // its steps leave nothing, and what they end as is a file
		}
		r, clock := tusQuotaRig(t)
		for range 3 {
			drop(r, bareToken, 100)
			clock.forward(countFresh + 1)
		}
		wantAnswer(t, r.push(bareToken, "a", bytesOf(100)), 200, "a 100 ")
	}
}

// TestDroppedUploadsStopOthers: a bucket that has dropped too much takes nothing more that it could drop: nothing that replaces a file, and
// no more of what has begun.
func TestDroppedUploadsStopOthers(t *testing.T) {
	r, _ := tusQuotaRig(t)
	wantAnswer(t, r.push(overToken, "a", bytesOf(90)), 200, "a 90 ")
	url := r.offered(overToken, "b", 10).Header().Get("Location")
	if w := r.patch(url, 0, "c"); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	for range 2 { // 89 are forgiven, 178 are not
		w := r.offered(overToken, "a", 90)
		wantAnswer(t, w, 201, "")
		r.patch(w.Header().Get("Location"), 0, bytesOf(89))
		wantAnswer(t, r.ask("DELETE", w.Header().Get("Location"), nil), 204, "")
	}
	wantAnswer(t, r.offered(overToken, "a", 90), 507, overQuota)
	wantAnswer(t, r.patch(url, 1, "c"), 507, overQuota)
	wantAnswer(t, r.push(overToken, "a", "1"), 507, overQuota)
	wantAnswer(t, r.ask("DELETE", url, nil), 204, "")
}

// TestFloorOfUploads: small steps do not get below the floor, and uploads are not begun that cannot all fit above it.
func TestFloorOfUploads(t *testing.T) {
	r := newTusRig(t)
	free := int64(100)
	r.door.floor.least = 1
	r.door.floor.free = func(string) (int64, int64, error) { return 1 + free, 1 << 40, nil }
	first := r.begin(bareToken, 60)
	wantAnswer(t, r.offered(bareToken, "y", 41), 507, "no space left")
	if w := r.patch(first, 0, bytesOf(30)); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	free -= 30
	wantAnswer(t, r.offered(bareToken, "y", 41), 507, "no space left")
	wantAnswer(t, r.offered(bareToken, "y", 40), 201, "")
	free = -1 // others write, too
	wantAnswer(t, r.patch(first, 30, "c"), 507, "no space left")
	free = 0
	if w := r.patch(first, 30, bytesOf(30)); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

// TestNoteOfUpload: what is kept with an upload is hardly more than the metadata that were sent.
func TestNoteOfUpload(t *testing.T) {
	r := newTusRig(t)
	kind := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x01", 2900)))
	r.begin(nameToken, 1, "Upload-Metadata", metaOf("x")+",filetype "+kind)
	list, _, err := r.store.ListUploads(t.Context(), "db01", object.UploadPage{Limit: 2})
	if err != nil || len(list) != 1 || len(list[0].Note) > maxMetadata+1000 {
		t.Errorf("%d uploads, a note of %d bytes, %v", len(list), len(list[0].Note), err)
	}
}

// TestDoneUploadsOfABucketAreForgotten: only the newest are remembered, of each bucket, and all that are not done. Their files stay.
func TestDoneUploadsOfABucketAreForgotten(t *testing.T) {
	r := newTusRig(t)
	open, other := r.begin(nameToken, 8), r.begin(overToken, 0)
	const n = 3*maxDone + 3
	urls := make([]string, n)
	for i := range urls {
		w := r.offered(nameToken, "x"+strconv.Itoa(i), 0)
		wantAnswer(t, w, 201, "")
		urls[i] = w.Header().Get("Location")
	}
	known := 0
	for i, url := range urls {
		switch w := r.ask("HEAD", url, nil); {
		case w.Code == 200:
			known++
		case w.Code != 404 || i >= n-maxDone:
			t.Errorf("upload %d: %d", i, w.Code)
		}
	}
	if known >= 2*maxDone {
		t.Errorf("%d are remembered", known)
	}
	r.wantOffset(open, 0, 8)
	r.wantOffset(other, 0, 0)
	if got := r.total(nameToken); got != 0 || len(r.stored()) != n+1 {
		t.Errorf("%d bytes, %d files", got, len(r.stored()))
	}
}

// TestDoneUploadsAreForgotten: of plain files only so many uploads that are done are remembered, the newest, and all that are not.
func TestDoneUploadsAreForgotten(t *testing.T) {
	r := newTusRig(t)
	open := r.begin(bareToken, 8)
	const n = maxDone + 3
	urls := make([]string, n)
	for i := range urls {
		w := r.offered(bareToken, strconv.Itoa(i), 0)
		wantAnswer(t, w, 201, "")
		urls[i] = w.Header().Get("Location")
		// As if a second had passed with each.
		at := time.Unix(int64(1_700_000_000+i), 0)
		state := filepath.Join(r.home, bareToken, uploadPrefix+urls[i][strings.LastIndex(urls[i], "/")+1:]+stateSuffix)
		if err := os.Chtimes(state, at, at); err != nil {
			t.Fatal(err)
		}
	}
	r.begin(bareToken, 9)
	for i, url := range urls {
		want := 200
		if i < n-maxDone {
			want = 404
		}
		if w := r.ask("HEAD", url, nil); w.Code != want {
			t.Errorf("upload %d: %d, want %d", i, w.Code, want)
		}
	}
	r.wantOffset(open, 0, 8)
}
