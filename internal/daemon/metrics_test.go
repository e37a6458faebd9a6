package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// roomy is a driver that knows what it holds.
type roomy struct {
	*objecttest.Memory

	mu      sync.Mutex // guards the following
	totals  object.Totals
	counted chan time.Time // when not nil, each time that they are asked for
	damaged string         // a bucket
	asked   chan struct{}  // when not nil, Arrived sends to it, twice
	err     error
}

var _ object.Usage = (*roomy)(nil)

func (d *roomy) Totals(_ context.Context, rest func()) (object.Totals, error) {
	if d.counted != nil {
		d.counted <- time.Now()
	}
	rest()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.totals, d.err
}

func (d *roomy) Space() (free, size int64, err error) { return 3 << 30, 100 << 30, nil }

func (d *roomy) Room(int64) error { return nil }

func (d *roomy) Arrived(ctx context.Context, bucket string) (time.Time, error) {
	if d.asked != nil {
		d.asked <- struct{}{}
		d.asked <- struct{}{}
	}
	if bucket == d.damaged {
		return time.Time{}, object.ErrCorrupt
	}
	return d.Memory.Arrived(ctx, bucket)
}

// freePorts returns the first of as many ports as there are daemons, which are free, as far as anybody can know.
func freePorts(t *testing.T) int {
	t.Helper()
	first := func() int { // or 0
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()                      //nolint:errcheck // a test's
		port := l.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // it is
		for i := 1; i < len(measured); i++ {
			next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil || port > 65530 {
				return 0
			}
			_ = next.Close()
		}
		return port
	}
	for range 100 {
		if port := first(); port != 0 {
			return port
		}
	}
	t.Fatal("no ports in a row are free")
	return 0
}

