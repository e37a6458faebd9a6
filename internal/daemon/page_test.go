package daemon

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// samplesAt are samples at so many hours, each of which holds one more than the one before.
func samplesAt(hours ...int) []sample {
	out := make([]sample, len(hours))
	for i, h := range hours {
		out[i] = sample{Totals: object.Totals{Logical: int64(i), Stored: int64(i) / 2}, Time: time.Unix(int64(h)*3600, 0)}
	}
	return out
}

func TestChart(t *testing.T) {
	for name, list := range map[string][]sample{"nothing": nil, "one": samplesAt(1), "one, the clock set back": samplesAt(5, 1)} {
		if c := newChart(list); c != nil {
			t.Errorf("%s is drawn", name)
		}
	}
	c := newChart([]sample{
		{Totals: object.Totals{Logical: 0, Stored: 0}, Time: time.Unix(0, 0)},
		{Totals: object.Totals{Logical: 4 << 20, Stored: 1 << 20}, Time: time.Unix(3600, 0)},
		{Totals: object.Totals{Logical: 8 << 20, Stored: 2 << 20}, Time: time.Unix(7200, 0)},
	})
	// 670 wide from 80 on, 220 high from 230 up.
	if c.Logical != "M80.0 230.0L415.0 120.0L750.0 10.0" || c.Stored != "M80.0 230.0L415.0 202.5L750.0 175.0" {
		t.Errorf("%s, %s", c.Logical, c.Stored)
	}
	if c.LogicalArea != c.Logical+"L750.0 230.0L80.0 230.0Z" || c.StoredArea != c.Stored+"L750.0 230.0L80.0 230.0Z" {
		t.Errorf("%s, %s", c.LogicalArea, c.StoredArea)
	}
	var labels []string
	for _, r := range c.Rows {
		labels = append(labels, r.Label)
	}
	if !slices.Equal(labels, []string{"0 B", "2.0 MiB", "4.0 MiB", "6.0 MiB", "8.0 MiB"}) || c.Rows[4].At != 10 {
		t.Errorf("%q, %v", labels, c.Rows)
	}
	if len(c.Columns) != 5 || c.Columns[4].At != 750 || c.Columns[4].Anchor != "end" {
		t.Errorf("%v", c.Columns)
	}
	if c := newChart([]sample{{Time: time.Unix(0, 0)}, {Time: time.Unix(1, 0)}}); c.Logical != "M80.0 230.0L750.0 230.0" {
		t.Errorf("an empty store: %s", c.Logical)
	}
	hours := make([]int, 10_000)
	for i := range hours {
		hours[i] = i
	}
	long := newChart(samplesAt(hours...))
	if n := strings.Count(long.Logical, "L"); n != chartPoints-1 || !strings.HasPrefix(long.Logical, "M80.0 ") || !strings.Contains(long.Logical, "L750.0 ") {
		t.Errorf("%d points, %s", n, long.Logical)
	}
	if got := inOrder(samplesAt(1, 2, 9, 9, 3, 4)); len(got) != 4 || got[2].Time.Unix() != 3*3600 {
		t.Errorf("%v", got)
	}
}

// show returns the page, and how it was sent.
func show(t *testing.T, m *metrics) (string, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String(), w.Header()
}

// TestPage shows one door that runs and one that may, buckets of all sorts, and names that are no text.
func TestPage(t *testing.T) {
	d := &roomy{Memory: objecttest.NewMemory(), damaged: "damaged"}
	m := testMetrics(t, d, func(c *config.Config) {
		c.Buckets = []config.Bucket{
			{Token: "3547264155b541de5cb6a7eae0431a14"},
			{Name: "late", Expect: config.Duration(26 * time.Hour)},
			{Name: "damaged", Expect: config.Duration(time.Hour)},
			{Name: "in-time", Expect: config.Duration(time.Hour)},
		}
	})
	writeWatch(t, m.overview.cfg.Load(), map[string]Watched{"late": {}})
	m.door = doorState{Name: "file-bucketd", Address: "127.0.0.1:1234", Started: time.Now().Unix()}
	if err := m.overview.store.CreateBucket(t.Context(), "in-time", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.overview.store.Put(t.Context(), "in-time", "key", strings.NewReader("x"), object.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	text, _ := show(t, m)
	for _, want := range []string{
		`<td>hugbucket-s3d</td>\s*<td class="soft">not running</td>`, `<td>file-bucketd</td>\s*<td><span class="good">serving</span></td><td>127.0.0.1:1234</td>`,
		`<td class="names">354726…</td>\s*<td><span class="soft">never</span></td>\s*<td></td>\s*<td></td>`,
		`<td class="names">late</td>\s*<td><span class="soft">never</span></td>\s*<td>1d2h</td>\s*<td><span class="bad">overdue</span></td>`,
		`<td class="names">damaged</td>\s*<td><span class="bad">not known; [^<]*</span></td>\s*<td>1h</td>\s*<td><span class="bad">damaged</span></td>`,
		`<td class="names">in-time</td>\s*<td><span title="20[^"]*">now</span></td>\s*<td>1h</td>\s*<td><span class="good">on time</span></td>`,
		`1 bucket is overdue`, `<title>\(1 overdue\) file-bucket</title>`, `value="97"></meter> <span class="bad">3.0 GiB of 100 GiB are free`, `id="nochart"`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "3547264") {
		t.Error("the page holds a token")
	}

	// Behind the next port is something that says whatever it likes.
	peer := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(doorState{Name: "imposter", Note: "<script>alert(1)</script>", Requests: 12345, TLS: true})
	}), ReadHeaderTimeout: time.Minute}
	l, err := net.Listen("tcp", reachable(m.overview.cfg.Load().Metrics, 1))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- peer.Serve(l) }()
	history := samplesAt(1, 2, 3)
	history[2].Logical, history[2].Stored = 30<<30, 10<<30
	if err := writeHistory(m.overview.sampler.path, history); err != nil {
		t.Fatal(err)
	}
	m.overview.sampler.last.Store(&history[2])
	text, head := show(t, m)
	for _, want := range []string{
		`<td>hugbucket-s3d</td>\s*<td><span class="good">serving</span>, TLS<br><span class="bad">&lt;script&gt;alert\(1\)&lt;/script&gt;</span></td>`, `12,345`,
		`<path class="logical line" d="M80.0 230.0L415.0 230.0L750.0 `, `<path class="stored-area" d="M80.0 [^"]*Z"/>`, `0 objects of 30 GiB take 10 GiB on disk: 3.0 times less`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s", want)
		}
	}
	if regexp.MustCompile(`(?i)<script|imposter|src=|href=|url\(|://|ZgotmplZ`).MatchString(text) {
		t.Error("the page holds something from elsewhere")
	}
	if head.Get("Content-Security-Policy") != pagePolicy || head.Get("X-Content-Type-Options") != "nosniff" {
		t.Error(head)
	}
	if t.Failed() {
		t.Log(text)
	}
	if err := peer.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