// fetch asks a URL under a name, and returns the status and the text.
func fetch(t *testing.T, method, url, host string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test's
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// has says which of the lines a text has not.
func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestMetricsOfDaemons runs both daemons on one store, and reloads the first.
func TestMetricsOfDaemons(t *testing.T) {
	port, dir := freePorts(t), t.TempDir()
	text := func(buckets string) string {
		return fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "home": %q, "storage": {"path": %q},
"metrics": {"port": %d}, "buckets": [%s]}`, dir+".files", dir, port, buckets)
	}
	store := object.New(&roomy{Memory: objecttest.NewMemory(), totals: object.Totals{Objects: 1, Logical: 10, Used: 5, Stored: 4}}, object.Config{})
	run := func(name string) *instance {
		p := testProgram(hello)
		p.Name = name
		return start(t, p, text(`{"name": "db01", "token": "token-one"}`), func(e *surroundings) {
			e.openStore = func(context.Context, *config.Config, zerolog.Logger) (*object.Store, error) { return store, nil }
		})
	}
	push, s3 := run("file-bucketd"), run("hugbucket-s3d")
	pushURL, s3URL := fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", port+1)
	for i, want := range map[*instance]string{push: pushURL, s3: s3URL} {
		if got := i.line("serving metrics")["address"]; "http://"+fmt.Sprint(got) != want {
			t.Errorf("metrics on %v, want %s", got, want)
		}
	}
	get(t, "http://"+push.address())
	if err := store.CreateBucket(t.Context(), "db01", ""); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		if _, err := store.Put(t.Context(), "db01", key, strings.NewReader("content"), object.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	_, got, _ := fetch(t, "GET", pushURL+"/metrics", "localhost")
	has(t, got, `file_bucket_requests_total{code="200",daemon="file-bucketd",method="GET",outcome="ok"} 1`,
		`file_bucket_sent_bytes_total{daemon="file-bucketd"} 5`, `file_bucket_request_duration_seconds_count{daemon="file-bucketd",method="GET"} 1`,
		`file_bucket_content_bytes_total{daemon="file-bucketd"} 14`, `file_bucket_deduplicated_bytes_total{daemon="file-bucketd"} 7`,
		`file_bucket_free_bytes 3.221225472e+09`, `file_bucket_build_info{daemon="file-bucketd",version="`+version+`"} 1`)
	if !strings.Contains(got, `file_bucket_bucket_last_arrival_timestamp_seconds{bucket="db01"} 1.`) || strings.Contains(got, "token-one") {
		t.Error(got)
	}
	_, got, _ = fetch(t, "GET", s3URL+"/metrics", "[::1]:1")
	has(t, got, `file_bucket_requests_running{daemon="hugbucket-s3d"} 0`)
	if strings.Contains(got, "file_bucket_bucket_") || strings.Contains(got, "file_bucket_free_bytes") {
		t.Error("the second daemon tells about the store, too")
	}

	writeConfig(t, push.path, text(`{"name": "db02", "token": "token-two"}`))
	push.signals <- syscall.SIGUSR2
	for range 3 {
		<-push.states // ready, reloading, ready
	}
	_, got, _ = fetch(t, "GET", pushURL+"/metrics", "")
	has(t, got, `file_bucket_bucket_last_arrival_timestamp_seconds{bucket="db02"} 0`)
	for _, c := range []struct {
		method, url, host string
		status            int
		want              string
	}{
		{"GET", pushURL + "/", "127.0.0.1", 200, "<!DOCTYPE html>"},
		{"HEAD", pushURL + "/", "localhost:1", 200, ""},
		{"GET", s3URL + "/", "127.0.0.1", 404, "not found"},
		{"GET", pushURL + "/etc/passwd", "127.0.0.1", 404, "not found"},
		{"POST", pushURL + "/", "127.0.0.1", 405, "Method Not Allowed"},
		{"PUT", pushURL + "/metrics", "127.0.0.1", 405, "Method Not Allowed"},
		{"GET", pushURL + "/metrics", "evil.example", 421, "ask for localhost"},
		{"GET", pushURL + "/", "evil.example:80", 421, "ask for localhost"},
		{"GET", s3URL + "/door.json", "localhost.evil.example", 421, "ask for localhost"},
	} {
		status, text, head := fetch(t, c.method, c.url, c.host)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s of %s: %d %.80q", c.method, c.url, c.host, status, text)
		}
		if policy := head.Get("Content-Security-Policy"); (policy == pagePolicy) != (status == 200) {
			t.Errorf("%s %s: policy %q", c.method, c.url, policy)
		}
	}
	var state doorState
	_, got, _ = fetch(t, "GET", pushURL+"/door.json", "127.0.0.1")
	if err := json.Unmarshal([]byte(got), &state); err != nil || state.Name != "file-bucketd" || state.Requests != 1 || state.Sent != 5 || state.Note != "tested" {
		t.Errorf("%s, %v", got, err)
	}
	push.stop()
	s3.stop()
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("metrics are served after the end: %v", err)
	}
}

// testMetrics returns the metrics of file-bucketd, on a store that is damaged where d says.
func testMetrics(t *testing.T, d *roomy, change func(*config.Config)) *metrics {
	t.Helper()
	cfg := config.Default()
	cfg.Home, cfg.Storage.Path = t.TempDir(), t.TempDir()
	cfg.Metrics.Port = freePorts(t)
	if change != nil {
		change(cfg)
	}
	return newMetrics("file-bucketd", cfg, object.New(d, object.Config{}), zerolog.Nop())
}

func TestMetricsOff(t *testing.T) {
	off := testMetrics(t, &roomy{Memory: objecttest.NewMemory()}, func(c *config.Config) { c.Metrics.Port = 0 })
	if off != nil {
		t.Fatal("port 0 has metrics")
	}
	off.listen(t.Context(), doorState{})
	if note := off.note(); note != "" {
		t.Error(note)
	}
	off.use(nil)
	off.run(t.Context())
}

// TestMetricsPortTaken finds the port taken at the start, and free later.
func TestMetricsPortTaken(t *testing.T) {
	m := testMetrics(t, &roomy{Memory: objecttest.NewMemory()}, nil)
	m.retry = time.Millisecond
	taken, err := net.Listen("tcp", m.address)
	if err != nil {
		t.Fatal(err)
	}
	logs, w := io.Pipe()
	m.log = zerolog.New(w)
	listened := make(chan struct{})
	go func() { m.listen(t.Context(), doorState{}); close(listened) }()
	line := make([]byte, 1000)
	if n, _ := logs.Read(line); !strings.Contains(string(line[:n]), "no metrics yet") {
		t.Errorf("%s", line[:n])
	}
	<-listened
	if want := "; no metrics on " + m.address; m.note() != want {
		t.Errorf("got %q, want %q", m.note(), want)
	}
	m.log = zerolog.New(w)
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { m.run(ctx); close(ended) }()
	if n, _ := logs.Read(line); !strings.Contains(string(line[:n]), "serving metrics") {
		t.Errorf("%s", line[:n])
	}
	if m.note() != "" {
		t.Errorf("the status still says %q", m.note())
	}
	if status, _, _ := fetch(t, "GET", "http://"+m.address+"/metrics", ""); status != http.StatusOK {
		t.Error(status)
	}
	stop()
	<-ended
}

// TestMetricsOfDamage tells what can be told of a store, one of whose buckets is damaged.
func TestMetricsOfDamage(t *testing.T) {
	d := &roomy{Memory: objecttest.NewMemory(), damaged: "damaged"}
	m := testMetrics(t, d, func(c *config.Config) {
		c.Buckets = []config.Bucket{{Name: "damaged", Expect: config.Duration(time.Hour)}, {Name: "empty", Expect: config.Duration(time.Hour)}}
	})
	writeWatch(t, m.overview.cfg.Load(), map[string]Watched{"empty": {}})
	m.overview.sampler.last.Store(&sample{Totals: object.Totals{Objects: 1, Logical: 2, Used: 3, Stored: 4}, Time: time.Unix(5, 0)})
	err := testutil.CollectAndCompare(m.overview, strings.NewReader(""))
	if err == nil || !strings.Contains(err.Error(), object.ErrCorrupt.Error()) {
		t.Errorf("got %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { m.serve(ctx, l); close(ended) }()
	_, got, _ := fetch(t, "GET", "http://"+l.Addr().String()+"/metrics", "")
	has(t, got, `file_bucket_bucket_overdue{bucket="empty"} 1`, `file_bucket_bucket_expect_seconds{bucket="empty"} 3600`,
		`file_bucket_bucket_last_arrival_timestamp_seconds{bucket="empty"} 0`, `file_bucket_store_objects 1`, `file_bucket_store_logical_bytes 2`,
		`file_bucket_store_used_bytes 3`, `file_bucket_store_stored_bytes 4`, `file_bucket_store_counted_timestamp_seconds 5`, "file_bucket_buckets_unknown 1")
	if strings.Contains(got, `bucket="damaged"`) {
		t.Error("something is told of a damaged bucket")
	}
	d.damaged = ""
	_, got, _ = fetch(t, "GET", "http://"+l.Addr().String()+"/metrics", "")
	has(t, got, "file_bucket_buckets_unknown 0")
	path := WatchFile(m.overview.cfg.Load())
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil { // without it, nobody knows what is overdue
		t.Fatal(err)
	}
	_, got, _ = fetch(t, "GET", "http://"+l.Addr().String()+"/metrics", "")
	has(t, got, "file_bucket_buckets_unknown 1")
	stop()
	<-ended
}

// TestMetricsEndBeforeTheStore stops a daemon while it is asked: whoever asks may be using the store, which is closed next.
func TestMetricsEndBeforeTheStore(t *testing.T) {
	d := &roomy{Memory: objecttest.NewMemory(), asked: make(chan struct{})}
	m := testMetrics(t, d, func(c *config.Config) { c.Buckets = []config.Bucket{{Name: "db01"}} })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, left := make(chan struct{}), make(chan struct{})
	go func() { m.serve(ctx, l); close(ended) }()
	go func() {
		defer close(left)
		if resp, err := http.Get("http://" + l.Addr().String() + "/metrics"); err == nil {
			t.Error(resp.Status)
			_ = resp.Body.Close()
		}
	}()
	<-d.asked
	stop()
	<-left
	for range 1000 { // one that does not wait is about to end
		runtime.Gosched()
		select {
		case <-ended:
			t.Fatal("the end did not wait for who asks")
		default:
		}
	}
	<-d.asked
	<-ended
}

// TestMetricNames keeps to the conventions of Prometheus.
func TestMetricNames(t *testing.T) {
	m := testMetrics(t, &roomy{Memory: objecttest.NewMemory()}, func(c *config.Config) {
		c.Buckets = []config.Bucket{{Name: "db01", Expect: config.Duration(time.Hour)}}
	})
	m.traffic.ended("GET", 200, true, time.Second)
	m.overview.sampler.last.Store(&sample{})
	for _, c := range append(append(m.traffic.collectors(), intakeCollectors(m.overview.store)...), m.overview) {
		problems, err := testutil.CollectAndLint(c)
		if err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
	}
}

func TestReachable(t *testing.T) {
	for host, want := range map[string]string{
		"": "127.0.0.1:9465", "0.0.0.0": "127.0.0.1:9465", "::": "[::1]:9465", "192.0.2.1": "192.0.2.1:9465", "nas": "nas:9465",
	} {
		if got := reachable(config.Metrics{Host: host, Port: 9464}, 1); got != want {
			t.Errorf("%q is asked on %s, want %s", host, got, want)
		}
	}
}
